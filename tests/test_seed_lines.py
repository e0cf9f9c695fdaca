"""The seeds' JSON lines: as the seeds write them, read as they were meant."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from nas.cli import app
from nas.data import seed_lines, seed_lines_in
from nas.data.masking import Masking
from nas.data.packing import FOLLOWS, ONE_SEGMENT, RANDOM, Packed, Packing
from nas.data.pretraining import Pretraining
from nas.data.seed_lines import Epoch, write_pairs, write_tokens
from nas.data.seed_lines_in import read_pairs, read_tokens, seed_files
from nas.data.vocabulary import Vocabulary, WordPieces
from results.errors import BadInputError
from tests.small_words import TOKENS, folder_of_words, small_words

COLUMNS = ("ids", "lengths", "boundaries", "next_sentence")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return small_words(tmp_path_factory.mktemp("lines"))


def packed(words: Vocabulary, style: Any) -> Packed:
    rng = np.random.default_rng(0)
    documents = [
        [rng.integers(6, len(TOKENS), rng.integers(3, 9)).tolist() for _ in range(12)]
        for _ in range(25)
    ]
    return Packing(style, 24).pack(documents, 0, words)


def joined(found: list[Packed]) -> dict[str, list[int]]:
    return {
        name: np.concatenate([getattr(each, name) for each in found]).tolist() for name in COLUMNS
    }


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_autotinybert_gets_28_files_in_turn_without_marks(
    words: Vocabulary, tmp_path: Path
) -> None:
    data = packed(words, "autotinybert")
    write_tokens(tmp_path, [data.first(10), data], words)

    names = {f"train_doc_tokens_ngrams_{number}.json" for number in range(28)}
    assert names == {path.name for path in tmp_path.iterdir()}
    starts = np.cumsum([0, *data.lengths])
    for place in (0, 5):
        wanted = [TOKENS[i] for i in data.ids[starts[place] + 1 : starts[place + 1] - 1]]
        found = lines(tmp_path / f"train_doc_tokens_ngrams_{place}.json")
        assert {"tokens": wanted} == found[0]
    assert (
        lines(tmp_path / "train_doc_tokens_ngrams_10.json")[0]
        == (lines(tmp_path / "train_doc_tokens_ngrams_0.json")[0])
    )


def test_what_autotinybert_wrote_comes_back_in_order(words: Vocabulary, tmp_path: Path) -> None:
    data = packed(words, "autotinybert")
    write_tokens(tmp_path, [data], words)

    style, paths = seed_files(tmp_path)
    found = list(read_tokens(paths, words, 24))

    assert "autotinybert" == style
    assert joined([data]) == joined(found)
    assert {-1} == set(found[0].documents.tolist())


def test_files_of_any_length_have_their_turns(words: Vocabulary, tmp_path: Path) -> None:
    paths = []
    for name, content in enumerate(("a", "bcd", "efg", "")):
        paths.append(tmp_path / f"train_doc_tokens_ngrams_{name}.json")
        paths[-1].write_text("".join(f'{{"tokens": ["{x}"]}}\n' for x in content), "utf-8")

    (found,) = read_tokens(paths, words, 5)

    assert list("abecfdg") == [TOKENS[i] for i in found.ids[1::3]]
    assert [] == list(read_tokens(paths[3:], words, 5))
    assert [] == list(read_pairs(paths[3], words, 5))
    with pytest.raises(BadInputError, match=r"gone cannot be read: No such file"):
        list(read_pairs(tmp_path / "gone", words, 5))


@pytest.mark.parametrize("style", ["autotinybert", "tinybert"])
def test_how_many_are_handed_on_together_does_not_matter(
    words: Vocabulary, tmp_path: Path, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = packed(words, style).first(40)
    monkeypatch.setattr(seed_lines_in, "AT_ONCE", 5)
    if style == "tinybert":
        write_pairs(tmp_path, [data], words, Epoch(0, 0, Masking(0.5)), 24)
        found = list(read_pairs(tmp_path / "epoch_0.json", words, 24))
        assert [5] * 8 == [len(each) for each in found]
    else:
        write_tokens(tmp_path, [data], words)
        found = list(read_tokens(seed_files(tmp_path)[1], words, 24))
        assert [28, 12] == [len(each) for each in found]  # whole turns

    assert joined([data]) == joined(found)


def test_lines_that_the_seed_wrote_too_long_are_cut_and_empty_ones_left_out(
    words: Vocabulary, tmp_path: Path
) -> None:
    path = tmp_path / "train_doc_tokens_ngrams_0.json"
    path.write_text('{"tokens": []}\n{"tokens": ["a", "##b", "c", "d"]}\n', "utf-8")

    (found,) = read_tokens([path], words, 5)

    assert [3, 6, 33, 8, 4] == found.ids.tolist()
    assert ([5], [5], [ONE_SEGMENT]) == (
        found.lengths.tolist(),
        found.boundaries.tolist(),
        found.next_sentence.tolist(),
    )


def test_tinybert_gets_the_keys_it_reads(words: Vocabulary, tmp_path: Path) -> None:
    data = packed(words, "tinybert")
    write_pairs(tmp_path, [data.first(7), data], words, Epoch(2, 5, Masking(0.3)), 24)

    found = lines(tmp_path / "epoch_2.json")
    said = json.loads((tmp_path / "epoch_2_metrics.json").read_text("utf-8"))

    assert {"num_training_examples": 7 + len(data), "max_seq_len": 24} == said
    assert 7 + len(data) == len(found)
    starts = np.cumsum([0, *data.lengths])
    for place, line in enumerate(found[7:]):
        assert [
            "tokens", "segment_ids", "is_random_next", "masked_lm_positions", "masked_lm_labels"
        ] == list(line)  # fmt: skip
        tokens = [TOKENS[i] for i in data.ids[starts[place] : starts[place + 1]]]
        hidden = line["masked_lm_positions"]
        assert max(1, round(0.3 * (len(tokens) - 3))) == len(hidden)
        assert sorted(hidden) == hidden
        assert [tokens[i] for i in hidden] == line["masked_lm_labels"]
        assert all(
            a == b for i, (a, b) in enumerate(zip(tokens, line["tokens"], strict=True))
            if i not in hidden
        )  # fmt: skip
        boundary = int(data.boundaries[place])
        assert [0] * boundary + [1] * (len(tokens) - boundary) == line["segment_ids"]
        assert bool(data.next_sentence[place] == RANDOM) is line["is_random_next"]
    assert any(
        line["tokens"][i] == "[MASK]" for line in found for i in line["masked_lm_positions"]
    )
    masks = [line["masked_lm_positions"] for line in found]
    assert masks[:7] != masks[7:14]  # the same sequences, as other rows


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_how_many_are_masked_at_once_does_not_matter(
    words: Vocabulary, tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, epoch = packed(words, "tinybert"), Epoch(2, 5, Masking(0.3))
    write_pairs(tmp_path / "whole", [data.first(7), data], words, epoch, 24)

    monkeypatch.setattr(seed_lines, "ROWS", rows)
    write_pairs(tmp_path / "by" / "rows", [data.first(7), data], words, epoch, 24)

    assert lines(tmp_path / "whole" / "epoch_2.json") == lines(tmp_path / "by/rows/epoch_2.json")


def test_seed_and_epoch_decide_what_is_masked(words: Vocabulary, tmp_path: Path) -> None:
    data, masks = packed(words, "tinybert").first(9), set()
    for number, seed in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        folder = tmp_path / str(seed)
        write_pairs(folder, [data], words, Epoch(number, seed, Masking(0.5)), 24)
        found = lines(folder / f"epoch_{number}.json")
        masks.add(json.dumps([line["masked_lm_positions"] for line in found]))

    assert 4 == len(masks)


def test_what_fills_a_short_sequence_up_is_never_masked(tmp_path: Path) -> None:
    tokens = ("a", *(each for each in TOKENS if each != "a"))  # [PAD] is not 0
    words = WordPieces(folder_of_words(tmp_path / "words", tokens)).vocabulary
    a, cls, sep = (tokens.index(token) for token in ("a", "[CLS]", "[SEP]"))
    long, short = [cls, *[a] * 20, sep, a, sep], [cls, a, sep, a, sep]
    data = Packed(
        np.array(long + short, np.int32), np.array([24, 5], np.int32),
        np.array([22, 3], np.int32), np.array([0, 0], np.int8), np.array([0, 1]),
    )  # fmt: skip

    write_pairs(tmp_path, [data], words, Epoch(0, 0, Masking(1.0)), 24)

    masked = [line["masked_lm_positions"] for line in lines(tmp_path / "epoch_0.json")]
    assert [[*range(1, 21), 22], [1, 3]] == masked


def test_what_tinybert_wrote_comes_back_unmasked(words: Vocabulary, tmp_path: Path) -> None:
    data = packed(words, "tinybert")
    write_pairs(tmp_path, [data], words, Epoch(0, 0, Masking(0.5, whole_words=True)), 24)

    style, (path,) = seed_files(tmp_path)

    assert "tinybert" == style
    assert joined([data]) == joined(list(read_pairs(path, words, 24)))
    assert {FOLLOWS, RANDOM} == set(data.next_sentence.tolist())


def pair(**changed: Any) -> str:
    line = {
        "tokens": ["[CLS]", "a", "[SEP]", "[MASK]", "[SEP]"],
        "segment_ids": [0, 0, 0, 1, 1],
        "is_random_next": False,
        "masked_lm_positions": [3],
        "masked_lm_labels": ["b"],
    }
    return json.dumps(line | changed) + "\n"


def test_a_line_of_tinybert_says_what_stood_under_the_mask(
    words: Vocabulary, tmp_path: Path
) -> None:
    path = tmp_path / "epoch_0.json"
    path.write_text(pair(), "utf-8")

    (found,) = read_pairs(path, words, 8)

    assert [3, 6, 4, 7, 4] == found.ids.tolist()
    assert ([3], [FOLLOWS]) == (found.boundaries.tolist(), found.next_sentence.tolist())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", " is damaged"),
        ('{"tokens": ["a"]}', " is damaged: Object missing required field"),
        (pair(more=1), " is damaged: Object contains unknown field"),
        (pair(segment_ids=[0, 0, 1, 0, 1]), ": segment_ids are not zeros, then ones"),
        (pair(segment_ids=[0, 0, 0, 1]), ": segment_ids are not zeros, then ones"),
        (pair(segment_ids=[1] * 5), ": segment_ids are not zeros, then ones"),
        (pair(masked_lm_labels=[]), ": masked_lm_positions and masked_lm_labels differ"),
        (pair(masked_lm_positions=[5]), ": there is no token 5 to unmask"),
        (pair(masked_lm_positions=[-1]), ": there is no token -1 to unmask"),
        (pair(masked_lm_labels=["zebra"]), ": the tokenizer has no token 'zebra'"),
        (pair(tokens=["a"] * 9, segment_ids=[0] * 9), " has 9 tokens: set --tokens"),
    ],
)
def test_a_damaged_line_of_tinybert_is_told_by_its_number(
    words: Vocabulary, tmp_path: Path, line: str, said: str
) -> None:
    path = tmp_path / "epoch_0.json"
    path.write_text(pair() + line, "utf-8")

    with pytest.raises(BadInputError) as found:
        list(read_pairs(path, words, 8))

    assert str(found.value).startswith(f"{path}, line 2{said}")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"tokens": ["a", 3]}', "is damaged: Expected `str`"),
        (b'{"tokens": ["\xff"]}', "is damaged"),
        (b'{"tokens": ["zebra"]}', ": the tokenizer has no token 'zebra': name the one"),
        (b"\n", "is damaged"),
    ],
)
def test_a_damaged_line_of_autotinybert_is_told_by_its_number(
    words: Vocabulary, tmp_path: Path, line: bytes, said: str
) -> None:
    paths = [tmp_path / f"train_doc_tokens_ngrams_{number}.json" for number in range(2)]
    paths[0].write_bytes(b'{"tokens": ["a"]}\n')
    paths[1].write_bytes(b'{"tokens": ["b"]}\n' + line)

    with pytest.raises(BadInputError) as found:
        list(read_tokens(paths, words, 8))

    assert f"{paths[1]}, line 2" in str(found.value)
    assert said in str(found.value)


def test_a_folder_with_neither_or_both_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadInputError, match=r"neither train_doc_tokens_ngrams_N\.json nor epoch_N"
    ):
        seed_files(tmp_path)
    for name in ("epoch_0.json", "train_doc_tokens_ngrams_3.json"):
        (tmp_path / name).touch()
    with pytest.raises(BadInputError, match=r"both train_doc_tokens_ngrams_N\.json and epoch_N"):
        seed_files(tmp_path)


def test_files_are_taken_by_number_and_not_by_name(tmp_path: Path) -> None:
    for number in (10, 9, 0):
        (tmp_path / f"epoch_{number}.json").touch()
        (tmp_path / f"epoch_{number}_metrics.json").touch()
        (tmp_path / f"epoch_{number}.json.bak").touch()

    assert ["epoch_0.json", "epoch_9.json", "epoch_10.json"] == [
        path.name for path in seed_files(tmp_path)[1]
    ]


def test_files_are_there_when_all_are_written(words: Vocabulary, tmp_path: Path) -> None:
    def broken() -> Any:
        yield packed(words, "autotinybert")
        raise BadInputError("the text ends here")

    with pytest.raises(BadInputError, match="the text ends here"):
        write_tokens(tmp_path / "out", broken(), words)
    assert not list((tmp_path / "out").iterdir())

    (tmp_path / "out" / ".train_doc_tokens_ngrams_0.json.half").write_bytes(b"torn")
    write_tokens(tmp_path / "out", [packed(words, "autotinybert")], words)
    assert "tokens" in lines(tmp_path / "out" / "train_doc_tokens_ngrams_0.json")[0]
    assert not list((tmp_path / "out").glob(".*"))

    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match=r"cannot write into .*file .*choose another --output"):
        write_tokens(tmp_path / "file", [], words)


@pytest.mark.parametrize("style", ["autotinybert", "tinybert"])
def test_from_text_to_the_seeds_lines_and_back_is_the_same_data(
    tmp_path: Path, style: str
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("ab cd ef\ngh ij\nkl mn op\n\nqr st uv\nwx yz\n\nabc de\nf g h\n", "utf-8")
    folder = folder_of_words(tmp_path / "words")

    def generated(name: str, *options: object) -> Path:
        output = tmp_path / name
        line = ["--tokenizer", folder, "--tokens", 16, "--output", output, *options]
        done = CliRunner().invoke(app, ["data", "generate", *map(str, line)])
        assert 0 == done.exit_code, done.exception
        return output

    direct = Pretraining(generated("direct", "--corpus", text, "--style", style))
    seed = generated("seed", "--corpus", text, "--style", style, "--format", "seed")
    data = Pretraining(generated("back", "--seed-lines", seed))

    assert direct.rows(range(len(direct))).ids.tolist() == data.rows(range(len(data))).ids.tolist()
    assert direct.boundaries.tolist() == data.boundaries.tolist()
    assert direct.next_sentence.tolist() == data.next_sentence.tolist()
    assert style == data.settings.style


def test_every_epoch_is_drawn_anew(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join("ab cd ef gh\nij kl mn op\n" * 9 + "\n" for _ in range(9)), "utf-8")
    folder, output = folder_of_words(tmp_path / "words"), tmp_path / "out"

    line = ["--tokenizer", folder, "--tokens", 32, "--output", output, "--corpus", text]
    line += ["--style", "tinybert", "--format", "seed", "--epochs", 2, "--mask", 0]
    done = CliRunner().invoke(app, ["data", "generate", *map(str, line)])

    assert 0 == done.exit_code
    first, second = (lines(output / f"epoch_{number}.json") for number in (0, 1))
    assert first != second
    assert not any(line["masked_lm_positions"] for line in first)

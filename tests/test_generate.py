"""`nas data generate`: the same bytes however they are made, read back as they were written."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nas.cli import app
from nas.data import generation, part_writer
from nas.data.corpus import text_files
from nas.data.packing import ONE_SEGMENT, Packed, Packing
from nas.data.part_writer import PartWriter
from nas.data.parts import MANIFEST, Settings, read_manifest
from nas.data.pretraining import Pretraining
from nas.data.vocabulary import WordPieces
from results.errors import BadInputError
from tests.small_words import TOKENS, folder_of_words, ids_of

SETTINGS = Settings("autotinybert", 32, 0, "0" * 64, ("a",))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "PIECE_CHARACTERS", 2000)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 documents of 1 to 12 sentences."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("text")
    folder_of_words(folder / "words")
    letters = list("abcdefghij")
    documents = [
        "".join(
            " ".join("".join(rng.choice(letters, 3)) for _ in range(rng.integers(1, 9))) + "\n"
            for _ in range(rng.integers(1, 13))
        )
        for _ in range(200)
    ]
    (folder / "text.txt").write_text("\n".join(documents), "utf-8")
    return folder


def generate(text: Path, output: Path, *words: object, fails: bool = False) -> str:
    """What it prints, as JSON unless it fails."""
    command = ["--corpus", text / "text.txt"] if "--seed-lines" not in words else []
    command += ["--tokenizer", text / "words", "--output", output, "--json", *words]
    if "--tokens" not in words:
        command += ["--tokens", 32]
    done = CliRunner().invoke(app, ["data", "generate", *map(str, command)])
    if fails:
        assert isinstance(done.exception, BadInputError), done.output
        return str(done.exception)
    assert 0 == done.exit_code, done.exception
    return done.stdout


def content(folder: Path) -> dict[str, bytes]:
    """Every file that is no lock."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def sequences(packed: Packed) -> list[list[int]]:
    return [part.tolist() for part in np.split(packed.ids, np.cumsum(packed.lengths)[:-1])]


def made(*rows: Sequence[int]) -> Packed:
    return Packed(
        np.array([i for row in rows for i in row], np.int32),
        np.array([len(row) for row in rows], np.int32),
        np.array([2 for _ in rows], np.int32),
        np.array([(0, 1, ONE_SEGMENT)[n % 3] for n, _ in enumerate(rows)], np.int8),
        np.arange(len(rows)),
    )


@pytest.mark.parametrize("style", ["autotinybert", "tinybert"])
def test_any_number_of_workers_makes_the_same_bytes(
    text: Path, tmp_path: Path, style: str
) -> None:
    told = json.loads(generate(text, tmp_path / "one", "--style", style))
    generate(text, tmp_path / "three", "--style", style, "--workers", 3)

    assert content(tmp_path / "one") == content(tmp_path / "three")
    assert 8 < told["parts"] < 20
    assert 200 == told["documents"]
    data = Pretraining(tmp_path / "one")
    assert (len(data), data.tokens) == (told["sequences"], told["tokens"])
    assert 1 - data.lengths.mean() / 32 == pytest.approx(told["padding"])
    assert data.digest == told["digest"]
    assert (style == "tinybert") is data.has_pairs


def test_whole_sentences_of_the_text_are_in_it(text: Path, tmp_path: Path) -> None:
    generate(text, tmp_path / "out", "--tokens", 512)
    data = Pretraining(tmp_path / "out")

    documents = (text / "text.txt").read_text("utf-8").split("\n\n")
    first = " ".join(s for s in documents[7].splitlines() if len(s.split()) > 0)
    (row,) = np.flatnonzero(data.documents == 7)
    assert [3, *ids_of(first), 4] == data.rows([int(row)]).ids.tolist()


def test_another_seed_draws_other_pairs(text: Path, tmp_path: Path) -> None:
    digests = [
        json.loads(generate(text, tmp_path / f"{seed}", "--style", "tinybert", "--seed", seed))[
            "digest"
        ]
        for seed in (0, 1)
    ]

    assert digests[0] != digests[1]


def test_it_ends_with_the_sequence_that_reaches_the_limit(text: Path, tmp_path: Path) -> None:
    generate(text, tmp_path / "all")
    whole = Pretraining(tmp_path / "all")
    sums = np.cumsum(whole.lengths)

    for limit in (int(sums[40]), int(sums[40]) + 1, 5):
        folder = tmp_path / f"{limit}"
        generate(text, folder, "--limit-tokens", limit, "--workers", 2)
        data = Pretraining(folder)
        count = int(np.argmax(sums >= limit)) + 1
        assert whole.lengths[:count].tolist() == data.lengths.tolist()
        assert whole.rows(range(count)).ids.tolist() == data.rows(range(count)).ids.tolist()


def test_a_limit_that_was_reached_before_lets_nothing_more_through() -> None:
    rows = [[1, 2, 3], [4, 5]]

    def left(before: int) -> list[int]:
        packed = generation.limited(iter([made(*rows), made(*rows)]), 10, before)
        return [len(piece.ids) for piece in packed]

    assert [[5, 5], [5, 3], [3], []] == [left(before) for before in (0, 3, 8, 10)]


@pytest.mark.parametrize("workers", [1, 2])
def test_few_pieces_are_in_memory_at_once(text: Path, workers: int) -> None:
    given = []

    class Watched:
        name = "counted"

        def sources(self) -> tuple[str, ...]:
            return ()

        def documents(self) -> Iterator[tuple[str, ...]]:
            for number in range(60):
                given.append(number)
                yield ("ab " * 400,)

    words, packing = WordPieces(text / "words"), Packing("autotinybert", 32)
    found = generation.packed_pieces(Watched(), words, packing, workers=workers)
    next(found)

    # a piece has two documents here; the corpus is one piece ahead, and a document
    assert len(given) <= 2 * (2 * workers + 2)
    assert 29 == sum(1 for _ in found)


def test_sentences_without_a_token_are_none(text: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("ab cd\ne f g\n\nh\ni jk\n", "utf-8")
    (tmp_path / "more.txt").write_text("\x01\nab cd\n\x01\ne f g\n\nh\ni jk\n\x01\n", "utf-8")
    words, packing = WordPieces(text / "words"), Packing("tinybert", 32)

    plain, more = (
        next(generation.packed_pieces(text_files([str(tmp_path / name)]), words, packing))
        for name in ("plain.txt", "more.txt")
    )

    assert plain.ids.tolist() == more.ids.tolist()


DRIVER = """
import sys, time
from nas.data import generation, part_writer
from nas.cli import app
generation.PIECE_CHARACTERS = 2000
add = part_writer.PartWriter.add
def slow(self, packed):
    add(self, packed)
    time.sleep(0.1)
part_writer.PartWriter.add = slow
app(sys.argv[1:])
"""


def test_after_a_kill_it_goes_on_to_the_same_bytes(text: Path, tmp_path: Path) -> None:
    options = ["--style", "tinybert", "--limit-tokens", "11k"]
    generate(text, tmp_path / "whole", *options)
    out = tmp_path / "killed"
    command = ["data", "generate", "--corpus", text / "text.txt", "--tokenizer", text / "words"]
    command += ["--output", out, "--tokens", 32, *options, "--workers", 2]
    process = subprocess.Popen([sys.executable, "-c", DRIVER, *map(str, command)])
    while len(list(out.glob("part-*.parquet"))) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert -signal.SIGKILL == process.wait()
    with pytest.raises(BadInputError, match="is not complete: run its"):
        Pretraining(out)
    (out / ".part-00003.parquet.half").write_bytes(b"torn")
    kept = {path: path.stat().st_mtime_ns for path in out.glob("part-*")}

    told = json.loads(generate(text, out, *options))

    assert len(kept) == told["parts_kept"] < told["parts"]
    assert content(tmp_path / "whole") == content(out)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert not list(out.glob(".*.half"))
    again = json.loads(generate(text, out, *options))
    assert again["parts"] == again["parts_kept"]
    assert told["digest"] == again["digest"]


def test_other_settings_do_not_go_on_in_the_same_folder(text: Path, tmp_path: Path) -> None:
    generate(text, tmp_path / "out")

    said = generate(text, tmp_path / "out", "--seed", 1, fails=True)
    assert "out was made with seed 0, not 1: choose another --output" in said
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").touch()
    (tmp_path / "mine" / ".hidden").touch()
    assert "mine is not empty" in generate(text, tmp_path / "mine", fails=True)


def test_what_failed_before_its_first_part_can_be_mended(text: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.txt"
    one.write_text("ab cd ef\n", "utf-8")
    command = ["--corpus", one, "--style", "tinybert"]
    output = tmp_path / "out"

    def tried(*words: object, fails: bool = False) -> str:
        line = ["--tokenizer", text / "words", "--output", output, *words]
        done = CliRunner().invoke(app, ["data", "generate", *map(str, line)])
        assert fails is (done.exit_code != 0)
        return str(done.exception) if fails else done.stdout

    assert "a single document" in tried(*command, fails=True)
    one.write_text("\n\n", "utf-8")
    assert "one.txt: there is no text to make a sequence of" in tried(*command, fails=True)
    one.write_text("ab cd ef\n\ngh ij\n", "utf-8")
    assert "2 documents, 2 sequences" in tried(*command)


def test_a_folder_that_is_opened_again_is_as_it_was_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with PartWriter(out, SETTINGS, {"x": "1"}) as writer:
        writer.add(made([1, 2, 3], [4, 5]))
        (out / ".part-00007.parquet.half").write_bytes(b"torn")
    with PartWriter(out, SETTINGS, {"x": "2"}) as writer:
        assert (1, 5, False) == (len(writer.parts), writer.tokens, writer.complete)
        assert not list(out.glob(".*.half"))
        done = writer.finish()
    with PartWriter(out, SETTINGS, {"x": "3"}) as writer:
        assert writer.complete
        assert done == writer.finish()

    assert {"x": "2"} == done.made_by


def test_a_part_of_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("other", 1)):
        with PartWriter(tmp_path / name, replace(SETTINGS, seed=seed), {}) as writer:
            writer.add(made([1, 2, 3]))
    (tmp_path / "other" / "part-00000.parquet").rename(tmp_path / "one" / "part-00001.parquet")

    with pytest.raises(BadInputError, match=r"part-00001\.parquet was made with seed 1, not 0"):
        PartWriter(tmp_path / "one", SETTINGS, {})


def test_two_at_once_do_not_write_into_one_folder(tmp_path: Path) -> None:
    with (
        PartWriter(tmp_path / "out", SETTINGS, {}),
        pytest.raises(BadInputError, match=r"another process writes into .*out: wait"),
    ):
        PartWriter(tmp_path / "out", SETTINGS, {})


def test_a_full_disk_is_a_sentence_and_what_is_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with PartWriter(tmp_path / "out", SETTINGS, {}) as writer:
        writer.add(made([1, 2, 3]))
        monkeypatch.setattr(part_writer, "write", full)
        with pytest.raises(BadInputError, match=r"part-00001\.parquet \(No space left on device"):
            writer.add(made([1, 2, 3]))
    with PartWriter(tmp_path / "out", SETTINGS, {}) as writer:
        assert 1 == len(writer.parts)
        monkeypatch.setattr(PartWriter, "_save", lambda *_, **__: full())
        with pytest.raises(BadInputError, match=r"pretraining\.json \(No space left on device"):
            writer.finish()


def test_documents_that_nobody_told_are_not_counted(tmp_path: Path) -> None:
    rows = made([1, 2], [3, 4], [5, 6])

    with PartWriter(tmp_path / "out", SETTINGS, {}) as writer:
        writer.add(replace(rows, documents=np.array([-1, -1, -1])))
        writer.add(replace(rows, documents=np.array([4, 4, 9])))

    assert [0, 2] == [part.documents for part in writer.parts]


def test_rows_come_back_in_any_order(tmp_path: Path) -> None:
    rows = [[9, 8, 7], [6, 5], [4, 3, 2, 1], [65_536, 1], [5, 5, 5]]
    with PartWriter(tmp_path / "out", SETTINGS, {"x": "1"}) as writer:
        writer.add(made(*rows[:2]))
        writer.add(made(*rows[2:]))
        writer.finish()

    data = Pretraining(tmp_path / "out")
    found = data.rows(np.array([3, 0, 0, 2]))

    assert [3, 2, 4, 2, 3] == data.lengths.tolist()
    assert [*rows[3], *rows[0], *rows[0], *rows[2]] == found.ids.tolist()
    assert [0, 2, 5, 8, 12] == found.starts.tolist()
    assert [0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1] == found.types.tolist()
    assert [1, 0, 0, 0] == found.targets.tolist()
    assert [0, 1, 0, 1, -1] == data.next_sentence.tolist()
    assert np.int32 == found.ids.dtype
    assert {"x": "1"} == read_manifest(tmp_path / "out").made_by
    part = Pretraining(
        (tmp_path / "out" / "part-00001.parquet").rename(tmp_path / "called-otherwise.parquet")
    )
    assert rows[4] == part.rows([2]).ids.tolist()
    assert 0 == len(data.rows([]))


def test_long_data_has_its_own_segments_in_every_row(tmp_path: Path) -> None:
    rows = [[n % 7] * 40 for n in range(1000)]
    ends = np.arange(1000, dtype=np.int32) % 39 + 1
    with PartWriter(tmp_path / "out", SETTINGS, {}) as writer:
        writer.add(made())
        writer.add(replace(made(*rows), boundaries=ends))
        writer.finish()

    found = Pretraining(tmp_path / "out").rows([999, 500, 3])

    assert [*rows[999], *rows[500], *rows[3]] == found.ids.tolist()
    types = [[0] * ends[n] + [1] * (40 - ends[n]) for n in (999, 500, 3)]
    assert [i for row in types for i in row] == found.types.tolist()
    nothing = Pretraining(tmp_path / "out" / "part-00000.parquet")
    assert (0, 0, False) == (len(nothing), nothing.tokens, nothing.has_pairs)


def test_what_a_part_holds_decides_its_digest(tmp_path: Path) -> None:
    def digest(name: str, *parts: Packed) -> str:
        with PartWriter(tmp_path / name, SETTINGS, {}) as writer:
            for packed in parts:
                writer.add(packed)
            return writer.finish().digest

    rows, two = made([1, 2, 3], [4, 5, 6]), np.array([1, 2])
    others = {
        "lengths": made([1, 2, 3, 4], [5, 6]),
        "ids": made([1, 2, 3], [4, 5, 7]),
        "boundaries": replace(rows, boundaries=two.astype(np.int32)),
        "next sentences": replace(rows, next_sentence=np.zeros(2, np.int8)),
        "documents": replace(rows, documents=two.astype(np.int64)),
    }

    same = digest("a", rows)
    assert same == digest("b", made([1, 2, 3], [4, 5, 6]))
    found = {same, *(digest(name, packed) for name, packed in others.items())}
    assert 1 + len(others) == len(found)
    one, other = made([1, 2]), made([3, 4])
    assert digest("in order", one, other) != digest("turned round", other, one)


def test_another_vocabulary_is_refused(text: Path, tmp_path: Path) -> None:
    generate(text, tmp_path / "out")
    data = Pretraining(tmp_path / "out")
    other = folder_of_words(tmp_path / "other", (*TOKENS[:-1], "x"))

    data.require(WordPieces(text / "words").vocabulary, text / "words")
    with pytest.raises(BadInputError, match="out was made with another vocabulary than that of"):
        data.require(WordPieces(other).vocabulary, other)


def test_damaged_files_are_told(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with PartWriter(out, SETTINGS, {}) as writer:
        writer.add(made(*[list(range(50, 90))] * 500))
        writer.finish()
    part, manifest = out / "part-00000.parquet", out / MANIFEST
    whole, said = part.read_bytes(), manifest.read_text("utf-8")

    for place in (4, 60):  # a page's header, and what is in it
        part.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BadInputError, match=r"part-00000\.parquet is damaged"):
            Pretraining(out)
    part.write_bytes(whole[:100])
    with pytest.raises(BadInputError, match=r"part-00000\.parquet is damaged"):
        Pretraining(out)
    part.unlink()
    with pytest.raises(BadInputError, match=r"part-00000\.parquet is damaged \(.*No such file"):
        Pretraining(out)
    part.write_bytes(whole)
    for old, new, why in [
        ('"sequences": 500', '"sequences": 499', "does not hold what the manifest says"),
        ('"tokens": 20000', '"tokens": 20001', "does not hold what the manifest says"),
        ('"complete"', "complete", "is damaged"),
        ('"format": 1', '"format": 2', "has format 2, and only 1"),
        ('"format": 1', '"format": 0', "has format 0, and only 1"),
    ]:
        manifest.write_text(said.replace(old, new), "utf-8")
        with pytest.raises(BadInputError, match=why):
            Pretraining(out)
    with pytest.raises(BadInputError, match="there is no such folder"):
        Pretraining(tmp_path / "nothing")


def test_a_bit_that_turned_over_is_told_or_changes_nothing(tmp_path: Path) -> None:
    from pyarrow import parquet as pq

    out = tmp_path / "out"
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 30_000, (100, 8)).tolist()
    with PartWriter(out, SETTINGS, {}) as writer:
        writer.add(made(*rows))
        writer.finish()
    part = out / "part-00000.parquet"
    whole = part.read_bytes()
    size = pq.ParquetFile(part).metadata.row_group(0).column(0).total_compressed_size
    answers: list[list[int] | str] = []

    for place in range(4, size, 37):
        part.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            answers.append(Pretraining(out).rows(range(100)).ids.tolist())
        except BadInputError as error:
            answers.append(str(error))

    told = [answer for answer in answers if answer != [i for row in rows for i in row]]
    assert all("part-00000.parquet is damaged" in answer for answer in told)
    assert len(told) > 0.9 * len(answers)


def test_a_part_that_lacks_something_is_damaged(tmp_path: Path) -> None:
    from pyarrow import parquet as pq

    out = tmp_path / "out"
    with PartWriter(out, SETTINGS, {}) as writer:
        writer.add(made([1, 2, 3]))
        writer.finish()
    part = out / "part-00000.parquet"
    table = pq.read_table(part)

    pq.write_table(table.drop_columns(["boundary"]), part)
    with pytest.raises(BadInputError, match=r"part-00000\.parquet is damaged \(.*boundary"):
        Pretraining(out)
    pq.write_table(table.replace_schema_metadata({"subbert": "{}"}), part)
    with pytest.raises(BadInputError, match=r"part-00000\.parquet is damaged \(.*settings"):
        Pretraining(part)


def test_a_foreign_parquet_file_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet as pq

    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")

    with pytest.raises(BadInputError, match="is no pretraining data: make it with"):
        Pretraining(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit-tokens", "many"], "--limit-tokens many: write a number such as 1M"),
        (["--limit-tokens", "0"], "--limit-tokens 0: write"),
        (["--epochs", "2"], "--epochs is for --format seed --style tinybert"),
        (["--seed-lines", "x", "--format", "seed"], "in that format already"),
        (["--seed-lines", "x", "--corpus", "y"], "either --corpus or --seed-lines"),
        (["--corpus", "nowhere"], "nowhere: there is no text file of that name; packaged ones"),
        (["--seed-lines", "nowhere"], "nowhere is no folder"),
        (["--tokenizer", "nowhere"], "nowhere has neither tokenizer.json nor vocab.txt"),
    ],
)
def test_options_that_cannot_be_are_refused(
    text: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    assert said in generate(text, tmp_path / "out", *words, fails=True)
    assert not (tmp_path / "out").exists()


def test_limits_are_written_as_people_write_them(text: Path, tmp_path: Path) -> None:
    for limit in ("1.5k", "1500"):
        generate(text, tmp_path / limit, "--limit-tokens", limit)

    assert content(tmp_path / "1.5k") == content(tmp_path / "1500")


def test_several_corpora_come_one_after_the_other(text: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.txt"
    more.write_text("zz zz zz\n", "utf-8")
    generate(text, tmp_path / "out", "--corpus", more)

    data = Pretraining(tmp_path / "out")

    assert 2 == len(data.settings.sources)
    assert [3, *ids_of("zz zz zz"), 4] == data.rows([len(data) - 1]).ids.tolist()
    assert 200 == data.documents[-1]

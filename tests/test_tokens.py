"""Texts become the token ids that transformers' tokenizer makes of them, one after the other."""

import json
from pathlib import Path

import numpy as np
import pytest

from nas.data.tokens import Encoded, encode, tokenizer_of
from results.errors import BadInputError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "##c", "A"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return tmp_path


def rows(data: Encoded, name: str = "ids") -> list[list[int]]:
    values = getattr(data, name)
    return [values[a:b].tolist() for a, b in zip(data.starts, data.starts[1:], strict=False)]


def test_texts_are_ids_between_the_special_tokens(folder: Path) -> None:
    data = encode(tokenizer_of(folder), ["a b", "", "ac z"], most_tokens=9)

    assert [[2, 5, 6, 3], [2, 3], [2, 5, 8, 1, 3]] == rows(data)
    assert [4, 2, 5] == data.lengths.tolist()
    assert 3 == len(data)
    assert not data.types.any()
    assert (0,) == data.targets.shape


def test_the_second_text_of_a_pair_has_type_one(folder: Path) -> None:
    data = encode(tokenizer_of(folder), ["a"], ["b b"], most_tokens=9, targets=np.array([4]))

    assert [[2, 5, 3, 6, 6, 3]] == rows(data)
    assert [[0, 0, 0, 1, 1, 1]] == rows(data, "types")
    assert [4] == data.targets.tolist()


def test_long_texts_are_cut_and_the_longer_of_a_pair_first(folder: Path) -> None:
    tokenizer = tokenizer_of(folder)

    assert [[2, 5, 6, 3]] == rows(encode(tokenizer, ["a b c a"], most_tokens=4))
    assert [[2, 5, 6, 7, 5, 3]] == rows(encode(tokenizer, ["a b c a"], most_tokens=6))
    assert [[2, 5, 5, 3, 6, 3]] == rows(encode(tokenizer, ["a a a a"], ["b"], most_tokens=6))


def test_no_text_at_all_is_no_example(folder: Path) -> None:
    data = encode(tokenizer_of(folder), [], most_tokens=4)

    assert 0 == len(data)
    assert [] == data.lengths.tolist()


def test_pairs_of_different_number_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        encode(tokenizer_of(folder), ["a", "b"], ["c"], most_tokens=4)


@pytest.mark.parametrize(
    ("settings", "ids"),
    [(None, 5), ({"do_lower_case": True}, 5), ({"do_lower_case": False}, 9), ([], 5)],
)
def test_capitals_are_kept_where_the_folder_says_so(
    folder: Path, settings: object, ids: int
) -> None:
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))

    assert [[2, ids, 3]] == rows(encode(tokenizer_of(folder), ["A"], most_tokens=4))


def test_a_whole_tokenizer_comes_before_a_list_of_words(folder: Path) -> None:
    expected = encode(tokenizer_of(folder), ["a B c"], most_tokens=9)
    tokenizer = tokenizer_of(folder)
    tokenizer.enable_padding(length=8)
    tokenizer.enable_truncation(3)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("nothing\n")

    found = encode(tokenizer_of(folder), ["a B c"], most_tokens=9)

    assert rows(expected) == rows(found)
    assert 5 == len(tokenizer_of(folder).encode("a b c").ids)


def test_a_folder_without_or_with_a_damaged_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"neither tokenizer\.json nor vocab\.txt"):
        tokenizer_of(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": 1')
    with pytest.raises(BadInputError, match=r"tokenizer\.json is no tokenizer .*save it again"):
        tokenizer_of(tmp_path)

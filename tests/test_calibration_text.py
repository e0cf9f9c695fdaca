"""Texts that ranges are observed on: which of a task's, which lines of a file, how long."""

import hashlib
from pathlib import Path

import numpy as np

from nas.data.task import TRAIN, Split, Task
from nas.extract.calibration import EXAMPLES, MOST_TOKENS, Text, batches, of_file, of_task
from tests.made_networks import folder_of


def task_of(count: int) -> Task:
    texts, pairs = (tuple(f"{word} {i}" for i in range(count)) for word in ("text", "pair"))
    split = Split(texts, pairs, labels=(0,) * count)
    return Task("made", "classes", ("a",), ("accuracy",), {TRAIN: split}, "made up")


def test_of_a_task_so_many_pairs_are_taken_from_its_first_to_its_last() -> None:
    found = of_task(task_of(3 * EXAMPLES))

    assert found.pairs is not None
    assert EXAMPLES == len(found.texts) == len(set(found.texts))
    assert ("text 0", f"text {3 * EXAMPLES - 1}") == (found.texts[0], found.texts[-1])
    numbers = np.array([int(text.split()[1]) for text in found.texts])
    assert {3, 4} >= set(np.diff(numbers).tolist())
    assert [f"pair {i}" for i in numbers] == list(found.pairs)


def test_of_a_small_task_every_text_is_taken_once() -> None:
    assert task_of(5).splits[TRAIN].texts == of_task(task_of(5)).texts


def test_a_file_is_its_lines_with_words_and_the_digest_of_all_of_it(tmp_path: Path) -> None:
    content = "the cat\n\n   \nthe dog sees a bird\n"
    (tmp_path / "a.txt").write_text(content, encoding="utf-8")

    found = of_file(tmp_path / "a.txt")

    assert ("the cat", "the dog sees a bird") == found.texts
    assert f"a.txt@sha256:{hashlib.sha256(content.encode()).hexdigest()[:16]}" == found.label


def test_a_long_text_is_cut(tmp_path: Path) -> None:
    (fed,) = batches(Text("x", ("cat " * 999,)), folder_of(tmp_path), 512)

    assert (1, MOST_TOKENS) == fed["input_ids"].shape

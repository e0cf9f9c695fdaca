"""The seeds' pretraining files, JSON lines of words, out again. Reads none, knows no corpus."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from nas.data.masking import NO_TARGET, Masking, draw, mask
from nas.data.packing import RANDOM, Packed
from nas.data.vocabulary import Vocabulary
from results.errors import BadInputError

FILES = 28
"""AutoTinyBERT's, whatever the corpus; a line goes to each in turn."""

ROWS = 512
"""Sequences that are masked at once."""


class TokensLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of AutoTinyBERT's files: a sequence without its marks."""

    tokens: list[str]


class PairLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of TinyBERT's files: two segments with marks, already masked."""

    tokens: list[str]
    segment_ids: list[int]
    is_random_next: bool
    masked_lm_positions: list[int]
    """Ascending."""
    masked_lm_labels: list[str]
    """What stood there."""


class Metrics(msgspec.Struct, frozen=True):
    """TinyBERT's second file of an epoch."""

    num_training_examples: int
    max_seq_len: int


def tokens_file(number: int) -> str:
    """The name of one of `FILES`."""
    return f"train_doc_tokens_ngrams_{number}.json"


def epoch_files(epoch: int) -> tuple[str, str]:
    """TinyBERT's names of the lines, and of what is said about them."""
    return f"epoch_{epoch}.json", f"epoch_{epoch}_metrics.json"


def write_tokens(folder: Path, found: Iterable[Packed], words: Vocabulary) -> None:
    """Write AutoTinyBERT's 28 files, which appear together at the end.

    Raises:
        BadInputError: they cannot be written.
    """
    with _files(folder, [tokens_file(number) for number in range(FILES)]) as files:
        turn = cycle(files)
        for packed in found:
            for tokens in _tokens(packed, words):
                _put(next(turn), TokensLine(tokens[1:-1]))


@dataclass(frozen=True, slots=True)
class Epoch:
    """One of TinyBERT's files: its number, and how its tokens are masked."""

    number: int
    seed: int
    masking: Masking


def write_pairs(
    folder: Path, found: Iterable[Packed], words: Vocabulary, epoch: Epoch, most_tokens: int
) -> None:
    """Write TinyBERT's two files of an epoch, which appear together at the end.

    Raises:
        BadInputError: they cannot be written.
    """
    rows = 0
    with _files(folder, epoch_files(epoch.number)) as (lines, metrics):
        for packed in found:
            for line in _pairs(packed, words, epoch, rows):
                _put(lines, line)
            rows += len(packed)
        metrics.write(msgspec.json.encode(Metrics(rows, most_tokens)))


def _pairs(packed: Packed, words: Vocabulary, epoch: Epoch, first: int) -> Iterator[PairLine]:
    starts = np.concatenate([[0], np.cumsum(packed.lengths)])
    for begin in range(0, len(packed), ROWS):
        rows = range(begin, min(begin + ROWS, len(packed)))
        lengths = packed.lengths[rows.start : rows.stop]
        tokens = int(lengths.max())
        ids = np.full((len(rows), tokens), words.pad, np.int32)
        ids[np.arange(tokens) < lengths[:, None]] = packed.ids[
            starts[rows.start] : starts[rows.stop]
        ]
        places = range(first + rows.start, first + rows.stop)
        draws = draw(epoch.seed, epoch.number, places, tokens)
        inputs, targets = mask(ids, words, epoch.masking, draws)
        for place, row in enumerate(rows):
            length, boundary = int(packed.lengths[row]), int(packed.boundaries[row])
            masked = np.flatnonzero(targets[place] != NO_TARGET).tolist()
            yield PairLine(
                [words.tokens[i] for i in inputs[place, :length]],
                [0] * boundary + [1] * (length - boundary),
                bool(packed.next_sentence[row] == RANDOM),
                masked,
                [words.tokens[i] for i in targets[place, masked]],
            )


def _tokens(packed: Packed, words: Vocabulary) -> Iterator[list[str]]:
    ids, start = packed.ids.tolist(), 0
    for length in packed.lengths.tolist():
        yield [words.tokens[i] for i in ids[start : start + length]]
        start += length


def _put(file: BinaryIO, line: msgspec.Struct) -> None:
    file.write(msgspec.json.encode(line) + b"\n")


@contextmanager
def _files(folder: Path, names: Iterable[str]) -> Iterator[list[BinaryIO]]:
    """Scratch files that get their names when all are written."""
    halves = {folder / name: folder / f".{name}.half" for name in names}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as closing:
            yield [closing.enter_context(half.open("wb")) for half in halves.values()]
        for path, half in halves.items():
            half.replace(path)
    except OSError as error:
        message = (
            f"cannot write into {folder} ({error.strerror or error}): choose another --output"
        )
        raise BadInputError(message) from error
    finally:
        for half in halves.values():
            with suppress(OSError):
                half.unlink(missing_ok=True)

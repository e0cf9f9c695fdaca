"""The seeds' pretraining files read, as sequences of token ids. Writes nothing."""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
import numpy as np

from nas.data.packing import FOLLOWS, ONE_SEGMENT, RANDOM, Packed, Style
from nas.data.seed_lines import PairLine, TokensLine
from nas.data.vocabulary import Vocabulary
from results.errors import BadInputError
from results.textfile import one_line

_NAMES: dict[Style, re.Pattern[str]] = {
    "autotinybert": re.compile(r"train_doc_tokens_ngrams_(\d+)\.json"),
    "tinybert": re.compile(r"epoch_(\d+)\.json"),
}

AT_ONCE = 4096
"""Sequences handed on together."""

UNKNOWN = -1
"""The files do not say from which document a line is."""

Line = TypeVar("Line", TokensLine, PairLine)


def seed_files(folder: Path) -> tuple[Style, tuple[Path, ...]]:
    """Which of the two formats is in a folder, and its files by number.

    Raises:
        BadInputError: neither, or both.
    """
    if not folder.is_dir():
        raise BadInputError(f"{folder} is no folder: name the one with the seeds' files")
    names = sorted(path.name for path in folder.iterdir())
    found: dict[Style, list[tuple[int, Path]]] = {
        style: [(int(m[1]), folder / m[0]) for m in map(pattern.fullmatch, names) if m]
        for style, pattern in _NAMES.items()
    }
    full = {style: files for style, files in found.items() if files}
    if len(full) != 1:
        message = (
            f"{folder} has {'both' if full else 'neither'} train_doc_tokens_ngrams_N.json "
            f"{'and' if full else 'nor'} epoch_N.json: name a folder with one of the two"
        )
        raise BadInputError(message)
    ((style, files),) = full.items()
    return style, tuple(path for _, path in sorted(files))


def read_tokens(paths: Iterable[Path], words: Vocabulary, most_tokens: int) -> Iterator[Packed]:
    """AutoTinyBERT's lines, a line of each file in turn, as they were written.

    Marks are put around them, a line that is then longer than `most_tokens` is cut (the seed
    wrote such), an empty one left out.

    Raises:
        BadInputError: by file and line.
    """
    made = _Lines(words)
    with ExitStack() as closing:
        waiting = [_lines(path, TokensLine, closing) for path in paths]
        while waiting:
            for lines in tuple(waiting):
                where, line = next(lines, (None, None))
                if line is None:
                    waiting.remove(lines)
                elif line.tokens:
                    ids = made.ids(line.tokens[: most_tokens - 2], where)
                    made.add([words.cls, *ids, words.sep], len(ids) + 2, ONE_SEGMENT)
            if made.full:
                yield made.taken()
    if made.any:
        yield made.taken()


def read_pairs(path: Path, words: Vocabulary, most_tokens: int) -> Iterator[Packed]:
    """TinyBERT's lines of an epoch, with the words back that were masked.

    Raises:
        BadInputError: by file and line.
    """
    made = _Lines(words)
    with ExitStack() as closing:
        for where, line in _lines(path, PairLine, closing):
            tokens = unmasked(line, where)
            if len(tokens) > most_tokens:
                message = f"{where} has {len(tokens)} tokens: set --tokens to that, or higher"
                raise BadInputError(message)
            label = RANDOM if line.is_random_next else FOLLOWS
            made.add(made.ids(tokens, where), line.segment_ids.count(0), label)
            if made.full:
                yield made.taken()
    if made.any:
        yield made.taken()


def unmasked(line: PairLine, where: str) -> list[str]:
    """Its tokens as they were in the text.

    Raises:
        BadInputError: its parts do not belong together.
    """
    size, first = len(line.tokens), line.segment_ids.count(0)
    if line.segment_ids != [0] * first + [1] * (size - first) or not first:
        raise BadInputError(f"{where}: segment_ids are not zeros, then ones, one a token")
    if len(line.masked_lm_positions) != len(line.masked_lm_labels):
        raise BadInputError(f"{where}: masked_lm_positions and masked_lm_labels differ in length")
    tokens = list(line.tokens)
    for position, label in zip(line.masked_lm_positions, line.masked_lm_labels, strict=True):
        if not 0 <= position < size:
            raise BadInputError(f"{where}: there is no token {position} to unmask")
        tokens[position] = label
    return tokens


class _Lines:
    """Sequences until there are enough to hand on."""

    def __init__(self, words: Vocabulary) -> None:
        self._number = {token: number for number, token in enumerate(words.tokens)}
        self._sequences: list[list[int]] = []
        self._rest: list[tuple[int, int]] = []

    @property
    def any(self) -> bool:
        return bool(self._sequences)

    @property
    def full(self) -> bool:
        return len(self._sequences) >= AT_ONCE

    def ids(self, tokens: Iterable[str], where: object) -> list[int]:
        """Raises BadInputError: a word of another vocabulary."""
        try:
            return [self._number[token] for token in tokens]
        except KeyError as error:
            word = one_line(error.args[0], 60)
            message = (
                f"{where}: the tokenizer has no token {word!r}: name the one it was made with"
            )
            raise BadInputError(message) from None

    def add(self, ids: list[int], boundary: int, label: int) -> None:
        self._sequences.append(ids)
        self._rest.append((boundary, label))

    def taken(self) -> Packed:
        rest = np.array(self._rest, np.int32)
        packed = Packed(
            np.concatenate([np.array(ids, np.int32) for ids in self._sequences]),
            np.array([len(ids) for ids in self._sequences], np.int32),
            rest[:, 0],
            rest[:, 1].astype(np.int8),
            np.full(len(rest), UNKNOWN, np.int64),
        )
        self._sequences, self._rest = [], []
        return packed


def _lines(path: Path, kind: type[Line], closing: ExitStack) -> Iterator[tuple[str, Line]]:
    """Each line and where it stands."""
    try:
        file: BinaryIO = closing.enter_context(path.open("rb"))
        for number, line in enumerate(file, 1):
            where = f"{path}, line {number}"
            yield where, _decoded(line, kind, where)
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from error


def _decoded(line: bytes, kind: type[Line], where: str) -> Line:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"{where} is damaged: {one_line(error)}") from None

"""Documents of sentences out of text files, one at a time. Knows no tokenizer and no package."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Protocol

from results.errors import BadInputError

Sentences = tuple[str, ...]

MOST_SENTENCES = 10_000
"""Of a document that is handed out at once; a longer one goes on as another."""

MOST_BYTES = 1 << 20
"""Of a line; more is no sentence."""

SUFFIXES = (".txt", ".text")
"""What is read of a folder."""

_MARK = b"\xef\xbb\xbf"


class Corpus(Protocol):
    """Text without labels."""

    @property
    def name(self) -> str:
        """For a person to read."""
        ...

    def sources(self) -> tuple[str, ...]:
        """What it is made of, each as `name@sha256:<16 digits>`."""
        ...

    def documents(self) -> Iterator[Sentences]:
        """Every document with at least one sentence, the same ones in the same order each time."""
        ...


@dataclass(frozen=True, slots=True)
class TextFiles:
    """Text files: a sentence a line, a blank line between documents. Read as a stream."""

    paths: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The file's name, or how many there are."""
        return self.paths[0].name if len(self.paths) == 1 else f"{len(self.paths)} files"

    def sources(self) -> tuple[str, ...]:
        """Reads every file once."""
        return tuple(f"{path.name}@sha256:{_digest(path)[:16]}" for path in self.paths)

    def documents(self) -> Iterator[Sentences]:
        """Raises BadInputError: a file that is no UTF-8 text, by file and line."""
        for path in self.paths:
            yield from read_documents(path)


@dataclass(frozen=True, slots=True)
class Joined:
    """One corpus after the other."""

    parts: tuple[Corpus, ...]

    @property
    def name(self) -> str:
        """Those of all."""
        return ", ".join(part.name for part in self.parts)

    def sources(self) -> tuple[str, ...]:
        """Those of all."""
        return tuple(source for part in self.parts for source in part.sources())

    def documents(self) -> Iterator[Sentences]:
        """Those of all, in turn."""
        for part in self.parts:
            yield from part.documents()


def text_files(patterns: Iterable[str]) -> TextFiles:
    """Files, folders (every .txt below them) and globs such as `books/*.txt`, sorted by path.

    Raises:
        BadInputError: naming the one that matches nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
        elif path.exists():
            inside = [path]
        else:
            names = sorted(glob(pattern, recursive=True))  # noqa: PTH207 - may be absolute
            inside = [path for path in map(Path, names) if path.is_file()]
        if not inside:
            raise BadInputError(f"{pattern}: there is no text file of that name")
        found.update(dict.fromkeys(inside))
    return TextFiles(tuple(found))


def read_documents(path: Path) -> Iterator[Sentences]:
    """The documents of one text file, in memory one by one.

    Raises:
        BadInputError: it cannot be read, or is no UTF-8 text.
    """
    document: list[str] = []
    for sentence in _lines(path):
        if sentence:
            document.append(sentence)
        if document and (not sentence or len(document) == MOST_SENTENCES):
            yield tuple(document)
            document = []
    if document:
        yield tuple(document)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MOST_BYTES + 1):
                number += 1
                yield _decoded(line.removeprefix(_MARK) if number == 1 else line, path, number)
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from error


def _decoded(line: bytes, path: Path, number: int) -> str:
    if len(line) > MOST_BYTES:
        message = (
            f"{path}, line {number} is longer than {MOST_BYTES} bytes: give a sentence a line"
        )
        raise BadInputError(message)
    try:
        text = line.decode()
    except UnicodeDecodeError:
        message = f"{path}, line {number} is not UTF-8 text: save the file as UTF-8"
        raise BadInputError(message) from None
    if "\0" in text:
        raise BadInputError(f"{path}, line {number} holds a zero byte: is it a text file?")
    return " ".join(text.split())


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Piece:
    """Some documents of a corpus, in a row: what is worked on at once."""

    number: int
    first: int
    """The number of its first document."""
    documents: tuple[Sentences, ...]


def pieces(documents: Iterable[Sentences], characters: int) -> Iterator[Piece]:
    """Documents in pieces of at least so many characters, never fewer than two of them.

    The last piece may be smaller; a document that is left alone joins the piece before it.
    """
    waiting: list[Sentences] | None = None
    current: list[Sentences] = []
    number = first = size = 0
    for document in documents:
        current.append(document)
        size += sum(map(len, document))
        if size >= characters and len(current) > 1:
            if waiting is not None:
                yield Piece(number, first, tuple(waiting))
                number, first = number + 1, first + len(waiting)
            waiting, current, size = current, [], 0
    if waiting is not None and len(current) > 1:
        yield Piece(number, first, tuple(waiting))
        number, first, waiting = number + 1, first + len(waiting), None
    rest = [*(waiting or ()), *current]
    if rest:
        yield Piece(number, first, tuple(rest))

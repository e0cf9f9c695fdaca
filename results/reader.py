"""One session file, read line by line, and its damaged lines. Changes nothing on the disk."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from results.errors import BadInputError
from results.lines import MIGRATIONS, LineError, Migration, Row, Word, from_line, schema_of
from results.session import SCHEMA, Session
from results.writer import is_locked


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that cannot be read."""

    path: Path
    line: int
    reason: str
    torn: bool = False
    """The last line of a session that was killed while it wrote: no cause for alarm."""

    def __str__(self) -> str:
        return f"{self.path} line {self.line}: {self.reason}"


class Found(NamedTuple):
    """A word, the session it belongs to, and whether that session is at work just now."""

    session: Session
    live: bool
    word: Word


def read(
    path: Path,
    damaged: Callable[[Damage], None],
    migrations: Mapping[int, Migration] = MIGRATIONS,
) -> Iterator[Found]:
    """The session, then every word that belongs to it; `damaged` hears of the other lines.

    Raises:
        BadInputError: the file cannot be read, or a newer version wrote it.
    """
    with _opened(path) as file:
        # Asked before reading: a writer that lets go later has written all we are to see.
        live = is_locked(file.fileno())
        lines = whole_lines(file, path, None if live else damaged)
        first = next(lines, None)
        if first is None:  # the session is about to begin, or was killed before it did
            return
        try:
            session, schema = _header(path, first, migrations)
        except LineError as error:
            damaged(Damage(path, 1, str(error)))
            return
        yield Found(session, live, session)
        seen = set[str]()
        for number, line in enumerate(lines, 2):
            try:
                word = from_line(line, schema, migrations)
                _require_place(word, session, seen)
            except LineError as error:
                damaged(Damage(path, number, str(error)))
                continue
            if word is not None:
                yield Found(session, live, word)


def whole_lines(
    file: Iterable[bytes], path: Path, torn: Callable[[Damage], None] | None
) -> Iterator[bytes]:
    """The lines up to one without its newline, of which `torn` hears."""
    for number, line in enumerate(file, 1):
        if not line.endswith(b"\n"):
            if torn is not None:  # else it is being written this instant
                torn(Damage(path, number, "torn last line", torn=True))
            return  # or what is appended meanwhile would be taken for another line
        yield line


def _header(path: Path, line: bytes, migrations: Mapping[int, Migration]) -> tuple[Session, int]:
    schema = schema_of(line)
    if schema > SCHEMA:
        raise BadInputError(
            f"{path} was written by a newer subbert (ledger schema {schema}, this one reads "
            f"up to {SCHEMA}): upgrade subbert or choose another --results folder"
        )
    word = from_line(line, schema, migrations)
    if not isinstance(word, Session) or word.id != path.stem:
        raise LineError("the header is that of another session")
    return word, schema


def _require_place(word: Word | None, session: Session, seen: set[str]) -> None:
    """Raise if this word cannot stand here: files may have been joined or copied by hand."""
    if isinstance(word, Session):
        raise LineError("a second session header")
    if isinstance(word, Row):
        if word.session != session.id:
            raise LineError(f"a row of another session, {word.session}")
        if word.id in seen:
            raise LineError(f"a second row with the id {word.id}")
        seen.add(word.id)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        message = f"cannot read {path} ({error.strerror})"
        raise BadInputError(f"{message}: mend that, or choose another --results folder") from error

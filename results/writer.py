"""The end of one session file that is written: locked, whole lines, each on the disk at once."""

import fcntl
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from results.errors import BadInputError
from results.lines import End, EndStatus, LineError, Row, Word, to_line
from results.session import Session

AT_ONCE = 256
"""Rows that `extend` brings to the disk together: its waiting no longer counts."""

Write = Callable[[int, memoryview], int]
"""Like `os.write`: may write less than it was given."""


class SessionWriter:
    """Appends the rows of one session; a context manager that closes the file.

    The file is locked as long as the writer is open, so that others can tell a session at work
    from a dead one; the kernel lets go when the process is killed. It is `flock` on the file
    itself: a lock file beside it would have to be written by readers and outlive a kill. Worker
    processes must be started fresh (spawned): a forked one would hold the lock too.
    """

    def __init__(self, path: Path, session: Session, write: Write = os.write) -> None:
        self.path, self.session = path, session
        self._write = write
        self._ids: set[str] = set()
        self._ended = self._torn = False
        try:
            self._fd = _create(path)
        except OSError as error:
            raise BadInputError(_unwritable(path, error)) from error
        try:
            self._put(session)
            _settle(path.parent)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def next_id(self) -> str:
        """The id of the row to come, `<session id>-<n>`, n from 1."""
        return f"{self.session.id}-{len(self._ids) + 1}"

    def append(self, row: Row) -> None:
        """On return the row is on the disk.

        Raises:
            BadInputError: it could not be written; the rows before it are kept.
        """
        self._put_rows([row])

    def extend(self, rows: Iterable[Row]) -> None:
        """Append rows that could be had again: `AT_ONCE` of them are on the disk together.

        Raises:
            BadInputError: some could not be written; whole batches before them are kept.
        """
        rest = iter(rows)
        while batch := list(islice(rest, AT_ONCE)):
            self._put_rows(batch)

    def end(self, status: EndStatus) -> None:
        """Say how the session ended; nothing can be appended after it."""
        self._put(End(status, datetime.now(UTC).isoformat(timespec="milliseconds")))
        self._ended = True

    def close(self) -> None:
        """Let go of the file and of its lock; a second time does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _put_rows(self, rows: Sequence[Row]) -> None:
        new = set[str]()
        for row in rows:
            if row.session != self.session.id:
                raise ValueError(f"a row of {row.session!r} is none of {self.session.id!r}")
            taken = row.id in self._ids or row.id in new
            if taken or not row.id.startswith(f"{self.session.id}-"):
                raise ValueError(f"{row.id!r} is taken, or no id of {self.session.id!r}")
            new.add(row.id)
        self._put(*rows)
        self._ids |= new

    def _put(self, *words: Word) -> None:
        if self._fd < 0 or self._ended:
            raise ValueError(f"{self.path} is closed")
        try:
            lines = b"".join(to_line(word) for word in words)
        except LineError as error:
            raise BadInputError(f"this cannot be kept in {self.path}: {error}") from error
        before = os.fstat(self._fd)
        if self._torn or not before.st_nlink:
            found = "was deleted while it was written" if not before.st_nlink else "is torn"
            raise BadInputError(f"{self.path} {found}: run the command again")
        try:
            self._put_lines(lines)
        except OSError as error:
            raise BadInputError(_unwritable(self.path, error)) from error
        finally:
            self._mend(before.st_size, len(lines))

    def _put_lines(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            rest = rest[self._write(self._fd, rest) :]
        os.fsync(self._fd)

    def _mend(self, start: int, length: int) -> None:
        """Cut off lines that were written only in part."""
        try:
            if os.fstat(self._fd).st_size != start + length:
                os.ftruncate(self._fd, start)
        except OSError:
            self._torn = True


def is_locked(fd: int) -> bool:
    """Is another open file at work on this one? Sees a writer in the own process too."""
    try:
        # Shared, so that two readers who ask at once do not take each other for a writer.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: nothing was ever written there by us
        return False
    return False


def _create(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
    fd = os.open(path, flags, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _settle(folder: Path) -> None:
    """Put the file's entry in its folder, and the folder's own entry, on the disk as well."""
    for path in (folder, folder.parent):
        with suppress(OSError):  # some file systems cannot, and need not
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _unwritable(path: Path, error: OSError) -> str:
    return (
        f"cannot write {path} ({error.strerror}); everything measured before is kept: "
        "mend that or choose another --results folder, then run the command again"
    )

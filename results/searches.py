"""The folder of a search: what was asked, every trial, what was chosen. Knows no algorithm.

`results/searches/<name>/`: `search.json`, `trials.jsonl` (only ever appended to),
`outcome.json`; beside them whatever the search makes. A lock tells a run at work from a dead one.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from results.choice import FORMAT, Outcome, Search, Tried
from results.errors import BadInputError
from results.textfile import one_line, read_text

SEARCHES = "searches"
SEARCH, TRIALS, OUTCOME, LOCK = "search.json", "trials.jsonl", "outcome.json", "lock"

T = TypeVar("T", Search, Outcome, Tried)


def searches_of(ledger: Path) -> Path:
    """Where searches are: beside the folder of the ledger, `results/data` as a rule."""
    return ledger.parent / SEARCHES


class _Version(msgspec.Struct):
    format: int = FORMAT


class Run:
    """One search's folder, to read and to go on with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def exists(self) -> bool:
        """Has a search begun here?"""
        return (self.folder / SEARCH).is_file()

    @property
    def search(self) -> Search:
        """What was asked for.

        Raises:
            BadInputError: no search was, or the file is damaged or of a newer version.
        """
        if not self.exists:
            raise BadInputError(
                f"{self.folder} is no search's folder: it has no {SEARCH}; `nas search` makes one"
            )
        return _read(self.folder / SEARCH, Search)

    @property
    def outcome(self) -> Outcome | None:
        """What it ended with; None where it has not.

        Raises:
            BadInputError: the file is damaged.
        """
        path = self.folder / OUTCOME
        return _read(path, Outcome) if path.is_file() else None

    def trials(self) -> tuple[Tried, ...]:
        """Every trial, in order; a torn last line is passed over.

        Raises:
            BadInputError: another line is damaged.
        """
        return tuple(self._trials())

    def _trials(self) -> Iterator[Tried]:
        path = self.folder / TRIALS
        if not path.is_file():
            return
        lines = read_text(path).split("\n")
        for number, line in enumerate(lines[:-1], 1):
            try:
                yield msgspec.json.decode(line.encode(), type=Tried)
            except (ValueError, RecursionError) as error:
                reason = one_line(error)
                raise BadInputError(
                    f"{path} line {number} is damaged ({reason}): remove the file, and the same "
                    "search makes it again from the ledger"
                ) from None

    def begin(self, search: Search) -> None:
        """Keep what is asked for."""
        _write(self.folder / SEARCH, search)

    def restart(self, trials: Iterable[Tried] = ()) -> None:
        """Begin the trials anew: a search that goes on repeats its path from the ledger."""
        content = b"".join(msgspec.json.encode(one) + b"\n" for one in trials)
        _put(self.folder / TRIALS, content)

    def add(self, trial: Tried) -> None:
        """On return it is on the disk."""
        with (self.folder / TRIALS).open("ab") as file:
            file.write(msgspec.json.encode(trial) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def end(self, outcome: Outcome) -> None:
        """Keep what was chosen."""
        _write(self.folder / OUTCOME, outcome)

    def note(self, name: str, content: Mapping[str, Any]) -> None:
        """Keep what a search that goes on must not find out anew."""
        _put(self.folder / f"{name}.json", msgspec.json.encode(content) + b"\n")

    def noted(self, name: str) -> dict[str, Any] | None:
        """What was kept; None where nothing was, or it cannot be read."""
        path = self.folder / f"{name}.json"
        if not path.is_file():
            return None
        try:
            return msgspec.json.decode(read_text(path).encode(), type=dict[str, Any])
        except (ValueError, RecursionError):
            return None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else works in this folder meanwhile.

        Raises:
            BadInputError: another process does, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise BadInputError(
                f"cannot write {self.folder} ({error.strerror}): choose another with --results"
            ) from None
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BadInputError(
                    f"{self.folder} is in use by another process: wait for it, or choose another "
                    "--name"
                ) from None
            yield
        finally:
            os.close(fd)


def _read(path: Path, kind: type[T]) -> T:
    text = read_text(path).encode()
    try:
        version = msgspec.json.decode(text, type=_Version).format
        found = msgspec.json.decode(text, type=kind) if version <= FORMAT else None
    except (ValueError, RecursionError) as error:
        raise BadInputError(
            f"{path} is damaged ({one_line(error)}): search again under another --name"
        ) from None
    if found is None:
        raise BadInputError(
            f"{path} was written by a newer subbert (format {version}, this one reads up to "
            f"{FORMAT}): upgrade subbert"
        )
    return found


def _write(path: Path, content: Search | Outcome) -> None:
    _put(path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def _put(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)

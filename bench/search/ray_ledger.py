"""A ledger for a node of a cluster, and the way of its rows into the asker's. Measures nothing.

A node measures in a folder of its own, which is gone afterwards. It is lent the sessions that may
make a measurement needless, and gives back those that are new.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.search.ray_link import Plain
from bench.search.sweeps import Where
from profiler.device import devices_file
from results.errors import BadInputError
from results.lines import End, from_line, schema_of
from results.measurement import Measurement
from results.session import Session
from results.store import Ledger

Blobs = dict[str, bytes]
"""Contents of files, by their path within some folder."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loan:
    """What of the asker's a node measures with."""

    definitions: bytes
    """Of devices."""
    sessions: Blobs
    """By their path within the ledger."""


@dataclass(frozen=True, slots=True)
class Room:
    """On a node: a folder, the ledger in it, and a file of devices."""

    folder: Path

    @property
    def results(self) -> Path:
        """Folder of the ledger."""
        return self.folder / "data"

    @property
    def devices(self) -> Path:
        """File of device definitions."""
        return self.folder / "devices.yaml"


def loan(where: Where, counts: Callable[[Measurement], bool]) -> Loan:
    """The definitions, and the sessions in which the device measured a row that counts.

    Raises:
        BadInputError: the file of devices or the ledger cannot be read.
    """
    ledger, path = Ledger(where.results), devices_file(where.devices)
    found = {
        ledger.path_of(session): None
        for session, row in ledger.measurements()
        if row.device == where.device and counts(row)
    }
    sessions = {str(file.relative_to(ledger.root)): file.read_bytes() for file in found}
    try:
        return Loan(path.read_bytes(), sessions)
    except OSError as error:
        raise BadInputError(f"cannot read {path} ({error.strerror}): name another") from None


def plain(asked: object) -> Plain:
    """A question as JSON, its paths as text; `question` has it again."""
    found: Plain = msgspec.to_builtins(asked, enc_hook=str)
    return found


def question(asked: Plain, kind: type[T]) -> T:
    """On a node: what was asked."""
    return msgspec.convert(asked, kind, dec_hook=lambda path, text: path(text))


def answer(lent: Loan, content: Blobs, measure: Callable[[Room], object]) -> dict[str, Any]:
    """On a node: what `measure` says as JSON, and the sessions that are new; or a refusal.

    `content`: of files that are put into the room.
    """
    with tempfile.TemporaryDirectory(prefix="subbert-") as name:
        room = Room(Path(name))
        _unpack(content, room.folder)
        _unpack(lent.sessions, room.results)
        room.devices.write_bytes(lent.definitions)
        try:
            with full_priority():
                found = measure(room)
        except BadInputError as error:
            return {"refused": str(error).replace(f"{room.folder}/", "")}
        sessions = {
            str(path.relative_to(room.results)): path.read_bytes()
            for path in room.results.glob("*/*.jsonl")
        }
    new = {path: blob for path, blob in sessions.items() if path not in lent.sessions}
    return {"sessions": new, "said": msgspec.to_builtins(found)}


def said(where: Where, answered: Plain, kind: type[T]) -> T:
    """What a node's `measure` said, its sessions appended to the ledger.

    Raises:
        BadInputError: it refused.
    """
    if "refused" in answered:
        raise BadInputError(f"the node that is {where.device} says: {answered['refused']}")
    for blob in answered["sessions"].values():
        _append(Ledger(where.results), blob)
    return msgspec.convert(answered["said"], kind)


def _append(ledger: Ledger, blob: bytes) -> None:
    """A session of another machine; the command is the one that asked for it."""
    first, *rest = blob.splitlines()
    schema = schema_of(first)
    session = from_line(first, schema)
    if not isinstance(session, Session):
        raise BadInputError("a node of the cluster sent no session: is subbert the same there?")
    words = [from_line(line, schema) for line in rest]
    argv = (Path(sys.argv[0]).name, *sys.argv[1:])
    with ledger.begin(replace(session, argv=argv)) as writer:
        writer.extend(word for word in words if isinstance(word, Measurement))
        writer.end(next(word.status for word in words if isinstance(word, End)))


def _unpack(content: Mapping[str, bytes], folder: Path) -> None:
    for name, blob in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob)


@contextmanager
def full_priority() -> Iterator[None]:
    """Ray gives its processes less, and what measures would inherit it.

    Raises:
        BadInputError: this user may not raise it.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    if before <= 0:
        yield
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    except PermissionError:
        message = f"Ray runs with niceness {before} here, which would be measured too"
        raise BadInputError(f"{message}: run `RAY_worker_niceness=0 ray start ...`") from None
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)

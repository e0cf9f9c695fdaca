"""ONNX files measured on the devices of a Ray cluster; the rows are kept here.

A device is a custom resource of its name, and every measurement needs one of it: on a node that
was started with `--resources '{"NAME": 1}'` there is never more than one at once.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.foreign import data_files
from bench.search.measure import How, ModelFile, Timed, measure_files, measured_of, memory_of
from bench.search.ray_link import Job, Link, Plain, fetched
from bench.subjects import source_of
from bench.summary import scaled
from profiler.device import devices_file
from results.errors import BadInputError
from results.lines import End, from_line, schema_of
from results.measurement import Measurement
from results.session import Session
from results.store import Ledger

if TYPE_CHECKING:
    import ray

Blobs = dict[str, bytes]
"""Contents of files, by their path within some folder."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What a node is asked to measure."""

    how: How
    """Its ledger and the file of its devices are the node's own."""
    files: tuple[ModelFile, ...]
    """Their paths are within a folder that is sent along."""
    memory: bool


@dataclass(frozen=True, slots=True)
class Back:
    """What it answers of one file."""

    rows: tuple[str, ...]
    """Ids, in the order of the lengths asked for."""
    noisy: bool
    failure: str
    memory_megabytes: float | None


def measure_there(
    link: Link, files: Sequence[ModelFile], hows: Sequence[How], *, memory: bool = False
) -> list[list[tuple[Timed, float | None]]]:
    """What `measure_files` says of the files on the device of each of `hows`, all at once.

    What a device's node measured is kept when it comes, as a session of its own with the
    environment of the node. Rows that the ledger has of the same files, from a machine in the
    condition of the node, are not measured again.

    Returns:
        For each of `hows`, each file with the megabytes it needs, if that was asked for.

    Raises:
        BadInputError: no node is a device, or it refuses what it is asked.
    """
    if not files:
        return [[] for _ in hows]
    within = [f"{number}/{file.path.name}" for number, file in enumerate(files)]
    sent = tuple(replace(f, path=Path(p)) for f, p in zip(files, within, strict=True))
    content = link.put(_contents(files))
    jobs = [
        Job(
            f"measuring on {how.device}",
            (_plain(Errand(how, sent, memory)), content, _known(files, how), _definitions(how)),
            device=how.device,
        )
        for how in hows
    ]
    found = {i: _kept(hows[i], files, back) for i, back in link.each(measured_here, jobs)}
    return [found[i] for i in range(len(hows))]


def _plain(errand: Errand) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(errand, enc_hook=str)
    return plain


def _contents(files: Sequence[ModelFile]) -> Blobs:
    """Of all files and what lies beside them, each file in a folder of its own."""
    found = {}
    for number, file in enumerate(files):
        source_of(file.path)  # says so if there is none
        for part in (file.path, *data_files(file.path)):
            found[f"{number}/{part.relative_to(file.path.parent)}"] = part.read_bytes()
    return found


def _known(files: Sequence[ModelFile], how: How) -> Blobs:
    """The sessions in which the device measured any of the files."""
    if not how.resume:
        return {}
    ledger, labels = Ledger(how.results), {source_of(file.path).label for file in files}
    found = {
        ledger.path_of(session): None
        for session, row in ledger.measurements()
        if row.device == how.device and row.subject.source in labels
    }
    return {str(path.relative_to(how.results)): path.read_bytes() for path in found}


def _definitions(how: How) -> bytes:
    path = devices_file(how.devices)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInputError(f"cannot read {path} ({error.strerror}): name another") from None


def _kept(
    how: How, files: Sequence[ModelFile], answered: Plain
) -> list[tuple[Timed, float | None]]:
    """Append what is new, and say what it means beside all that is known of that machine."""
    if "refused" in answered:
        raise BadInputError(f"the node that is {how.device} says: {answered['refused']}")
    ledger = Ledger(how.results)
    for blob in answered["sessions"].values():
        _append(ledger, blob)
    backs = msgspec.convert(answered["files"], list[Back])
    wanted = {name for back in backs for name in back.rows}
    rows = {row.id: (taken, row) for taken, row in ledger.measurements() if row.id in wanted}
    session = next((taken for taken, _ in rows.values()), None)
    labels = scaled(ledger.measurements(), session).labels if session else {}
    found = []
    for file, back in zip(files, backs, strict=True):
        measured = tuple(measured_of(rows[name][1], labels[name]) for name in back.rows)
        found.append((Timed(file, measured, back.noisy, back.failure), back.memory_megabytes))
    return found


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


def measured_here(
    asked: Plain, content: "list[ray.ObjectRef[Any]]", known: Blobs, definitions: bytes
) -> dict[str, Any]:
    """On the node: measure in a ledger of its own, and give back what is new in it."""
    errand = msgspec.convert(asked, Errand, dec_hook=lambda kind, text: kind(text))
    with tempfile.TemporaryDirectory(prefix="subbert-") as name:
        root = Path(name)
        _unpack(fetched(content), root)
        _unpack(known, root / "data")
        _unpack({"devices.yaml": definitions}, root)
        how = replace(errand.how, results=root / "data", devices=root / "devices.yaml")
        files = [replace(file, path=root / file.path) for file in errand.files]
        try:
            with full_priority():
                found = measure_files(files, how)
                backs = [_back(one, how, memory=errand.memory) for one in found]
        except BadInputError as error:
            return {"refused": str(error).replace(f"{root}/", "")}
        sessions = {
            str(path.relative_to(how.results)): path.read_bytes()
            for path in how.results.glob("*/*.jsonl")
        }
    new = {path: blob for path, blob in sessions.items() if path not in known}
    return {"sessions": new, "files": msgspec.to_builtins(backs)}


def _unpack(content: Mapping[str, bytes], folder: Path) -> None:
    for name, blob in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob)


def _back(one: Timed, how: How, *, memory: bool) -> Back:
    needed = None
    if memory and not one.failure:
        needed = memory_of(one.file.path, how.runtime, max(how.tokens))
    rows = tuple(name for x in one.measured for name in x.rows)
    return Back(rows, one.noisy, one.failure, needed)


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

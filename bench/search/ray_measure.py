"""ONNX files measured on the devices of a Ray cluster; the rows are kept here.

A device is a custom resource of its name, and every measurement needs one of it: on a node that
was started with `--resources '{"NAME": 1}'` there is never more than one at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.foreign import data_files
from bench.search.measure import How, ModelFile, Timed, measure_files, measured_of, memory_of
from bench.search.ray_ledger import Blobs, Loan, Room, answer, loan, plain, question, said
from bench.search.ray_link import Job, Link, Plain, fetched
from bench.search.sweeps import labelled
from bench.subjects import source_of
from results.store import Ledger

if TYPE_CHECKING:
    import ray


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

    rows: tuple[tuple[str, ...], ...]
    """Ids, of each of the lengths asked for."""
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
            (plain(Errand(how, sent, memory)), content, _loan(files, how)),
            device=how.device,
        )
        for how in hows
    ]
    found = {i: _kept(hows[i], files, back) for i, back in link.each(measured_here, jobs)}
    return [found[i] for i in range(len(hows))]


def _contents(files: Sequence[ModelFile]) -> Blobs:
    """Of all files and what lies beside them, each file in a folder of its own."""
    found = {}
    for number, file in enumerate(files):
        source_of(file.path)  # says so if there is none
        for part in (file.path, *data_files(file.path)):
            found[f"{number}/{part.relative_to(file.path.parent)}"] = part.read_bytes()
    return found


def _loan(files: Sequence[ModelFile], how: How) -> Loan:
    """With the sessions in which the device measured any of the files."""
    labels = {source_of(file.path).label for file in files}
    return loan(how, lambda row: row.subject.source in labels)


def _kept(
    how: How, files: Sequence[ModelFile], answered: Plain
) -> list[tuple[Timed, float | None]]:
    """Append what is new, and say what it means beside all that is known of that machine."""
    backs = said(how, answered, list[Back])
    names = {name for back in backs for several in back.rows for name in several}
    rows = labelled(Ledger(how.results), names)
    return [
        (
            Timed(
                file,
                tuple(measured_of([rows[name] for name in several]) for several in back.rows),
                back.noisy,
                back.failure,
            ),
            back.memory_megabytes,
        )
        for file, back in zip(files, backs, strict=True)
    ]


def measured_here(asked: Plain, content: "list[ray.ObjectRef[Any]]", lent: Loan) -> dict[str, Any]:
    """On the node: measure in a ledger of its own, and give back what is new in it."""
    errand = question(asked, Errand)

    def measure(room: Room) -> list[Back]:
        how = replace(errand.how, results=room.results, devices=room.devices)
        files = [replace(file, path=room.folder / file.path) for file in errand.files]
        return [_back(one, how, memory=errand.memory) for one in measure_files(files, how)]

    return answer(lent, fetched(content), measure)


def _back(one: Timed, how: How, *, memory: bool) -> Back:
    needed = None
    if memory and not one.failure:
        needed = memory_of(one.file.path, how.runtime, max(how.tokens))
    return Back(tuple(x.rows for x in one.measured), one.noisy, one.failure, needed)

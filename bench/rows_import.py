"""`bench rows import`: a seed's latency data set as rows of a foreign device. Measures nothing."""

import fcntl
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from results.architecture import Architecture
from results.environment import Environment, Hardware, Settings, Software, digest
from results.errors import BadInputError
from results.measurement import Measurement, Procedure, Run, Series, Subject, Workload
from results.notation import read_latency_tsv
from results.session import Session, session_id
from results.store import Ledger

ORIGIN = "seed-tsv"
UNKNOWN = "unknown"
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")

MEAN_ONLY = Procedure(profile="deployed", least_rounds=1, most_rounds=1)
"""Of the seeds' calls the mean of wall time was kept, in an environment nobody controlled."""

MOST_NS = 1 << 53
"""104 days; a spreadsheet's number beyond it is no latency."""

Latency = tuple[Architecture, float]

Option = typer.Option
File = Annotated[Path, typer.Argument(help="A dict, a tab and milliseconds on every line.")]
Device = Annotated[str, Option(help="Name of the machine it was measured on, of your choice.")]
Results = Annotated[Path, Option(help="Folder of the ledger.")]
Cpu = Annotated[str, Option(help="That machine's CPU, where you know it.")]
Scheme = Annotated[str, Option(help="Numeric scheme the networks were in.")]
Runtime = Annotated[str, Option(help="Runtime they ran on.")]
Tokens = Annotated[int, Option(min=1, max=65536, help="Tokens of a sequence.")]
Batch = Annotated[int, Option(min=1, max=4096, help="Sequences of a call.")]
Threads = Annotated[int, Option(min=1, max=1024, help="Threads they ran with.")]


@dataclass(frozen=True, slots=True)
class _Source:
    """A file, and what the person who imports it says about it."""

    file: Path
    sha256: str
    device: str
    cpu: str
    scheme: str
    runtime: str
    workload: Workload

    @property
    def plan(self) -> str:
        """Digest that every session importing the same has: the CPU is only described."""
        work = asdict(self.workload)
        return digest(ORIGIN, self.sha256, self.device, self.scheme, self.runtime, work)


def import_rows(  # noqa: PLR0913 - one argument an option
    file: File,
    *,
    device: Device,
    results: Results = Path("results/data"),
    cpu: Cpu = UNKNOWN,
    scheme: Scheme = "fp32",
    runtime: Runtime = "torch",
    tokens: Tokens = 128,
    batch: Batch = 1,
    threads: Threads = 1,
) -> None:
    """Read a latency data set of AutoTinyBERT or Bigger&Faster as rows of a foreign device.

    A row holds the mean, as its only sample; what the file does not tell stays unknown. Nothing is
    imported twice, and an import that was stopped goes on.
    """
    _require_foreign(device)
    spelling = _spelled(scheme, runtime)
    found = read_latency_tsv(file)
    walls = _nanoseconds(file, found)
    described = " ".join(cpu.split()) or UNKNOWN
    workload = Workload(batch, tokens, threads)
    source = _Source(file, _sha256(file), device, described, spelling, runtime, workload)
    ledger = Ledger(results, skip_damaged=True)  # a row that cannot be read is imported again
    ledger.require_writable()
    with _alone(results):
        kept = _kept(ledger, source)
        missing = [n for n in range(1, len(found) + 1) if str(n) not in kept]
        if missing:
            _append(ledger, source, [(n, found[n - 1][0], walls[n - 1]) for n in missing])
    typer.echo(_told(source, found, len(missing)))
    for damage in ledger.damage:
        typer.echo(f"bench: passed over {damage}", err=True)


def _require_foreign(device: str) -> None:
    from profiler.device import devices_file, load_devices

    if not DEVICE.fullmatch(device):
        raise BadInputError(
            f"{device!r} is no name of a device: write letters, digits and dashes, 64 at most"
        )
    path = devices_file()
    if device.lower() in load_devices(path):
        raise BadInputError(
            f"{device!r} is a device of {path.name}, whose rows are measured: "
            "give imported rows another --device"
        )


def _spelled(scheme: str, runtime: str) -> str:
    """The scheme as its rows spell it; both names must be known."""
    from profiler.runtimes.runtime import MODULES
    from quant.scheme import parse

    if runtime not in MODULES:
        raise BadInputError(f"unknown runtime {runtime!r}: choose one of {', '.join(MODULES)}")
    return parse(scheme).name


def _nanoseconds(file: Path, found: list[Latency]) -> list[int]:
    walls = [round(ms * 1e6) for _, ms in found]
    for number, (wall, (_, ms)) in enumerate(zip(walls, found, strict=True), 1):
        if not 1 <= wall <= MOST_NS:
            raise BadInputError(
                f"{file}: latency {number} is {ms:g} ms, and none is below a nanosecond or "
                "above 100 days: is the second column milliseconds?"
            )
    return walls


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two imports at once would both find the rows missing; the kernel frees a killed one's lock.

    Raises:
        BadInputError: another import is at work there.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        message = f"another import into {folder} is at work: wait for it, then run this again"
        raise BadInputError(message) from None
    finally:
        os.close(fd)


def _kept(ledger: Ledger, source: _Source) -> set[str]:
    """The numbers of the latencies that the ledger has already.

    Raises:
        BadInputError: rows of that device were measured, or said to be of another CPU.
    """
    kept = set[str]()
    for session, row in ledger.measurements():
        if row.device == source.device and row.origin != ORIGIN:
            raise BadInputError(
                f"{ledger.root} holds rows of {source.device} that were measured: "
                "give imported rows another --device"
            )
        if session.plan == source.plan:
            _require_same_cpu(session, source)
            kept.add(row.notes["number"])
    return kept


def _require_same_cpu(session: Session, source: _Source) -> None:
    cpu = session.environment.hardware.cpu
    if cpu != source.cpu:
        raise BadInputError(
            f"{source.file} was imported as of {source.device} with --cpu {cpu!r} before, and a "
            "row is never rewritten: say the same now, or give another --device"
        )


def _append(ledger: Ledger, source: _Source, rows: list[tuple[int, Architecture, int]]) -> None:
    session = _session(source)
    with ledger.begin(session) as writer:
        writer.extend(
            _row(session, source, f"{session.id}-{i}", row) for i, row in enumerate(rows, 1)
        )
        writer.end("complete")


def _session(source: _Source) -> Session:
    now = datetime.now(UTC)
    hardware = Hardware(machine=UNKNOWN, cpu=source.cpu)
    software = Software(os=UNKNOWN, kernel=UNKNOWN, libc=UNKNOWN, python=UNKNOWN)
    settings = Settings(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
    return Session(
        id=session_id(now),
        started_utc=now.isoformat(timespec="milliseconds"),
        tool=version("subbert"),
        argv=("bench", *sys.argv[1:]),
        seed=None,
        device=source.device,
        device_digest=digest(ORIGIN, source.device),
        environment=Environment(hardware, software, settings),
        plan=source.plan,
        notes={"file": source.file.name, "sha256": source.sha256, "sample": "mean"},
    )


def _row(
    session: Session, source: _Source, name: str, row: tuple[int, Architecture, int]
) -> Measurement:
    number, architecture, wall_ns = row
    mean = Series((wall_ns,), cpu_ns=(), switches=(), faults=(), visits=(1,))
    return Measurement(
        id=name,
        session=session.id,
        device=source.device,
        subject=Subject(architecture, source.scheme, source.runtime),
        workload=source.workload,
        procedure=MEAN_ONLY,
        runs=(Run(mean, steady=None, stopped_by=""),),
        cold=None,
        seed=None,
        model_bytes=None,
        peak_rss_bytes=None,
        origin=ORIGIN,
        notes={"number": str(number)},
    )


def _told(source: _Source, found: list[Latency], new: int) -> str:
    rows = f"{len(found)} rows of {source.device}"
    repeats = len(found) - len({architecture for architecture, _ in found})
    again = f"; {repeats} repeat a network of an earlier line" if repeats else ""
    if not new:
        return f"already imported: {rows}{again}"
    there = f", {len(found) - new} of them before" if new < len(found) else ""
    return f"imported {rows} from {source.file}{there}{again}"

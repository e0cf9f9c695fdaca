"""What a sweep found, as a table and as JSON: per runtime and scheme, from rows alone."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from rich.table import Table

from bench.theirs import AS_IS
from results.architecture import Architecture
from results.measurement import Measurement
from results.session import Places, Session
from results.stats import Label, contention, drift, label, references

FLOATS = (AS_IS, "fp32")
"""What the other schemes of a network are compared with."""

Group = tuple[str, str, int, int, int]
"""Runtime, scheme, batch, tokens, threads."""


@dataclass(frozen=True, slots=True)
class Line:
    """One runtime and scheme under one workload."""

    runtime: str
    scheme: str
    batch: int
    tokens: int
    threads: int
    rows: int
    min_ms: float
    median_ms: float
    max_ms: float
    speed_up: float | None
    """Median over networks of the latency in fp32, or of a foreign graph as it is, over this
    scheme's on the same runtime."""
    error: float
    """Median half-width of the rows' 95 % intervals."""
    noisy: float
    """Share of rows flagged as noisy."""
    shared: float
    """Median wall time over CPU time."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Labels on the common scale of all sessions of one machine in one condition."""

    labels: dict[str, Label]
    """By row id."""
    drifts: dict[str, float]
    """By session: how much slower than on the scale the machine was; none without anchors."""
    sessions: int
    drift: float | None
    """Of the session asked about."""


def scaled(found: Iterable[tuple[Session, Measurement]], session: Session) -> Scaled:
    """The labels of all rows taken where `session` was."""
    places = Places()
    here = places[session]
    rows = [row for taken, row in found if places[taken] == here]
    known = references((here, row) for row in rows)
    each: dict[str, list[Measurement]] = defaultdict(list)
    for row in rows:
        each[row.session].append(row)
    drifts = {name: drift(taken, known, here) for name, taken in each.items()}
    return Scaled(
        {row.id: label(row, known, here) for row in rows},
        {name: found for name, found in drifts.items() if found is not None},
        len(each),
        drifts.get(session.id),
    )


def lines(rows: Sequence[Measurement], found: Mapping[str, Label]) -> list[Line]:
    """A line for each runtime, scheme and workload; `found` are the labels by row id."""
    groups: dict[Group, dict[tuple[Architecture | None, str], Measurement]] = defaultdict(dict)
    for row in rows:
        work, subject = row.workload, row.subject
        group = (subject.runtime, subject.scheme, work.batch, work.tokens, work.threads)
        groups[group][subject.architecture, subject.source] = row  # the latest row counts
    return [_line(group, groups, found) for group in sorted(groups, key=_order)]


def _order(group: Group) -> tuple[object, ...]:
    runtime, scheme, *workload = group
    return *workload, runtime, scheme not in FLOATS, scheme


def _line(
    group: Group,
    groups: dict[Group, dict[tuple[Architecture | None, str], Measurement]],
    found: Mapping[str, Label],
) -> Line:
    runtime, scheme, batch, tokens, threads = group
    here = groups[group]
    floats = {
        key: row
        for base in FLOATS
        for key, row in groups.get((runtime, base, batch, tokens, threads), {}).items()
    }
    gains = [
        found[floats[key].id].latency_ms / found[row.id].latency_ms
        for key, row in here.items()
        if key in floats and scheme not in FLOATS
    ]
    latencies = [found[row.id].latency_ms for row in here.values()]
    return Line(
        *group,
        rows=len(here),
        min_ms=min(latencies),
        median_ms=median(latencies),
        max_ms=max(latencies),
        speed_up=median(gains) if gains else None,
        error=median(found[row.id].error for row in here.values()),
        noisy=sum(row.noisy for row in here.values()) / len(here),
        shared=median(contention(row) for row in here.values()),
    )


def tables(listed: Sequence[Line], device: str) -> Iterator[Table]:
    """The lines for a person to read, a table for each workload."""
    for work in dict.fromkeys((x.batch, x.tokens, x.threads) for x in listed):
        batch, tokens, threads = work
        several = f", {threads} threads" if threads > 1 else ""
        drawn = Table(
            title=f"{device}: latency in ms, batch {batch} of {tokens} tokens{several}",
            title_justify="left",
            box=None,
            padding=(0, 2, 0, 0),
            pad_edge=False,
        )
        drawn.add_column("runtime", no_wrap=True)
        drawn.add_column("scheme", overflow="fold")
        for heading in ("rows", "min", "median", "max", "vs fp32", "± 95 %", "noisy"):
            drawn.add_column(heading, justify="right", no_wrap=True)
        for x in listed:
            if (x.batch, x.tokens, x.threads) == work:
                drawn.add_row(*_cells(x))
        yield drawn


def _cells(x: Line) -> tuple[str, ...]:
    times = (f"{ms:.2f}" for ms in (x.min_ms, x.median_ms, x.max_ms))
    gain = f"{x.speed_up:.2f} x" if x.speed_up else ""
    return x.runtime, x.scheme, str(x.rows), *times, gain, f"{x.error:.1%}", f"{x.noisy:.0%}"


def as_json(rows: Sequence[Measurement], found: Mapping[str, Label]) -> dict[str, object]:
    """The lines, and for each row its network, latency and error."""
    return {
        "summary": [asdict(x) for x in lines(rows, found)],
        "rows": [
            {
                "id": row.id,
                "architecture": asdict(row.subject.architecture)
                if row.subject.architecture
                else None,
                "source": row.subject.source,
                "runtime": row.subject.runtime,
                "scheme": row.subject.scheme,
                "workload": asdict(row.workload),
                **asdict(found[row.id]),
                "samples": sum(len(run.subject.wall_ns) for run in row.runs),
                "flags": list(row.flags),
            }
            for row in rows
        ],
    }

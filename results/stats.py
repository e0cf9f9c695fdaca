"""From samples to a latency and its error: pure functions, no clock and no file.

The label of a single-threaded row is CPU time: on a shared machine it repeats to 1-2 % where wall
time does not (docs/measurement.md). Per visit the smallest sample counts, since nothing makes a
call faster than it is; the visits are compared with those of the anchor, which stood beside them,
and the median over visits is the label.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from results.measurement import Measurement, Run, Series

AnchorKey = tuple[str, str, str, str, str]
"""Scale, runtime, scheme, workload, anchor."""

Level = Callable[[Sequence[int]], float]
"""One number for the samples of a visit: `min`, or `median` in the deployed profile."""

POLISHES = 100
"""Rounds of the median polish; anchors that share few sessions settle slowly."""

TAIL_NEEDS = {0.9: 64, 0.95: 130, 0.99: 662}
"""Samples below which a tail percentile says nothing (MLPerf loadgen, early-stopping bound)."""

INTERRUPTED = 0.5
"""With more calls interrupted than not, the wall time of the median call is not the model's."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a row says: a latency, and how far another measurement of it may lie."""

    latency_ms: float
    error: float
    """Relative half-width of the 95 % interval."""
    clock: str
    """`cpu` or `wall`: which clock the latency was read from."""
    anchored: bool


def clock_of(measurement: Measurement) -> str:
    """CPU time where it equals latency: one thread, controlled environment; else wall time.

    Wall time too where CPU time is not known.
    """
    alone = measurement.workload.threads == 1 and measurement.procedure.profile == "stable"
    series = [x for run in measurement.runs for x in (run.subject, run.anchor) if x is not None]
    return "cpu" if alone and all(x.cpu_ns for x in series) else "wall"


def label(
    measurement: Measurement, references: Mapping[AnchorKey, float] | None = None, scale: str = ""
) -> Label:
    """The row's latency; `references[anchor_key(row, scale)]` is its anchor's level, in ns.

    Without a reference the anchor's level in the row itself is taken. Rows of the `deployed`
    profile are the plain median of wall time: no anchor, no minimum.
    """
    clock = clock_of(measurement)
    deployed = measurement.procedure.profile == "deployed"
    level = median if deployed else min
    per_run = [log_ratios(run, clock, level) for run in measurement.runs]
    centres = [median(ratios) for ratios in per_run]
    within = fmean(half_width(ratios) for ratios in per_run) / math.sqrt(len(per_run))
    error = max(within, (max(centres) - min(centres)) / 2)
    if deployed:
        walls = [ns for run in measurement.runs for ns in run.subject.wall_ns]
        return Label(median(walls) / 1e6, error, clock, anchored=False)
    anchored = all(run.anchor is not None for run in measurement.runs)
    unit_ns = 1.0
    if anchored:
        key = anchor_key(measurement, scale)
        unit_ns = (references or {}).get(key) or median(anchor_levels(measurement))
    return Label(math.exp(fmean(centres)) * unit_ns / 1e6, error, clock, anchored)


def log_ratios(run: Run, clock: str, level: Level = min) -> list[float]:
    """Per visit, log(subject / anchor), or log(subject in ns) where there is no anchor."""
    levels = visit_levels(run.subject, clock, level)
    if run.anchor is None:
        return [math.log(x) for x in levels]
    beside = visit_levels(run.anchor, clock, level)
    return [math.log(x / a) for x, a in zip(levels, beside, strict=True)]


def visit_levels(series: Series, clock: str, level: Level = min) -> list[float]:
    """One number for each visit, in ns: of its samples the smallest, or another `level`."""
    samples = series.cpu_ns if clock == "cpu" else series.wall_ns
    levels, start = [], 0
    for length in series.visits:
        levels.append(level(samples[start : start + length]))
        start += length
    return levels


def anchor_levels(measurement: Measurement) -> list[float]:
    """Every visit to the anchor in this row, in ns."""
    clock = clock_of(measurement)
    return [
        level
        for run in measurement.runs
        if run.anchor is not None
        for level in visit_levels(run.anchor, clock)
    ]


def anchor_key(measurement: Measurement, scale: str) -> AnchorKey:
    """Rows with this key stand on the same anchor level."""
    work = measurement.workload
    subject = measurement.subject
    workload = f"{work.batch}x{work.tokens}x{work.threads}"
    return scale, subject.runtime, subject.scheme, workload, measurement.runs[0].anchor_name


def references(rows: Iterable[tuple[str, Measurement]]) -> dict[AnchorKey, float]:
    """The anchor's level on each scale, in ns, as it is in the median session.

    `rows` are pairs of a scale (a machine in one condition, say) and a row. The same machine is
    some per cent faster or slower from session to session; the anchors show by how much. A
    session slows all its anchors by one factor, whichever of them it measured, so
    log level = anchor + session is fitted by median polish (Tukey, EDA, 11), the session effects
    with median zero.
    """
    levels: dict[AnchorKey, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for scale, row in rows:
        levels[anchor_key(row, scale)][row.session] += anchor_levels(row)
    logs = {
        key: {session: math.log(median(found)) for session, found in sessions.items() if found}
        for key, sessions in levels.items()
    }
    fitted: dict[AnchorKey, float] = {}
    for scale in {key[0] for key, found in logs.items() if found}:
        fitted |= _polished({key: logs[key] for key in logs if key[0] == scale and logs[key]})
    return fitted


def _polished(logs: Mapping[AnchorKey, Mapping[str, float]]) -> dict[AnchorKey, float]:
    """Exp of the anchor effects of log level = anchor + session."""
    session = dict.fromkeys((name for found in logs.values() for name in found), 0.0)
    anchor: dict[AnchorKey, float] = {}
    for _ in range(POLISHES):
        anchor = {k: median(v - session[s] for s, v in found.items()) for k, found in logs.items()}
        session = {
            s: median(found[s] - anchor[k] for k, found in logs.items() if s in found)
            for s in session
        }
        middle = median(session.values())
        session = {s: effect - middle for s, effect in session.items()}
    anchor = {k: median(v - session[s] for s, v in found.items()) for k, found in logs.items()}
    return {key: math.exp(effect) for key, effect in anchor.items()}


def drift(
    rows: Iterable[Measurement], references: Mapping[AnchorKey, float], scale: str
) -> float | None:
    """How much slower the anchors of these rows were than on their scale: 0.03 is 3 % slower."""
    ratios = [
        math.log(median(levels) / references[key])
        for row in rows
        if (levels := anchor_levels(row)) and (key := anchor_key(row, scale)) in references
    ]
    return math.expm1(median(ratios)) if ratios else None


def half_width(values: Sequence[float], confidence: float = 0.95) -> float:
    """Half the width of the distribution-free interval of the median.

    The k-th smallest and k-th largest value enclose the median with 1 - 2 P(B < k), B binomial
    with n trials of 1/2; k is the largest that keeps the confidence, or 1 (David & Nagaraja,
    Order Statistics, 7.1). A single value tells nothing: infinity.
    """
    n = len(values)
    if n < 2:  # noqa: PLR2004
        return math.inf
    ordered = sorted(values)
    below = 0.0
    k = 0
    while 2 * (below + math.comb(n, k) / 2**n) <= 1 - confidence:
        below += math.comb(n, k) / 2**n
        k += 1
    k = max(k, 1)
    return (ordered[n - k] - ordered[k - 1]) / 2


def percentile(values: Sequence[float], q: float) -> float | None:
    """The smallest value with a share `q` at or below it; None where the samples are too few."""
    if len(values) < TAIL_NEEDS.get(q, 1):
        return None
    return sorted(values)[max(math.ceil(q * len(values)), 1) - 1]


def contention(measurement: Measurement) -> float:
    """Wall time over CPU time of the samples together, times threads: 1 on a quiet machine.

    Not a number where CPU time is not known.
    """
    wall = sum(sum(run.subject.wall_ns) for run in measurement.runs)
    cpu = sum(sum(run.subject.cpu_ns) for run in measurement.runs)
    return wall * measurement.workload.threads / cpu if cpu else math.nan


def flags(measurement: Measurement) -> tuple[str, ...]:
    """Why this row should be measured again; empty when it need not be."""
    found = []
    error = label(measurement).error
    if error > measurement.procedure.noisy_error:
        found.append(f"interval of {error:.1%} is over {measurement.procedure.noisy_error:.1%}")
    if any(run.steady is False for run in measurement.runs):
        found.append("no steady state during warm-up")
    if clock_of(measurement) == "wall" and interrupted_share(measurement) > INTERRUPTED:
        found.append(f"{interrupted_share(measurement):.0%} of the calls were interrupted")
    return tuple(found)


def interrupted_share(measurement: Measurement) -> float:
    """Share of the samples during which the scheduler took the CPU away; NaN where unknown."""
    switches = [s for run in measurement.runs for s in run.subject.switches]
    return sum(s > 0 for s in switches) / len(switches) if switches else math.nan

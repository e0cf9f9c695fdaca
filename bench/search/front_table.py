"""What searches found, as sentences, tables and JSON. Draws nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from bench.search.front import QUANTISED, Found, places
from bench.search.limits import told
from results.choice import Limit, Measured, Outcome, Predicted, Swing

GOING = "not ended: it still runs, or was stopped and the same command goes on with it"

STEADY = 1.05
"""Times as long as usual in the slowest session, below which nothing is said of it."""

THREE_DIGITS = 999.5
"""What is not less has no three digits without an exponent."""

Cells = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are read by a person."""

    title: str
    header: Cells
    lines: tuple[Cells, ...]
    words: int
    """Columns on the left that are no figures."""

    @property
    def figures(self) -> Cells:
        """The names of the others."""
        return self.header[self.words :]


def summary(one: Found) -> Iterator[str]:
    """What was asked for, how much was tried, how long it took."""
    asked = one.search
    yield (
        f"{one.label}: {asked.scheme} on {asked.runtime}, judged by {one.metric or 'nothing yet'} "
        f"on {asked.task} {asked.split} ({asked.examples} examples), searcher {asked.searcher}, "
        f"seed {asked.seed}"
    )
    budgets = ", ".join(told(x) for x in asked.limits)
    yield f"budget: {budgets or 'none'}; bounds hold in {asked.confidence:.0%} of the cases"
    yield _work(one)
    if one.outcome is None:
        yield GOING
        return
    for x in one.outcome.fastest:
        ms = f"{number(x.ms)} ms ({_ends(x)})"
        yield f"the fastest that exists: {ms} on {x.device} at {x.tokens} tokens"
    yield from _unsteady(one.outcome.swings, asked.limits)
    if not one.outcome.winners:
        yield "no winner: nothing that was measured kept every limit"


def _unsteady(swings: Sequence[Swing], limits: Sequence[Limit]) -> Iterator[str]:
    """Of devices whose speed moves, and what budgets hold even so."""
    for swing in swings:
        budgets = [
            f"{number(x.value / swing.slowest)} ms"
            for x in limits
            if (x.kind, x.device) == ("latency", swing.device)
        ]
        if budgets and swing.slowest >= STEADY:
            yield (
                f"{swing.device} is not steady: by the anchors of {swing.sessions} sessions all "
                f"took {swing.fastest:.2f} to {swing.slowest:.2f} times as long as usual; what "
                f"shall hold in such minutes too needs a budget of {' or '.join(budgets)}"
            )


def _work(one: Found) -> str:
    stages = ", ".join(f"{len(one.of_stage(x))} {_stage(x)}" for x in one.stages)
    counted = f"{len(one.trials)} trials ({stages})" if one.trials else "no trial yet"
    if one.outcome is None:
        return f"{counted}, {sum(x.seconds for x in one.trials):.0f} s of scoring"
    return (
        f"{counted} in {one.outcome.seconds:.0f} s, {_share(one.outcome):.1%} of it the searcher's"
    )


def _share(outcome: Outcome) -> float:
    return outcome.searcher_seconds / outcome.seconds if outcome.seconds else 0.0


def _stage(name: str) -> str:
    return name if name == QUANTISED else f"{name}-precision"


def tables(found: Sequence[Found]) -> Iterator[Table]:
    """Winners, fronts and dropped finalists, those that there are."""
    columns = _Columns(found)
    metric = next((x.metric for x in found if x.metric), "score")
    makers = (_winners, _fronts, _dropped)
    for made in (maker(found, columns, metric) for maker in makers):
        if made.lines:
            yield made


class _Columns:
    """Which cells every table begins with, and how a latency is told."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._places = places(found)
        self._several = len(found) > 1
        self._apart = len(self._places) > 1

    def header(self, *own: str) -> Cells:
        searches = ("search",) if self._several else ()
        return (*searches, *own, *(("device", "tokens") if self._apart else ()))

    def lines(
        self,
        one: Found,
        own: Cells,
        latencies: tuple[Sequence[Predicted | Measured], ...],
        rest: Cells,
    ) -> Iterator[Cells]:
        """A line for each workload of it; what does not depend on that only in the first."""
        here = [x for x in self._places if any(x.find(several) for several in latencies)]
        first = ((one.label,) if self._several else ()) + own
        for n, place in enumerate(here or [None]):
            where = (place.device, str(place.tokens)) if place else ("", "")
            times = [cell for x in latencies for cell in _cells(place.find(x) if place else None)]
            begins, ends = ((first, rest), (("",) * len(first), ("",) * len(rest)))[n > 0]
            yield (*begins, *(where if self._apart else ()), *times, *ends)


def _cells(x: Predicted | Measured | None) -> Cells:
    return ("", "") if x is None else (number(x.ms), _ends(x))


def _winners(found: Sequence[Found], columns: _Columns, metric: str) -> Table:
    header = columns.header("rank", "architecture", "scheme")
    figures = ("predicted ms", "bounds", "measured ms", "± 95 %", f"{metric} fp32", metric)
    lines = [
        line
        for one in found
        for x in (one.outcome.winners if one.outcome else ())
        for line in columns.lines(
            one,
            (str(x.rank), str(x.architecture), x.scheme),
            (x.predicted, x.measured),
            (
                f"{one.score(x.full_metrics):.4f}",
                f"{one.score(x.metrics):.4f}",
                f"{x.megabytes:.2f}",
                "" if x.memory_megabytes is None else f"{x.memory_megabytes:.1f}",
            ),
        )
    ]
    return Table(
        "winners, measured", (*header, *figures, "MB", "memory MB"), tuple(lines), len(header)
    )


def _fronts(found: Sequence[Found], columns: _Columns, metric: str) -> Table:
    header = columns.header("trial", "architecture", "scored in")
    lines = [
        line
        for one in found
        for x in one.front
        for line in columns.lines(
            one,
            (str(x.n), str(x.architecture), x.scheme),
            (x.predicted,),
            (f"{one.score(x.metrics):.4f}", f"{x.megabytes:.2f}", f"{x.cost:.0%}"),
        )
    ]
    last = " and ".join(dict.fromkeys(_stage(x.stages[-1]) for x in found if x.stages))
    figures = ("predicted ms", "bounds", metric, "MB", "of the limit")
    return Table(
        f"front of the {last} trials: none of the same search is both cheaper and better",
        (*header, *figures),
        tuple(lines),
        len(header),
    )


def _dropped(found: Sequence[Found], columns: _Columns, metric: str) -> Table:
    header = columns.header("why", "architecture", "scheme")
    lines = [
        line
        for one in found
        for x in (one.outcome.dropped if one.outcome else ())
        for line in columns.lines(
            one,
            (x.why, str(x.architecture), x.scheme),
            (x.measured,),
            (f"{one.score(x.metrics):.4f}",),
        )
    ]
    figures = ("measured ms", "± 95 %", metric)
    return Table("finalists that were dropped", (*header, *figures), tuple(lines), len(header))


def number(x: float) -> str:
    """Three digits that count."""
    return f"{x:.3g}" if abs(x) < THREE_DIGITS else f"{x:.0f}"


def _ends(x: Predicted | Measured) -> str:
    return f"{number(x.lower)}-{number(x.upper)}"


def to_json(one: Found) -> str:
    """The search on one line: what was asked for, its front, what it ended with."""
    outcome = one.outcome
    told = {
        "name": one.search.name,
        "folder": str(one.folder),
        "search": one.search,
        "ended": outcome is not None,
        "trials": {stage: len(one.of_stage(stage)) for stage in one.stages},
        "metric": one.metric,
        "front": one.front,
        "outcome": outcome,
        "searcher_share": None if outcome is None else _share(outcome),
    }
    return msgspec.json.encode(told).decode()

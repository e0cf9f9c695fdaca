"""What searches found, read from their folders: fronts, workloads. Draws and prints nothing."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from nas.pareto import front
from results.choice import Dropped, Limit, Measured, Outcome, Predicted, Search, Tried, Winner
from results.errors import BadInputError
from results.searches import Run, searches_of

QUANTISED = "quantised"
"""A stage; the other is `full`."""

Latency = TypeVar("Latency", bound=Predicted | Measured)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a latency holds."""

    device: str
    runtime: str
    tokens: int

    @classmethod
    def of(cls, latency: Predicted | Measured) -> "Place":
        return cls(latency.device, latency.runtime, latency.tokens)

    def limited_by(self, limit: Limit) -> bool:
        """Is it a limit of the latency here?"""
        here = limit.kind == "latency" and limit.device == self.device
        return here and limit.tokens in (None, self.tokens)

    def find(self, several: Sequence[Latency]) -> Latency | None:
        """The one of this place."""
        return next((x for x in several if Place.of(x) == self), None)


@dataclass(frozen=True)
class Found:
    """One search, as far as it is."""

    label: str
    folder: Path
    search: Search
    trials: tuple[Tried, ...]
    outcome: Outcome | None
    """None: it still runs, or was stopped."""

    @property
    def stages(self) -> tuple[str, ...]:
        """Those that were begun, in order."""
        return tuple(dict.fromkeys(x.stage for x in self.trials))

    @cached_property
    def metric(self) -> str:
        """The name of the one that ranks; empty before the first trial."""
        return next((name for x in (*self.trials, *self.finalists) for name in x.metrics), "")

    def score(self, metrics: dict[str, float]) -> float:
        """That metric's value.

        Raises:
            BadInputError: it is not there.
        """
        if self.metric not in metrics:
            raise BadInputError(
                f"{self.folder} is damaged: something was scored without {self.metric or 'metric'}"
            )
        return metrics[self.metric]

    def of_stage(self, stage: str) -> tuple[Tried, ...]:
        """The trials of a stage."""
        return tuple(x for x in self.trials if x.stage == stage)

    @property
    def finalists(self) -> list[Winner | Dropped]:
        """Those that were measured."""
        return [*self.outcome.winners, *self.outcome.dropped] if self.outcome else []

    @property
    def front(self) -> tuple[Tried, ...]:
        """Of the last stage, the trials that none beats in cost and score, the cheapest first."""
        last = self.of_stage(self.stages[-1]) if self.trials else ()
        return self.best(last, [x.cost for x in last])

    def best(self, trials: Sequence[Tried], costs: Sequence[float]) -> tuple[Tried, ...]:
        """The trials that none beats in these costs and their scores, the cheapest first."""
        scores = [self.score(x.metrics) for x in trials]
        return tuple(trials[i] for i in front(costs, scores))


def read(runs: Sequence[Run]) -> tuple[Found, ...]:
    """Searches, to be shown together; the labels of equal names are their folders.

    Raises:
        BadInputError: a folder is no search's or is damaged, or they chose by different scores.
    """
    several = {run.folder.resolve(): run for run in runs}.values()
    found = [Found(x.search.name, x.folder, x.search, x.trials(), x.outcome) for x in several]
    judges = {(x.search.task, x.search.split, x.metric): x for x in found if x.metric}
    if len(judges) > 1:
        told = "; ".join(f"{x.label}: {' '.join(judge)}" for judge, x in judges.items())
        raise BadInputError(f"these searches chose by different scores ({told}): show them apart")
    names = Counter(x.label for x in found)
    return tuple(x if names[x.label] == 1 else replace(x, label=str(x.folder)) for x in found)


def runs_of(folders: Sequence[Path], names: Sequence[str], results: Path) -> list[Run]:
    """Those folders and the searches of those names; else the only one beside the ledger.

    Raises:
        BadInputError: nothing is named, and there is none or more than one.
    """
    everything = searches_of(results)
    if folders or names:
        return [Run(folder) for folder in (*folders, *(everything / name for name in names))]
    there = sorted(path for path in everything.glob("*") if Run(path).exists)
    if not there:
        raise BadInputError(f"{everything} has no search: `nas search` makes one")
    if len(there) > 1:
        listed = ", ".join(path.name for path in there)
        raise BadInputError(f"{everything} has several searches: choose with --name ({listed})")
    return [Run(there[0])]


def places(found: Sequence[Found]) -> tuple[Place, ...]:
    """Every workload a latency is known at, in the order of the limits."""
    known = dict.fromkeys(Place.of(x) for one in found for x in _latencies(one))
    order = [x for one in found for x in one.search.limits]
    limited = [place for x in order for place in known if place.limited_by(x)]
    return tuple(dict.fromkeys([*limited, *known]))


def _latencies(found: Found) -> Iterator[Predicted | Measured]:
    for trial in found.trials:
        yield from trial.predicted
    for finalist in found.finalists:
        yield from finalist.measured

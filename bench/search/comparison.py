"""How much of a front several searches reach, and how soon. Draws and prints nothing."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from bench.search.benchmark import Benchmark, load
from nas.pareto import hypervolume, trace
from nas.search.searcher import Floats
from results.choice import Tried
from results.errors import BadInputError
from results.searches import Run

SHARES = (0.01, 0.02, 0.05, 0.10)
"""Parts of a table's members; after so many evaluations the hypervolume is told."""

ANCHOR, ANCHOR_AT = "nsga2", 250
"""Whose hypervolume after how many evaluations the others are to reach sooner."""

WORKERS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One searcher's, or one run's, parts of the hypervolume after each evaluation."""

    name: str
    reached: Floats
    """(seeds, evaluations)."""

    def after(self, evaluations: int) -> tuple[float, float]:
        """Mean and standard deviation over the seeds."""
        found = self.reached[:, min(evaluations, self.reached.shape[1]) - 1]
        return float(found.mean()), float(found.std())

    def needed(self, level: float) -> Floats:
        """(seeds,), evaluations until the level is reached; infinite where it is not."""
        met = self.reached >= level
        return np.where(met.any(1), met.argmax(1) + 1.0, np.inf)


def played(names: Sequence[str], precision: str, seeds: int, evaluations: int) -> list[Curve]:
    """Every searcher on the table that ships, seed by seed, two at a time.

    Raises:
        BadInputError: a searcher is unknown, or needs what is not installed.
    """
    tasks = [(name, seed) for name in names for seed in range(seeds)]
    one = partial(_played, precision, evaluations)
    if len(tasks) == 1:
        found = [one(*tasks[0])]
    else:
        with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
            found = list(pool.map(one, *zip(*tasks, strict=True)))
    return [Curve(name, _even(found[i * seeds : (i + 1) * seeds])) for i, name in enumerate(names)]


def marks(table: Benchmark, evaluations: int) -> tuple[int, ...]:
    """After how many evaluations the hypervolume is told."""
    asked = {round(share * len(table)) for share in SHARES} | {evaluations}
    return tuple(sorted(x for x in asked if 1 <= x <= evaluations))


def anchor(curves: Iterable[Curve], evaluations: int) -> float | None:
    """The mean hypervolume of NSGA-II after 250 evaluations; None where it did not play."""
    at = min(ANCHOR_AT, evaluations)
    return next((c.after(at)[0] for c in curves if c.name == ANCHOR), None)


def of_runs(folders: Sequence[Path]) -> list[Curve]:
    """The trials of several searches, against the hypervolume of all of them together.

    The cost is the latency that was predicted first, or where none was, the megabytes. Trials in
    another scheme than is searched for count as evaluations, and add nothing.

    Raises:
        BadInputError: a folder is no search's, or has no trials.
    """
    runs = {name: _points(folder) for name, folder in _named(folders).items()}
    every = np.concatenate(list(runs.values()))
    every = every[np.isfinite(every).all(1)]
    reference = float(every[:, 0].max()), float(every[:, 1].min())
    whole = hypervolume(every[:, 0], every[:, 1], reference)
    if not whole:
        raise BadInputError("no trial of these searches beats another one: there is no front")
    return [
        Curve(name, trace(x[:, 0], x[:, 1], reference)[None] / whole) for name, x in runs.items()
    ]


def _played(precision: str, evaluations: int, name: str, seed: int) -> Floats:
    table = load(precision)
    return table.reached(table.play(name, seed, evaluations))


def _even(rows: Sequence[Floats]) -> Floats:
    """One that had no more to propose keeps what it has."""
    longest = max(map(len, rows))
    return np.stack([np.pad(row, (0, longest - len(row)), mode="edge") for row in rows])


def _named(folders: Sequence[Path]) -> Mapping[str, Path]:
    names = [f.resolve().name for f in folders]
    alike = len(set(names)) < len(names)
    return dict(zip(map(str, folders) if alike else names, folders, strict=True))


def _points(folder: Path) -> Floats:
    """(trials, 2), cost and score; of other schemes infinitely dear."""
    run = Run(folder)
    scheme, trials = run.search.scheme, run.trials()
    if not trials:
        raise BadInputError(f"{folder} has no trials yet")
    any_scheme = all(t.scheme != scheme for t in trials)
    return np.array([_point(t, counts=any_scheme or t.scheme == scheme) for t in trials])


def _point(t: Tried, *, counts: bool) -> tuple[float, float]:
    cost = t.predicted[0].ms if t.predicted else t.megabytes
    return cost if counts else np.inf, next(iter(t.metrics.values()))

"""Trials become finalists, the best first, until enough stand. Measures nothing itself."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.search.finalists import (
    Finalist,
    Judge,
    Judged,
    Maker,
    broken,
    excess,
    in_a_slow_hour,
    winners,
)
from bench.search.oracle import Oracle
from bench.search.stages import first_metric, rank
from results.architecture import Architecture
from results.choice import Dropped, Limit, Tried, Winner

AT_ONCE = 6
"""Files measured side by side: as many as a block holds. So many that were over a limit tell by
how much others will be."""

SPARE = 2
"""Finalists beside as many as are wanted, so that one that is dropped costs no further round."""

MOST = 60
"""Trials of a round that are made into files at the most."""

STEP = 0.98
"""The least by which the next round costs less than the one before."""


@dataclass
class Verification:
    """Trials become files that are measured, the best first, until as many stand as are wanted."""

    limits: Sequence[Limit]
    wanted: int
    maker: Maker
    judge: Judge
    say: Callable[[str], None] = lambda _: None
    standing: list[tuple[Finalist, Judged]] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    _seen: set[tuple[Architecture, str]] = field(default_factory=set)
    _reach: list[float] = field(default_factory=list)
    """Of those over a limit: the costs, by prediction, at which they would have kept it."""

    @property
    def lacking(self) -> int:
        """Winners that do not stand yet."""
        return self.wanted - len(self.standing)

    def take(self, trials: Sequence[Tried], limit: float = 1.0) -> None:
        """Measure those that no earlier call measured and whose predicted cost is no more."""
        least = next((x.value for x in self.limits if x.kind == "accuracy"), 0.0)
        ranked = [
            t
            for t in rank(_once(trials))
            if t.cost <= limit and first_metric(t) >= least and _key(t) not in self._seen
        ][:MOST]
        while self.lacking > 0:
            ranked = [t for t in ranked if _key(t) not in self._seen and t.cost <= self._hopeful]
            batch = ranked[: min(self.lacking + SPARE, AT_ONCE)]
            if not batch:
                break
            self._measure(batch)

    def _measure(self, batch: Sequence[Tried]) -> None:
        finalists = [self.maker.make(trial) for trial in batch]
        self._seen.update(_key(trial) for trial in batch)
        self.say(f"measuring {len(finalists)} finalists")
        judged = self.judge.judge(self.maker.run, finalists)
        known = {f.folder: found for f, found in zip(finalists, judged, strict=True)}
        slow = [f for f in finalists if in_a_slow_hour(f, known[f.folder], self.limits)]
        if slow:
            self.say(f"measuring {len(slow)} of them again: the machine may have been slow")
            again = self.judge.judge(self.maker.run, slow, anew=True)
            known |= {f.folder: found for f, found in zip(slow, again, strict=True)}
        for finalist in finalists:
            self._place(finalist, known[finalist.folder])

    @property
    def _hopeful(self) -> float:
        """Predicted costs above which it is not worth while to measure any more."""
        return math.inf if len(self._reach) < AT_ONCE else median(self._reach)

    def _place(self, finalist: Finalist, found: Judged) -> None:
        why = found.failure or "; ".join(broken(finalist, found, self.limits))
        if why:
            self.dropped.append(_dropped(finalist, found, why))
            over = excess(finalist, found, self.limits)
            if 1 < over < math.inf:
                self._reach.append(finalist.trial.cost / over)
        elif self.lacking > 0:
            self.standing.append((finalist, found))

    def tighter(self, limit: float) -> float | None:
        """Predicted costs below which most files will keep the limits; None: nobody knows."""
        if not self._reach:
            return None
        return min(sorted(self._reach)[len(self._reach) // 4], STEP * limit)

    def winners(
        self, oracle: Oracle, full: dict[Architecture, dict[str, float]]
    ) -> tuple[Winner, ...]:
        """What stands, the best first; `full`: the metrics in float32."""
        places = {id(t): n for n, t in enumerate(rank(f.trial for f, _ in self.standing))}
        ordered = sorted(self.standing, key=lambda pair: places[id(pair[0].trial)])
        return winners([f for f, _ in ordered], [j for _, j in ordered], oracle, full)


def _key(trial: Tried) -> tuple[Architecture, str]:
    return trial.architecture, trial.scheme


def _once(trials: Sequence[Tried]) -> list[Tried]:
    return list({_key(t): t for t in reversed(trials)}.values())


def _dropped(finalist: Finalist, found: Judged, why: str) -> Dropped:
    trial = finalist.trial
    return Dropped(
        architecture=trial.architecture,
        scheme=trial.scheme,
        metrics=trial.metrics,
        measured=found.measured,
        why=why,
    )

"""The two stages: many sub-models in full precision, then the best of them as they would ship.

Stage one scores what a searcher proposes in float32, the cheapest score there is, among members
that keep every limit in the scheme that is searched for (by prediction). Stage two scores the best
of them in that scheme, with the very quantiser that ships, and goes on searching from there.
Measures nothing, extracts nothing.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bench.search.oracle import Oracle
from bench.search.request import MIXED
from nas.search.searcher import Ground, Searcher, Trial
from nas.search.searchers import searcher
from quant.scheme import GROUPS, Scheme, parse
from results.architecture import Architecture
from results.choice import Tried
from results.score import Score

if TYPE_CHECKING:
    from nas.space import SearchSpace

FULL, QUANTISED = "full", "quantised"

BATCH = 8
"""Proposals at a time: enough to keep some processes busy, few enough to learn in between."""

CARRIED = 0.4
"""Share of the scores of stage two that goes to the best of stage one; the rest are new."""

MIXTURES_OF = 8
"""Sub-models that are tried in every mixture of schemes."""

WORTH = (0.96, 0.92, 0.85, 0.7, 0.5)
"""Lower edges of what is proposed first, as parts of the budget: what costs little is seldom best.
The first that leaves enough is taken."""

MANY = 2_000_000
"""Members of which all are looked at; of more some are drawn."""

SLICE = 1 << 17
"""Of them, so many at a time."""

DRAWN = 20_000


class Scores(Protocol):
    """Answers how right sub-models are."""

    def scores(
        self, architectures: Sequence[Architecture], schemes: Sequence[str]
    ) -> Iterable[Score]:
        """One for each architecture in the scheme beside it, in that order."""
        ...


@dataclass
class Record:
    """Every trial so far, in order; told to whoever keeps it."""

    keep: Callable[[Tried], None]
    began_utc: str = ""
    """Scores from before cost nothing."""
    trials: list[Tried] = field(default_factory=list)
    thinking_s: float = 0.0
    """What searchers took to propose and to learn."""

    def add(self, stage: str, name: str, score: Score, oracle: Oracle) -> Tried:
        """Keep a trial."""
        (cost,) = oracle.of([score.architecture]).tolist()
        trial = Tried(
            n=len(self.trials) + 1,
            stage=stage,
            searcher=name,
            architecture=score.architecture,
            scheme=score.scheme,
            metrics=score.metrics,
            loss=score.loss,
            score=score.id,
            predicted=oracle.predicted(score.architecture),
            megabytes=oracle.weight_megabytes(score.architecture),
            cost=cost,
            seconds=score.seconds if score.scored_utc >= self.began_utc else 0.0,
        )
        self.trials.append(trial)
        self.keep(trial)
        return trial

    def ask(self, asked: Searcher, n: int) -> list[Architecture]:
        """Proposals, the time to think counted."""
        began = time.perf_counter()
        found = asked.ask(n)
        self.thinking_s += time.perf_counter() - began
        return found

    def tell(self, asked: Searcher, trials: Sequence[Trial]) -> None:
        """Answers, the time to learn counted."""
        began = time.perf_counter()
        asked.tell(trials)
        self.thinking_s += time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Field:
    """What is there within the limits."""

    members: int
    """That were looked at."""
    within: int
    """Of them, those that keep every limit."""
    worth: float
    """Lower edge of what is proposed."""
    least: float
    """Cost of the cheapest."""
    cheapest: Architecture


def survey(space: "SearchSpace", oracle: Oracle, wanted: int, seed: int = 0) -> Field:
    """How many members keep the limits, and where it is worth looking.

    `wanted`: members there should be to choose from.
    """
    from nas.columns import sizes

    if not space.per_layer and space.count <= MANY:
        starts = range(0, space.count, SLICE)
        costs = np.concatenate([oracle.of_sizes(sizes(space, i, i + SLICE)) for i in starts])
        cheapest = space.at(int(costs.argmin()))
    else:
        drawn = _drawn(space, seed)
        costs = oracle.of(drawn)
        cheapest = drawn[int(costs.argmin())]
    worth = next((w for w in WORTH if ((costs <= 1) & (costs >= w)).sum() >= wanted), 0.0)
    return Field(
        members=len(costs),
        within=int((costs <= 1).sum()),
        worth=worth,
        least=float(costs.min()),
        cheapest=cheapest,
    )


def _drawn(space: "SearchSpace", seed: int) -> list[Architecture]:
    """Some members, equally many of each depth, the smallest among them."""
    rng = np.random.default_rng([seed, 1])
    parts = [replace(space, depth=(d,)) for d in space.depth]
    each = DRAWN // len(parts)
    found = [a for part in parts for a in part.sample_unique(rng, min(each, part.count))]
    return [space.smallest, *found]


def rank(trials: Iterable[Tried]) -> list[Tried]:
    """The best first: by the first metric, then by loss, then the cheaper."""
    return sorted(trials, key=lambda t: (-first_metric(t), t.loss, t.cost, t.n))


def first_metric(trial: Tried) -> float:
    """The one that ranks."""
    return next(iter(trial.metrics.values()))


@dataclass
class Stages:
    """Both stages of one search."""

    ground: Ground
    oracle: Oracle
    scores: Scores
    record: Record
    name: str
    """Of the searcher."""
    seed: int
    say: Callable[[str], None] = lambda _: None

    def full(self, evaluations: int, known: Sequence[Tried] = ()) -> list[Tried]:
        """Stage one: so many scores in float32, fewer where the space is used up.

        `known`: of before, which are not proposed again.
        """
        asked = searcher(self.name, self.ground, self.seed)
        return self._run(asked, FULL, "fp32", evaluations, known)

    def quantised(
        self, full: Sequence[Tried], evaluations: int, quant: str, known: Sequence[Tried] = ()
    ) -> list[Tried]:
        """Stage two: the best of stage one and what is found from there, in their scheme.

        Where the scheme is float32 itself, the scores of stage one stand. `known`: of before.
        """
        scheme = self.oracle.scheme
        if scheme.name == "fp32":
            return list(full)
        carried = max(round(CARRIED * evaluations), 1)
        best = [t.architecture for t in rank(t for t in full if self._kept(t.cost))[:carried]]
        found = self._score(best, QUANTISED, scheme)
        again = searcher(self.name, self.ground, self.seed + 1)
        reserved = evaluations // 3 if quant == MIXED else 0
        left = evaluations - len(found) - reserved
        found += self._run(again, QUANTISED, scheme.name, left, [*known, *found])
        if quant == MIXED:
            found += self._mixtures(found, evaluations - len(found))
        return found

    def _kept(self, cost: float) -> bool:
        return self.ground.limit is None or cost <= self.ground.limit

    def _run(
        self, asked: Searcher, stage: str, scheme: str, n: int, known: Sequence[Tried]
    ) -> list[Tried]:
        if known:
            self.record.tell(asked, [_trial(t) for t in known])
        found: list[Tried] = []
        while len(found) < n:
            batch = self.record.ask(asked, min(BATCH, n - len(found)))
            if not batch:
                break
            new = self._score(batch, stage, parse(scheme))
            self.record.tell(asked, [_trial(t) for t in new])
            found += new
            best = first_metric(rank([*known, *found])[0])
            self.say(f"{stage}: {len(known) + len(found)} scored, best {best:.4f}")
        return found

    def _score(
        self, architectures: Sequence[Architecture], stage: str, scheme: Scheme
    ) -> list[Tried]:
        oracle = self.oracle if stage == FULL else self.oracle.in_scheme(scheme)
        return [
            self.record.add(stage, self.name, score, oracle)
            for score in self.scores.scores(architectures, [scheme.name] * len(architectures))
        ]

    def _mixtures(self, found: Sequence[Tried], n: int) -> list[Tried]:
        """The best ones with some groups of products in float32, the cheapest mixtures first."""
        tries: list[tuple[float, Architecture, Scheme]] = []
        for trial in rank(found)[:MIXTURES_OF]:
            for scheme in mixtures(self.oracle.scheme):
                (cost,) = self.oracle.in_scheme(scheme).of([trial.architecture]).tolist()
                if self._kept(cost):
                    tries.append((cost, trial.architecture, scheme))
        best = [t.architecture for t in rank(found)[:MIXTURES_OF]]
        tries.sort(key=lambda x: (best.index(x[1]), -x[0]))
        made: list[Tried] = []
        for _, architecture, scheme in tries[:n]:
            made += self._score([architecture], QUANTISED, scheme)
        return made


def mixtures(scheme: Scheme) -> list[Scheme]:
    """The scheme with one group of matrix products or more in float32, not all of them."""
    chosen = (c for n in range(1, len(GROUPS)) for c in combinations(GROUPS, n))
    return [parse(":".join([scheme.name, *(f"{g}=fp32" for g in groups)])) for groups in chosen]


def _trial(tried: Tried) -> Trial:
    return Trial(tried.architecture, first_metric(tried), tried.cost)

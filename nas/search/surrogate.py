"""Search with a model of the score: fit, propose where most is expected, be told, fit again.

After LINAS (Cummings et al. 2022, arXiv 2202.12954), whose inner search over predictions is
replaced by looking at all members, or many: their costs are known, so what each would add to the
front on average has a closed form. Members of one batch are chosen one after another, each as if
the answers to those before were known to be as expected.
"""

from collections.abc import Sequence

import numpy as np
from threadpoolctl import ThreadpoolController

from nas.pareto import front
from nas.search.candidates import Candidates, Looker
from nas.search.improvement import Stairs
from nas.search.pool import Pool
from nas.search.regression import Basis, Fit, basis, fit
from nas.search.searcher import Floats, Ground, Trial
from results.architecture import Architecture

FIRST = 8
"""Members spread over the costs that are proposed before anything is fitted."""

PARENTS = 16
"""Of the best within the limit; candidates are looked for near them."""

WINNERS = 4
"""With a limit the sum of so many of the best is what is to grow: a winner may fail later on."""

COMFORT = 1e-3
"""Of the height that a candidate is expected to lack: decides where nothing promises a gain."""

CLOSELY = 400
"""So many candidates that may be furthest above the front are judged by what they add to it."""


class Surrogate:
    """Expected hypervolume improvement; with a limit, expected improvement of the best few."""

    def __init__(self, ground: Ground, seed: int, *, first: int = FIRST) -> None:
        self._rng = np.random.default_rng(seed)
        self._pool = Pool(ground, self._rng)
        self._looker = Looker(self._pool, self._rng)
        self._limit = ground.limit
        self._first = first
        self._told: dict[Architecture, Trial] = {}
        self._points: dict[Architecture, Floats] = {}
        """Of each that was told, its features."""
        self._basis: Basis | None = None
        self._threads = ThreadpoolController()

    def ask(self, n: int) -> list[Architecture]:
        early = len(self._told) < self._first
        with self._threads.limit(limits=1):  # matrices are small, and others score meanwhile
            found = self._looker.spread(n) if early else self._most_expected(n)
        self._pool.take(found)
        return found

    def tell(self, trials: Sequence[Trial]) -> None:
        self._pool.take(t.architecture for t in trials)
        for t in trials:
            if np.isfinite(t.score) and np.isfinite(t.cost):
                self._told[t.architecture] = t
                self._points[t.architecture] = self._looker.features([t.architecture])[0]

    def _most_expected(self, n: int) -> list[Architecture]:
        some = self._looker.look(self._parents())
        if not len(some):
            return []
        if self._basis is None:
            self._basis = basis(some.features)
        score = np.array([t.score for t in self._told.values()])
        model = fit(self._basis(np.stack(list(self._points.values()))), score)
        chosen = _batch(self._stairs(some), model, self._basis(some.features), n)
        return [some.member(int(i)) for i in chosen]

    def _parents(self) -> list[Architecture]:
        told = list(self._told.values())
        if self._limit is None:
            best = front([t.cost for t in told], [t.score for t in told])
            return [told[i].architecture for i in best]
        inside = [t for t in told if t.cost <= self._limit]
        return [t.architecture for t in sorted(inside, key=lambda t: -t.score)[:PARENTS]]

    def _stairs(self, some: Candidates) -> tuple[Stairs, Floats]:
        """What is reached so far, and the cost that candidates have on these stairs."""
        told = list(self._told.values())
        cost = np.array([t.cost for t in told])
        score = np.array([t.score for t in told])
        if self._limit is None:
            far = max(float(some.cost.max()), float(cost.max()))
            return Stairs(cost / far, score, 1.0, float(score.min())), some.cost / far
        inside = np.sort(score[cost <= self._limit])[-WINNERS:]
        least = float(inside[0] if len(inside) else score.min())
        return Stairs([], [], 1.0, least), np.zeros(len(some))


def _batch(goal: tuple[Stairs, Floats], model: Fit, terms: Floats, n: int) -> list[int]:
    """Places of the candidates that are expected to add most, one chosen after another."""
    stairs, cost = goal
    mean, spread = model(terms)
    comfort = COMFORT * (mean - stairs.at(cost))
    hope = mean + 2 * spread - stairs.at(cost)
    closely = np.argsort(-hope, kind="stable")[: max(CLOSELY, n)]
    cost, mean, comfort = cost[closely], mean[closely], comfort[closely]
    parts = terms[closely] @ model.root
    chosen: list[int] = []
    for _ in range(min(n, len(closely))):
        spread = np.sqrt((parts**2).sum(1) + model.noise**2)
        value = stairs.expected(cost, mean, spread) + comfort
        value[chosen] = -np.inf
        best = int(np.argmax(value))
        chosen.append(best)
        parts = _told_of(parts, parts[best], model.noise)
    return [int(closely[i]) for i in chosen]


def _told_of(parts: Floats, one: Floats, noise: float) -> Floats:
    """Roots of covariances, (m, terms), once a score of the member of root `one` is known.

    Their products are then less by that of both covariances with it, over its variance.
    """
    square = max(float(one @ one), 1e-300)
    share = (1 - noise / np.sqrt(square + noise**2)) / square
    found: Floats = parts - np.outer(parts @ one, one) * share
    return found

"""Local search: one step from the best that is known, in every direction, then the next best.

As in Siems et al. and White, Nolen, Savani, "Local search is state of the art for neural
architecture search benchmarks" (2020); where the whole front is wanted, from all of the front.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from nas.pareto import front
from nas.search.candidates import Looker
from nas.search.pool import Pool
from nas.search.searcher import Ground, Trial
from results.architecture import Architecture

FIRST = 8
"""Members spread over the costs that it begins with."""

PARENTS = 64
"""The best so many are walked from before new members are drawn."""


class Local:
    """Members next to the best, those next to the very best first."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._space, self._limit = ground.space, ground.limit
        self._pool = Pool(ground, self._rng)
        self._looker = Looker(self._pool, self._rng)
        self._told: dict[Architecture, Trial] = {}
        self._finished: set[Architecture] = set()
        """Those whose neighbours were all proposed, told or too dear."""

    def ask(self, n: int) -> list[Architecture]:
        if len(self._told) < FIRST:
            found = self._looker.spread(n)
            self._pool.take(found)
            return found
        found = []
        for parents in self._fronts():
            found += self._beside(parents, n - len(found))
            if len(found) == n:
                return found
        return found + self._pool.draw(n - len(found))

    def tell(self, trials: Sequence[Trial]) -> None:
        self._pool.take(t.architecture for t in trials)
        for t in trials:
            if t.architecture in self._space and np.isfinite(t.score) and np.isfinite(t.cost):
                self._told[t.architecture] = t

    def _beside(self, parents: Sequence[Architecture], n: int) -> list[Architecture]:
        """Up to `n` neighbours, one of each parent in turn."""
        rows = [self._neighbours(parent) for parent in parents] if n else []
        found: list[Architecture] = []
        while len(found) < n and any(rows):
            for row in rows:
                if row and len(found) < n:
                    found += self._pool.claim([row.pop()], 1)
        return found

    def _neighbours(self, parent: Architecture) -> list[Architecture]:
        if parent in self._finished:
            return []
        found = self._pool.unseen(self._space.neighbours(parent))
        if not found:
            self._finished.add(parent)
        return [found[int(i)] for i in self._rng.permutation(len(found))]

    def _fronts(self) -> Iterator[list[Architecture]]:
        """The best that are known, then the best of the others, ..., shuffled within."""
        left = list(self._told.values())
        walked = 0
        while left and walked < PARENTS:
            if self._limit is None:
                best = set(map(int, front([t.cost for t in left], [t.score for t in left])))
            else:
                best = {max(range(len(left)), key=lambda i: left[i].score)}
            walked += len(best)
            order = self._rng.permutation(sorted(best))
            yield [left[int(i)].architecture for i in order]
            left = [t for i, t in enumerate(left) if i not in best]

"""A regular walk: members evenly spaced in cost, however many are asked for. Learns nothing."""

from collections.abc import Sequence
from itertools import count

import numpy as np

from nas.search.candidates import Looker
from nas.search.pool import Pool
from nas.search.searcher import Ground, Trial
from results.architecture import Architecture

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, modulo 1, are spread evenly however many are taken (Weyl 1916)."""


class Grid:
    """The member nearest to each of a row of costs, as logarithms; a seed shifts the row."""

    def __init__(self, ground: Ground, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._pool = Pool(ground, rng)
        self._looker = Looker(self._pool, rng)
        begin = rng.random()
        self._marks = ((begin + i * GOLDEN) % 1.0 for i in count())
        self._range: tuple[float, float] | None = None

    def ask(self, n: int) -> list[Architecture]:
        some = self._looker.look()
        if len(some) <= n:
            return self._pool.draw(n)
        cost = np.log(np.maximum(some.cost, 1e-12))
        if self._range is None:
            self._range = float(cost.min()), float(cost.max())
        low, high = self._range
        chosen: list[int] = []
        for _ in range(n):
            nearest = int(np.argmin(np.abs(cost - low - next(self._marks) * (high - low))))
            chosen.append(nearest)
            cost[nearest] = np.inf
        found = [some.member(i) for i in chosen]
        self._pool.take(found)
        return found

    def tell(self, trials: Sequence[Trial]) -> None:
        self._pool.take(t.architecture for t in trials)

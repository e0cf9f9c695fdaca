"""Regularised evolution (Real, Aggarwal, Huang, Le, AAAI 2019, algorithm 1), with crossover.

Where the whole front is wanted every child draws a budget of its own among the costs of the
population, and its parents are the fittest within it.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from nas.search.pool import Pool
from nas.search.searcher import Ground, Trial
from nas.spaces.line import pick
from results.architecture import Architecture

POPULATION = 64
HANDFUL = 16
"""Of them are drawn, and the fittest becomes a parent: S of the paper."""

CROSSED = 0.5
"""Children of two parents; the paper has none."""

ROUNDS = 8
"""Of children that were all seen or too dear; then the rest is drawn by chance."""


class Evolution:
    """Change the best of a random handful; the oldest member leaves."""

    def __init__(
        self, ground: Ground, seed: int, *, population: int = POPULATION, handful: int = HANDFUL
    ) -> None:
        if not 1 <= handful <= population:
            raise ValueError(f"a handful of {handful} cannot be drawn from {population}")
        self._rng = np.random.default_rng(seed)
        self._pool = Pool(ground, self._rng)
        self._space, self._limit = ground.space, ground.limit
        self._members: deque[Trial] = deque(maxlen=population)
        self._handful = handful

    def ask(self, n: int) -> list[Architecture]:
        found: list[Architecture] = []
        if len(self._members) >= self._handful:
            for _ in range(ROUNDS):
                missing = n - len(found)
                children = [self._child() for _ in range(2 * missing)] if missing else []
                found += self._pool.claim(children, missing)
        return found + self._pool.draw(n - len(found))

    def tell(self, trials: Sequence[Trial]) -> None:
        self._pool.take(t.architecture for t in trials)
        self._members.extend(t for t in trials if t.architecture in self._space)

    def _child(self) -> Architecture:
        budget = self._limit
        if budget is None:
            budget = pick(self._rng, self._members).cost
        parent = self._parent(budget)
        if self._rng.random() < CROSSED:
            parent = self._space.cross(parent, self._parent(budget), self._rng)
        return self._space.mutate(parent, self._rng)

    def _parent(self, budget: float) -> Architecture:
        drawn = self._rng.choice(len(self._members), self._handful, replace=False)
        return max(
            (self._members[i] for i in drawn), key=lambda t: _fitness(t, budget)
        ).architecture


def _fitness(trial: Trial, budget: float) -> tuple[bool, float]:
    """Any within the budget beats any above it; above it, the nearer is better."""
    inside = trial.cost <= budget
    return inside, trial.score if inside else -trial.cost

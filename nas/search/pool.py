"""What can still be proposed: within the limit, and never told of. Knows no score."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.search.draws import Draws, climbed
from nas.search.listed import Listed, can_be_listed, listed
from nas.search.searcher import Floats, Ground
from results.architecture import Architecture

ROUNDS = 8
"""Of drawing blindly, before the way within the limit is walked step by step."""

LEAST_DRAWN = 32
"""In each."""

STEPS = 200
"""On that way; then what is worth less will do."""


class Pool:
    """Members are taken from it once, by a searcher or by whoever tells it."""

    def __init__(self, ground: Ground, rng: np.random.Generator) -> None:
        self.ground = ground
        self._rng = rng
        self._taken: set[Architecture] = set()
        self._draws = Draws(ground.space)
        self.listed: Listed | None = None
        """Its members as rows; None where they are too many to look at."""
        self._free = self._worth = np.zeros(0, np.bool_)
        if can_be_listed(ground.space):
            self.listed = listed(ground, rng)
            self._free = np.ones(len(self.listed.number), np.bool_)
            self._worth = self.listed.cost >= ground.worth

    def take(self, architectures: Iterable[Architecture]) -> None:
        """They are not proposed any more."""
        for a in architectures:
            self._taken.add(a)
            row = self.listed.row(a) if self.listed else None
            if row is not None:
                self._free[row] = False

    def costs(self, architectures: Sequence[Architecture]) -> Floats:
        """(n,)."""
        return self.ground.cost.of(architectures) if architectures else np.zeros(0)

    def unseen(self, wanted: Iterable[Architecture]) -> list[Architecture]:
        """Those of the wanted ones, each once, that fit, are worth it, and were never taken."""
        fresh = [a for a in dict.fromkeys(wanted) if a not in self._taken]
        cost = self.costs(fresh)
        limit = np.inf if self.ground.limit is None else self.ground.limit
        fits = np.isfinite(cost) & (cost >= self.ground.worth) & (cost <= limit)
        return [a for a, fit in zip(fresh, fits, strict=True) if fit]

    def claim(self, wanted: Iterable[Architecture], n: int) -> list[Architecture]:
        """The first `n` of those, taken."""
        found = self.unseen(wanted)[:n]
        self.take(found)
        return found

    def rows(self) -> NDArray[np.intp]:
        """Of the listed ones those that can be proposed: worth it, or where none is, all."""
        rows = np.flatnonzero(self._free & self._worth)
        return rows if len(rows) else np.flatnonzero(self._free)

    def sample(self, n: int) -> list[Architecture]:
        """Up to `n` members by chance, not taken; fewer only where there are no more.

        Listed ones are all alike likely; where they are not, every depth is.
        """
        if self.listed is None:
            return self._sampled(n)
        worth, rest = (np.flatnonzero(self._free & x) for x in (self._worth, ~self._worth))
        chosen = self._some(worth, min(n, len(worth)))
        if len(chosen) < n:
            chosen = np.append(chosen, self._some(rest, min(n - len(chosen), len(rest))))
        return [self.listed.at(int(row)) for row in chosen]

    def draw(self, n: int) -> list[Architecture]:
        """As `sample`; taken."""
        found = self.sample(n)
        self.take(found)
        return found

    def _some(self, rows: NDArray[np.intp], n: int) -> NDArray[np.intp]:
        return self._rng.choice(rows, n, replace=False) if n else rows[:0]

    def _sampled(self, n: int) -> list[Architecture]:
        found: dict[Architecture, None] = {}
        for _ in range(ROUNDS):
            drawn = [self._draws.one(self._rng) for _ in range(max(2 * n, LEAST_DRAWN))]
            found |= dict.fromkeys(self.unseen(drawn))
            if len(found) >= n:
                return list(found)[:n]
        return (list(found) + self._climbed(n - len(found), set(found)))[:n]

    def _climbed(self, n: int, found: set[Architecture]) -> list[Architecture]:
        """Those worth it before the others, where that is known within some steps."""
        limit = np.inf if self.ground.limit is None else self.ground.limit
        worth: list[Architecture] = []
        rest: list[Architecture] = []
        for steps, (a, cost) in enumerate(climbed(self.ground.space, self.costs, limit)):
            if len(worth) == n or (steps > STEPS and len(worth) + len(rest) >= n):
                break
            if a not in self._taken and a not in found:
                (worth if cost >= self.ground.worth else rest).append(a)
        return worth + rest

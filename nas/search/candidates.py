"""Whom a model looks at: all members, or many by chance and those near the good ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.columns import sizes_at
from nas.search import features
from nas.search.listed import Listed
from nas.search.pool import Pool
from nas.search.searcher import Floats
from nas.spaces.line import pick
from results.architecture import Architecture

MOST_ROWS = 6_000
"""More listed members than these are not looked at at once."""

DRAWN, MOVED = 48, 32
"""Members that must be built: so many by chance, and near the good ones, which takes longest."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """m members that can be proposed."""

    features: Floats
    """(m, k)."""
    cost: Floats
    """(m,)."""
    member: Callable[[int], Architecture]
    """The one at a place; built when it is asked for."""

    def __len__(self) -> int:
        return len(self.cost)


class Looker:
    """Finds candidates in a pool."""

    def __init__(self, pool: Pool, rng: np.random.Generator) -> None:
        self._pool, self._rng = pool, rng
        self._space = pool.ground.space
        self._known: Floats | None = None
        """Features of all listed members where these are few."""

    def features(self, architectures: Sequence[Architecture]) -> Floats:
        """(n, k)."""
        return features.of(self._space, architectures)

    def look(self, good: Sequence[Architecture] = ()) -> Candidates:
        """What may be proposed next; `good` are members near which more is looked at."""
        listed = self._pool.listed
        if listed is None:
            return self._built([*self._pool.sample(DRAWN), *self._near(good)])
        rows = self._pool.rows()
        if len(rows) > MOST_ROWS:
            drawn = self._rng.choice(rows, MOST_ROWS, replace=False)
            near = [listed.row(a) for a in self._near(good)]
            rows = np.unique([*drawn, *(row for row in near if row is not None)])
        return self._rows(listed, rows)

    def spread(self, n: int) -> list[Architecture]:
        """Up to `n` members by chance, one from each of `n` equal parts of the range of costs.

        The costs are looked at as square roots. A part without a member is made up for by chance.
        """
        some = self.look()
        if len(some) <= n:
            return self._pool.sample(n)
        cost = np.sqrt(np.maximum(some.cost, 0.0))
        part = (cost - cost.min()) / max(float(np.ptp(cost)), 1e-12) * n
        part = np.minimum(part.astype(np.intp), n - 1)
        members = [np.flatnonzero(part == i) for i in range(n)]
        chosen = [int(self._rng.choice(m)) for m in members if len(m)]
        others = np.setdiff1d(np.arange(len(some)), chosen)
        chosen += map(int, self._rng.choice(others, n - len(chosen), replace=False))
        return [some.member(i) for i in chosen]

    def _near(self, good: Sequence[Architecture]) -> list[Architecture]:
        if not good:
            return []
        return self._pool.unseen(self._moved(good) for _ in range(MOVED))

    def _moved(self, good: Sequence[Architecture]) -> Architecture:
        parent = pick(self._rng, good)
        if self._rng.random() < 0.5:  # noqa: PLR2004 - one half
            parent = self._space.cross(parent, pick(self._rng, good), self._rng)
        return self._space.mutate(parent, self._rng)

    def _built(self, several: Sequence[Architecture]) -> Candidates:
        members = list(dict.fromkeys(several))
        return Candidates(self.features(members), self._pool.costs(members), members.__getitem__)

    def _rows(self, listed: Listed, rows: NDArray[np.intp]) -> Candidates:
        if len(listed.number) > MOST_ROWS:
            found = self._features(listed, rows)
        else:
            if self._known is None:
                self._known = self._features(listed, np.arange(len(listed.number)))
            found = self._known[rows]
        return Candidates(found, listed.cost[rows], lambda i: listed.at(int(rows[i])))

    def _features(self, listed: Listed, rows: NDArray[np.intp]) -> Floats:
        if self._space.per_layer:
            return self.features([listed.at(int(row)) for row in rows])
        return features.of_sizes(sizes_at(self._space, listed.number[rows]))

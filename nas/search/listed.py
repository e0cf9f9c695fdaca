"""Members of a space as rows: their numbers and costs, for millions at once. Knows no score."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.columns import sizes_at
from nas.search.places import Places
from nas.search.searcher import Floats, Ground
from nas.space import SearchSpace
from results.architecture import Architecture

MOST_LISTED = 2_000_000
"""Of a larger space so many members are drawn, and searched in place of it."""

MOST_LAYERED = 4_000
"""Where layers differ each member is built to know its cost."""

SLICE = 1 << 18


def can_be_listed(space: SearchSpace) -> bool:
    """Else its members are too many to look at, and are drawn."""
    return not space.per_layer or space.count <= MOST_LAYERED


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """The m members within the limit, in the order of the space."""

    space: SearchSpace
    places: Places
    number: NDArray[np.int64]
    """(m,), ascending: `space.at` of it is the member."""
    cost: Floats
    """(m,)."""

    def at(self, row: int) -> Architecture:
        """The member of a row."""
        return self.space.at(int(self.number[row]))

    def row(self, a: Architecture) -> int | None:
        """Where `a` stands; None where it does not."""
        place = self.places.of(a)
        if place is None:
            return None
        row = int(np.searchsorted(self.number, place))
        return row if row < len(self.number) and self.number[row] == place else None


def listed(ground: Ground, rng: np.random.Generator) -> Listed:
    """The members within the limit: all, or those among `MOST_LISTED` that are drawn."""
    numbers, costs = [], []
    for some in _numbers(ground.space, rng):
        cost = costs_at(ground, some)
        kept = np.isfinite(cost) & (cost <= (np.inf if ground.limit is None else ground.limit))
        numbers.append(some[kept])
        costs.append(cost[kept])
    places = Places(ground.space)
    return Listed(ground.space, places, np.concatenate(numbers), np.concatenate(costs))


def costs_at(ground: Ground, numbers: NDArray[np.int64]) -> Floats:
    """(m,), of members by their numbers."""
    if ground.space.per_layer:
        return ground.cost.of([ground.space.at(int(i)) for i in numbers])
    return ground.cost.of_sizes(sizes_at(ground.space, numbers))


def _numbers(space: SearchSpace, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    every: NDArray[np.int64] | None = None
    count = space.count
    if count > MOST_LISTED:
        every = np.unique(rng.integers(count, size=MOST_LISTED))
        count = len(every)
    for start in range(0, count, SLICE):
        some = np.arange(start, min(start + SLICE, count))
        yield some if every is None else every[some]

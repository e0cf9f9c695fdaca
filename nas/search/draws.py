"""Members of spaces too large to look at, by chance and by steps. Knows no score."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from nas.search.searcher import Floats
from nas.space import SearchSpace
from nas.spaces.line import pick
from results.architecture import Architecture

MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Grids are cut here."""


class Draws:
    """Every depth alike often; within it from a window of the grids.

    The sizes of many layers drawn from whole grids are all of middling sum: windows reach the
    small and the large members too.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._depths = [_windows(replace(space, depth=(d,))) for d in space.depth]

    def one(self, rng: np.random.Generator) -> Architecture:
        """A member."""
        return pick(rng, pick(rng, self._depths)).sample(rng)


def _windows(space: SearchSpace) -> list[SearchSpace]:
    found = []
    for low, high in product(MARKS, MARKS):
        if low >= high:
            continue
        hidden, heads, ffn = (_cut(x, low, high) for x in (space.hidden, space.heads, space.ffn))
        try:
            found.append(replace(space, hidden=hidden, heads=heads, ffn=ffn))
        except ValueError:  # no heads there divide a qkv there
            continue
    return found


def _cut(grid: tuple[int, ...], low: float, high: float) -> tuple[int, ...]:
    first = min(int(low * len(grid)), len(grid) - 1)
    return grid[first : max(first + 1, round(high * len(grid)))]


def climbed(
    space: SearchSpace, costs: Callable[[Sequence[Architecture]], Floats], limit: float
) -> Iterator[tuple[Architecture, float]]:
    """What steps from the smallest lead to within the limit: members and costs, dear ones early.

    Best first: every step goes on from the dearest member that was not gone on from.
    """
    smallest = space.smallest
    seen = {smallest}
    first = float(costs([smallest])[0])
    waiting = [(-first, 0, smallest)] if np.isfinite(first) and first <= limit else []
    while waiting:
        cost, _, member = heapq.heappop(waiting)
        yield member, -cost
        beside = [a for a in space.neighbours(member) if a not in seen]
        seen.update(beside)
        for a, dear in zip(beside, costs(beside), strict=True):
            if np.isfinite(dear) and dear <= limit:
                heapq.heappush(waiting, (-float(dear), len(seen), a))

"""The seeds' own search, for comparison: AutoTinyBERT's `searcher.py`, "Evolved".

Parents are the 25 best of all that were scored. A child is, with even chances, drawn by chance or
a mutated parent, which is drawn in proportion to its score above the worst of them. No crossover.
What differs: a child that cannot be had after `TRIES` is drawn by chance, so that it always ends;
members above the limit are never accepted; and any space is walked, its members repaired.

The seeds search for one latency at a time, within 0.85 to 1.10 of it. Where the whole front is
wanted every child has a latency of its own, drawn over all costs as logarithms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.search.pool import Pool
from nas.search.searcher import Ground, Trial
from nas.spaces.layers import PerHead
from nas.spaces.line import stretched
from results.architecture import Architecture, Layer

PARENTS = 25
FRESH = 0.5
"""Children by chance."""

WINDOW = (0.85, 1.10)
"""Parts of a latency that children and parents are accepted at."""

DEPTH, HIDDEN, FFN, HEADS = (0.25, 1), (0.5, 1), (0.5, 2), (0.25, 2)
"""How likely a size moves, and by how many steps of its grid at most."""

TRIES = 64


@dataclass(frozen=True, slots=True)
class Window:
    """Costs that are accepted."""

    low: float
    high: float

    def has(self, cost: float) -> bool:
        return self.low <= cost <= self.high


class Evolver:
    """25 parents, half of the children by chance, the others one mutation away."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._pool = Pool(ground, self._rng)
        self._space, self._ground = ground.space, ground
        self._told: dict[Architecture, Trial] = {}

    def ask(self, n: int) -> list[Architecture]:
        found: list[Architecture] = []
        for _ in range(n):
            child = self._child() if len(self._told) > 1 else []
            found += child or self._pool.draw(1)
        return found

    def tell(self, trials: Sequence[Trial]) -> None:
        self._pool.take(t.architecture for t in trials)
        for t in trials:
            if t.architecture in self._space and np.isfinite(t.score) and np.isfinite(t.cost):
                self._told[t.architecture] = t

    def _child(self) -> list[Architecture]:
        window = self._window()
        if self._rng.random() < FRESH:
            return self._within(self._pool.sample(TRIES // 4), window)
        parents = [t for t in self._told.values() if window.has(t.cost)]
        parents = sorted(parents, key=lambda t: -t.score)[:PARENTS]
        above = np.array([t.score for t in parents]) - min((t.score for t in parents), default=0.0)
        if not above.sum() > 0:
            return []
        drawn = self._rng.choice(len(parents), TRIES // 4, p=above / above.sum())
        children = [self._mutated(parents[int(i)].architecture) for i in drawn]
        return self._within(children, window)

    def _within(self, children: Sequence[Architecture], window: Window) -> list[Architecture]:
        fresh = self._pool.unseen(children)
        inside = [a for a, c in zip(fresh, self._pool.costs(fresh), strict=True) if window.has(c)]
        return self._pool.claim(inside[:1], 1)

    def _window(self) -> Window:
        if self._ground.limit is not None:
            return Window(self._ground.worth, self._ground.limit)
        costs = [t.cost for t in self._told.values()]
        low, high = np.log([max(min(costs), 1e-12), max(costs)])
        middle = float(np.exp(self._rng.uniform(low, high)))
        return Window(WINDOW[0] * middle, WINDOW[1] * middle)

    def _mutated(self, a: Architecture) -> Architecture:
        depth = self._moved(self._space.depth, a.depth, DEPTH)
        hidden = self._moved(self._space.hidden, a.hidden, HIDDEN)
        layers = stretched(a.layers, depth)
        if self._space.per_layer:
            layers = tuple(map(self._layer, layers))
        else:
            layers = (self._layer(layers[0]),) * depth
        wanted = Architecture(hidden, layers, a.vocab, a.positions, a.types)
        return self._space.repair(wanted)

    def _layer(self, x: Layer) -> Layer:
        heads, qkv = self._moved(self._space.heads, x.heads, HEADS), x.qkv
        if isinstance(self._space.qkv, tuple):
            qkv = self._moved(self._space.qkv, x.qkv, HEADS)
        elif isinstance(self._space.qkv, PerHead):
            qkv = heads * self._space.qkv.width
        return Layer(
            heads, max(1, round(qkv / heads)) * heads, self._moved(self._space.ffn, x.ffn, FFN)
        )

    def _moved(self, grid: tuple[int, ...], size: int, how: tuple[float, int]) -> int:
        chance, most = how
        if self._rng.random() >= chance:
            return size
        steps = int(self._rng.integers(1, most + 1)) * (1 if self._rng.random() < 0.5 else -1)  # noqa: PLR2004 - even chances
        return grid[min(max(grid.index(size) + steps, 0), len(grid) - 1)]

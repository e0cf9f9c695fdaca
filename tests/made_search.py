"""Grounds to search on that need no network: costs and scores are formulas of sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas.columns import SizeColumns
from nas.search.searcher import Floats, Ground, Searcher, Trial
from nas.space import SearchSpace
from nas.spaces.layers import PerHead
from results.architecture import Architecture

ALIKE = SearchSpace(
    name="alike",
    depth=(1, 2, 3, 4, 5, 6),
    hidden=tuple(range(32, 161, 16)),
    heads=(1, 2, 3, 4),
    qkv=PerHead(16),
    ffn=tuple(range(48, 337, 32)),
)
"""2,160 members."""

LAYERED = SearchSpace(
    name="layered",
    depth=(1, 2, 3, 4),
    hidden=(32, 64, 96, 128),
    heads=(1, 2, 4),
    qkv=(12, 24, 48),
    ffn=(48, 96, 192, 384),
    per_layer=True,
)
"""6,909,408 members: too many to list."""

TINY = SearchSpace(
    name="tiny", depth=(1, 2), hidden=(8, 12), heads=(2,), qkv="hidden", ffn=(8, 16)
)
"""8 members."""

TINY_LAYERED = SearchSpace(
    name="tiny layered",
    depth=(1, 2),
    hidden=(8,),
    heads=(1, 2),
    qkv=(8,),
    ffn=(8, 16),
    per_layer=True,
)
"""20 members."""


@dataclass(frozen=True, slots=True)
class WorkCost:
    """Multiply-accumulates of 16 tokens, in 100,000."""

    def of(self, architectures: Sequence[Architecture]) -> Floats:
        return np.array([a.macs(16) / 1e5 for a in architectures], np.float64)

    def of_sizes(self, sizes: SizeColumns) -> Floats:
        h, q, f, d = (
            np.asarray(x, np.float64) for x in (sizes.hidden, sizes.qkv, sizes.ffn, sizes.depth)
        )
        found: Floats = d * (4 * 16 * h * q + 2 * 16 * 16 * q + 2 * 16 * h * f) / 1e5
        return found


def ground(space: SearchSpace, part: float | None = None, worth: float = 0.0) -> Ground:
    """With a limit at this part of the way from the smallest to the largest, as logarithms."""
    cost = WorkCost()
    if part is None:
        return Ground(space, cost)
    low, high = np.log(cost.of([space.smallest, space.largest]))
    limit = float(np.exp(low + part * (high - low)))
    return Ground(space, cost, limit, worth * limit)


def score(a: Architecture) -> float:
    """Better with every size, less and less; best where sizes are in balance."""
    wide = np.log([[x.qkv, x.ffn] for x in a.layers]).mean(0)
    hidden, depth = np.log(a.hidden), np.log(a.depth)
    balance = (wide[0] - hidden + 0.7) ** 2 + (wide[1] - hidden - 0.4) ** 2
    return float(1 - np.exp(-0.3 * hidden - 0.35 * depth - 0.1 * wide.sum()) - 0.004 * balance)


def trials(where: Ground, architectures: Sequence[Architecture]) -> list[Trial]:
    """What comes of proposals."""
    costs = where.cost.of(architectures) if architectures else []
    return [Trial(a, score(a), float(c)) for a, c in zip(architectures, costs, strict=True)]


def play(searcher: Searcher, where: Ground, rounds: int, n: int = 8) -> list[Trial]:
    """Ask and tell, so many times; stops where nothing is proposed."""
    told: list[Trial] = []
    for _ in range(rounds):
        proposed = searcher.ask(n)
        if not proposed:
            break
        found = trials(where, proposed)
        searcher.tell(found)
        told += found
    return told

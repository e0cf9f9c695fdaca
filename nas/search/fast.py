"""The seeds' rule of widths, read off what evolution found best, instead of a search.

AutoTinyBERT (Yin, Chen, Shang, Jiang, Chen, Liu, ACL 2021, arXiv 2107.13686; "fast" in its
`searcher.py`): 1.6 hidden <= ffn <= 1.9 hidden and 0.7 hidden <= qkv <= hidden. Where too few
members keep the rule, as on coarse grids, all its bounds are widened by a tenth, and again, as
often as is needed: those that keep a narrower rule are always proposed first.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.columns import sizes_at
from nas.search.listed import Listed
from nas.search.pool import Pool
from nas.search.searcher import Ground, Trial
from results.architecture import Architecture, Layer

DRAWN = 8
"""Where members cannot be listed: so many are drawn, and moved towards the rule, for each."""

Ints = NDArray[np.int64]


class Fast:
    """Members by chance among those that keep the narrowest rule that any keeps."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._space = ground.space
        self._pool = Pool(ground, self._rng)
        listed = self._pool.listed
        self._wide = np.zeros(0, np.int64) if listed is None else _of_rows(listed)

    def ask(self, n: int) -> list[Architecture]:
        found = self._drawn(n) if self._pool.listed is None else self._chosen(self._pool.listed, n)
        self._pool.take(found)
        return found

    def tell(self, trials: Sequence[Trial]) -> None:
        self._pool.take(t.architecture for t in trials)

    def _chosen(self, listed: Listed, n: int) -> list[Architecture]:
        rows = self._pool.rows()
        wide = self._wide[rows]
        found: list[Architecture] = []
        for k in np.unique(wide):
            alike = rows[wide == k]
            chosen = self._rng.choice(alike, min(n - len(found), len(alike)), replace=False)
            found += [listed.at(int(row)) for row in chosen]
            if len(found) == n:
                break
        return found

    def _drawn(self, n: int) -> list[Architecture]:
        drawn = self._pool.sample(DRAWN * n)
        found = self._pool.unseen([*map(self._towards, drawn), *drawn])
        found = sorted(found, key=widenings)[:n]
        return found + [a for a in drawn if a not in found][: n - len(found)]

    def _towards(self, a: Architecture) -> Architecture:
        """A member whose layers keep the rule as nearly as the grids allow."""
        layers = [
            _layer(x.heads, a.hidden * self._rng.uniform(0.7, 1.0), a.hidden * factor)
            for x, factor in zip(a.layers, self._rng.uniform(1.6, 1.9, a.depth), strict=True)
        ]
        wanted = Architecture(a.hidden, tuple(layers), a.vocab, a.positions, a.types)
        return self._space.repair(wanted)


def _layer(heads: int, qkv: float, ffn: float) -> Layer:
    return Layer(heads, max(1, round(qkv / heads)) * heads, max(1, round(ffn)))


def widenings(a: Architecture) -> int:
    """How many times the rule must be widened until every layer of `a` keeps it."""
    hidden = np.full(a.depth, a.hidden)
    qkv, ffn = np.array([(x.qkv, x.ffn) for x in a.layers]).T
    return int(_widenings(hidden, qkv, ffn).max())


def _of_rows(listed: Listed) -> Ints:
    if listed.space.per_layer:
        return np.array([widenings(listed.at(i)) for i in range(len(listed.number))], np.int64)
    sizes = sizes_at(listed.space, listed.number)
    hidden, qkv, ffn = (x.astype(np.int64) for x in (sizes.hidden, sizes.qkv, sizes.ffn))
    return _widenings(hidden, qkv, ffn)


def _widenings(hidden: Ints, qkv: Ints, ffn: Ints) -> Ints:
    """The k with lower bounds divided by 1 + k/10 and upper ones multiplied; whole numbers."""
    bounds = [
        _quotient_up(16 * hidden, ffn),  # ffn (1 + k/10) >= 1.6 hidden
        _quotient_up(100 * ffn, 19 * hidden),  # ffn <= 1.9 hidden (1 + k/10)
        _quotient_up(7 * hidden, qkv),
        _quotient_up(10 * qkv, hidden),
    ]
    found: Ints = np.maximum(np.maximum.reduce(bounds) - 10, 0)
    return found


def _quotient_up(a: Ints, b: Ints) -> Ints:
    return -(-a // b)

"""What a call of an encoder costs, in terms that add up. Knows no coefficient and no row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from predictors.columns import Columns, Floats, Numerics
from results.architecture import Architecture
from results.measurement import Workload

SHARE, GONE = 0.5, 2.0
"""Of a cache: up to half of it the weights stay there from call to call, from twice of it on none
of them do. Between, each more drives out others, so a byte costs more than beyond. With one slope
for all, networks in the middle and at both ends were off by 2 % (1,100 rows)."""

_ANYTHING = Columns.of([Architecture.uniform(1, 1, 1, 1, 1)], [Workload()], Numerics())


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one predictor: which there are depends on what its rows tell apart.

    Terms of work are divided among the threads; where the threads differ, what they cost is a
    term too.
    """

    kinds: tuple[str, ...]
    caches: tuple[int, ...] = ()
    """Bytes of the caches whose overflow shows: L2 and L3; 0 where unknown."""
    threaded: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the columns of `matrix`."""
        return tuple(self._terms(_ANYTHING))

    @property
    def of_weights(self) -> tuple[bool, ...]:
        """Which terms are of reading the weights, however many tokens they are used for."""
        return tuple(name.startswith(("weights", "leaving", "beyond")) for name in self.names)

    def matrix(self, c: Columns) -> Floats:
        """The terms of every candidate: [n, terms]."""
        return np.stack(list(self._terms(c).values()), axis=1)

    def _terms(self, c: Columns) -> dict[str, Floats]:
        rows = c.batch * c.tokens / c.threads
        pairs = rows * c.tokens
        found = {
            "call": np.ones_like(rows),
            "layers": c.depth,
            "embeddings": rows * c.hidden,
            "norms": rows * c.hidden * c.depth,
            "attention passes": rows * c.qkv,
            "ffn passes": rows * c.ffn,
            "softmax": pairs * c.heads,
            "heads": c.batch * c.heads / c.threads,
            "weights": c.weight_bytes,
        }
        for kind in self.kinds:
            found |= _products(c, kind, rows, pairs)
        for kind in self.kinds[1:]:
            found |= _conversions(c, kind, rows)
        for level, size in enumerate(self.caches, 2):
            if size:
                over = np.maximum(c.weight_bytes - SHARE * size, 0.0)
                found[f"leaving L{level}"] = np.minimum(over, (GONE - SHARE) * size)
                found[f"beyond L{level}"] = over
        if self.threaded:
            found["threads"] = c.depth * (c.threads - 1)
            found["serial"] = rows * c.threads * c.hidden * c.depth
        return found


def terms_for(c: Columns, caches: Sequence[int | None] = ()) -> Terms:
    """The terms that these rows can tell apart.

    `caches` are the sizes in bytes of L2 and L3, None where unknown.
    """
    known = tuple(size or 0 for size in caches)
    return Terms(
        c.kinds, known if any(known) else (), threaded=bool(len(c) and np.ptp(c.threads) > 0)
    )


def _products(c: Columns, kind: str, rows: Floats, pairs: Floats) -> dict[str, Floats]:
    """Multiply-accumulates of this kind; q, k and v are three products, and attention is two."""
    attention = 3.0 * _part(c, "qkv", kind) + _part(c, "attention-output", kind)
    ffn = _part(c, "ffn-in", kind) + _part(c, "ffn-out", kind)
    return {
        f"attention products {kind}": rows * c.hidden * attention,
        f"ffn products {kind}": rows * c.hidden * ffn,
        f"scores {kind}": 2.0 * pairs * _part(c, "attention", kind),
    }


def _conversions(c: Columns, kind: str, rows: Floats) -> dict[str, Floats]:
    """Numbers turned into this kind, by the width of what holds them."""
    narrow = c.layers.get(("qkv", kind), 0.0) + c.layers.get(("ffn-in", kind), 0.0)
    return {
        f"hidden to {kind}": rows * c.hidden * narrow,
        f"attention to {kind}": rows
        * (_part(c, "qkv", kind) + _part(c, "attention-output", kind)),
        f"ffn to {kind}": rows * (_part(c, "ffn-in", kind) + _part(c, "ffn-out", kind)),
    }


def _part(c: Columns, group: str, kind: str) -> Floats:
    return c.widths.get((group, kind), np.zeros_like(c.depth))

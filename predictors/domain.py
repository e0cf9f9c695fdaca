"""Where a predictor has seen rows, and how far from there a candidate is. Knows no latency."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from predictors.columns import Columns, Floats

SLACK = 1.001
"""Means over layers are not exact."""


def sizes(c: Columns) -> dict[str, Floats]:
    """What a range is kept of, by name: [n] each; of the layers their mean."""
    return {
        "depth": c.depth,
        "hidden": c.hidden,
        "heads": c.heads / c.depth,
        "qkv": c.qkv / c.depth,
        "head width": c.qkv / c.heads,
        "ffn": c.ffn / c.depth,
        "batch": c.batch,
        "tokens": c.tokens,
        "threads": c.threads,
    }


@dataclass(frozen=True, slots=True)
class Domain:
    """The range of every size among the rows: a box."""

    ranges: Mapping[str, tuple[float, float]]
    kinds: tuple[str, ...]
    """The kinds of arithmetic among the rows; nothing can be said of others."""

    @classmethod
    def of(cls, c: Columns) -> Self:
        """The smallest box around these candidates."""
        ranges = {name: (float(x.min()), float(x.max())) for name, x in sizes(c).items()}
        return cls(ranges, c.kinds)

    def joined(self, other: "Domain") -> Self:
        """The smallest box around two; the kinds are the own."""
        ranges = {
            name: (min(low, other.ranges[name][0]), max(high, other.ranges[name][1]))
            for name, (low, high) in self.ranges.items()
        }
        return type(self)(ranges, self.kinds)

    def beyond(self, c: Columns) -> Floats:
        """By what factor the worst size of each candidate is outside; 1 inside. [n]."""
        factors = np.max(list(self._factors(c).values()), axis=0)
        return np.where(factors <= SLACK, 1.0, factors)

    def why(self, c: Columns) -> list[str]:
        """For each candidate which sizes are outside, in words; empty inside. [n]."""
        factors, values = self._factors(c), sizes(c)
        said: list[list[str]] = [[] for _ in range(len(c))]
        for name, factor in factors.items():
            low, high = self.ranges[name]
            seen = f"in {low:g}-{high:g}" if low < high else f"{low:g}"
            for i in np.flatnonzero(factor > SLACK):
                said[i].append(f"{name} {values[name][i]:g} is not {seen}")
        return ["; ".join(clauses) for clauses in said]

    def _factors(self, c: Columns) -> dict[str, Floats]:
        found = sizes(c)
        return {
            name: np.maximum(np.maximum(low / found[name], found[name] / high), 1.0)
            for name, (low, high) in self.ranges.items()
        }

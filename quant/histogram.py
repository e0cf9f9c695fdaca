"""Counts of numbers that stream by, in bins that grow with them. Knows no quantisation."""

from math import floor, frexp, inf, ldexp

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

BINS = 8192
"""At most; at least half of them lie between the smallest and the largest number, unless these
differ in their last bits only."""

FINEST = -172
"""Exponent of the narrowest bin: 24 bits below float32's smallest number."""


class Histogram:
    """A bin is [i * width, (i + 1) * width), and its width a power of two.

    So two bins become one of twice the width without a count being split: whatever the batches
    and their order, the counts are those of all numbers at once. 64 KiB.
    """

    def __init__(self) -> None:
        self.low, self.high = inf, -inf
        """The smallest and the largest number."""
        self.counts = np.zeros(0, np.int64)
        """Of all bins from that of `low` to that of `high`."""
        self._exponent, self._first = FINEST, 0

    @property
    def edges(self) -> Doubles:
        """(bins + 1,), from the lower edge of the first bin."""
        places = np.arange(self._first, self._first + len(self.counts) + 1)
        return np.ldexp(places.astype(np.float64), self._exponent)

    @property
    def centres(self) -> Doubles:
        """(bins,), and none is below `low` or above `high`."""
        edges = self.edges
        return np.clip((edges[:-1] + edges[1:]) / 2, self.low, self.high)

    def add(self, x: Floats) -> None:
        """Count the finite numbers of a tensor that is not empty."""
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        self._make_room()
        places = np.floor(np.multiply(x.reshape(-1), ldexp(1, -self._exponent), dtype=np.float64))
        inside = places.astype(np.int64) - self._first
        self.counts += np.bincount(inside, minlength=len(self.counts))

    def _make_room(self) -> None:
        exponent, first, last = _layout(self.low, self.high)
        if (exponent, first, last - first + 1) == (self._exponent, self._first, len(self.counts)):
            return
        halvings = min(exponent - self._exponent, 63)
        old = np.arange(self._first, self._first + len(self.counts)) >> halvings
        counts = np.zeros(last - first + 1, np.int64)
        np.add.at(counts, old - first, self.counts)
        self.counts, self._exponent, self._first = counts, exponent, first


def _layout(low: float, high: float) -> tuple[int, int, int]:
    """Exponent of the width, and the places of the first and the last bin.

    The narrowest bins that are few enough, and that a float32 of this size can tell apart.
    """
    largest = max(-low, high)
    exponent = max(frexp(largest)[1] - 24, FINEST) if largest else FINEST
    while True:
        first, last = floor(ldexp(low, -exponent)), floor(ldexp(high, -exponent))
        if last - first < BINS:
            return exponent, first, last
        exponent += 1

"""Which range of a tensor's values its integers should span, by name. Knows no network."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from math import ceil, inf
from typing import Protocol

import numpy as np

from quant.histogram import Doubles, Floats, Histogram
from quant.int8 import UINT8, affine, require_finite
from results.errors import BadInputError

MOMENTUM = 0.01
"""Of the newest batch in a moving average; torch.ao's default."""

PERCENTILE = "99.99"
"""Where none is said."""

LEAST = 1e-4
"""What no count is below when two distributions are compared, as in onnxruntime.quantization."""

TRIES = 33
"""Ranges compared at once when the best is searched for."""

REACHES = (1, 1, 1 / 4, 1 / 4, 1 / 16, 1 / 16, 1 / 64, 1 / 64)
"""How far each round of the search looks around the best yet, as a share of the whole range."""


class Observer(Protocol):
    """Sees the values of one tensor, batch by batch, and keeps none of them."""

    def observe(self, x: Floats) -> None:
        """Take in a batch, of any shape; an empty one is nothing.

        Raises:
            BadInputError: NaN or infinity.
        """

    def range(self) -> tuple[float, float]:
        """The lowest and the highest value that the integers should span; 0 may lie outside.

        Raises:
            BadInputError: nothing was observed.
        """


class MinMax:
    """From the smallest to the largest value ever seen."""

    def __init__(self, tensor: str) -> None:
        self.tensor = tensor
        self._low, self._high = inf, -inf

    def observe(self, x: Floats) -> None:
        require_finite(self.tensor, x)
        if x.size:
            self._take(float(x.min()), float(x.max()))

    def range(self) -> tuple[float, float]:
        if self._low > self._high:
            raise _nothing(self.tensor)
        return self._low, self._high

    def _take(self, low: float, high: float) -> None:
        self._low, self._high = min(self._low, low), max(self._high, high)


class MovingAverage(MinMax):
    """Each batch pulls both ends by `MOMENTUM` towards its own; the first one sets them.

    As torch.ao's MovingAverageMinMaxObserver.
    """

    def _take(self, low: float, high: float) -> None:
        if self._low > self._high:
            self._low, self._high = low, high
        self._low += MOMENTUM * (low - self._low)
        self._high += MOMENTUM * (high - self._high)


class _Counted(ABC):
    """What all observers share that decide by a histogram."""

    def __init__(self, tensor: str) -> None:
        self.tensor = tensor
        self._histogram = Histogram()

    def observe(self, x: Floats) -> None:
        require_finite(self.tensor, x)
        if x.size:
            self._histogram.add(x)

    def range(self) -> tuple[float, float]:
        if not len(self._histogram.counts):
            raise _nothing(self.tensor)
        return self._found(self._histogram)

    @abstractmethod
    def _found(self, seen: Histogram) -> tuple[float, float]:
        """The range, from all that was seen."""


class Percentile(_Counted):
    """From the value that the percentile of all lie above to the one that as many lie below.

    99.9 cuts 0.1 % off each tail. An end is at most one bin further out than that value.
    """

    def __init__(self, tensor: str, percentile: Fraction) -> None:
        super().__init__(tensor)
        self._share = percentile / 100

    def _found(self, seen: Histogram) -> tuple[float, float]:
        below, edges = np.cumsum(seen.counts), seen.edges
        kept = ceil(self._share * int(below[-1]))
        last = int(np.searchsorted(below, kept))
        first = int(np.searchsorted(below, below[-1] - kept, side="right"))
        return max(seen.low, float(edges[first])), min(seen.high, float(edges[last + 1]))


class SquaredError(_Counted):
    """The range that moves the values least, in the mean of squares, when they become uint8."""

    def _found(self, seen: Histogram) -> tuple[float, float]:
        there = seen.counts > 0
        values, counts = seen.centres[there], seen.counts[there].astype(np.float64)

        def errors(low: Doubles, high: Doubles) -> Doubles:
            steps, scale = _steps(values, low, high)
            moved: Doubles = np.square(steps * scale - values) @ counts
            return moved

        return _best(seen.low, seen.high, errors)


class Entropy(_Counted):
    """The range whose 256 levels tell most about the distribution of the values.

    After TensorRT (Migacz, GTC 2017, 8-bit inference), which wants the least Kullback-Leibler
    divergence of the quantised histogram from the one cut at the range, where what was cut off
    lies in the outermost bins. There the range is symmetric; here each end is looked for.
    """

    def _found(self, seen: Histogram) -> tuple[float, float]:
        def divergences(low: Doubles, high: Doubles) -> Doubles:
            return np.array([_divergence(seen, *ends) for ends in zip(low, high, strict=True)])

        return _best(seen.low, seen.high, divergences)


class ChannelMax:
    """The largest absolute value of each channel, the last axis of what is observed."""

    def __init__(self, tensor: str = "an activation") -> None:
        self.tensor = tensor
        self._largest: Floats | None = None

    def observe(self, x: Floats) -> None:
        require_finite(self.tensor, x)
        if x.size:
            rows = x.reshape(-1, x.shape[-1])
            found = np.maximum(rows.max(axis=0), -rows.min(axis=0))
            self._largest = found if self._largest is None else np.maximum(self._largest, found)

    def largest(self) -> Floats:
        """(channels,)."""
        if self._largest is None:
            raise _nothing(self.tensor)
        return self._largest


KNOWN: dict[str, Callable[[str], Observer]] = {
    "minmax": MinMax,
    "moving-average": MovingAverage,
    "percentile": lambda tensor: Percentile(tensor, Fraction(PERCENTILE)),
    "mse": SquaredError,
    "entropy": Entropy,
}


def observer(spelling: str, tensor: str = "an activation") -> Observer:
    """A fresh observer: a name of `KNOWN`, or `percentile-99.9`.

    `tensor` is what to call the observed one in a sentence about it.
    """
    if spelling in KNOWN:
        return KNOWN[spelling](tensor)
    if found := re.fullmatch(r"percentile-(\d{2,3}(?:\.\d{1,9})?)", spelling):
        percentile = Fraction(found[1])
        if 50 < percentile <= 100:  # noqa: PLR2004
            return Percentile(tensor, percentile)
        raise BadInputError(
            f"{spelling} cuts too much: the percentile must be above 50, up to 100"
        )
    raise BadInputError(
        f"unknown observer {spelling!r}: choose one of {', '.join(KNOWN)}, percentile-99.9"
    )


def _nothing(tensor: str) -> BadInputError:
    return BadInputError(f"no value of {tensor} was observed: calibrate with more text")


def _steps(values: Doubles, low: Doubles, high: Doubles) -> tuple[Doubles, Doubles]:
    """Each value as uint8 less the zero point, for each range: (ranges, values); the scales."""
    scale, zero = (found.astype(np.float64)[:, None] for found in affine(low, high, UINT8))
    steps = np.rint(values / scale)
    return np.clip(steps, UINT8.low - zero, UINT8.high - zero, out=steps), scale


def _divergence(seen: Histogram, low: float, high: float) -> float:
    """KL(P || Q) of one range, infinite for one of fewer bins than levels."""
    values = seen.centres
    first, end = np.searchsorted(values, low), np.searchsorted(values, high, side="right")
    if end - first <= UINT8.steps:
        return inf
    counts = seen.counts[first:end]
    p = counts.astype(np.float64)
    p[0] += seen.counts[:first].sum()
    p[-1] += seen.counts[end:].sum()
    there = p > 0
    steps, _ = _steps(values[first:end], np.array([low]), np.array([high]))
    levels = (steps[0] - steps[0, 0]).astype(np.int64)[there]
    q = (np.bincount(levels, counts[there]) / np.maximum(np.bincount(levels), 1))[levels]
    p, q = p[there], np.maximum(q, LEAST)
    return float(p @ np.log(p * q.sum() / (q * p.sum())) / p.sum())


def _best(
    low: float, high: float, costs: Callable[[Doubles, Doubles], Doubles]
) -> tuple[float, float]:
    """The cheapest range with 0 inside low ... high: equally far both ways, then end by end."""
    whole = np.array([min(low, 0), max(high, 0)])
    reaches = np.linspace(1, 0, TRIES, endpoint=False) * np.abs(whole).max()
    lows, highs = np.maximum(-reaches, whole[0]), np.minimum(reaches, whole[1])
    cheapest = np.argmin(costs(lows, highs))
    best = np.array([lows[cheapest], highs[cheapest]])
    for reach in REACHES:
        for end in (1, 0):
            ranges = np.tile(best, (TRIES + 1, 1))
            ranges[1:, end] += whole[end] * reach * np.linspace(-1, 1, TRIES)
            ranges = np.clip(ranges, (whole[0], 0), (0, whole[1]))
            best = ranges[np.argmin(costs(*ranges.T))]
    return float(best[0]), float(best[1])

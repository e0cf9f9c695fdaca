"""Scales, zero points and 8-bit integers, by the letter of ONNX. Knows no tensor's origin.

QuantizeLinear and DequantizeLinear (ONNX operators, opset 10 and later): an integer q stands for
`(q - zero_point) * scale`, and x becomes `saturate(round(x / scale) + zero_point)`, in float32,
halves to the even neighbour.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from results.errors import BadInputError

Floats = NDArray[np.float32]
Integer8 = TypeVar("Integer8", np.uint8, np.int8)

SMALLEST = np.finfo(np.float32).tiny
"""Of all scales: what is smaller is flushed to zero by kernels, and then divided by."""


@dataclass(frozen=True, slots=True)
class Grid(Generic[Integer8]):
    """The integers from `low` to `high`, both included."""

    low: int
    high: int
    dtype: type[Integer8]

    @property
    def steps(self) -> int:
        """From the lowest to the highest."""
        return self.high - self.low


UINT8 = Grid(0, 255, np.uint8)
INT8 = Grid(-128, 127, np.int8)

INT8_NARROW = Grid(-127, 127, np.int8)
"""For weights: as far down as up, so that no zero point is needed."""

INT7 = Grid(-64, 64, np.int8)
"""For weights on a CPU without VNNI: 255 * (64 + 64) = 32640 still fits 16 bits (`may_saturate`)
and 65 no longer would. One integer more than seven bits have, as in onnxruntime.quantization."""


def affine(
    low: ArrayLike, high: ArrayLike, grid: Grid[Integer8]
) -> tuple[Floats, NDArray[Integer8]]:
    """Scale and zero point by which the grid spans low ... high, and 0 too.

    `low`, `high`: within 2**127, of one shape, often () or (channels,); so is what comes back. As
    ONNX's DynamicQuantizeLinear, bit by bit, and beyond it: a scale is never 0, subnormal or
    infinite, and no x in the range moves further than half a scale.
    """
    low = np.minimum(np.asarray(low, np.float32), np.float32(0))
    high = np.maximum(np.asarray(high, np.float32), np.float32(0))
    steps = np.float32(grid.steps)
    with np.errstate(over="ignore"):
        span = high - low  # of huge numbers infinite
        whole, halves = span / steps, high / steps - low / steps
    scale = _usable(np.where(np.isfinite(span), whole, halves), span)
    zero = np.rint(np.float32(grid.low) - low / scale)
    return scale, np.asarray(np.clip(zero, grid.low, grid.high), grid.dtype)


def symmetric(largest: ArrayLike, grid: Grid[np.int8]) -> Floats:
    """The scale by which a signed grid spans -largest ... largest, with 0 as its zero point.

    `largest`: of absolute values, within 2**127, often () or (channels,); so is what comes back.
    """
    largest = np.asarray(largest, np.float32)
    return _usable(largest / np.float32(grid.high), largest)


def quantise(
    x: Floats,
    scale: ArrayLike,
    zero_point: ArrayLike,
    grid: Grid[Integer8],
    axis: int | None = None,
) -> NDArray[Integer8]:
    """ONNX's QuantizeLinear, for x without NaN; infinity saturates.

    With an `axis`, `scale` and `zero_point` hold one number for each index of it.
    """
    with np.errstate(over="ignore"):
        steps = np.asarray(x / _along(scale, x.ndim, axis))
    np.rint(steps, out=steps)
    steps += _along(zero_point, x.ndim, axis)
    return np.clip(steps, grid.low, grid.high, out=steps).astype(grid.dtype)


def dequantise(
    q: NDArray[np.integer], scale: ArrayLike, zero_point: ArrayLike, axis: int | None = None
) -> Floats:
    """ONNX's DequantizeLinear; `scale`, `zero_point` and `axis` are those of `quantise`."""
    steps = q.astype(np.float32)
    steps -= _along(zero_point, q.ndim, axis)
    steps *= _along(scale, q.ndim, axis)
    return steps


def require_finite(name: str, x: Floats) -> None:
    """Refuse a tensor with NaN or infinity in it.

    Raises:
        BadInputError: which tensor it is, and how many there are.
    """
    with np.errstate(invalid="ignore"):
        if not x.size or np.isfinite([x.min(), x.max()]).all():
            return
    nan, infinite = (int(np.count_nonzero(bad(x))) for bad in (np.isnan, np.isinf))
    raise BadInputError(
        f"{name} holds {nan} NaN and {infinite} infinite values among {x.size}: only finite "
        "numbers can be quantised, so take another checkpoint"
    )


def saturating_matmul(x: NDArray[np.uint8], weight: NDArray[np.int8]) -> NDArray[np.int32]:
    """`x @ weight.T` as vpmaddubsw makes it, the instruction of x86 CPUs without VNNI.

    `x`: (rows, in). `weight`: (out, in). Two neighbouring products along `in`, the first and the
    second, the third and the fourth, ... are added and cut to 16 bits; then all is added up.
    """
    odd = ((0, 0), (0, x.shape[1] % 2))
    given, wide = np.pad(x, odd).astype(np.int32), np.pad(weight, odd).astype(np.int32)
    first, second = wide[:, 0::2], wide[:, 1::2]
    limits = np.iinfo(np.int16)
    product = np.empty((len(x), len(weight)), np.int32)
    for row, sums in zip(given, product, strict=True):
        pairs = row[0::2] * first + row[1::2] * second
        np.clip(pairs, limits.min, limits.max, out=pairs).sum(axis=1, out=sums)
    return product


def may_saturate(weight: NDArray[np.int8]) -> int:
    """How many neighbours along the rows of an (out, in) matrix overflow 16 bits for some uint8 x.

    255 * (128 + 1) is too much; two weights of different signs never are. All neighbours count,
    since kernels that cut a long row into blocks may pair the second weight with the third. With
    0 every product is exact; `INT7` makes it 0.
    """
    wide = weight.astype(np.int16)
    return int(np.count_nonzero(np.abs(wide[:, :-1] + wide[:, 1:]) > 128))  # noqa: PLR2004


def _usable(scale: ArrayLike, span: Floats) -> Floats:
    """1 for what is zero throughout; else normal numbers."""
    usable = np.where(span == 0, np.float32(1), np.maximum(scale, SMALLEST))
    return np.asarray(usable, np.float32)


def _along(values: ArrayLike, dimensions: int, axis: int | None) -> Floats:
    """One number for all of a tensor, or a vector laid along one of its axes."""
    shape = [1] * dimensions
    if axis is not None:
        shape[axis] = -1
    return np.asarray(values, np.float32).reshape(shape)

"""8-bit arithmetic written down a second time, one number at a time, in Python's own numbers."""

from ctypes import c_float
from math import inf

import numpy as np

Matrix = list[list[int]]


def float32(x: float) -> float:
    """The nearest float32, or infinity. Rounding a double's quotient of two float32 is exact."""
    return c_float(x).value


def quantised(x: float, scale: float, zero: int, low: int, high: int) -> int:
    """One number by the formula of ONNX's QuantizeLinear; Python's round takes halves to even."""
    quotient = float32(float32(x) / float32(scale))
    if quotient in (inf, -inf):
        return high if quotient > 0 else low
    return min(max(round(quotient) + zero, low), high)


def product(x: np.ndarray, weight: np.ndarray) -> Matrix:
    """`x @ weight.T` in integers without an end."""
    return [
        [sum(a * b for a, b in zip(row, other, strict=True)) for other in weight.tolist()]
        for row in x.tolist()
    ]


def saturated_product(x: np.ndarray, weight: np.ndarray) -> Matrix:
    """The same, where the sum of two products can be no more than 16 bits hold."""

    def cut(row: list[int], other: list[int]) -> int:
        terms = [a * b for a, b in zip(row, other, strict=True)]
        pairs = (sum(terms[i : i + 2]) for i in range(0, len(terms), 2))
        return sum(min(max(pair, -(2**15)), 2**15 - 1) for pair in pairs)

    return [[cut(row, other) for other in weight.tolist()] for row in x.tolist()]

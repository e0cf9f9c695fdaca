"""What text told of the activations: ranges by place. Knows no runtime; see `quant.calibrate`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

PRODUCTS = ("query", "key", "value")
"""What the products inside attention multiply, beside the probabilities."""


def place(layer: int, group: str) -> str:
    """Where in the network: the input of a group of linear layers, or an operand of attention."""
    return f"{layer}.{group}"


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Ranges and channel statistics of activations, each by `place`."""

    ranges: Mapping[str, tuple[float, float]]
    """Smallest and largest value that must be told apart; after smoothing, where there is any."""
    divisors: Mapping[str, Floats] = field(default_factory=dict)
    """SmoothQuant's s of each input channel, (in,): activations are divided by it, weights
    multiplied."""
    shifts: Mapping[str, Floats] = field(default_factory=dict)
    """What to add to each bias, (out,), by the name of the layer's weight."""
    text: str = ""
    """What was read, as `name@sha256:<16 digits>`; empty where ranges are made up."""


MADE_UP = (-4.0, 4.0)
AFTER_GELU = (-0.17, 8.0)
"""Ranges where only latency matters. Kernels look at no number, but whether there is a zero point
in the middle of the grid, or at an end of it, decides which of them is taken."""


class MadeUp(dict[str, tuple[float, float]]):
    """Likely ranges, everywhere."""

    def __missing__(self, where: str) -> tuple[float, float]:
        return AFTER_GELU if where.endswith(".ffn-out") else MADE_UP

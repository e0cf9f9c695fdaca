"""From float activations to uint8 levels, in torch. Knows no weight."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from quant.calibration import Floats
from quant.int8 import SMALLEST
from quant.press import Step

MAGIC = 1.5 * 2.0**23
"""Added to a small float32 it leaves the nearest integer, halves to even, in the lowest bits."""


class Levels(NamedTuple):
    """An activation, (rows, in), on its grid: about `scale * (values - zero)`."""

    values: Tensor
    """uint8."""
    scale: float | Tensor
    """One for all, or (rows, 1)."""
    zero: int


Grid = Callable[[Tensor, Tensor | None], Levels]
"""How an activation, float32 (rows, in), comes to its levels. The second is memory of its shape
that may be written to, perhaps its own: with wide layers that is a third of the time."""


class FixedGrid:
    """QuantizeLinear with what calibration found; another level only next to a half.

    One level off where x / scale lies within float32's error of a half, since what is divided by
    is multiplied by its inverse: both torch's own operator (which torch 2.13 deprecates) and one
    that divides take longer.
    """

    def __init__(self, step: Step, divisor: Floats | None) -> None:
        self.scale, self.zero = float(step.scale), step.zero
        self.divided = divisor is not None
        self._middle = torch.tensor(MAGIC + step.zero)
        self._factor = None
        if divisor is not None:
            self._factor = torch.from_numpy((1 / (divisor * step.scale)).astype(np.float32))

    def __call__(self, x: Tensor, spare: Tensor | None = None) -> Levels:
        if self._factor is None:
            steps = torch.add(self._middle, x, alpha=1 / self.scale, out=spare)
        else:
            steps = torch.addcmul(self._middle, x, self._factor, out=spare)
        return Levels(_uint8(steps), self.scale, self.zero)


def found_grid(x: Tensor, spare: Tensor | None = None) -> Levels:
    """DynamicQuantizeLinear: the range is that of these very numbers, and 0; else as `FixedGrid`.

    As `quant.int8.affine`, which takes ten times as long for one pair of numbers.
    """
    low = np.float32(min(0.0, x.amin().item()))  # NaN is passed over
    high = np.float32(max(0.0, x.amax().item()))  # torch.aminmax takes half as long again
    span = high - low
    scale = max(span / np.float32(255), SMALLEST) if 0 < span < np.inf else np.float32(1)
    zero = round(min(float(-low / scale), 255.0))
    steps = torch.add(torch.tensor(MAGIC + zero), x, alpha=1 / float(scale), out=spare)
    return Levels(_uint8(steps), float(scale), zero)


def token_grid(x: Tensor, spare: Tensor | None = None) -> Levels:
    """A scale for each row, whose largest |x| is 127 steps from 128."""
    scale = x.abs().amax(dim=1, keepdim=True).clamp_(min=float(SMALLEST * 127)).div_(127)
    return Levels(_uint8(torch.div(x, scale, out=spare).add_(MAGIC + 128)), scale, 128)


def _uint8(steps: Tensor) -> Tensor:
    """The lowest bits of floats around MAGIC, cut off at 0 and 255."""
    return steps.clamp_(MAGIC, MAGIC + 255).view(torch.int32).to(torch.uint8)

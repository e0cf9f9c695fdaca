"""Linear layers that multiply the pressed integers, in torch. Knows no encoder and no range."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from quant.calibration import Floats
from quant.integer_grids import FixedGrid, Grid, Levels
from quant.products import int32_matmul
from quant.weights import Integers


class Product(Protocol):
    """Integers times integers, scaled, with the bias added: (rows, in) -> (rows, out)."""

    def plain(self, x: Levels, kind: torch.dtype) -> Tensor: ...
    def gelu(self, x: Levels) -> Tensor: ...
    def gelu_levels(self, x: Levels, grid: FixedGrid) -> Levels:
        """GELU of it, on the grid that the next layer has for it."""

    def onto(self, x: Levels, y: Tensor) -> Tensor:
        """`y` and the product in one; what `y` held is lost."""

    def tensors(self) -> list[Tensor]:
        """Everything that is kept."""


class Fused:
    """By oneDNN: all that follows the sum of integers happens before it leaves the registers.

    The scale of x is one number, and weights have no zero points: oneDNN through torch knows no
    others.
    """

    def __init__(self, weight: Integers, bias: Floats) -> None:
        self._run, self._add, pack = _operators()
        self._weight = pack(tensor(weight.values), None)
        self._scales, self._bias = tensor(weight.scales), tensor(bias)
        self._zeros = torch.zeros(len(bias), dtype=torch.int32)

    def plain(self, x: Levels, kind: torch.dtype) -> Tensor:
        return self._made(x, 1.0, 0, kind, "none")

    def gelu(self, x: Levels) -> Tensor:
        return self._made(x, 1.0, 0, torch.float32, "gelu")

    def gelu_levels(self, x: Levels, grid: FixedGrid) -> Levels:
        made = self._made(x, grid.scale, grid.zero, torch.uint8, "gelu")
        return Levels(made, grid.scale, grid.zero)

    def onto(self, x: Levels, y: Tensor) -> Tensor:
        weight = (self._weight, self._scales, self._zeros, y, self._bias)
        out = (1.0, 0, torch.float32)
        found: Tensor = self._add(*x, *weight, *out, 1.0, 0, "sum", 1.0, "none", [], "none")
        return found

    def tensors(self) -> list[Tensor]:
        return [self._weight, self._scales, self._bias]

    def _made(self, x: Levels, scale: float, zero: int, kind: torch.dtype, then: str) -> Tensor:
        weight = (self._weight, self._scales, self._zeros, self._bias)
        found: Tensor = self._run(*x, *weight, scale, zero, kind, then, [], "none")
        return found


class Unfused:
    """The int32 product, and each step after it by itself: any scale, any zero point, any CPU."""

    def __init__(self, weight: Integers, bias: Floats) -> None:
        signed, self._zeros = weight.values, None
        if weight.zeros is not None:
            middle = 128 if weight.values.dtype == np.uint8 else 0
            signed = (weight.values.astype(np.int16) - middle).astype(np.int8)
            zeros = weight.zeros.astype(np.int32) - middle
            self._zeros = tensor(zeros) if zeros.any() else None
        self._weight = tensor(signed)
        self._scales, self._bias = tensor(weight.scales), tensor(bias)
        self._sums = self._weight.sum(dim=1, dtype=torch.int32)
        if self._zeros is not None:
            self._sums -= signed.shape[1] * self._zeros

    def plain(self, x: Levels, kind: torch.dtype) -> Tensor:
        scaled = self.accumulated(x).float().mul_(x.scale).mul_(self._scales)
        return scaled.add_(self._bias).to(kind)

    def gelu(self, x: Levels) -> Tensor:
        return F.gelu(self.plain(x, torch.float32))

    def gelu_levels(self, x: Levels, grid: FixedGrid) -> Levels:
        made = self.gelu(x)
        return grid(made, made)

    def onto(self, x: Levels, y: Tensor) -> Tensor:
        return y.add_(self.plain(x, torch.float32))

    def tensors(self) -> list[Tensor]:
        zeros = [] if self._zeros is None else [self._zeros]
        return [self._weight, self._scales, self._bias, self._sums, *zeros]

    def accumulated(self, x: Levels) -> Tensor:
        """The sums of (x - its zero) (weight - its zero), int32 (rows, out)."""
        found = int32_matmul(x.values, self._weight).sub_(self._sums, alpha=x.zero)
        if self._zeros is None:
            return found
        rows = x.values.sum(dim=1, keepdim=True, dtype=torch.int32)
        return found.sub_(rows * self._zeros)


class IntegerLinear:
    """What quantises its input and multiplies integers."""

    def __init__(self, grid: Grid, product: Product) -> None:
        self.grid = grid
        self.product = product

    def __call__(self, x: Tensor, kind: torch.dtype = torch.float32) -> Tensor:
        return self.product.plain(self.grid(x, None), kind)

    def gelu(self, x: Tensor) -> Tensor:
        return self.product.gelu(self.grid(x, None))

    def onto(self, x: Tensor, y: Tensor) -> Tensor:
        x = x.float()
        return self.product.onto(self.grid(x, x), y)

    def gelu_onto(self, up: "Linear", y: Tensor) -> Tensor:
        """`self.onto(up.gelu(y), y)`, without floats between two products of integers."""
        grid = self.grid
        if isinstance(up, FloatLinear) or not isinstance(grid, FixedGrid) or grid.divided:
            return self.onto(up.gelu(y), y)
        return self.product.onto(up.product.gelu_levels(up.grid(y, None), grid), y)

    def tensors(self) -> list[Tensor]:
        return self.product.tensors()


class FloatLinear:
    """What is left in floating point: float32, or bfloat16 on its way to float32."""

    def __init__(self, weight: Floats, bias: Floats, kind: torch.dtype) -> None:
        self._weight, self._bias = tensor(weight).to(kind), tensor(bias).to(kind)

    def __call__(self, x: Tensor, kind: torch.dtype = torch.float32) -> Tensor:
        return F.linear(x.to(self._weight.dtype), self._weight, self._bias).to(kind)

    def gelu(self, x: Tensor) -> Tensor:
        return F.gelu(self(x))

    def onto(self, x: Tensor, y: Tensor) -> Tensor:
        return y.add_(self(x))

    def gelu_onto(self, up: "Linear", y: Tensor) -> Tensor:
        return self.onto(up.gelu(y), y)

    def tensors(self) -> list[Tensor]:
        return [self._weight, self._bias]


Linear = IntegerLinear | FloatLinear


@cache
def fused_is_exact(largest: int) -> bool:
    """Has this torch the operators, and do sums of weights up to `largest` keep all their bits?

    oneDNN multiplies by an instruction that cuts at 16 bits where there is no VNNI.
    """
    weight = Integers(np.full((16, 64), largest, np.int8), np.ones(16, np.float32))
    x = Levels(torch.full((16, 64), 255, dtype=torch.uint8), 1.0, 0)
    try:
        found = Fused(weight, np.zeros(16, np.float32)).plain(x, torch.float32)
    except (AttributeError, RuntimeError):
        return False
    return bool((found == 64 * 255 * largest).all())


def _operators() -> tuple[Callable[..., Tensor], Callable[..., Tensor], Callable[..., Tensor]]:
    ops = torch.ops.onednn
    linear = ops.qlinear_pointwise
    return linear.default, linear.binary, ops.qlinear_prepack.default


def tensor(values: NDArray[Any]) -> Tensor:
    """A copy, for what is given may be a view that nobody may write to."""
    return torch.from_numpy(np.array(values, order="C"))


def shared(values: NDArray[Any]) -> Tensor:
    """The very same memory: of a large table that is only read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the view may be read-only, and so are lookups
        return torch.from_numpy(values)

"""The product of `profiler.saturation` as torch modules. Knows no runtime and no encoder."""

import numpy as np
import torch
from torch import Tensor, nn

from bench.modules import MAKERS
from profiler.saturation import matrix
from quant.dynamic import quantise_dynamic
from quant.integer_grids import Levels
from quant.integer_linears import Fused
from quant.weights import Integers


class _Floats(nn.Module):
    """Its linear layer waits to be quantised."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.from_numpy(matrix().T.astype(np.float32))
        self.linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        self.linear.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, ids: Tensor, _mask: Tensor, _types: Tensor) -> Tensor:
        y: Tensor = self.linear(ids.float())
        return y


class _Integers(nn.Module):
    """oneDNN's, as in the encoder of `quant.integer`."""

    def __init__(self) -> None:
        super().__init__()
        weight = np.ascontiguousarray(matrix().T)
        ones, zeros = np.ones(len(weight), np.float32), np.zeros(len(weight), np.float32)
        self._product = Fused(Integers(weight, ones), zeros)

    def forward(self, ids: Tensor, _mask: Tensor, _types: Tensor) -> Tensor:
        return self._product.plain(Levels(ids.to(torch.uint8), 1.0, 0), torch.float32)


def product(takes: str, cap: str) -> nn.Module:
    """What multiplies token ids by `matrix()` in int8, in the form a runtime `takes`.

    Raises:
        BadInputError: torch cannot quantise it.
    """
    if takes == "integer":
        return _Integers().eval()
    kernels = "onednn" if cap else ""
    return quantise_dynamic(_Floats(), kernels, by=MAKERS[takes], in_place=True)

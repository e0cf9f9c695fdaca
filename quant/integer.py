"""The encoder in torch with integer products, made of what was pressed. Knows no file.

Its own writing of BERT, beside `quant.blocks`. Between layers the batch is flat, (batch * tokens,
hidden); x is always such a tensor, float32.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quant.calibration import Floats, place
from quant.int8 import dequantise
from quant.integer_grids import FixedGrid, Grid, found_grid, token_grid
from quant.integer_linears import (
    FloatLinear,
    Fused,
    IntegerLinear,
    Linear,
    Unfused,
    fused_is_exact,
    shared,
    tensor,
)
from quant.press import WORDS, Pressed
from quant.weights import Integers
from results.architecture import Layer
from results.errors import BadInputError

EPSILON = 1e-12
"""Of every LayerNorm, as in BERT."""

Norm = tuple[Tensor, Tensor]
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class IntegerEncoder(nn.Module):
    """Multiplies the very integers that `quant.graph` writes, for inference alone.

    int8-static and int8-dynamic run in oneDNN's kernels where those are exact, else and for a
    scale a token in `quant.products`. What is stored small and computed in floats is turned back
    into floats once. `rest=bf16` is for attention and for linear layers in floating point.

    Raises:
        BadInputError: the scheme has integer products inside attention.
    """

    def __init__(self, pressed: Pressed) -> None:
        super().__init__()
        if pressed.scheme.attention != "fp32":
            raise BadInputError(
                f"scheme {pressed.scheme}: torch has no integer product inside attention; leave "
                "out attention=int8-static, or use ONNX Runtime"
            )
        build = _Builder(pressed)
        self._kind = KINDS[pressed.scheme.rest]
        self._words = build.table(WORDS)
        self._positions, self._types = (
            tensor(build.floats(f"embeddings.{which}_embeddings.weight"))
            for which in ("position", "token_type")
        )
        self._norm = build.norm("embeddings.LayerNorm")
        layers = enumerate(pressed.architecture.layers)
        self._layers = [_Layer(build, index, layer, self._kind) for index, layer in layers]
        kept = [part for part in self._words if part is not None]
        kept += [self._positions, self._types, *self._norm]
        kept += [part for layer in self._layers for part in layer.tensors()]
        for number, part in enumerate(kept):
            self.register_buffer(f"kept_{number}", part)
        self.eval()

    def forward(
        self,
        input_ids: Tensor,  # (B, T)
        attention_mask: Tensor,  # (B, T): 1 token, 0 padding
        token_type_ids: Tensor,  # (B, T)
    ) -> Tensor:  # (B, T, hidden)
        """The last hidden state, float32."""
        x = self._words.rows(input_ids).add_(F.embedding(token_type_ids, self._types))
        x = x.add_(self._positions[: input_ids.shape[1]]).flatten(0, 1)
        x = _normalised(x, self._norm)
        padding = 1 - attention_mask[:, None, None, :].to(self._kind)
        mask = padding.mul_(torch.finfo(self._kind).min)  # (B, 1, 1, T)
        for layer in self._layers:
            x = layer(x, mask)
        return x.view(*input_ids.shape, -1)


class _Layer:
    """One transformer layer; what it is given is overwritten."""

    def __init__(self, build: "_Builder", index: int, layer: Layer, kind: torch.dtype) -> None:
        name = f"encoder.layer.{index}"
        parts = tuple(f"{name}.attention.self.{p}" for p in ("query", "key", "value"))
        self._heads, self._kind = layer.heads, kind
        self._qkv = build.linear(index, "qkv", *parts)
        self._out = build.linear(index, "attention-output", f"{name}.attention.output.dense")
        self._up = build.linear(index, "ffn-in", f"{name}.intermediate.dense")
        self._down = build.linear(index, "ffn-out", f"{name}.output.dense")
        self._first = build.norm(f"{name}.attention.output.LayerNorm")
        self._second = build.norm(f"{name}.output.LayerNorm")

    def __call__(self, x: Tensor, mask: Tensor) -> Tensor:
        x = _normalised(self._out.onto(self._attention(x, mask), x), self._first)
        return _normalised(self._down.gelu_onto(self._up, x), self._second)

    def tensors(self) -> list[Tensor]:
        linears = (self._qkv, self._out, self._up, self._down)
        return [*(t for part in linears for t in part.tensors()), *self._first, *self._second]

    def _attention(self, x: Tensor, mask: Tensor) -> Tensor:  # -> (B * T, qkv)
        sizes = (mask.shape[0], mask.shape[3], 3, self._heads, -1)
        made = self._qkv(x, self._kind).view(sizes).permute(2, 0, 3, 1, 4)
        q, k, v = made.unbind(0)  # (B, heads, T, width)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return y.transpose(1, 2).reshape(len(x), -1)


class _Builder:
    """Makes tensors and linear layers of what was pressed."""

    def __init__(self, pressed: Pressed) -> None:
        self._pressed = pressed
        self._fused = fused_is_exact(64 if pressed.scheme.reduce_range else 127)

    def linear(self, index: int, group: str, *names: str) -> Linear:
        """Linear layers of one group that are given the same, as one."""
        scheme, where = self._pressed.scheme, place(index, group)
        arithmetic = scheme.arithmetic(index, group)
        bias = np.concatenate([self.floats(f"{name}.bias") for name in names])
        if arithmetic in ("fp32", "int8-weight-only"):
            weight = np.concatenate([self.floats(f"{name}.weight") for name in names])
            return FloatLinear(weight, bias, KINDS[scheme.rest])
        integers = _joined([self._pressed.integers[f"{name}.weight"] for name in names])
        grid: Grid = token_grid if scheme.activations == "token" else found_grid
        if arithmetic == "int8-static":
            step = self._pressed.steps[where]
            grid = FixedGrid(step, self._pressed.divisors.get(where))
            units = integers.scales * step.scale
            given = np.concatenate([self._pressed.floats[f"{name}.bias"] for name in names])
            bias = (np.rint(given.astype(np.float64) / units) * units).astype(np.float32)
        fused = self._fused and integers.zeros is None and grid is not token_grid
        return IntegerLinear(grid, (Fused if fused else Unfused)(integers, bias))

    def floats(self, name: str) -> Floats:
        """A stored tensor as floats."""
        found = self._pressed.integers.get(name)
        if found is None:
            return self._pressed.floats[name]
        zeros = 0 if found.zeros is None else found.zeros
        return dequantise(found.values, found.scales, zeros, axis=0)

    def norm(self, name: str) -> Norm:
        return tensor(self.floats(f"{name}.weight")), tensor(self.floats(f"{name}.bias"))

    def table(self, name: str) -> "_Table":
        found = self._pressed.integers.get(name)
        if found is None:
            return _Table(shared(self._pressed.floats[name]))
        return _Table(shared(found.values), tensor(found.scales[:, None]))


class _Table(NamedTuple):
    """Rows to look up: floats, or integers with a scale for each.

    A zero point would move a whole row, and the LayerNorm behind it move the row back.
    """

    values: Tensor
    scales: Tensor | None = None

    def rows(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, hidden), float32."""
        found = F.embedding(ids, self.values).float()
        return found if self.scales is None else found.mul_(F.embedding(ids, self.scales))


def _joined(parts: Sequence[Integers]) -> Integers:
    """One below the other."""
    zeros: list[Any] = [part.zeros for part in parts if part.zeros is not None]
    return Integers(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.scales for part in parts]),
        np.concatenate(zeros) if zeros else None,
    )


def _normalised(x: Tensor, norm: Norm) -> Tensor:
    weight, bias = norm
    return torch.layer_norm(x, weight.shape, weight, bias, EPSILON)

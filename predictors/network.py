"""Fully connected networks as arrays, many at once. Knows no training and no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]

Activation = Callable[[Singles], Singles]


@dataclass(frozen=True, slots=True)
class Network:
    """`members` networks of the same shape."""

    weights: tuple[Singles, ...] = field(repr=False)
    """By layer, [members, in, out]."""
    biases: tuple[Singles, ...] = field(repr=False)
    """By layer, [members, 1, out]."""

    def __call__(self, x: NDArray[np.floating], activation: Activation) -> Singles:
        """[n, inputs] -> [members, n]; the last layer has one output and no activation."""
        found = np.asarray(x, dtype=np.float32)
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            found = found @ weight + bias
            if i < last:
                found = activation(found)
        return found[..., 0]

    def to_bytes(self) -> bytes:
        """Safetensors."""
        from safetensors.numpy import save

        weights = {f"w.{i}": x for i, x in enumerate(self.weights)}
        return save(weights | {f"b.{i}": x for i, x in enumerate(self.biases)})

    @classmethod
    def from_bytes(cls, data: bytes, inputs: int) -> Self:
        """What `to_bytes` wrote.

        Raises:
            ValueError: it is not that, or not of so many inputs.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            found = load(data)
        except (SafetensorError, KeyError):
            raise ValueError("the safetensors file holds no network") from None
        layers = range(len(found) // 2)
        if set(found) != {f"{what}.{i}" for what in "wb" for i in layers} or not layers:
            raise ValueError("the safetensors file holds other tensors than those of layers")
        made = cls(tuple(found[f"w.{i}"] for i in layers), tuple(found[f"b.{i}"] for i in layers))
        made._require(inputs)
        return made

    def _require(self, inputs: int) -> None:
        members = len(self.weights[0])
        before = inputs
        for weight, bias in zip(self.weights, self.biases, strict=True):
            fits = weight.shape[:2] == (members, before) and weight.ndim == bias.ndim == 3  # noqa: PLR2004
            if not fits or bias.shape != (members, 1, weight.shape[2]):
                raise ValueError("the layers of the network do not fit one another")
            if not all(x.dtype == np.float32 and np.isfinite(x).all() for x in (weight, bias)):
                raise ValueError("a weight of the network is no number")
            before = weight.shape[2]
        if before != 1:
            raise ValueError("the network has more than one output")

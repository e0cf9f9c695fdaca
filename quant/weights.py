"""Where the numbers of a graph come from: given tensors, or random ones that nobody waits for.

One vocabulary: the names and the [out, in] shapes of Hugging Face's `BertModel`. Knows no graph.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from quant.int8 import INT8_NARROW, quantise, require_finite, symmetric
from results.architecture import Architecture, Layer
from results.errors import BadInputError

Floats = NDArray[np.float32]
N = TypeVar("N", bound=np.generic)

PERIOD = 1 << 22
"""Random numbers drawn (16 MiB of float32); what is longer repeats them."""

SPREAD = 0.02
"""Standard deviation of BERT's own initialisation."""

RANDOM_SCALE = 5 * SPREAD / 127
"""Random weights are cut off at five deviations, so this scale loses none of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Integers:
    """Integers, [out, in]; row i stands for the floats `scales[i] * (values[i] - zeros[i])`."""

    values: NDArray[np.int8] | NDArray[np.uint8]
    scales: Floats
    """(out,), float32."""
    zeros: NDArray[np.int8] | NDArray[np.uint8] | None = None
    """(out,), of the kind of `values`; zeros where there are none."""


class Weights(Protocol):
    """Anything that can fill an encoder of a given architecture."""

    def tensors(self, architecture: Architecture) -> Mapping[str, Floats]:
        """Every tensor of `shapes(architecture)`, by name."""

    def integers(
        self, architecture: Architecture, names: Collection[str]
    ) -> Mapping[str, Integers]:
        """Those of the matrices and tables as int8, symmetric, with a scale for each row."""


def shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all weights below the pooler, in the order they are used."""
    a = architecture
    named: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (a.vocab, a.hidden),
        "embeddings.position_embeddings.weight": (a.positions, a.hidden),
        "embeddings.token_type_embeddings.weight": (a.types, a.hidden),
        "embeddings.LayerNorm.weight": (a.hidden,),
        "embeddings.LayerNorm.bias": (a.hidden,),
    }
    for index, layer in enumerate(a.layers):
        for name, shape in _layer_shapes(a.hidden, layer).items():
            named[f"encoder.layer.{index}.{name}"] = shape
    return named


def matrices(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Names and [out, in] shapes of the linear layers' weights: what a scheme makes small."""
    return {
        name: shape
        for name, shape in shapes(architecture).items()
        if name.startswith("encoder.") and len(shape) > 1
    }


def quantised(name: str, matrix: Floats) -> Integers:
    """Int8 in -127 ... 127, symmetric; no value moves further than half the scale of its row."""
    require_finite(name, matrix)
    scales = symmetric(np.abs(matrix).max(axis=1), INT8_NARROW)
    return Integers(quantise(matrix, scales, 0, INT8_NARROW, axis=0), scales)


class TensorWeights:
    """Real weights, by name; tensors that no encoder uses (a pooler, a head) are let be."""

    def __init__(self, given: Mapping[str, Floats]) -> None:
        self._given = given

    def tensors(self, architecture: Architecture) -> dict[str, Floats]:
        return {name: self._find(name, shape) for name, shape in shapes(architecture).items()}

    def integers(self, architecture: Architecture, names: Collection[str]) -> dict[str, Integers]:
        wanted = shapes(architecture)
        return {name: quantised(name, self._find(name, wanted[name])) for name in names}

    def _find(self, name: str, shape: tuple[int, ...]) -> Floats:
        if name not in self._given:
            raise BadInputError(f"the weights lack {name}; give a tensor of shape {shape}")
        tensor = self._given[name]
        if tensor.shape != shape:
            raise BadInputError(f"{name} has shape {tensor.shape} where {shape} is needed")
        return tensor.astype(np.float32, copy=False)


class RandomWeights:
    """Weights for timing: views into one shared buffer, so ten thousand models cost one.

    Tensor after tensor is the next stretch of one endless line of numbers of N(0, 0.02) that
    repeats after `PERIOD`; LayerNorm is ones and zeros. The numbers depend on the seed and the
    architecture alone. A matrix lies in the buffer as [in, out], the order in which a graph
    multiplies, and is shown as its [out, in] transpose. The int8 matrix is the quantised float32
    matrix of the same name: `RANDOM_SCALE * values` is within half a scale of it.

    The buffers are read-only, and grow to the longest tensor asked for. A view keeps its buffer
    alive; the weights of one session outlive this object.
    """

    def __init__(self, seed: int) -> None:
        drawn = np.random.default_rng(seed).standard_normal(PERIOD, np.float32) * np.float32(
            SPREAD
        )
        self._floats = np.clip(drawn, -5 * SPREAD, 5 * SPREAD, out=drawn)
        self._bytes = np.rint(drawn / np.float32(RANDOM_SCALE)).astype(np.int8)

    def tensors(self, architecture: Architecture) -> dict[str, Floats]:
        wanted, places = shapes(architecture), _places(architecture)
        self._floats = _lengthened(self._floats, max(map(prod, wanted.values())))
        return {name: self._tensor(name, places[name], s) for name, s in wanted.items()}

    def integers(self, architecture: Architecture, names: Collection[str]) -> dict[str, Integers]:
        wanted, places = shapes(architecture), _places(architecture)
        self._bytes = _lengthened(self._bytes, max(map(prod, wanted.values())))
        return {name: self._integers(name, places[name], wanted[name]) for name in names}

    def _integers(self, name: str, place: int, shape: tuple[int, ...]) -> Integers:
        scales = np.full(shape[0], RANDOM_SCALE, np.float32)
        if name.startswith("embeddings."):
            return Integers(_view(self._bytes, place, shape), scales)
        return Integers(_view(self._bytes, place, shape[::-1]).T, scales)

    def _tensor(self, name: str, place: int, shape: tuple[int, ...]) -> Floats:
        if "LayerNorm" in name:
            return np.full(shape, name.endswith("weight"), np.float32)
        if name.startswith("embeddings."):
            return _view(self._floats, place, shape)
        return _view(self._floats, place, shape[::-1]).T


def _layer_shapes(hidden: int, layer: Layer) -> dict[str, tuple[int, ...]]:
    named: dict[str, tuple[int, ...]] = {}

    def linear(name: str, out: int, in_: int) -> None:
        named.update({f"{name}.weight": (out, in_), f"{name}.bias": (out,)})

    def norm(name: str) -> None:
        named.update({f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)})

    for name in ("query", "key", "value"):
        linear(f"attention.self.{name}", layer.qkv, hidden)
    linear("attention.output.dense", hidden, layer.qkv)
    norm("attention.output.LayerNorm")
    linear("intermediate.dense", layer.ffn, hidden)
    linear("output.dense", hidden, layer.ffn)
    norm("output.LayerNorm")
    return named


def _places(architecture: Architecture) -> dict[str, int]:
    """Where in the period each tensor begins: after the one before it."""
    places: dict[str, int] = {}
    end = 0
    for name, shape in shapes(architecture).items():
        places[name] = end % PERIOD
        end += prod(shape)
    return places


def _lengthened(buffer: NDArray[N], longest: int) -> NDArray[N]:
    """The line, long enough for a tensor of `longest` numbers from any place in the period."""
    periods = 1 + -(-longest // PERIOD)
    if len(buffer) < periods * PERIOD:
        buffer = np.tile(buffer[:PERIOD], periods)
        buffer.flags.writeable = False
    return buffer


def _view(buffer: NDArray[N], place: int, shape: tuple[int, ...]) -> NDArray[N]:
    return buffer[place : place + prod(shape)].reshape(shape)

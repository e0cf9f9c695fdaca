"""From float tensors, a scheme and a calibration to what is stored. Knows no graph, no runtime.

The one quantiser: graphs, torch modules and files are all made of what it returns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from quant.calibration import PRODUCTS, Calibration, Floats, MadeUp, place
from quant.int8 import INT7, INT8_NARROW, UINT8, affine, quantise, require_finite, symmetric
from quant.scheme import GROUPS, Scheme
from quant.weights import Integers, Weights, matrices
from results.architecture import Architecture
from results.errors import BadInputError

WORDS = "embeddings.word_embeddings.weight"
LAYERS = {
    "attention.self.query": "qkv",
    "attention.self.key": "qkv",
    "attention.self.value": "qkv",
    "attention.output.dense": "attention-output",
    "intermediate.dense": "ffn-in",
    "output.dense": "ffn-out",
}
"""The linear layers of a transformer layer, and their group."""


SMOOTHED = ("qkv", "attention-output", "ffn-in")
"""As in the paper, what follows a LayerNorm or the values. Behind GELU a division would be one
more pass over the widest tensor: 2-3 % of the latency in ONNX Runtime."""

DIVIDED = ("qkv", "ffn-in")
"""Those of them that are divided before they are quantised; values are divided in their layer."""


@dataclass(frozen=True, slots=True)
class Step:
    """The grid of an activation, uint8: x is about `scale * (q - zero)`."""

    scale: np.float32
    zero: int


PROBABILITIES = Step(np.float32(1 / 255), 0)
"""Softmax is from 0 to 1, whatever the text."""


@dataclass(frozen=True, slots=True, eq=False)
class Pressed:
    """Everything that is stored, under one name each."""

    architecture: Architecture
    scheme: Scheme
    floats: Mapping[str, Floats]
    """Tensors that stay float32; of a linear layer's weight that does not, the values it had."""
    integers: Mapping[str, Integers]
    steps: Mapping[str, Step]
    """Of each static activation, by `place`."""
    divisors: Mapping[str, Floats] = field(default_factory=dict)
    """By `place`, (in,): the activation is divided by it before it is quantised."""


def press(
    architecture: Architecture,
    scheme: Scheme,
    weights: Weights,
    calibration: Calibration | None = None,
) -> Pressed:
    """Quantise the weights of one architecture: of the slice, never of a supernet.

    Without a calibration every range is made up, which is good for latency alone.

    Raises:
        BadInputError: a tensor holds NaN or infinity, or the calibration is of another network.
    """
    known = calibration or Calibration(MadeUp())
    tensors = dict(weights.tensors(architecture))
    _check(architecture, scheme, known)
    divisors = _made_up_divisors(architecture, scheme) if calibration is None else {}
    if known.divisors or known.shifts:
        divisors = _migrate(tensors, architecture, scheme, known)
    integers = _integers(architecture, scheme, weights, tensors, plain=not known.divisors)
    steps = _steps(architecture, scheme, known)
    return Pressed(architecture, scheme, tensors, integers, steps, divisors)


def linear_layers(architecture: Architecture) -> list[tuple[str, int, str]]:
    """Each linear layer: its name, the index of its transformer layer, its group."""
    return [
        (f"encoder.layer.{index}.{name}", index, group)
        for index in range(architecture.depth)
        for name, group in LAYERS.items()
    ]


def static_places(architecture: Architecture, scheme: Scheme) -> list[str]:
    """The activations whose range must be known."""
    found = []
    for index in range(architecture.depth):
        if scheme.attention == "int8-static" and str(index) not in scheme.keep:
            found += [place(index, name) for name in PRODUCTS]
        static = [g for g in GROUPS if scheme.arithmetic(index, g) == "int8-static"]
        found += [place(index, group) for group in static]
    return found


def _check(architecture: Architecture, scheme: Scheme, known: Calibration) -> None:
    if isinstance(known.ranges, MadeUp):
        return
    missing = [p for p in static_places(architecture, scheme) if p not in known.ranges]
    if missing:
        raise BadInputError(
            f"the calibration knows no range of {missing[0]}: calibrate this network with {scheme}"
        )


def _steps(architecture: Architecture, scheme: Scheme, known: Calibration) -> dict[str, Step]:
    steps = {}
    for name in static_places(architecture, scheme):
        low, high = known.ranges[name]
        if scheme.zero_point == "middle" and not name.endswith(".ffn-out"):
            reach = max(-low / 128, high / 127)
            steps[name] = Step(np.float32(symmetric(reach * 127, INT8_NARROW)), 128)
        else:
            scale, zero = affine(low, high, UINT8)
            steps[name] = Step(np.float32(scale), int(zero))
    return steps


def _made_up_divisors(a: Architecture, scheme: Scheme) -> dict[str, Floats]:
    """As many divisions as a calibrated network has; weights stay, nobody looks at the answers."""
    if not scheme.smooth:
        return {}
    wanted = [p for p in static_places(a, scheme) if p.partition(".")[2] in DIVIDED]
    return {where: np.full(a.hidden, 1.25, np.float32) for where in wanted}


def _migrate(
    tensors: dict[str, Floats], a: Architecture, scheme: Scheme, known: Calibration
) -> dict[str, Floats]:
    """Multiply weights by what their inputs are divided by, shift biases; what is left to divide.

    The input of attention's output layer is a sum of values, so there v is divided instead.
    """
    left = {}
    for name, index, group in linear_layers(a):
        where, weight, bias = place(index, group), f"{name}.weight", f"{name}.bias"
        if scheme.arithmetic(index, group) != "int8-static":
            continue
        if where in known.divisors:
            tensors[weight] = tensors[weight] * known.divisors[where]
            if group in DIVIDED:
                left[where] = known.divisors[where]
        if weight in known.shifts:
            tensors[bias] = tensors[bias] + known.shifts[weight]
    for index in range(a.depth):
        value, where = f"encoder.layer.{index}.attention.self.value", place(index, GROUPS[1])
        if where in known.divisors and scheme.arithmetic(index, GROUPS[1]) == "int8-static":
            s = known.divisors[where]
            tensors[f"{value}.weight"] = tensors[f"{value}.weight"] / s[:, None]
            tensors[f"{value}.bias"] = tensors[f"{value}.bias"] / s
    return left


def _integers(
    a: Architecture,
    scheme: Scheme,
    weights: Weights,
    tensors: Mapping[str, Floats],
    *,
    plain: bool,
) -> Mapping[str, Integers]:
    chosen = [
        f"{name}.weight"
        for name, index, group in linear_layers(a)
        if scheme.arithmetic(index, group) != "fp32"
    ]
    if scheme.embeddings == "int8":
        chosen.append(WORDS)
    if scheme.vectors == "int8":
        chosen += [n for n in tensors if n not in matrices(a) and n not in chosen]
    if plain and scheme.weights == "channel" and scheme.symmetric and not scheme.reduce_range:
        return weights.integers(a, chosen)
    return {n: _quantised(n, tensors[n], scheme) for n in chosen}


def _quantised(name: str, matrix: Floats, scheme: Scheme) -> Integers:
    """[out, in] to integers with one scale (and zero point) for each row, or the same for all."""
    require_finite(name, matrix)
    axis = 1 if scheme.weights == "channel" else None
    rows = matrix.shape[:1]
    if scheme.symmetric:
        grid = INT7 if scheme.reduce_range and name != WORDS else INT8_NARROW
        scale = np.broadcast_to(symmetric(np.abs(matrix).max(axis=axis), grid), rows)
        return Integers(quantise(matrix, scale, 0, grid, axis=0), scale.copy())
    found = affine(matrix.min(axis=axis), matrix.max(axis=axis), UINT8)
    scale, zeros = np.broadcast_to(found[0], rows), np.broadcast_to(found[1], rows)
    return Integers(
        quantise(matrix, scale, zeros, UINT8, axis=0), scale.copy(), zeros.astype(np.uint8)
    )

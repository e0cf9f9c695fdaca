"""Runs the float32 graph over text and watches the activations. Knows ONNX Runtime, no file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from quant.calibration import Calibration, Floats, place
from quant.graph import Graph, emit_pressed
from quant.int8 import UINT8, dequantise, quantise
from quant.observers import ChannelMax, observer
from quant.press import SMOOTHED, Pressed, linear_layers, press, static_places
from quant.scheme import FP32, GROUPS, Scheme
from quant.weights import Weights
from results.architecture import Architecture
from results.errors import BadInputError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Batch = Mapping[str, NDArray[np.int64]]
"""What a graph is fed, by input name; no padding, which would be calibrated like text."""

LEAST_TOKENS = 64
"""Fewer tell nothing of a range."""

Taps = Callable[[], Iterator[dict[str, Floats]]]


def calibrate(
    architecture: Architecture,
    scheme: Scheme,
    weights: Weights,
    batches: Sequence[Batch],
    text: str = "",
) -> Calibration:
    """Ranges of the static activations of this very network, its smoothing and bias shifts.

    `text` says where the batches come from, for the record.

    Raises:
        BadInputError: too little text, or activations that are no numbers.
    """
    tokens = sum(batch["input_ids"].size for batch in batches)
    if tokens < LEAST_TOKENS:
        raise BadInputError(
            f"calibration needs at least {LEAST_TOKENS} tokens of text and got {tokens}: give more"
        )
    with _Watched(architecture, weights) as watched:

        def taps() -> Iterator[dict[str, Floats]]:
            return map(watched.activations, batches)

        divisors = _divisors(architecture, scheme, weights, taps) if scheme.smooth else {}
        found = Calibration(_ranges(architecture, scheme, divisors, taps), divisors, text=text)
        if scheme.bias_correction:
            pressed = press(architecture, scheme, weights, found)
            found = replace(found, shifts=_shifts(pressed, found, taps))
    return found


class _Watched:
    """The float32 graph in a session whose outputs are all its activations."""

    def __init__(self, architecture: Architecture, weights: Weights) -> None:
        self._names: dict[str, str] = {}
        self._graph = emit_pressed(press(architecture, FP32, weights), self._names)

    def __enter__(self) -> Self:
        self._session, self._kept = open_session(self._graph)
        return self

    def __exit__(self, *_: object) -> None:
        del self._session, self._kept

    def activations(self, batch: Batch) -> dict[str, Floats]:
        """Every activation by its place, with the channels last."""
        outputs = list(dict.fromkeys(self._names.values()))
        found = dict(zip(outputs, self._session.run(outputs, dict(batch)), strict=True))
        return {where: found[name] for where, name in self._names.items()}


def open_session(graph: Graph) -> "tuple[InferenceSession, object]":
    """A session over the graph, and what must live as long as it does."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    values = {n: ort.OrtValue.ortvalue_from_numpy(x) for n, x in graph.initializers.items()}
    for name, value in values.items():
        options.add_initializer(name, value)
    with TemporaryDirectory() as folder:
        path = str(graph.lay_out(Path(folder)))
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]), values


def _divisors(a: Architecture, scheme: Scheme, weights: Weights, taps: Taps) -> dict[str, Floats]:
    """s_j = max|X_j|^alpha / max|W_j|^(1 - alpha), one for each input channel (eq. 4)."""
    smoothed = [p for p in static_places(a, scheme) if p.partition(".")[2] in SMOOTHED]
    seen = {where: ChannelMax(where) for where in smoothed}
    for found in taps():
        for where, watcher in seen.items():
            watcher.observe(found[where])
    tensors, heaviest = weights.tensors(a), dict[str, Floats]()
    for name, index, group in linear_layers(a):
        where, columns = place(index, group), np.abs(tensors[f"{name}.weight"]).max(axis=0)
        heaviest[where] = np.maximum(heaviest.get(where, columns), columns)
    tiny = np.float32(1e-5)
    return {
        where: (
            np.maximum(watcher.largest(), tiny) ** np.float32(scheme.smooth)
            / np.maximum(heaviest[where], tiny) ** np.float32(1 - scheme.smooth)
        ).astype(np.float32)
        for where, watcher in seen.items()
    }


def _ranges(
    a: Architecture, scheme: Scheme, divisors: Mapping[str, Floats], taps: Taps
) -> dict[str, tuple[float, float]]:
    watchers = {where: observer(scheme.observer, where) for where in static_places(a, scheme)}
    for found in taps():
        for where, watcher in watchers.items():
            watcher.observe(_divided(a, found[where], where, divisors))
    return {where: watcher.range() for where, watcher in watchers.items()}


def _divided(a: Architecture, x: Floats, where: str, divisors: Mapping[str, Floats]) -> Floats:
    """The activation as it will be: values are divided in their layer, the others before it."""
    index, _, operand = where.partition(".")
    if (
        operand == "value"
        and (s := divisors.get(place(int(index), "attention-output"))) is not None
    ):
        return x / s.reshape(a.layers[int(index)].heads, 1, -1)
    return x / divisors[where] if where in divisors else x


def _shifts(pressed: Pressed, found: Calibration, taps: Taps) -> dict[str, Floats]:
    """W E[x] - W' E[x'], where ' is what quantisation makes of it: the layer's mean error."""
    a, scheme = pressed.architecture, pressed.scheme
    exact: dict[str, NDArray[np.float64]] = {}
    rough: dict[str, NDArray[np.float64]] = {}
    static = [p for p in static_places(a, scheme) if p.partition(".")[2] in GROUPS]
    rows = dict.fromkeys(static, 0)
    for seen in taps():
        for where in static:
            x = _divided(a, seen[where], where, found.divisors)
            x = x.reshape(-1, x.shape[-1])
            step = pressed.steps[where]
            again = dequantise(quantise(x, step.scale, step.zero, UINT8), step.scale, step.zero)
            exact[where] = exact.get(where, 0) + x.sum(axis=0, dtype=np.float64)
            rough[where] = rough.get(where, 0) + again.sum(axis=0, dtype=np.float64)
            rows[where] += len(x)
    shifts = {}
    for name, index, group in linear_layers(a):
        where, weight = place(index, group), f"{name}.weight"
        if where in exact:
            stored = pressed.integers[weight]
            restored = dequantise(
                stored.values, stored.scales, 0 if stored.zeros is None else stored.zeros, axis=0
            )
            error = pressed.floats[weight] @ exact[where] - restored @ rough[where]
            shifts[weight] = (error / rows[where]).astype(np.float32)
    return shifts

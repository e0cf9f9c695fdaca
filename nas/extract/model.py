"""One sub-model out of what a folder holds, its weights in memory of their own. Writes nothing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.checkpoint import TENSORS
from nas.config import config_of
from nas.elastic import Cut, Rule
from nas.folder import Saved
from nas.network import OF_ENCODER, PREFIX, Head
from quant import heads
from quant.int8 import require_finite
from quant.weights import shapes
from results.architecture import Architecture
from results.errors import BadInputError

Floats = NDArray[np.float32]
POOLER = "pooler.dense"


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A network that shares nothing with where it comes from."""

    architecture: Architecture
    head: Head | None
    labels: tuple[str, ...]
    """Names of the classes."""
    plain: dict[str, Floats]
    """By Hugging Face's names, without `bert.`."""
    rule: Rule
    """How it was cut."""
    layers: tuple[int, ...]
    """Those of the network it comes from, counted from 0."""

    @property
    def tensors(self) -> dict[str, Floats]:
        """As in a file of transformers: behind `bert.` what is the encoder's under a head."""
        before = PREFIX if self.head else ""
        return {
            before + name if name.startswith((*OF_ENCODER, POOLER)) else name: value
            for name, value in self.plain.items()
        }

    @property
    def config(self) -> dict[str, Any]:
        """Its settings, for transformers."""
        pooler = f"{POOLER}.weight" in self.plain
        return config_of(self.architecture, self.head, self.labels, pooler=pooler)

    @property
    def onnx_head(self) -> heads.Head | None:
        """The head as a graph takes it."""
        if self.head is None or self.head.work == "fit":
            return None
        return heads.Head(self.head.work, self.plain, self.labels)


def cut(saved: Saved, sub: Architecture | None = None) -> Model:
    """The sub-model of these sizes; all of it where none are given.

    A head that is only for teaching is left out. Where a folder is no supernet, its first
    entries are kept, head by head.

    Raises:
        BadInputError: a tensor is missing, of another shape or no number, or the sizes are not in
            the network's.
    """
    whole, rule = saved.architecture, saved.rule or Rule()
    head = None if saved.head is None or saved.head.work == "fit" else saved.head
    given = {name.removeprefix(PREFIX): value for name, value in saved.weights.items()}
    pooled = head.pooled if head else f"{POOLER}.weight" in given
    try:
        large = _checked(given, _wanted(whole, head, pooled=pooled))
    except BadInputError as error:
        raise BadInputError(f"{saved.folder / TENSORS}: {error}") from None
    part = Cut(whole, sub or whole, rule)
    names = _wanted(part.sub, head, pooled=pooled)
    small = {name: part.take(name, large[part.source(name)]) for name in names}
    return Model(part.sub, head, saved.labels, small, rule, part.layers)


def _wanted(a: Architecture, head: Head | None, *, pooled: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors."""
    wanted = dict(shapes(a))
    if pooled:
        wanted |= _linear(POOLER, a.hidden, a.hidden)
    if head is None:
        return wanted
    if head.work == "span":
        return wanted | _linear("qa_outputs", head.outputs, a.hidden)
    if head.work == "mlm":
        norm = {f"{heads.TRANSFORM}.LayerNorm.{part}": (a.hidden,) for part in ("weight", "bias")}
        dense = _linear(f"{heads.TRANSFORM}.dense", a.hidden, a.hidden)
        return wanted | dense | norm | {heads.BIAS: (a.vocab,)}
    return wanted | _linear("classifier", head.outputs, a.hidden)


def _linear(name: str, out: int, in_: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, in_), f"{name}.bias": (out,)}


def _checked(given: dict[str, Floats], wanted: dict[str, tuple[int, ...]]) -> dict[str, Floats]:
    for name, shape in wanted.items():
        if name not in given:
            raise BadInputError(f"the weights lack {name}; give a tensor of shape {shape}")
        if given[name].shape != shape:
            raise BadInputError(f"{name} has shape {given[name].shape} where {shape} is needed")
        require_finite(name, given[name])
    return given

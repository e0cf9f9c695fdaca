"""Which part of a supernet's tensors a sub-model reads. Knows names and sizes, not torch.

One rule for training, scoring, extraction and export: `Cut`. Widths keep their first entries, as
in AutoTinyBERT (Yin et al., ACL 2021) and Once-for-All (Cai et al., ICLR 2020); who wants the most
important entries kept orders the supernet by importance first (`nas.importance`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from results.architecture import Architecture
from results.errors import BadInputError

Heads = Literal["prefix", "per-head"]
"""`prefix`: the first rows of q, k and v, wherever a head begins (AutoTinyBERT's MLM supernet).
`per-head`: the first columns of each of the first heads (its KD supernet); needs heads as wide as
the supernet's or narrower."""

Depth = Literal["first", "spread"]
"""`first`: the first layers, as in AutoTinyBERT. `spread`: evenly spaced, the first and the last
among them (from two layers on), as patient distillation picks layers (Sun et al., EMNLP 2019)."""


@dataclass(frozen=True, slots=True)
class Part:
    """Of `groups` groups of `width` entries, the first `keep` of each of the first `kept`."""

    groups: int
    width: int
    kept: int
    keep: int

    @classmethod
    def first(cls, keep: int, of: int) -> "Part":
        """The first entries of an axis."""
        return cls(1, of, 1, keep)

    @property
    def size(self) -> int:
        """Entries that are kept."""
        return self.kept * self.keep

    @property
    def whole(self) -> int:
        """Entries of the axis it is cut from."""
        return self.groups * self.width

    def positions(self) -> NDArray[np.intp]:
        """Where the kept entries stand, in order; (size,)."""
        starts = np.arange(self.kept)[:, None] * self.width
        return (starts + np.arange(self.keep)).ravel()

    def simple(self) -> bool:
        """Are the kept entries one run from the beginning?"""
        return self.kept == 1 or self.keep == self.width


@dataclass(frozen=True, slots=True)
class Rule:
    """How sub-models are cut; part of what a supernet is, and saved with it."""

    heads: Heads = "per-head"
    depth: Depth = "first"
    kept: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Depth of a sub-model -> the supernet's layers it has, where `depth` shall not decide."""

    def __post_init__(self) -> None:
        for name, known in (("heads", get_args(Heads)), ("depth", get_args(Depth))):
            if getattr(self, name) not in known:
                message = f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}"
                raise BadInputError(message)
        for depth, kept in self.kept.items():
            if not kept or len(set(kept)) != depth or list(kept) != sorted(kept) or kept[0] < 0:
                message = f"{depth} layers cannot be {list(kept)}: name each layer once, in order"
                raise BadInputError(message)

    def layers(self, depth: int, of: int) -> tuple[int, ...]:
        """The supernet's layers that a sub-model of `depth` layers has, counted from 0."""
        if depth in self.kept:
            return self.kept[depth]
        if self.depth == "first":
            return tuple(range(depth))
        if depth == 1:
            return (of - 1,)
        return tuple(round(i * (of - 1) / (depth - 1)) for i in range(depth))


class Cut:
    """The part of every tensor of a supernet that one sub-model reads.

    Raises:
        BadInputError: if the sub-model is not inside the supernet; says which size.
    """

    def __init__(self, supernet: Architecture, sub: Architecture, rule: Rule) -> None:
        self.supernet, self.sub, self.rule = supernet, sub, rule
        _require_inside(supernet, sub)
        self.layers = rule.layers(sub.depth, supernet.depth)
        if self.layers[-1] >= supernet.depth:
            message = (
                f"a sub-model of {sub.depth} layers is said to keep layer {self.layers[-1]}, but "
                f"the supernet has {supernet.depth}, counted from 0"
            )
            raise BadInputError(message)
        self._hidden = Part.first(sub.hidden, supernet.hidden)
        pairs = zip(self.layers, sub.layers, strict=True)
        self._qkv = [self._attention(i, x.heads, x.qkv) for i, x in pairs]
        pairs = zip(self.layers, sub.layers, strict=True)
        self._ffn = [_first(x.ffn, supernet.layers[i].ffn, i, "ffn") for i, x in pairs]

    def source(self, name: str) -> str:
        """The supernet's name for the sub-model's tensor, both as in Hugging Face's BERT."""
        index = _layer(name)
        if index is None:
            return name
        return name.replace(f"layer.{index}.", f"layer.{self.layers[index]}.", 1)

    def parts(self, name: str, shape: tuple[int, ...]) -> tuple[Part, ...]:
        """One part per axis of the supernet's tensor for the sub-model's tensor `name`.

        Args:
            name: as in Hugging Face's BERT, heads included.
            shape: of the supernet's tensor; axes that no size of the encoder governs stay whole.
        """
        axes = self._axes(name)
        whole = [Part.first(n, n) for n in shape]
        return tuple(axis or full for axis, full in zip(axes, whole, strict=True))

    def take(self, name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sub-model's tensor out of the supernet's `array`, in memory of its own."""
        parts = self.parts(name, array.shape)
        return np.ascontiguousarray(array[np.ix_(*(part.positions() for part in parts))])

    def _axes(self, name: str) -> tuple[Part | None, ...]:
        hidden, index = self._hidden, _layer(name)
        kind, bias = name.rpartition(".")[0], name.endswith(".bias")
        if index is not None:
            rows, columns = self._of_layer(kind, index)
        elif kind.endswith(("_embeddings", "classifier", "qa_outputs", "fit_dense")):
            rows, columns = None, hidden
        elif kind == "cls.predictions":  # the bias of each word
            rows, columns = None, None
        else:  # norms, pooler, transform
            rows, columns = hidden, hidden
        return (rows,) if bias or kind.endswith("LayerNorm") else (rows, columns)

    def _of_layer(self, kind: str, index: int) -> tuple[Part, Part]:
        hidden, qkv, ffn = self._hidden, self._qkv[index], self._ffn[index]
        if kind.endswith(("query", "key", "value")):
            return qkv, hidden
        if kind.endswith("attention.output.dense"):
            return hidden, qkv
        if kind.endswith("intermediate.dense"):
            return ffn, hidden
        if kind.endswith("output.dense"):
            return hidden, ffn
        return hidden, hidden

    def _attention(self, index: int, heads: int, qkv: int) -> Part:
        whole = self.supernet.layers[index]
        if self.rule.heads == "prefix":
            return _first(qkv, whole.qkv, index, "qkv")
        width = qkv // heads
        if heads > whole.heads or width > whole.head_width:
            message = (
                f"{heads} heads of width {width} are not in layer {index} of the supernet, which "
                f"has {whole.heads} of width {whole.head_width}; choose other heads, or a "
                "supernet with prefix slicing"
            )
            raise BadInputError(message)
        return Part(whole.heads, whole.head_width, heads, width)


def _first(keep: int, of: int, index: int, name: str) -> Part:
    if keep > of:
        message = f"{name} {keep} is larger than layer {index} of the supernet has, {of}"
        raise BadInputError(message)
    return Part.first(keep, of)


def _layer(name: str) -> int | None:
    """The number in `...encoder.layer.3.output...`; None outside the layers."""
    _, found, rest = name.partition("encoder.layer.")
    return int(rest.partition(".")[0]) if found else None


def _require_inside(supernet: Architecture, sub: Architecture) -> None:
    for name in ("vocab", "positions", "types"):
        if getattr(sub, name) != getattr(supernet, name):
            message = (
                f"{name} is {getattr(sub, name)}, the supernet's {getattr(supernet, name)}: "
                "a sub-model shares the supernet's tables"
            )
            raise BadInputError(message)
    for name in ("hidden", "depth"):
        wanted, there = getattr(sub, name), getattr(supernet, name)
        if wanted > there:
            message = f"{name} {wanted} is larger than the supernet's, {there}"
            raise BadInputError(message)

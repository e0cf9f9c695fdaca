"""What is to be predicted, as columns of numbers. Knows no row, no scheme and no search space."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from results.architecture import Architecture
from results.measurement import Workload

Floats = NDArray[np.float64]

Part = tuple[str, str]
"""A group of matrix products, and the kind of arithmetic it is computed in."""

GROUPS = ("qkv", "attention-output", "ffn-in", "ffn-out", "attention")
"""The linear layers of a transformer layer, and the two products inside attention."""

FP32 = "fp32"


@dataclass(frozen=True, slots=True)
class Numerics:
    """In which kind of arithmetic each group of matrix products is computed.

    A kind is any word: two groups share the cost of a multiplication when they share the word.
    """

    kinds: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(GROUPS, FP32))
    """By group."""
    kept: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By group: the layers, from 0 and ascending, that are computed in floats all the same."""
    floats: str = FP32
    """The kind these are computed in."""
    weight_bytes: Mapping[str, float] = field(default_factory=lambda: {FP32: 4.0})
    """By kind: bytes of one weight, as it is read."""

    def __post_init__(self) -> None:
        missing = [g for g in GROUPS if g not in self.kinds]
        unknown = {*self.kinds.values(), *(self.floats for kept in self.kept.values() if kept)}
        if missing or unknown - set(self.weight_bytes):
            raise ValueError(f"numerics lack {missing or unknown - set(self.weight_bytes)}")
        for group, kept in self.kept.items():
            if list(kept) != sorted(set(kept)):
                raise ValueError(f"the layers kept of {group} must be ascending, not {kept}")

    def kind(self, layer: int, group: str) -> str:
        """The kind of arithmetic of one group of one layer."""
        return self.floats if layer in self.kept.get(group, ()) else self.kinds[group]

    def counts(self, group: str, depth: Floats) -> dict[str, Floats]:
        """By kind: in how many of the first `depth` layers the group is computed in it; [n]."""
        kept = np.searchsorted(self.kept.get(group, ()), depth).astype(np.float64)
        counts = {self.kinds[group]: depth - kept}
        if kept.any():
            counts[self.floats] = counts.get(self.floats, 0.0) + kept
        return counts


@dataclass(frozen=True, slots=True)
class Columns:
    """Candidates, one entry each in every array of float64 [n].

    Sums over the layers say all that a latency linear in the layers depends on, since the layers
    of a network share its width.
    """

    depth: Floats
    hidden: Floats
    heads: Floats
    """Sum over the layers, as are `qkv` and `ffn`."""
    qkv: Floats
    ffn: Floats
    batch: Floats
    tokens: Floats
    threads: Floats
    widths: Mapping[Part, Floats]
    """Sum of the sizes (qkv or ffn) of the layers in which a group is of that kind."""
    layers: Mapping[Part, Floats]
    """Number of these layers."""
    weight_bytes: Floats
    """Of the weights of the linear layers, as they are read in a call."""

    def __len__(self) -> int:
        return len(self.depth)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every kind of arithmetic in use, fp32 first."""
        found = {kind for (_, kind), count in self.layers.items() if count.any()}
        return tuple(sorted(found, key=lambda kind: (kind != FP32, kind)))

    @classmethod
    def of(
        cls,
        architectures: Sequence[Architecture],
        workloads: Sequence[Workload],
        numerics: Numerics | Sequence[Numerics],
    ) -> Self:
        """One candidate for each architecture, with the workload and the numerics beside it.

        Raises:
            ValueError: there are not as many of each.
        """
        every = [numerics] * len(architectures) if isinstance(numerics, Numerics) else numerics
        beside = zip(architectures, workloads, every, strict=True)
        sums = [_sums(a, n) for a, _, n in beside]
        parts = dict.fromkeys(part for widths, _ in sums for part in widths)
        widths = {p: _column(w.get(p, 0.0) for w, _ in sums) for p in parts}
        layers = {p: _column(c.get(p, 0.0) for _, c in sums) for p in parts}
        hidden = _column(a.hidden for a in architectures)
        per_weight = {p: _column(n.weight_bytes.get(p[1], 0.0) for n in every) for p in parts}
        return cls(
            depth=_column(a.depth for a in architectures),
            hidden=hidden,
            heads=_column(sum(x.heads for x in a.layers) for a in architectures),
            qkv=_column(sum(x.qkv for x in a.layers) for a in architectures),
            ffn=_column(sum(x.ffn for x in a.layers) for a in architectures),
            batch=_column(w.batch for w in workloads),
            tokens=_column(w.tokens for w in workloads),
            threads=_column(w.threads for w in workloads),
            widths=widths,
            layers=layers,
            weight_bytes=_bytes(hidden, widths, per_weight),
        )

    @classmethod
    def of_sizes(
        cls, sizes: Mapping[str, ArrayLike], workload: Workload, numerics: Numerics
    ) -> Self:
        """Networks whose layers are alike: `depth`, `hidden`, `heads`, `qkv` and `ffn`, [n] each.

        The last three are those of one layer.
        """
        made = {name: np.asarray(sizes[name], dtype=np.float64) for name in _SIZES}
        depth, hidden = made["depth"], made["hidden"]
        layers = {(g, k): n for g in GROUPS for k, n in numerics.counts(g, depth).items()}
        widths = {(g, k): n * made[_width_of(g)] for (g, k), n in layers.items()}
        per_weight = {part: numerics.weight_bytes[part[1]] for part in layers}
        return cls(
            depth=depth,
            hidden=hidden,
            heads=depth * made["heads"],
            qkv=depth * made["qkv"],
            ffn=depth * made["ffn"],
            batch=np.full_like(depth, workload.batch),
            tokens=np.full_like(depth, workload.tokens),
            threads=np.full_like(depth, workload.threads),
            widths=widths,
            layers=layers,
            weight_bytes=_bytes(hidden, widths, per_weight),
        )

    def take(self, which: "NDArray[np.intp] | NDArray[np.bool_] | slice") -> Self:
        """The candidates that an index, a mask or a slice picks."""
        made: dict[str, object] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            many = isinstance(value, Mapping)
            made[f.name] = {k: v[which] for k, v in value.items()} if many else value[which]
        return type(self)(**made)  # type: ignore[arg-type] # the fields of this very class

    def slices(self, size: int = 1 << 16) -> Iterator[Self]:
        """The candidates in order, so many at a time, so that memory stays bounded.

        Of no candidates there is one slice, of none.
        """
        for start in range(0, max(len(self), 1), size):
            yield self.take(slice(start, start + size))


_SIZES = ("depth", "hidden", "heads", "qkv", "ffn")


def _column(values: "Iterator[float] | Sequence[float]") -> Floats:
    return np.array(list(values), dtype=np.float64)


def _width_of(group: str) -> str:
    return "ffn" if group.startswith("ffn") else "qkv"


def _sums(a: Architecture, numerics: Numerics) -> tuple[dict[Part, float], dict[Part, float]]:
    widths: dict[Part, float] = {}
    counts: dict[Part, float] = {}
    for number, layer in enumerate(a.layers):
        for group in GROUPS:
            part = group, numerics.kind(number, group)
            widths[part] = widths.get(part, 0.0) + getattr(layer, _width_of(group))
            counts[part] = counts.get(part, 0.0) + 1.0
    return widths, counts


def _bytes(
    hidden: Floats, widths: Mapping[Part, Floats], per_weight: Mapping[Part, Floats | float]
) -> Floats:
    """Three matrices in the group qkv, one in each other; none in attention."""
    total = np.zeros_like(hidden)
    for (group, kind), width in widths.items():
        if group != "attention":
            matrices = 3.0 if group == "qkv" else 1.0
            total += matrices * per_weight[group, kind] * hidden * width
    return total

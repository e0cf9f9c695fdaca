"""Networks to predict, as columns of sizes, a part at a time. Knows no option, no predictor."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from results.architecture import Architecture

if TYPE_CHECKING:
    from nas.columns import SizeColumns
    from nas.space import SearchSpace
    from predictors.columns import Columns, Numerics
    from results.measurement import Workload

SIZES = ("depth", "hidden", "heads", "qkv", "ffn")

PART = 1 << 17
"""Candidates in memory at a time, where a whole space is predicted."""

MOST_WHOLE = 200_000_000
"""Members of a space beyond which not even a list of their latencies fits in memory."""

PROBE = 1000
"""Networks that stand for a space too large to walk."""


@dataclass(frozen=True, slots=True)
class Part:
    """n networks."""

    sizes: Mapping[str, NDArray[Any]]
    """By the names of `SIZES`, [n] each; heads, qkv and ffn are means over the layers."""
    parameters: NDArray[np.int64]
    """As in `Architecture.parameters`, [n]."""
    uneven: tuple[Architecture, ...] = field(default=(), repr=False)
    """The networks themselves, where layers of one of them differ."""

    def __len__(self) -> int:
        return len(self.parameters)

    @classmethod
    def of(cls, architectures: Sequence[Architecture]) -> Self:
        """Networks that were given one by one."""
        alike = all(len(set(a.layers)) == 1 for a in architectures)
        means = [_means(a) for a in architectures]
        kind = np.int32 if alike else np.float64
        sizes = {name: np.array([m[name] for m in means], kind) for name in SIZES}
        whole = {name: sizes[name].astype(np.int32) for name in ("depth", "hidden")}
        parameters = np.array([a.parameters for a in architectures], np.int64)
        return cls(sizes | whole, parameters, () if alike else tuple(architectures))

    def columns(self, workload: "Workload", numerics: "Numerics") -> "Columns":
        """What a predictor is asked: sums over layers, so that their means are enough.

        Only where one layer is computed otherwise than another it matters which of them is wide.
        """
        from predictors.columns import Columns

        if self.uneven and numerics.kept:
            return Columns.of(self.uneven, [workload] * len(self), numerics)
        return Columns.of_sizes(self.sizes, workload, numerics)

    def names(self) -> list[str]:
        """`str(architecture)` of each."""
        if self.uneven:
            return [str(a) for a in self.uneven]
        rows = zip(*(self.sizes[name].tolist() for name in SIZES), strict=True)
        return [f"h{h} {d}x(a{a} q{q} f{f})" for d, h, a, q, f in rows]


class Candidates(Protocol):
    """All networks that are to be predicted."""

    def __len__(self) -> int: ...

    @property
    def space(self) -> "SearchSpace | None":
        """What they are drawn from, if they are."""
        ...

    @property
    def positions(self) -> int:
        """The longest text that all of them take, in tokens."""
        ...

    def parts(self) -> Iterator[Part]:
        """All of them in order; the same ones each time."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """Few enough to be told one by one."""

    part: Part
    positions: int
    space: "SearchSpace | None" = None

    def __len__(self) -> int:
        return len(self.part)

    def parts(self) -> Iterator[Part]:
        yield self.part


@dataclass(frozen=True, slots=True)
class Whole:
    """All members of a space whose layers are alike."""

    space: "SearchSpace"

    def __len__(self) -> int:
        return self.space.count

    @property
    def positions(self) -> int:
        return self.space.positions

    def parts(self) -> Iterator[Part]:
        from nas.columns import sizes

        for start in range(0, len(self), PART):
            yield alike(sizes(self.space, start, start + PART), self.space)


def rest_of(found: Candidates) -> Iterator[Part]:
    """More networks of the space they are drawn from: all, or some where layers differ."""
    space = found.space
    if space is None or isinstance(found, Whole):
        return
    if space.per_layer or space.count > MOST_WHOLE:
        yield Part.of(space.sample_unique(np.random.default_rng(0), min(PROBE, space.count)))
    else:
        yield from Whole(space).parts()


def alike(columns: "SizeColumns", space: "SearchSpace") -> Part:
    """Members of a space whose layers are alike; the sum is that of `Architecture.parameters`."""
    sizes = {name: getattr(columns, name) for name in SIZES}
    d, h, _, q, f = (size.astype(np.int64) for size in sizes.values())
    layer = 4 * h * q + 3 * q + 2 * h * f + f + 6 * h
    tables = space.vocab + space.positions + space.types
    parameters = (tables + 3 + h) * h + d * layer
    return Part(sizes, parameters)


def _means(a: Architecture) -> dict[str, float]:
    layers = {
        name: math.fsum(getattr(x, name) for x in a.layers) / a.depth
        for name in ("heads", "qkv", "ffn")
    }
    return {"depth": a.depth, "hidden": a.hidden, **layers}

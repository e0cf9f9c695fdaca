"""The sizes one layer may have, in networks of a given width. Knows no depth, file or chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Literal

from results.architecture import LARGEST, Layer

MOST_VALUES = 1024
"""Of one size; AutoTinyBERT's finest grid has 737."""


@dataclass(frozen=True, slots=True)
class PerHead:
    """The width of queries, keys and values follows the heads: so many columns for each."""

    width: int


Qkv = tuple[int, ...] | PerHead | Literal["hidden"]
"""A grid of its own, tied to the heads, or tied to the width of the network."""

Sizes = tuple[int, int, int]
"""Heads, qkv and ffn of a layer that may not exist."""


@dataclass(frozen=True, slots=True)
class LayerGrid:
    """Every layer that exists beside each width: its heads divide its qkv."""

    hidden: tuple[int, ...]
    heads: tuple[int, ...]
    qkv: Qkv
    ffn: tuple[int, ...]
    _pairs: dict[int, tuple[tuple[int, int], ...]] = field(init=False, repr=False, compare=False)
    """Of every width: the heads and qkv that go together, ascending."""

    def __post_init__(self) -> None:
        for name in ("hidden", "heads", "ffn"):
            require_grid(name, getattr(self, name))
        if isinstance(self.qkv, PerHead):
            require_grid("qkv per head", (self.qkv.width,))
        elif self.qkv != "hidden":
            require_grid("qkv", self.qkv)
        everywhere = None if self.qkv == "hidden" else self._pairs_beside(self.hidden[0])
        beside = {h: everywhere or self._pairs_beside(h) for h in self.hidden}
        object.__setattr__(self, "_pairs", beside)

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths beside which there is any layer."""
        return tuple(h for h in self.hidden if self._pairs[h])

    @property
    def texts(self) -> dict[str, str]:
        """The grids for people, by size."""
        match self.qkv:
            case PerHead(width):
                qkv = f"{width} per head"
            case "hidden":
                qkv = "as hidden"
            case tuple(sizes):
                qkv = described(sizes)
        hidden, heads, ffn = map(described, (self.hidden, self.heads, self.ffn))
        return {"hidden": hidden, "heads": heads, "qkv": qkv, "ffn": ffn}

    def pairs(self, hidden: int) -> tuple[tuple[int, int], ...]:
        """The heads and qkv that go together beside this width, ascending."""
        return self._pairs[hidden]

    def count(self, hidden: int) -> int:
        """How many different layers there are beside this width."""
        return len(self._pairs[hidden]) * len(self.ffn)

    def at(self, hidden: int, index: int) -> Layer:
        """The layer that `every` yields after `index` others."""
        pair, ffn = divmod(index, len(self.ffn))
        return Layer(*self._pairs[hidden][pair], self.ffn[ffn])

    def every(self, hidden: int) -> Iterator[Layer]:
        """All layers beside this width, in ascending order."""
        for pair, ffn in product(self._pairs[hidden], self.ffn):
            yield Layer(*pair, ffn)

    def has(self, hidden: int, layer: Layer) -> bool:
        return layer.ffn in self.ffn and (layer.heads, layer.qkv) in self._pairs.get(hidden, ())

    def beside(self, hidden: int, layers: Sequence[Layer]) -> tuple[Layer, ...] | None:
        """The same layers in a network of another width; None when one of them does not exist."""
        if self.qkv != "hidden":
            return tuple(layers)
        if any((x.heads, hidden) not in self._pairs[hidden] for x in layers):
            return None
        return tuple(Layer(x.heads, hidden, x.ffn) for x in layers)

    def lines(self, hidden: int, layer: Layer) -> dict[str, tuple[Layer, ...]]:
        """By size: the layers that differ from a member in this size only, itself included.

        Heads take qkv along where it is tied to them. Sizes that no layer has are stepped over.
        """
        pairs = self._pairs[hidden]
        alike = [p for p in pairs if isinstance(self.qkv, PerHead) or p[1] == layer.qkv]
        wider = [p for p in pairs if p[0] == layer.heads]
        return {
            "heads": tuple(Layer(*p, layer.ffn) for p in alike),
            "qkv": tuple(Layer(*p, layer.ffn) for p in wider),
            "ffn": tuple(Layer(layer.heads, layer.qkv, f) for f in self.ffn),
        }

    def nearest(self, hidden: int, wanted: Sequence[Sizes]) -> tuple[float, Layer]:
        """The layer that differs least from all the wanted ones, and by how much.

        A difference is relative to the wanted size, and a qkv tied to the width of the network is
        not counted. Of two that are equally near the smaller is taken.
        """
        tied = self.qkv == "hidden"

        def off(pair: tuple[int, int]) -> tuple[float, int, int]:
            heads, qkv = pair
            wide = 0.0 if tied else sum(relative(qkv, q) for _, q, _ in wanted)
            return wide + sum(relative(heads, a) for a, _, _ in wanted), qkv, heads

        pair = min(self._pairs[hidden], key=off)
        far, ffn = min((sum(relative(f, w) for _, _, w in wanted), f) for f in self.ffn)
        return off(pair)[0] + far, Layer(*pair, ffn)

    def smallest(self, hidden: int) -> Layer:
        """Narrowest in every size, then with the fewest heads."""
        heads, qkv = min(self._pairs[hidden], key=lambda p: (p[1], p[0]))
        return Layer(heads, qkv, self.ffn[0])

    def largest(self, hidden: int) -> Layer:
        """Widest in every size, then with the most heads."""
        heads, qkv = max(self._pairs[hidden], key=lambda p: (p[1], p[0]))
        return Layer(heads, qkv, self.ffn[-1])

    def _pairs_beside(self, hidden: int) -> tuple[tuple[int, int], ...]:
        return tuple((a, q) for a in self.heads for q in self._columns(hidden, a) if q % a == 0)

    def _columns(self, hidden: int, heads: int) -> tuple[int, ...]:
        if isinstance(self.qkv, PerHead):
            return tuple(q for q in (heads * self.qkv.width,) if q <= LARGEST)
        return (hidden,) if self.qkv == "hidden" else self.qkv


def relative(size: int, wanted: int) -> float:
    """How far a size is from the one that was wanted, as a fraction of the latter."""
    return abs(size - wanted) / wanted


def require_grid(name: str, values: tuple[int, ...], largest: int = LARGEST) -> None:
    """A grid is whole numbers in ascending order, each of them once."""
    if not 1 <= len(values) <= MOST_VALUES:
        raise ValueError(f"{name} must have from 1 to {MOST_VALUES} values, not {len(values)}")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
            raise ValueError(f"{name} must be whole numbers from 1 to {largest}, not {value!r}")
    if list(values) != sorted(set(values)):
        raise ValueError(f"{name} must be in ascending order, each value once")


def described(values: tuple[int, ...]) -> str:
    """For people: `12`, `1..8`, `128..768 step 16` or `1, 2, 4`."""
    steps = {b - a for a, b in pairwise(values)}
    if len(values) <= 2 or len(steps) > 1:  # noqa: PLR2004 - two values are no range
        return ", ".join(map(str, values))
    step = steps.pop()
    return f"{values[0]}..{values[-1]}" + (f" step {step}" if step > 1 else "")

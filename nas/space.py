"""Which architectures exist, and how to walk among them. Knows no supernet and no latency."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from itertools import accumulate, islice, product
from pathlib import Path
from typing import Any

import numpy as np

from nas.spaces.draw import below, distinct
from nas.spaces.layers import LayerGrid, PerHead, Qkv, Sizes, described, relative, require_grid
from nas.spaces.line import Line, line, pick, stretched
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.strict_yaml import load_yaml, read_yaml

DEEPEST = 128
ALIASES = {"autotinybert-kd": "autotinybert", "speedlimit": "bigger-faster"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """A grid for every size; an architecture exists where heads divide qkv in all its layers.

    The layers of one architecture are alike unless `per_layer` is true. Members are ordered by
    width, then depth, then their layers; `iter(space)` walks them in that order.
    """

    name: str
    depth: tuple[int, ...]
    hidden: tuple[int, ...]
    heads: tuple[int, ...]
    qkv: Qkv
    ffn: tuple[int, ...]
    per_layer: bool = False
    description: str = ""
    vocab: int = 30522
    positions: int = 512
    types: int = 2
    _layers: LayerGrid = field(init=False, repr=False, compare=False)
    _blocks: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)
    """Width and depth of every block of members, in order."""
    _ends: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """How many members there are up to the end of each block."""

    def __post_init__(self) -> None:
        require_grid("depth", self.depth, DEEPEST)
        for name in ("vocab", "positions", "types"):
            require_grid(name, (getattr(self, name),))
        layers = LayerGrid(self.hidden, self.heads, self.qkv, self.ffn)
        blocks = tuple(product(self.hidden, self.depth))
        sizes = (layers.count(h) ** (d if self.per_layer else 1) for h, d in blocks)
        object.__setattr__(self, "_layers", layers)
        object.__setattr__(self, "_blocks", blocks)
        object.__setattr__(self, "_ends", tuple(accumulate(sizes)))
        if not self.count:
            raise ValueError("no qkv can be divided by any of the heads, so the space is empty")

    @property
    def count(self) -> int:
        """How many architectures there are, exactly."""
        return self._ends[-1]

    @property
    def grid(self) -> dict[str, str]:
        """The sizes for people, e.g. `{"hidden": "128..768 step 16", ...}`."""
        return {"depth": described(self.depth)} | self._layers.texts

    @property
    def fields(self) -> dict[str, Any]:
        """As in a YAML file, ranges written out; `space_of` reads them."""
        names = ("name", "description", "per_layer", "vocab", "positions", "types")
        grids = {name: list(getattr(self, name)) for name in ("depth", "hidden", "heads", "ffn")}
        qkv = self.qkv
        if isinstance(qkv, PerHead):
            return {n: getattr(self, n) for n in names} | grids | {"qkv": {"per_head": qkv.width}}
        free = qkv if isinstance(qkv, str) else list(qkv)
        return {n: getattr(self, n) for n in names} | grids | {"qkv": free}

    def __contains__(self, a: object) -> bool:
        return (
            isinstance(a, Architecture)
            and (a.vocab, a.positions, a.types) == (self.vocab, self.positions, self.types)
            and a.depth in self.depth
            and (self.per_layer or len(set(a.layers)) == 1)
            and all(self._layers.has(a.hidden, x) for x in set(a.layers))
        )

    def __iter__(self) -> Iterator[Architecture]:
        for hidden, depth in self._blocks:
            if self.per_layer:
                for layers in product(self._layers.every(hidden), repeat=depth):
                    yield self._build(hidden, layers)
            else:
                for layer in self._layers.every(hidden):
                    yield self._build(hidden, (layer,) * depth)

    def at(self, index: int) -> Architecture:
        """The member that `iter(space)` yields after `index` others."""
        if not 0 <= index < self.count:
            raise IndexError(f"{self.name} has members 0 to {self.count - 1}, not {index}")
        block = bisect_right(self._ends, index)
        hidden, depth = self._blocks[block]
        rest = index - (self._ends[block - 1] if block else 0)
        if not self.per_layer:
            return self._build(hidden, (self._layers.at(hidden, rest),) * depth)
        digits = []
        for _ in range(depth):
            rest, digit = divmod(rest, self._layers.count(hidden))
            digits.append(digit)
        return self._build(hidden, tuple(self._layers.at(hidden, d) for d in reversed(digits)))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One member, each as likely as any other.

        Where layers differ nearly all members have the greatest depth, and so have the samples;
        `dataclasses.replace(space, depth=(3,))` is the same space at one depth.
        """
        return self.at(below(rng, self.count))

    def sample_unique(self, rng: np.random.Generator, n: int) -> tuple[Architecture, ...]:
        """`n` different members; with the same seed fewer of them are the first of more."""
        if not 0 <= n <= self.count:
            message = f"{self.name} has {self.count} architectures, so {n} cannot be drawn"
            raise BadInputError(f"{message}; ask for 0 to {self.count}")
        return tuple(self.at(i) for i in islice(distinct(rng, self.count), n))

    @property
    def smallest(self) -> Architecture:
        """The member with the fewest parameters; every size of it is the least that exists."""
        hidden = self._layers.widths[0]
        return self._build(hidden, (self._layers.smallest(hidden),) * self.depth[0])

    @property
    def largest(self) -> Architecture:
        """The member with the most parameters; a supernet of its sizes holds all the others."""
        hidden = self._layers.widths[-1]
        return self._build(hidden, (self._layers.largest(hidden),) * self.depth[-1])

    def neighbours(self, a: Architecture) -> tuple[Architecture, ...]:
        """Every member one step from member `a`: one size moves to the next that exists.

        A step up in depth repeats the last layer, a step down drops it. Where layers differ each
        has steps of its own, and a step down in depth cannot always be taken back.
        """
        return tuple(b for x in self._lines(a) for b in x.around(1))

    def mutate(self, a: Architecture, rng: np.random.Generator) -> Architecture:
        """Move one size of member `a`; `a` itself only when it has no neighbour.

        The size is drawn first (then the layer), so that none drowns among the others. Half of
        the moves go one or two steps, as AutoTinyBERT's do; the rest go anywhere on the grid.
        """
        lines = [x for x in self._lines(a) if x.length > 1]
        if not lines:
            return a
        size = pick(rng, list(dict.fromkeys(x.size for x in lines)))
        chosen = pick(rng, [x for x in lines if x.size == size])
        steps = 2 if rng.random() < 0.5 else chosen.length  # noqa: PLR2004 - one half
        return pick(rng, chosen.around(steps))

    def cross(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """A member whose every size comes from one of the members `a` and `b`.

        Heads and qkv of a layer stay together. Heads that do not divide a qkv tied to the width
        give way to the nearest that do.
        """
        for parent in (a, b):
            self._require(parent)
        hidden = pick(rng, (a, b)).hidden
        depth = pick(rng, (a, b)).depth
        wanted, chosen = [], depth if self.per_layer else 1
        for i in range(chosen):
            owners = [x.layers[i] for x in (a, b) if i < x.depth]
            attention, ffn = pick(rng, owners), pick(rng, owners).ffn
            wanted.append((attention.heads, attention.qkv, ffn))
        return self._build(hidden, self._fitted(hidden, wanted * (depth // chosen))[1])

    def repair(self, a: Architecture) -> Architecture:
        """The member nearest to any architecture; a member is its own.

        The depth is the nearest there is (layers are dropped, or the last one repeated). Then the
        relative differences of the width and of the layers' sizes are least in sum, the width
        counting in every layer.
        """
        depth = min(self.depth, key=lambda d: (abs(d - a.depth), d))
        wanted = [(x.heads, x.qkv, x.ffn) for x in stretched(a.layers, depth)]
        widths = self._layers.widths
        if self.qkv != "hidden":  # then no layer depends on the width
            widths = (min(widths, key=lambda h: (abs(h - a.hidden), h)),)
        fits = ((h, *self._fitted(h, wanted)) for h in widths)
        best = min(fits, key=lambda fit: (depth * relative(fit[0], a.hidden) + fit[1], fit[0]))
        return self._build(best[0], best[2])

    def _lines(self, a: Architecture) -> list[Line]:
        """The lines of members through member `a`."""
        self._require(a)
        beside = {h: self._layers.beside(h, a.layers) for h in self.hidden}
        wide = [self._build(h, layers) for h, layers in beside.items() if layers]
        lines = [
            line(
                "depth", self.depth, a.depth, lambda d: replace(a, layers=stretched(a.layers, d))
            ),
            line("hidden", wide, a, lambda member: member),
        ]
        for i, layer in enumerate(a.layers if self.per_layer else a.layers[:1]):
            for size, row in self._layers.lines(a.hidden, layer).items():
                lines.append(line(size, row, layer, partial(self._with_layer, a, i)))
        return lines

    def _with_layer(self, a: Architecture, i: int, layer: Layer) -> Architecture:
        others = (*a.layers[:i], layer, *a.layers[i + 1 :])
        return replace(a, layers=others if self.per_layer else (layer,) * a.depth)

    def _require(self, a: Architecture) -> None:
        if a not in self:
            message = f"{a} is not in the space {self.name!r}; its nearest member there"
            raise BadInputError(f"{message} is {self.repair(a)}")

    def _build(self, hidden: int, layers: tuple[Layer, ...]) -> Architecture:
        return Architecture(hidden, layers, self.vocab, self.positions, self.types)

    def _fitted(self, hidden: int, wanted: Sequence[Sizes]) -> tuple[float, tuple[Layer, ...]]:
        """Layers beside this width, as near as can be to the wanted ones, and how near."""
        if not self.per_layer:
            off, layer = self._layers.nearest(hidden, wanted)
            return off, (layer,) * len(wanted)
        fits = [self._layers.nearest(hidden, [sizes]) for sizes in wanted]
        return sum(off for off, _ in fits), tuple(layer for _, layer in fits)


def builtin_spaces() -> tuple[str, ...]:
    """The names of the spaces that ship with the package."""
    names = (entry.name for entry in files("nas.spaces").iterdir())
    return tuple(sorted(n.removesuffix(".yaml") for n in names if n.endswith(".yaml")))


def load_space(name_or_path: str) -> SearchSpace:
    """A space that ships with the package, by name, or one of your own, by its YAML file."""
    name = ALIASES.get(name_or_path, name_or_path)
    if name in builtin_spaces():
        text = files("nas.spaces").joinpath(f"{name}.yaml").read_text("utf-8")
        return space_of(load_yaml(text, f"{name}.yaml"), f"{name}.yaml")
    if Path(name).suffix not in (".yaml", ".yml") and not Path(name).is_file():
        known = ", ".join(builtin_spaces())
        raise BadInputError(f"no search space {name!r}: name one of {known}, or a YAML file")
    return space_of(read_yaml(name), name)


def space_of(data: object, where: str) -> SearchSpace:
    """A space by its fields, as in a YAML file; `where` they are from is for messages."""
    from nas.spaces.schema import checked_fields

    fields = checked_fields(data, where)
    try:
        return SearchSpace(**dict(fields))
    except ValueError as error:
        raise BadInputError(f"{where}: {error}") from None

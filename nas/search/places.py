"""Which number a member of a space has. Knows no cost and no chance."""

from itertools import product

from nas.space import SearchSpace
from nas.spaces.layers import LayerGrid
from results.architecture import Architecture, Layer


class Places:
    """The inverse of `space.at`."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._grid = LayerGrid(space.hidden, space.heads, space.qkv, space.ffn)
        self._ffn = {size: i for i, size in enumerate(space.ffn)}
        self._pairs = {
            h: {pair: i for i, pair in enumerate(self._grid.pairs(h))} for h in space.hidden
        }
        self._begins = {}
        begin = 0
        for hidden, depth in product(space.hidden, space.depth):
            self._begins[hidden, depth] = begin
            begin += self._grid.count(hidden) ** (depth if space.per_layer else 1)

    def of(self, a: Architecture) -> int | None:
        """How many members `iter(space)` yields before `a`; None where `a` is no member."""
        if a not in self._space:
            return None
        place = 0
        for layer in a.layers if self._space.per_layer else a.layers[:1]:
            place = place * self._grid.count(a.hidden) + self._within(a.hidden, layer)
        return self._begins[a.hidden, a.depth] + place

    def _within(self, hidden: int, layer: Layer) -> int:
        pair = self._pairs[hidden][layer.heads, layer.qkv]
        return pair * len(self._ffn) + self._ffn[layer.ffn]

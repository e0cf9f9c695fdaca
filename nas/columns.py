"""The sizes of many members of a search space at once, as arrays. Builds no architecture."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.space import SearchSpace
from nas.spaces.layers import LayerGrid
from results.errors import BadInputError

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class SizeColumns:
    """Of n members whose layers are alike, each [n]: `depth` layers of the other sizes."""

    depth: Ints
    hidden: Ints
    heads: Ints
    qkv: Ints
    ffn: Ints

    def __len__(self) -> int:
        return len(self.depth)


def sizes(space: SearchSpace, start: int = 0, stop: int | None = None) -> SizeColumns:
    """Those of the members that `iter(space)` yields after `start` others, up to `stop`.

    The bounds are those of a slice. About 50 bytes a member are in use meanwhile, 20 of which
    stay: take a large space in slices.

    Raises:
        BadInputError: the layers of a member may differ.
    """
    _require_alike(space)
    return sizes_at(space, np.arange(*slice(start, stop).indices(space.count)))


def sizes_at(space: SearchSpace, indices: NDArray[np.integer[Any]]) -> SizeColumns:
    """Those of `space.at(i)` for every i of `indices`, [n], in that order.

    Raises:
        BadInputError: the layers of a member may differ.
        IndexError: there is no such member.
    """
    _require_alike(space)
    wanted = _members(space, indices)
    grid = LayerGrid(space.hidden, space.heads, space.qkv, space.ffn)
    pairs, first = _pairs(grid)
    blocks = np.array(list(product(range(len(space.hidden)), space.depth)), np.int32)
    counts = np.array([grid.count(h) for h in space.hidden])[blocks[:, 0]]
    ends = np.cumsum(counts)
    block = np.searchsorted(ends, wanted, side="right")
    within = (wanted - (ends - counts)[block]).astype(np.int32)
    pair, ffn = np.divmod(within, np.int32(len(space.ffn)))
    pair += first[blocks[:, 0]][block]
    hidden = np.array(space.hidden, np.int32)[blocks[:, 0]]
    heads, qkv = pairs.T
    return SizeColumns(
        depth=blocks[:, 1][block],
        hidden=hidden[block],
        heads=heads[pair],
        qkv=qkv[pair],
        ffn=np.array(space.ffn, np.int32)[ffn],
    )


def _pairs(grid: LayerGrid) -> tuple[Ints, Ints]:
    """Heads and qkv that go together, [n, 2], and the row at which those of each width begin."""
    begins: dict[tuple[tuple[int, int], ...], int] = {}
    rows: list[tuple[int, int]] = []
    first = []
    for width in grid.hidden:
        pairs = grid.pairs(width)
        if pairs not in begins:
            begins[pairs] = len(rows)
            rows.extend(pairs)
        first.append(begins[pairs])
    return np.array(rows, np.int32), np.array(first, np.int32)


def _require_alike(space: SearchSpace) -> None:
    if space.per_layer:
        message = f"the layers of a member of the space {space.name!r} differ"
        raise BadInputError(f"{message}, so its sizes are no columns: sample it instead")


def _members(space: SearchSpace, indices: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """The numbers as they are when each is of a member."""
    if not np.issubdtype(indices.dtype, np.integer) or indices.ndim != 1:
        message = f"members are numbered by a list of whole numbers, not {indices.dtype}"
        raise IndexError(f"{message} of shape {indices.shape}")
    wrong = indices[(indices < 0) | (indices >= space.count)]
    if wrong.size:
        message = f"{space.name} has members 0 to {space.count - 1}"
        raise IndexError(f"{message}, not {wrong[0]}")
    return indices.astype(np.int64, copy=False)

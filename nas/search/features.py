"""Members as points: logarithms of their sizes, and how these run along the layers."""

from collections.abc import Sequence

import numpy as np

from nas.columns import SizeColumns
from nas.search.searcher import Floats
from nas.space import SearchSpace
from results.architecture import Architecture


def of_sizes(sizes: SizeColumns) -> Floats:
    """(n, 5), of members whose layers are alike: depth, width, heads, qkv, ffn."""
    columns = (sizes.depth, sizes.hidden, sizes.heads, sizes.qkv, sizes.ffn)
    return np.log(np.stack(columns, 1).astype(np.float64))


def of(space: SearchSpace, architectures: Sequence[Architecture]) -> Floats:
    """(n, 5), the same numbers; where layers differ (n, 11).

    Then heads, qkv and ffn are means of their logarithms over the layers, followed by their
    slopes and their curvatures from the first layer to the last.
    """
    if not space.per_layer:
        first = [(a.depth, a.hidden, *_sizes(a)[0]) for a in architectures]
        return np.log(np.array(first, np.float64).reshape(-1, 5))
    return np.array([_along(a) for a in architectures]).reshape(-1, 11)


def _sizes(a: Architecture) -> list[tuple[int, int, int]]:
    return [(x.heads, x.qkv, x.ffn) for x in a.layers]


def _along(a: Architecture) -> Floats:
    logs = np.log(np.array(_sizes(a), np.float64))  # (depth, 3)
    line = np.linspace(-1.0, 1.0, a.depth) if a.depth > 1 else np.zeros(1)
    bent = line**2 - (line**2).mean()
    moments = [logs.mean(0), line @ logs / a.depth, bent @ logs / a.depth]
    return np.concatenate([np.log([a.depth, a.hidden]), *moments])

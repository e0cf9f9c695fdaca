"""Bytes that an encoder's weights take in a scheme, from its sizes alone. Builds no graph.

Equal to the graph's in floats and in int8-dynamic; elsewhere within half a per cent, since a graph
keeps some small vectors more than once (biases as integers, corrections).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quant.scheme import GROUPS, Scheme
from results.architecture import Architecture

FLOAT = 4
Counts = NDArray[np.int64]


def of_architecture(a: Architecture, scheme: Scheme) -> int:
    """Bytes of all tensors as they are stored, scales and zero points with them."""
    total = _outside(a.hidden, (a.vocab, a.positions, a.types), scheme)
    for number, x in enumerate(a.layers):
        total = total + _layer(number, a.hidden, x.qkv, x.ffn, scheme)
    return int(total)


def of_sizes(
    depth: ArrayLike,
    hidden: ArrayLike,
    qkv: ArrayLike,
    ffn: ArrayLike,
    tables: tuple[int, int, int],
    scheme: Scheme,
) -> Counts:
    """The same of networks whose layers are alike, (n,) each.

    `tables`: the words, positions and types.
    """
    d, h, q, f = (np.asarray(x, np.int64) for x in (depth, hidden, qkv, ffn))
    total = np.asarray(_outside(h, tables, scheme), np.int64)
    if not scheme.keep:
        return np.asarray(total + d * _layer(-1, h, q, f, scheme), np.int64)
    for number in range(int(d.max(initial=0))):
        total = total + np.where(d > number, _layer(number, h, q, f, scheme), 0)
    return np.asarray(total, np.int64)


def _outside(hidden: Any, tables: tuple[int, int, int], scheme: Scheme) -> Any:
    """Embeddings and their LayerNorm."""
    words, positions, types = tables
    stored = _matrix(words, hidden, words, scheme) if scheme.embeddings == "int8" else None
    table = FLOAT * words * hidden if stored is None else stored
    vectors = (positions + types + 2) * hidden
    return table + _vectors(vectors, 4, scheme)


def _layer(number: int, h: Any, q: Any, f: Any, scheme: Scheme) -> Any:
    """One layer: six matrices, their biases, two LayerNorms."""
    out_in = {
        "qkv": (q, h, 3),
        "attention-output": (h, q, 1),
        "ffn-in": (f, h, 1),
        "ffn-out": (h, f, 1),
    }
    total = _vectors(3 * q + h + f + h + 4 * h, 10, scheme)
    for group in GROUPS:
        rows, columns, several = out_in[group]
        floats = scheme.arithmetic(number, group) == "fp32"
        one = FLOAT * rows * columns if floats else _matrix(rows, columns, rows, scheme)
        total = total + several * one
    return total


def _matrix(rows: Any, columns: Any, channels: Any, scheme: Scheme) -> Any:
    """Integers, a scale of each channel or one in all, and a zero point where there is one."""
    grids = channels if scheme.weights == "channel" else 1
    return rows * columns + grids * (FLOAT if scheme.symmetric else FLOAT + 1)


def _vectors(numbers: Any, tensors: int, scheme: Scheme) -> Any:
    if scheme.vectors == "fp32":
        return FLOAT * numbers
    return numbers + tensors * (FLOAT if scheme.symmetric else FLOAT + 1)

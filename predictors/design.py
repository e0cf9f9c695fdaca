"""Which candidates to measure next, so that few rows tell most. Knows no row and no device."""

from collections.abc import Sequence

import numpy as np

from predictors.columns import Columns, Floats
from predictors.domain import sizes
from predictors.physics import Physics
from predictors.terms import Terms

UNKNOWN = 1e-3
"""Of the information matrix before any row, where a term at its largest is 1."""


def first(views: Sequence[tuple[Terms, Columns]], n: int, seed: int = 0) -> list[int]:
    """Indices of `n` candidates to begin with, in the order in which they help.

    A view is the terms of one predictor and the candidates in its numerics.

    The first half lie far from one another (maximin distance of the logarithms of the sizes:
    Johnson, Moore & Ylvisaker, 1990), the rest add most to the determinant of the information
    matrix of the terms (greedy D-optimality: Fedorov, 1972). No price is known yet, so a latency
    is guessed as the sum of all terms, each weighing the same in the mean candidate.
    """
    candidates = views[0][1]
    spread = _far_apart(candidates, min((n + 1) // 2, len(candidates)), seed)
    return _further([_guessed(t.matrix(c)) for t, c in views], spread, n - len(spread))


def wider(views: Sequence[tuple[Physics, Columns]], chosen: Sequence[int], n: int) -> list[int]:
    """Indices of `n` more candidates: each time the one whose interval is widest.

    With known prices that is the same as greedy D-optimality. `chosen` are the candidates that
    were measured.
    """
    known = [_relative(p.terms.matrix(c), p.prices) for p, c in views]
    return _further(known, chosen, n)[len(chosen) :]


def _further(relative: Sequence[Floats], chosen: Sequence[int], n: int) -> list[int]:
    """`chosen`, and `n` more that add most information on all predictors together.

    `relative` are the terms over the latency, [candidates, terms] for each predictor.
    """
    picked = list(chosen)
    scaled = [x / np.where(x.max(axis=0) > 0, x.max(axis=0), 1.0) for x in relative]
    inverses = [np.eye(x.shape[1]) / UNKNOWN for x in scaled]
    for i in picked:
        inverses = [_with_row(a, x[i]) for a, x in zip(inverses, scaled, strict=True)]
    count = len(relative[0])
    while len(picked) < min(len(chosen) + n, count):
        gain = np.zeros(count)
        for a, x in zip(inverses, scaled, strict=True):
            gain += np.log1p(np.einsum("ij,ij->i", x @ a, x))
        gain[picked] = -1.0
        picked.append(int(np.argmax(gain)))
        inverses = [_with_row(a, x[picked[-1]]) for a, x in zip(inverses, scaled, strict=True)]
    return picked


def _with_row(inverse: Floats, row: Floats) -> Floats:
    """The inverse of A + row row', given that of A (Sherman & Morrison, 1950)."""
    moved = inverse @ row
    found: Floats = inverse - np.outer(moved, moved) / (1.0 + row @ moved)
    return found


def _guessed(x: Floats) -> Floats:
    mean = x.mean(axis=0)
    return _relative(x, 1.0 / np.where(mean > 0, mean, np.inf))


def _relative(x: Floats, prices: Floats) -> Floats:
    return x / np.maximum(x @ prices, 1e-12)[:, None]


def _far_apart(c: Columns, n: int, seed: int) -> list[int]:
    points = np.log(np.stack(list(sizes(c).values()), axis=1))
    extent = np.ptp(points, axis=0)
    points = (points - points.min(axis=0)) / np.where(extent > 0, extent, 1.0)
    picked = [int(np.random.default_rng(seed).integers(len(c)))]
    nearest = np.linalg.norm(points - points[picked[0]], axis=1)
    while len(picked) < n:
        nearest[picked] = -1.0  # of candidates of equal sizes all are near
        picked.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[picked[-1]], axis=1))
    return picked

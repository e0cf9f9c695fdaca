"""Fronts and hypervolumes of two numbers, low cost and high score. Knows no network."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def front(costs: ArrayLike, scores: ArrayLike) -> NDArray[np.intp]:
    """Places of the points that no other beats, the cheapest first.

    A point beats another that costs no less and scores no more, and is not equal in both; of
    equal points the first is kept. `costs` and `scores` are (n,).
    """
    cost, score = np.asarray(costs, np.float64), np.asarray(scores, np.float64)
    order = np.lexsort((-score, cost))  # of equal cost the best first
    best = np.maximum.accumulate(np.concatenate([[-np.inf], score[order]]))[:-1]
    kept: NDArray[np.intp] = order[score[order] > best]
    return kept


def hypervolume(costs: ArrayLike, scores: ArrayLike, reference: tuple[float, float]) -> float:
    """The area between the front and a `reference` point (cost, score) that is worse than it.

    Zitzler and Thiele 1998. Points that do not beat the reference in both numbers add nothing.
    """
    cost, score = np.asarray(costs, np.float64), np.asarray(scores, np.float64)
    far, low = reference
    inside = (cost < far) & (score > low)
    kept = front(cost[inside], score[inside])
    x, y = cost[inside][kept], score[inside][kept]
    widths = np.diff(x, append=far)
    return float((widths * (y - low)).sum())


def trace(
    costs: ArrayLike, scores: ArrayLike, reference: tuple[float, float]
) -> NDArray[np.float64]:
    """The hypervolume after each point, (n,), as they came."""
    cost: NDArray[Any] = np.asarray(costs, np.float64)
    score: NDArray[Any] = np.asarray(scores, np.float64)
    found = np.zeros(len(cost))
    kept = np.zeros(0, np.intp)
    for i in range(len(cost)):
        if i and ((cost[kept] <= cost[i]) & (score[kept] >= score[i])).any():
            found[i] = found[i - 1]
            continue
        several = np.append(kept, i)
        kept = several[front(cost[several], score[several])]
        found[i] = hypervolume(cost[kept], score[kept], reference)
    return found

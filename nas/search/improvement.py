"""How much a point is expected to add to a front, its cost known and its score not."""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from nas.pareto import front
from nas.search.searcher import Floats


class Stairs:
    """What is reached at every cost between the cheapest and `far`, and `low` before."""

    def __init__(self, cost: ArrayLike, score: ArrayLike, far: float, low: float) -> None:
        c, s = np.asarray(cost, np.float64), np.asarray(score, np.float64)
        kept = front(c, s)
        self.edge = np.concatenate([[-np.inf], c[kept]])
        """(k,), where each step begins."""
        self.level = np.concatenate([[low], np.maximum(s[kept], low)])
        """(k,), its height."""
        self.far = far

    def expected(self, cost: Floats, mean: Floats, spread: Floats) -> Floats:
        """(m,), the area above the stairs that points of normal scores add on average.

        The hypervolume improvement of Emmerich, Deutz and Klinkenberg 2011 where one of the two
        objectives is known: a sum over steps of a width and an expected improvement (Jones 1998).
        """
        ends = np.append(self.edge[1:], self.far)
        width = np.maximum(ends - np.maximum(self.edge, cost[:, None]), 0.0)  # (m, k)
        above = mean[:, None] - self.level
        ratio = above / spread[:, None]
        gain = above * _below(ratio) + spread[:, None] * _density(ratio)
        found: Floats = (width * np.maximum(gain, 0.0)).sum(1)
        return found

    def at(self, cost: Floats) -> Floats:
        """The height at each cost, (m,)."""
        return self.level[np.searchsorted(self.edge, cost, side="right") - 1]


def _density(z: Floats) -> Floats:
    found: Floats = np.exp(-0.5 * z**2) / sqrt(2 * np.pi)
    return found


def _below(z: Floats) -> Floats:
    from scipy.special import ndtr

    found: Floats = ndtr(z)
    return found

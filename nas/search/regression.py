"""A score as a polynomial of features, with how far it may be off. Knows no network."""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from nas.search.searcher import Floats

DECAY = 0.5
"""Of a term's size with its order: the weights of squares are expected to be half as large."""

MOST_TERMS = 90
"""Cubes are left out where they would be more."""

ROUNDS = 12
"""Of the evidence's two scales; they settle in about five."""


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Which columns count, how they are scaled, and their products."""

    columns: NDArray[np.intp]
    middle: Floats
    scale: Floats
    terms: tuple[tuple[int, ...], ...]

    def __call__(self, x: Floats) -> Floats:
        """(n, features) to (n, terms), the first of them 1."""
        z = (x[:, self.columns] - self.middle) / self.scale
        found = np.ones((len(z), len(self.terms)))
        for i, term in enumerate(self.terms):
            found[:, i] = DECAY ** max(0, len(term) - 1)
            for j in term:
                found[:, i] *= z[:, j]
        return found


def basis(x: Floats) -> Basis:
    """To the third power, of the columns of `x`, (n, features), that differ and are no copies."""
    kept: list[int] = []
    centred = x - x.mean(0)
    norm = np.sqrt((centred**2).sum(0))
    for j in range(x.shape[1]):
        if norm[j] < 1e-9 * np.sqrt(len(x)):
            continue
        alike = [abs(centred[:, j] @ centred[:, k]) / (norm[j] * norm[k]) for k in kept]
        if all(a < 1 - 1e-9 for a in alike):
            kept.append(j)
    columns = np.array(kept, np.intp)
    powers = [list(combinations_with_replacement(range(len(kept)), p)) for p in range(4)]
    if sum(map(len, powers)) > MOST_TERMS:
        powers.pop()
    terms = tuple(term for power in powers for term in power)
    low, high = x[:, columns].min(0), x[:, columns].max(0)
    return Basis(columns, (low + high) / 2, (high - low) / 2, terms)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The posterior of the weights: normal, of this mean and covariance."""

    mean: Floats
    root: Floats
    """(terms, terms): its product with its transpose is the covariance."""
    noise: float
    """Standard deviation of a score about the polynomial."""

    def __call__(self, terms: Floats) -> tuple[Floats, Floats]:
        """Expected score and standard deviation, noise included, (n,) each."""
        spread = ((terms @ self.root) ** 2).sum(1) + self.noise**2
        return terms @ self.mean, np.sqrt(spread)


def fit(terms: Floats, score: Floats) -> Fit:
    """Bayesian linear regression; both scales by the evidence (Bishop 2006, 3.5.2).

    The first term's weight is left free. The scales are of standardised scores.
    """
    centre = score.mean()
    unit = score.std() or 1.0
    y = (score - centre) / unit
    gram, target = terms.T @ terms, terms.T @ y
    n = len(terms)
    values, vectors = np.linalg.eigh(gram)
    values, rotated = np.maximum(values, 0.0), vectors.T @ target
    alpha, beta = 1.0, 10.0
    for _ in range(ROUNDS):
        weights = beta * rotated / (alpha + beta * values)
        known = float((beta * values / (alpha + beta * values)).sum())  # eq. 3.91
        left = float(y @ y - 2 * weights @ rotated + (values * weights**2).sum())
        alpha = known / max(float(weights @ weights), 1e-9)
        beta = max(n - known, 1.0) / max(left, 1e-6 * n)
        beta = min(beta, 1e6)
    root = vectors / np.sqrt(alpha + beta * values)
    mean = vectors @ (beta * rotated / (alpha + beta * values))
    mean = mean * unit
    mean[0] += centre
    return Fit(mean, root * unit, unit / np.sqrt(beta))

"""Latency as a product of powers, found by robust least squares. Knows no feature by name."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from scipy.optimize import nnls

from predictors.columns import Floats
from predictors.robust import cauchy

ROUNDS = 30
REACH = 2.385
RIDGE = 0.001
"""Of the number of rows: the features say much the same, and none shall have it all."""


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """log ms = constant + exponents . features."""

    exponents: Floats = field(repr=False)
    constant: float

    @classmethod
    def fit(cls, x: Floats, y: Floats, growing: Sequence[bool]) -> Self:
        """For features `x` [n, features] and logarithms `y` [n].

        Exponents of what is growing are not negative.
        """
        centre, extent = x.mean(axis=0), x.std(axis=0)
        extent[extent == 0] = np.inf
        z = (x - centre) / extent
        free = np.flatnonzero(~np.array(growing))
        ones = np.ones((len(y), 1))
        signed = np.concatenate([z, -z[:, free], ones, -ones], axis=1)
        held = np.sqrt(RIDGE * len(y)) * np.eye(signed.shape[1])[:-2]
        weights, found = np.ones(len(y)), np.zeros(signed.shape[1])
        for _ in range(ROUNDS):
            a = np.concatenate([signed * weights[:, None], held])
            found, _residual = nnls(a, np.concatenate([y * weights, np.zeros(len(held))]))
            before, weights = weights, np.sqrt(cauchy(y - signed @ found, REACH))
            if np.allclose(weights, before, atol=1e-3):
                break
        slopes = found[: x.shape[1]].copy()
        slopes[free] -= found[x.shape[1] : -2]
        exponents = slopes / extent
        return cls(exponents, float(found[-2] - found[-1] - centre @ exponents))

    @classmethod
    def kept(cls, exponents: Sequence[float], constant: float, features: int) -> Self:
        """That of a state.

        Raises:
            ValueError: not as many exponents as features, or one that is no number.
        """
        if len(exponents) != features or not np.isfinite([*exponents, constant]).all():
            raise ValueError("the exponents are not those of the features")
        return cls(np.array(exponents), constant)

    def log_ms(self, x: Floats) -> Floats:
        """[n]."""
        found: Floats = x @ self.exponents + self.constant
        return found

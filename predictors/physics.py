"""Latency as a sum of terms with non-negative prices, found by robust relative least squares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import msgspec
import numpy as np
from scipy.optimize import nnls

from predictors.columns import Columns, Floats
from predictors.robust import cauchy, spread
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.terms import Terms

ROUNDS = 30
REACH = 2.385
"""Of the Cauchy weight: 95 % efficiency on normal errors (Holland & Welsch, 1977)."""

RIDGE = 0.03
"""Of the spread, for each row: keeps a term that the rows hardly show from making it endless. With
0.001 the intervals of 20 random rows held in 87 % of the cases instead of 89 %; with 0.1 those of
rows that were chosen for being extreme were half as wide again as they need be."""

NOISE = 0.1
"""Relative errors of rows for which the preference of work over weights counts as much as one row;
with smaller errors less, and where there are none the rows decide alone. Fitted to 50 networks at
128 tokens, float32 at 64, 256 and 512 tokens was 51, 25 and 33 % off without it, 23, 10 and 15 %
with it; at 128 tokens the error rose from 1.80 to 1.87 %. With 0.02 it rose to 2.11 %."""

LEAST = 1e-9
"""Milliseconds: no call takes less, though all that a network has may have come out free."""


class State(msgspec.Struct, forbid_unknown_fields=True):
    """A fitted `Physics` as it is kept."""

    kinds: tuple[str, ...]
    caches: tuple[int, ...]
    threaded: bool
    prices: dict[str, float]
    known: list[list[float]]


@dataclass(frozen=True, slots=True)
class Physics:
    """Milliseconds = prices . terms."""

    family: ClassVar[str] = "physics"

    terms: Terms
    prices: Floats
    """Milliseconds per unit of each term, [terms]."""
    covariance: Floats = field(repr=False)
    """Of the relative prices' errors, in units of the rows' error: [terms, terms]."""

    @classmethod
    def fit(cls, rows: Rows, setting: Setting) -> Self:
        """Prices that make the relative errors of the rows small, few outliers counted little.

        Lawson & Hanson's NNLS inside iteratively reweighted least squares.
        """
        terms, ms = setting.terms, rows.ms
        x = terms.matrix(rows.columns)
        scale = x.max(axis=0)
        scale[scale == 0] = 1.0
        relative = x / scale / ms[:, None]
        weights, firm = np.ones(len(ms)), 0.0 if setting.prior is None else 1.0
        if setting.prior is None:
            more, wanted = _work_first(terms, x, ms)
        else:
            more, wanted = setting.prior.rows(terms, x, ms)
        for _ in range(ROUNDS):
            a = np.concatenate([relative * weights[:, None], firm * more / scale])
            found, _residual = nnls(a, np.concatenate([weights, firm * wanted]))
            errors = relative @ found - 1.0
            before = *weights, firm
            weights = np.sqrt(cauchy(errors, REACH))
            firm = spread(errors) / NOISE if setting.prior is None else 1.0
            if np.allclose((*weights, firm), before, atol=1e-3):
                break
        return cls(terms, found / scale, _covariance(x, ms, weights))

    def predict(self, c: Columns) -> Floats:
        """Milliseconds, [n], all positive."""
        return self._ms(self.terms.matrix(c))

    def spread(self, c: Columns) -> Floats:
        """How much wider the error is here than the rows' own, >= 1: sqrt(1 + leverage), [n]."""
        x = self.terms.matrix(c)
        x /= self._ms(x)[:, None]
        leverage = np.einsum("ij,ij->i", x @ self.covariance, x)
        wider: Floats = np.sqrt(1.0 + leverage)
        return wider

    def shares(self, c: Columns) -> dict[str, Floats]:
        """What part of the latency each term makes up, by name: [n] each."""
        x = self.terms.matrix(c)
        shares = x * self.prices / self._ms(x)[:, None]
        return dict(zip(self.terms.names, shares.T, strict=True))

    def state(self) -> tuple[object, Mapping[str, bytes]]:
        """What JSON holds, and the files beside it: none."""
        prices = dict(zip(self.terms.names, self.prices.tolist(), strict=True))
        t = self.terms
        return msgspec.to_builtins(
            State(t.kinds, t.caches, t.threaded, prices, self.covariance.tolist())
        ), {}

    @classmethod
    def from_state(cls, data: object, parts: Mapping[str, bytes]) -> Self:
        """What `state` told. `parts` are not needed.

        Raises:
            ValueError: it is not that.
        """
        del parts
        state = msgspec.convert(data, State)
        terms = Terms(state.kinds, state.caches, state.threaded)
        known = np.array(state.known)
        if tuple(state.prices) != terms.names or known.shape != (len(terms.names),) * 2:
            raise ValueError("the prices are not those of the terms")
        prices = np.array(list(state.prices.values()))
        if not (np.isfinite(prices).all() and (prices >= 0).all() and np.isfinite(known).all()):
            raise ValueError("a price is negative or no number")
        if (known.diagonal() < 0).any():
            raise ValueError("the square of an error is negative")
        return cls(terms, prices, known)

    def _ms(self, x: Floats) -> Floats:
        ms: Floats = np.maximum(x @ self.prices, LEAST)
        return ms


def _work_first(terms: Terms, x: Floats, ms: Floats) -> tuple[Floats, Floats]:
    """Further rows of the relative problem: reading the weights costs nothing, as far as it goes.

    Under one number of tokens the weights to be read are nearly as many as the products to be
    computed, and only other numbers of tokens tell the two apart.
    """
    share = (x / ms[:, None]).mean(axis=0)
    return np.diag(share * np.array(terms.of_weights)), np.zeros(len(share))


def _covariance(x: Floats, ms: Floats, weights: Floats) -> Floats:
    """(X' W X + ridge)^-1 of the relative terms, each scaled to its mean share."""
    relative = x / ms[:, None]
    unit = relative.mean(axis=0)
    unit[unit == 0] = np.inf  # a term no row has: nothing is known, nothing is said
    z = relative / unit * weights[:, None]
    inverse: Floats = np.linalg.inv(z.T @ z + RIDGE * len(ms) * np.eye(len(unit)))
    return inverse / np.outer(unit, unit)

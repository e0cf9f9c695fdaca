"""What the card of another device says before a row of this one is seen. Knows no row."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from predictors.columns import Floats
from predictors.domain import Domain
from predictors.terms import Terms

STRENGTH = 1.0
"""How many rows each price of the other device counts as. Between 0.3 and 3 five to ten rows gave
the least error in each of five pairs of engines; from 20 rows on it hardly matters."""

FEW = 10
"""Rows beyond which it counts less, by the square of their number: undiminished it more than
doubled the error of 50 rows where the devices were made to have nothing in common."""

LEAST_ROWS = 5
"""Networks that are needed beside a card."""


@dataclass(frozen=True, slots=True)
class Prior:
    """Prices up to a common factor, and how far they may be wrong."""

    prices: Mapping[str, float]
    """Milliseconds per unit, by the name of the term."""
    scores: Floats
    """Of the intervals of the other device's predictor, [n]."""
    domain: Domain
    """Where the other predictor had rows."""

    def rows(self, terms: Terms, x: Floats, ms: Floats) -> tuple[Floats, Floats]:
        """Further rows of a relative least-squares problem: matrix [terms, terms], target [terms].

        Each draws one price towards the other device's, times the factor by which this one is
        slower in the median of the rows `x` [n, terms], `ms` [n]; by as much as its term is of
        their latency. A price that is unknown or zero there is drawn towards zero.
        """
        known = np.array([self.prices.get(name, 0.0) for name in terms.names])
        factor = float(np.exp(np.median(np.log(ms / np.maximum(x @ known, 1e-12)))))
        strength = STRENGTH * min(1.0, FEW / len(ms)) ** 2
        share = np.sqrt(strength) * (x / ms[:, None]).mean(axis=0)
        return np.diag(share), share * known * factor


def joined(own: Floats, borrowed: Floats) -> Floats:
    """Scores of few rows together with those of another device, ascending.

    The borrowed ones are widened where the own are larger in the median, never narrowed.
    """
    wider = max(float(np.median(own)) / max(float(np.median(borrowed)), 1e-12), 1.0)
    return np.sort(np.concatenate([own, borrowed * wider]))

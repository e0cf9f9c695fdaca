"""How wrong a predictor is on architectures it has not seen. Knows no family."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from predictors.columns import Floats
from predictors.intervals import CONFIDENCE, Intervals


@dataclass(frozen=True, slots=True)
class ErrorCard:
    """Relative errors; shares and errors as fractions (0.02 is 2 %)."""

    mape: float
    """Mean of |predicted / measured - 1|."""
    median: float
    within_5: float
    """Share of the rows whose error is below 5 %."""
    within_10: float
    kendall_tau: float
    """Of predicted and measured order; NaN where that means nothing."""
    coverage: float
    """Share of the rows inside bounds that were made without them; NaN where nobody looked."""
    half_width: float
    """Mean half-width of the intervals, relative to the prediction; infinite for too few rows."""
    confidence: float
    rows: int
    architectures: int

    @classmethod
    def of(
        cls,
        ms: Floats,
        predicted: Floats,
        spread: Floats,
        architectures: int,
        confidence: float = CONFIDENCE,
        intervals: Intervals | None = None,
    ) -> Self:
        """From measured and held-out predicted milliseconds, and the spread foretold; [n] each.

        The width is that of the `intervals`, if they are not the rows' own.
        """
        from scipy.stats import kendalltau  # takes a second, and nothing predicted needs it

        errors = np.abs(predicted / ms - 1.0)
        scores = np.abs(np.log(ms / predicted)) / spread
        factor = (intervals or Intervals(np.sort(scores))).factor(confidence)
        with np.errstate(over="ignore"):
            ratio = np.exp(factor * spread)
        return cls(
            mape=float(errors.mean()),
            median=float(np.median(errors)),
            within_5=float((errors < 0.05).mean()),  # noqa: PLR2004 - its name says it
            within_10=float((errors < 0.1).mean()),  # noqa: PLR2004
            kendall_tau=float(kendalltau(ms, predicted).statistic),
            coverage=math.nan,
            half_width=float(((ratio - 1.0 / ratio) / 2).mean()),
            confidence=confidence,
            rows=len(ms),
            architectures=architectures,
        )

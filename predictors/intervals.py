"""Bounds that hold as often as they say: conformal prediction. Knows no family of predictors."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from predictors.columns import Floats

CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class Intervals:
    """Relative half-widths from the errors of held-out rows.

    A row's score is |log(measured / predicted)| over the spread that was foretold for it. The
    k-th smallest of n scores, k = ceil((n + 1) confidence), bounds the score of another row with
    that probability (split conformal prediction: Vovk et al., 2005; scores of held-out rows as in
    Barber et al., "Predictive inference with the jackknife+", 2021, with locally weighted scores
    as in Lei et al., 2018).
    """

    scores: Floats
    """Ascending, [n]."""

    @classmethod
    def of(cls, ms: Floats, predicted: Floats, spread: Floats) -> Self:
        """From measured and held-out predicted milliseconds, [n] each."""
        return cls(np.sort(np.abs(np.log(ms / predicted)) / spread))

    def factor(self, confidence: float = CONFIDENCE) -> float:
        """Log half-width for a spread of 1; infinite when the rows are too few for that.

        Raises:
            ValueError: a confidence that is not between 0 and 1.
        """
        _require_share(confidence)
        rank = math.ceil((len(self.scores) + 1) * confidence - 1e-9)
        return float(self.scores[rank - 1]) if rank <= len(self.scores) else math.inf

    def bounds(
        self, predicted: Floats, spread: Floats, confidence: float = CONFIDENCE
    ) -> tuple[Floats, Floats]:
        """Lower and upper end in milliseconds, [n] each."""
        with np.errstate(over="ignore"):  # so far away that nothing is known
            ratio = np.exp(self.factor(confidence) * spread)
            return predicted / ratio, predicted * ratio


def least_rows(confidence: float = CONFIDENCE) -> int:
    """Below so many rows nothing is bounded with that confidence."""
    _require_share(confidence)
    return math.ceil(confidence / (1.0 - confidence) - 1e-9)


def _require_share(confidence: float) -> None:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence is between 0 and 1, not {confidence}")

"""What is decided before a predictor is fitted. Knows no row."""

from dataclasses import dataclass

from predictors.prior import Prior
from predictors.terms import Terms


@dataclass(frozen=True, slots=True)
class Setting:
    """The same for all families."""

    terms: Terms
    seed: int = 0
    """Of whatever a family draws: folds, initial weights, subsamples."""
    prior: Prior | None = None
    """What another device's card says; for families with prices."""

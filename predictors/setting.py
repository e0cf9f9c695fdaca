"""What is decided before a predictor is fitted. Knows no row."""

from dataclasses import dataclass

from predictors.terms import Terms


@dataclass(frozen=True, slots=True)
class Setting:
    """The same for all families."""

    terms: Terms
    seed: int = 0
    """Of whatever a family draws: folds, initial weights, subsamples."""

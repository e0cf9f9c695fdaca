"""How much an outlier counts. Knows no row and no predictor."""

import numpy as np

from predictors.columns import Floats


def spread(errors: Floats) -> float:
    """Their standard deviation by the median magnitude, as of a normal distribution."""
    return max(float(np.median(np.abs(errors))) / 0.6745, 1e-6)


def cauchy(errors: Floats, reach: float) -> Floats:
    """Weights 1 / (1 + (e / reach s)^2), [n]; s is the spread of the errors."""
    return 1.0 / (1.0 + (errors / (reach * spread(errors))) ** 2)

"""How much an outlier counts. Knows no row and no predictor."""

import numpy as np

from predictors.columns import Floats


def cauchy(errors: Floats, reach: float) -> Floats:
    """Weights 1 / (1 + (e / reach s)^2), [n]; s is the spread of the errors by their median."""
    spread = max(float(np.median(np.abs(errors))) / 0.6745, 1e-6)
    return 1.0 / (1.0 + (errors / (reach * spread)) ** 2)

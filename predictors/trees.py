"""Boosted trees on what a simpler model leaves over. Knows no feature and no latency."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.columns import Floats
from predictors.robust import cauchy

REACH = 4.0
"""Of the Cauchy weight. A row 50 % off then moves a prediction no more than it moves physics."""


@dataclass(frozen=True, slots=True)
class Trees:
    """XGBoost (Chen & Guestrin, 2016), one thread."""

    booster: Any = field(repr=False)

    @classmethod
    def fit(cls, x: Floats, y: Floats, rounds: int, growing: Sequence[bool], seed: int) -> Self:
        """To `y` [n] by features `x` [n, features], in that many small steps.

        Monotone in what is growing. Each step is one of iteratively reweighted least squares, so
        that outliers count little.
        """
        import xgboost

        settings = {
            "tree_method": "exact",
            "max_depth": 3,
            "eta": 0.05,
            "subsample": 0.7,
            "base_score": float(np.median(y)),
            "monotone_constraints": f"({','.join(str(int(g)) for g in growing)})",
            "nthread": 1,
            "seed": seed,
            "verbosity": 0,
        }
        data = xgboost.DMatrix(np.float32(x), y, nthread=1)
        return cls(xgboost.train(settings, data, rounds, obj=_robust))

    def predict(self, x: Floats) -> Floats:
        """[n]."""
        single = np.ascontiguousarray(x, dtype=np.float32)
        found: NDArray[np.float32] = self.booster.inplace_predict(single, validate_features=False)
        return found.astype(np.float64)

    def to_bytes(self) -> bytes:
        """UBJSON."""
        return bytes(self.booster.save_raw("ubj"))

    @classmethod
    def from_bytes(cls, data: bytes, features: int) -> Self:
        """What `to_bytes` wrote.

        Raises:
            ValueError: it is not that, or not of so many features.
        """
        import xgboost

        try:
            booster = xgboost.Booster({"nthread": 1, "verbosity": 0}, model_file=bytearray(data))
        except xgboost.core.XGBoostError:
            raise ValueError("the ubj file holds no trees") from None
        if booster.num_features() != features:
            raise ValueError(f"the trees want {booster.num_features()} features, not {features}")
        return cls(booster)


def _robust(predicted: NDArray[np.float32], data: Any) -> tuple[Floats, Floats]:
    """Gradient and curvature of weighted squares, the weights held."""
    errors = predicted.astype(np.float64) - data.get_label()
    weights = cauchy(errors, REACH)
    return weights * errors, weights

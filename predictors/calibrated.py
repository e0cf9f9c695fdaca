"""A predictor with bounds, a range of validity and an error card; and which family it is to be."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from predictors.columns import Columns, Floats
from predictors.coverage import coverage
from predictors.domain import Domain
from predictors.error import ErrorCard
from predictors.families import Predictor, family
from predictors.folds import Fit, out_of_fold
from predictors.intervals import CONFIDENCE, Intervals, least_rows
from predictors.prior import LEAST_ROWS, joined
from predictors.rows import Rows
from predictors.setting import Setting

AUTO = ("physics", "hybrid", "xgboost", "mlp")
"""What `auto` chooses from, the simplest first."""

BETTER = 0.98
"""A family must have this part of the error of a simpler one, or less, to be preferred."""

NEAR = 1.5
"""Up to this factor outside the range of the rows a network is as good as inside: the range of 20
random rows leaves out many that are predicted well."""

WITH_PRIOR = ("physics", "hybrid")
"""What it chooses from where another device's prices are known: only these listen to them."""

FROM = {"hybrid": 40, "xgboost": 40, "mlp": 100}
"""Architectures below which `auto` does not try a family: with 20 none was better than physics,
and each takes many times as long."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is predicted of n candidates: [n] each."""

    ms: Floats
    lower: Floats
    upper: Floats
    beyond: Floats
    """By what factor a candidate is outside the range of the rows; 1 inside."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A fitted predictor and what is known of its errors."""

    predictor: Predictor
    intervals: Intervals
    domain: Domain
    error: ErrorCard
    tried: Mapping[str, float] = field(default_factory=dict)
    """The mean relative error on held-out architectures of every family that was compared."""
    held_out: Floats = field(default_factory=lambda: np.empty(0), repr=False)
    """What the rows are predicted, in ms, by rows of other architectures: [rows of the fit]. Empty
    where nobody kept it."""

    def forecast(self, c: Columns, confidence: float = CONFIDENCE) -> Forecast:
        """Milliseconds with bounds. Memory beside the columns is bounded.

        Far outside the range of the rows the bounds are wider by the factor by which it is.

        Raises:
            ValueError: a kind of arithmetic that no row had.
        """
        if unknown := set(c.kinds) - set(self.domain.kinds):
            raise ValueError(f"no row was computed in {', '.join(sorted(unknown))}")
        found = [self._forecast(part, confidence) for part in c.slices()]
        return Forecast(*(np.concatenate(x) for x in zip(*found, strict=True)))

    def expected(self, c: Columns, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """What to expect of these candidates: mean error and mean half-width, as fractions.

        The rows may lie elsewhere, at the edges above all where they were chosen to tell most; the
        spread says by how much these candidates are easier.
        """
        spread = self.predictor.spread(c)
        with np.errstate(over="ignore"):  # so far away that nothing is known
            width = np.sinh(
                self.intervals.factor(confidence) * spread * _wider(self.domain.beyond(c))
            )
        return float(self.intervals.scores.mean() * spread.mean()), float(width.mean())

    def _forecast(self, c: Columns, confidence: float) -> tuple[Floats, Floats, Floats, Floats]:
        ms, beyond = self.predictor.predict(c), self.domain.beyond(c)
        spread = self.predictor.spread(c) * _wider(beyond)
        return ms, *self.intervals.bounds(ms, spread, confidence), beyond


def _wider(beyond: Floats) -> Floats:
    return np.maximum(beyond / NEAR, 1.0)


def calibrate(rows: Rows, name: str, setting: Setting) -> Calibrated:
    """Fit the family `name`; `auto`: the one with the least error on held-out architectures.

    Raises:
        BadInputError: no such family, or rows that cannot be fitted to.
    """
    rows.require_fit(least_rows() if setting.prior is None else LEAST_ROWS)
    names = _candidates(rows, setting) if name == "auto" else (name,)
    tried = {name: out_of_fold(_fit(name, setting), rows, setting.seed) for name in names}
    chosen = _best(rows, tried)
    predicted, spread = tried[chosen]
    intervals, domain = Intervals.of(rows.ms, predicted, spread), Domain.of(rows.columns)
    if setting.prior is not None:
        domain = domain.joined(setting.prior.domain)
        if len(rows) < least_rows():
            intervals = Intervals(joined(intervals.scores, setting.prior.scores))
    error = ErrorCard.of(rows.ms, predicted, spread, rows.architectures, intervals=intervals)
    held = coverage(_fit(chosen, setting), rows, error.confidence, setting.seed)
    return Calibrated(
        family(chosen).fit(rows, setting),
        intervals,
        domain,
        replace(error, coverage=held),
        {name: float(np.abs(ms / rows.ms - 1.0).mean()) for name, (ms, _) in tried.items()},
        predicted,
    )


def _candidates(rows: Rows, setting: Setting) -> Sequence[str]:
    names = AUTO if setting.prior is None else WITH_PRIOR
    return [name for name in names if rows.architectures >= FROM.get(name, 0)]


def _fit(name: str, setting: Setting) -> Fit:
    made = family(name)
    return lambda rows: made.fit(rows, setting)


def _best(rows: Rows, tried: dict[str, tuple[Floats, Floats]]) -> str:
    """The first that no later one beats clearly."""
    best, least = next(iter(tried)), math.inf
    for name, (predicted, _) in tried.items():
        error = float(np.abs(np.log(predicted / rows.ms)).mean())
        if error < BETTER * least:
            best, least = name, error
    return best

"""How often bounds hold for rows they were made without. Knows no family of predictors."""

import math

import numpy as np

from predictors.columns import Floats
from predictors.folds import Fit, folds, out_of_fold
from predictors.intervals import Intervals
from predictors.rows import Rows

THIRDS = 3

INNER = 5
"""Folds in which the remaining two thirds are calibrated."""

LEAST = 30
"""Architectures below which nothing is said: a third of them could not tell 80 % from 95 %."""


def coverage(fit: Fit, rows: Rows, confidence: float, seed: int = 0) -> float:
    """Share of the rows inside their bounds; NaN for too few architectures.

    Each third of the architectures is judged by a predictor that was fitted and calibrated to the
    others alone. (To ask each row for the bounds of all the others says nothing: the k-th smallest
    of n scores holds k of n, whatever they are.)
    """
    if rows.architectures < LEAST:
        return math.nan
    inside = np.zeros(len(rows), dtype=bool)
    for held_out in folds(rows.groups, seed, THIRDS):
        seen = np.ones(len(rows), dtype=bool)
        seen[held_out] = False
        low, high = _bounds(fit, rows.take(seen), rows.take(held_out), confidence, seed)
        inside[held_out] = (low <= rows.ms[held_out]) & (rows.ms[held_out] <= high)
    return float(inside.mean())


def _bounds(
    fit: Fit, seen: Rows, held_out: Rows, confidence: float, seed: int
) -> tuple[Floats, Floats]:
    predicted, spread = out_of_fold(fit, seen, seed, INNER)
    intervals, fitted = Intervals.of(seen.ms, predicted, spread), fit(seen)
    c = held_out.columns
    return intervals.bounds(fitted.predict(c), fitted.spread(c), confidence)

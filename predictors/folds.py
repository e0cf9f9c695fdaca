"""Cross-validation on held-out architectures. Knows no family of predictors."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from predictors.columns import Columns, Floats
from predictors.rows import Rows

ALONE = 40
"""Up to so many architectures each is held out alone; beyond, ten folds say the same."""

FOLDS = 10


class Fitted(Protocol):
    """A predictor that was fitted."""

    def predict(self, c: Columns) -> Floats:
        """Milliseconds, [n]."""
        ...

    def spread(self, c: Columns) -> Floats:
        """How much wider the error is here than the rows' own, [n]; 1 where all rows are alike."""
        ...


class Fit(Protocol):
    """Makes a predictor of rows."""

    def __call__(self, rows: Rows, /) -> Fitted: ...


def folds(
    groups: Sequence[object], seed: int = 0, most: int = FOLDS
) -> Iterator[NDArray[np.intp]]:
    """Indices of the rows held out together; all rows of a group (an architecture) are.

    With the usual `most`, every group is alone when there are few of them.
    """
    numbers = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    of_row = np.array([numbers[group] for group in groups])
    few = most == FOLDS and len(numbers) <= ALONE
    count = len(numbers) if few else min(most, len(numbers))
    fold_of_group = np.empty(len(numbers), dtype=np.intp)
    dealt = np.random.default_rng(seed).permutation(len(numbers))
    fold_of_group[dealt] = np.arange(len(numbers)) % count
    for fold in range(count):
        yield np.flatnonzero(fold_of_group[of_row] == fold)


def out_of_fold(fit: Fit, rows: Rows, seed: int = 0, most: int = FOLDS) -> tuple[Floats, Floats]:
    """What each row is predicted, in ms, by rows of other groups only; and the spread there."""
    predicted, spread = np.empty_like(rows.ms), np.empty_like(rows.ms)
    for held_out in folds(rows.groups, seed, most):
        seen = np.ones(len(rows), dtype=bool)
        seen[held_out] = False
        fitted = fit(rows.take(seen))
        columns = rows.columns.take(held_out)
        predicted[held_out] = fitted.predict(columns)
        spread[held_out] = fitted.spread(columns)
    return predicted, spread

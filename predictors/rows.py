"""Measured rows as a predictor sees them: columns, milliseconds, groups. Knows no ledger."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from predictors.columns import Columns, Floats
from results.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Rows:
    """n rows to fit to, or to judge by."""

    columns: Columns
    ms: Floats
    """Measured latency in milliseconds, [n]."""
    groups: tuple[object, ...]
    """Rows of equal group are held out together: their architecture, as a rule. [n]."""

    def __post_init__(self) -> None:
        if not len(self.columns) == len(self.ms) == len(self.groups):
            raise ValueError("columns, milliseconds and groups must be equally many")

    def __len__(self) -> int:
        return len(self.ms)

    @property
    def architectures(self) -> int:
        """How many different groups there are."""
        return len(set(self.groups))

    def take(self, which: "NDArray[np.intp] | NDArray[np.bool_]") -> Self:
        """The rows that an index or a mask picks."""
        picked: Sequence[int] = np.arange(len(self))[which].tolist()
        groups = tuple(self.groups[i] for i in picked)
        return type(self)(self.columns.take(which), self.ms[which], groups)

    def require_fit(self, least: int) -> None:
        """Refuse rows that say nothing about how a latency comes about.

        Raises:
            BadInputError: fewer than `least` architectures, a latency that is no positive number,
                or the same latency for all.
        """
        if not (np.isfinite(self.ms).all() and (self.ms > 0).all()):
            bad = self.ms[~(np.isfinite(self.ms) & (self.ms > 0))][0]
            raise BadInputError(
                f"a latency of {bad} ms is no positive number: measure that row again, or leave "
                "its session out"
            )
        if self.architectures < least:
            more = least - self.architectures
            raise BadInputError(
                f"{self.architectures} architectures are too few to fit to: measure {more} more"
            )
        if np.ptp(self.ms) == 0:
            raise BadInputError(
                f"all {len(self)} rows say {self.ms[0]:g} ms whatever the network: something else "
                "than the network was timed; measure them again"
            )

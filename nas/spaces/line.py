"""Members that differ in one size only, in a row: what a step is. Knows no space."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from results.architecture import Architecture, Layer

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Line:
    """All values of one size that a member may take while its other sizes stay."""

    size: str
    length: int
    here: int
    """Where on the line the member itself stands."""
    member: Callable[[int], Architecture]
    """The one at a place of the line; built when it is asked for."""

    def around(self, steps: int) -> list[Architecture]:
        """The others that are at most so many steps away."""
        first, last = max(0, self.here - steps), min(self.length - 1, self.here + steps)
        return [self.member(i) for i in range(first, last + 1) if i != self.here]


def line(size: str, values: Sequence[_T], here: _T, member: Callable[[_T], Architecture]) -> Line:
    """A line through the member whose value is `here`."""
    return Line(size, len(values), values.index(here), lambda i: member(values[i]))


def pick(rng: np.random.Generator, choices: Sequence[_T]) -> _T:
    """One of several, each as likely as any other."""
    return choices[int(rng.integers(len(choices)))]


def stretched(layers: tuple[Layer, ...], depth: int) -> tuple[Layer, ...]:
    """The first layers, the last of them repeated where there are too few."""
    return layers[:depth] + layers[-1:] * (depth - len(layers))

"""What every search algorithm looks like from outside. Knows no network and no clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nas.columns import SizeColumns
from nas.space import SearchSpace
from results.architecture import Architecture

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trial:
    """A proposal and what came of it."""

    architecture: Architecture
    score: float
    """Higher is better."""
    cost: float
    """Lower is better: milliseconds, say, or the part of a budget that is used."""


class Cost(Protocol):
    """What members of a space cost. Known before they are scored, for millions at once."""

    def of(self, architectures: Sequence[Architecture]) -> Floats:
        """(n,); infinite for one that cannot be had whatever the budget."""
        ...

    def of_sizes(self, sizes: SizeColumns) -> Floats:
        """(n,), of members whose layers are alike: the same numbers as `of`."""
        ...


@dataclass(frozen=True, slots=True)
class Ground:
    """Where is searched."""

    space: SearchSpace
    cost: Cost
    limit: float | None = None
    """Members above it are never proposed; None where the whole front is wanted."""
    worth: float = 0.0
    """Members below it need not be proposed: what costs little is seldom the best."""


class Searcher(Protocol):
    """Proposes members that it was not told of; is told scores, in any order.

    It changes no argument, draws from no generator but its own, and depends on nothing but what
    it was given and told: the same seed and the same answers give the same proposals.
    """

    def ask(self, n: int) -> list[Architecture]:
        """Up to `n` different members within the limit; none when it has no more to propose."""
        ...

    def tell(self, trials: Sequence[Trial]) -> None:
        """What came of proposals, its own or others'."""
        ...

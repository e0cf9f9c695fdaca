"""The families of predictors by name. Imports a family only when it is needed."""

from collections.abc import Mapping
from importlib import import_module
from typing import ClassVar, Protocol, Self

from predictors.columns import Columns, Floats
from predictors.rows import Rows
from predictors.setting import Setting
from results.errors import BadInputError

PLACES = {
    "physics": ("predictors.physics", "Physics"),
    "hybrid": ("predictors.hybrid", "Hybrid"),
    "xgboost": ("predictors.boosted", "Boosted"),
    "mlp": ("predictors.mlp", "Mlp"),
    "mlp-seed": ("predictors.mlp", "SeedMlp"),
}
"""Module and class, the simplest first."""


class Predictor(Protocol):
    """One fitted predictor, of whatever family."""

    family: ClassVar[str]

    @classmethod
    def fit(cls, rows: Rows, setting: Setting) -> Self:
        """Fit to all rows; which of them may be held out together is theirs to say."""
        ...

    def predict(self, c: Columns) -> Floats:
        """Milliseconds, [n], all positive."""
        ...

    def spread(self, c: Columns) -> Floats:
        """How much wider the error is here than the rows' own, [n]; 1 where all rows are alike."""
        ...

    def state(self) -> tuple[object, Mapping[str, bytes]]:
        """What JSON holds, and the files beside it: bytes by suffix (`ubj`, `safetensors`)."""
        ...

    @classmethod
    def from_state(cls, data: object, parts: Mapping[str, bytes]) -> Self:
        """What `state` told.

        Raises:
            ValueError: it is not that.
        """
        ...


def family(name: str) -> type[Predictor]:
    """The class of that family.

    Raises:
        BadInputError: there is none.
    """
    if name not in PLACES:
        raise BadInputError(f"unknown family {name!r}: choose one of {', '.join(PLACES)}")
    module, cls = PLACES[name]
    found: type[Predictor] = getattr(import_module(module), cls)
    return found

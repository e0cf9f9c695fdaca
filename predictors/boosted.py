"""Latency as a power law times boosted trees, monotone in every size. Knows no physical term."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import msgspec
import numpy as np

from predictors.columns import Columns, Floats
from predictors.features import FINE, Features
from predictors.parts import digest, part
from predictors.powerlaw import PowerLaw
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.trees import Trees

ROUNDS = 150

GIVEN = 0.9
"""How much of the exponents the power law keeps. Trees that are monotone can add to a slope, not
take from it, so it begins lower: with 1 the errors of 100 rows and more were up to half as large
again, with 0.8 those of 20 rows 40 % larger."""


class State(msgspec.Struct, forbid_unknown_fields=True):
    """A fitted `Boosted` as it is kept."""

    features: tuple[str, ...]
    exponents: list[float]
    constant: float
    sha256: str
    """Of the trees."""


@dataclass(frozen=True, slots=True)
class Boosted:
    """log ms = power law + trees. More of a size, all else equal, is never predicted faster."""

    family: ClassVar[str] = "xgboost"

    features: Features
    law: PowerLaw
    trees: Trees

    @classmethod
    def fit(cls, rows: Rows, setting: Setting) -> Self:
        """Deterministic by the seed."""
        features = Features.of(rows.columns, but=FINE)
        x, y = features.matrix(rows.columns), np.log(rows.ms)
        found = PowerLaw.fit(x, y, features.growing)
        law = PowerLaw(GIVEN * found.exponents, found.constant)
        left = y - law.log_ms(x)
        trees = Trees.fit(x, left, ROUNDS, features.growing, setting.seed)
        return cls(features, law, trees)

    def predict(self, c: Columns) -> Floats:
        """Milliseconds, [n]."""
        x = self.features.matrix(c)
        return np.exp(self.law.log_ms(x) + self.trees.predict(x))

    def spread(self, c: Columns) -> Floats:
        """Ones, [n]: trees do not say where they know little."""
        return np.ones_like(c.depth)

    def state(self) -> tuple[object, Mapping[str, bytes]]:
        """What JSON holds, and the trees."""
        trees, law = self.trees.to_bytes(), self.law
        state = State(self.features.names, law.exponents.tolist(), law.constant, digest(trees))
        return msgspec.to_builtins(state), {"ubj": trees}

    @classmethod
    def from_state(cls, data: object, parts: Mapping[str, bytes]) -> Self:
        """What `state` told.

        Raises:
            ValueError: it is not that.
        """
        state = msgspec.convert(data, State)
        features = Features.named(state.features)
        count = len(features.names)
        law = PowerLaw.kept(state.exponents, state.constant, count)
        return cls(features, law, Trees.from_bytes(part(parts, "ubj", state.sha256), count))

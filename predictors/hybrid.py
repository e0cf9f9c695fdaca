"""Physics, corrected by boosted trees where held-out architectures say that this helps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import msgspec
import numpy as np

from predictors.columns import Columns, Floats
from predictors.features import Features
from predictors.folds import Fit, out_of_fold
from predictors.parts import digest, part
from predictors.physics import Physics
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.trees import Trees

ROUNDS = 100

HELPS = 0.97
"""What part of the error of physics alone, or less, must be left."""

LEAST_ERROR = 0.001
"""Of physics alone: nothing is to be gained below what a clock can tell."""

FOLDS = 5

LEAST = 15
"""Architectures below which nothing is corrected: too few to tell whether it would help."""


class CorrectionState(msgspec.Struct, forbid_unknown_fields=True):
    """A `Correction` as it is kept."""

    features: tuple[str, ...]
    sha256: str
    """Of the trees."""


class State(msgspec.Struct, forbid_unknown_fields=True):
    """A fitted `Hybrid` as it is kept."""

    physics: object
    correction: CorrectionState | None


@dataclass(frozen=True, slots=True)
class Correction:
    """log (measured / physics) by trees."""

    features: Features
    trees: Trees

    @classmethod
    def fit(cls, rows: Rows, physics: Physics, seed: int) -> Self:
        """To what `physics`, fitted to the same rows, leaves over."""
        features = Features.of(rows.columns)
        left = np.log(rows.ms / physics.predict(rows.columns))
        free = [False] * len(features.names)
        return cls(features, Trees.fit(features.matrix(rows.columns), left, ROUNDS, free, seed))

    def factor(self, c: Columns) -> Floats:
        """By which physics is multiplied, [n]."""
        return np.exp(self.trees.predict(self.features.matrix(c)))


@dataclass(frozen=True, slots=True)
class Hybrid:
    """Milliseconds = physics x correction, or physics as it is."""

    family: ClassVar[str] = "hybrid"

    physics: Physics
    correction: Correction | None

    @classmethod
    def fit(cls, rows: Rows, setting: Setting) -> Self:
        """Corrected only if that makes the error on architectures held out clearly smaller."""
        plain = cls(Physics.fit(rows, setting), None)
        if rows.architectures < LEAST:
            return plain
        alone = _error(lambda seen: Physics.fit(seen, setting), rows, setting)
        if alone < LEAST_ERROR:
            return plain
        corrected = _error(lambda seen: cls._corrected(seen, setting), rows, setting)
        return cls._corrected(rows, setting) if corrected < HELPS * alone else plain

    @classmethod
    def _corrected(cls, rows: Rows, setting: Setting) -> Self:
        physics = Physics.fit(rows, setting)
        return cls(physics, Correction.fit(rows, physics, setting.seed))

    def predict(self, c: Columns) -> Floats:
        """Milliseconds, [n]."""
        ms = self.physics.predict(c)
        return ms if self.correction is None else ms * self.correction.factor(c)

    def spread(self, c: Columns) -> Floats:
        """That of physics, [n]."""
        return self.physics.spread(c)

    def state(self) -> tuple[object, Mapping[str, bytes]]:
        """What JSON holds, and the trees if there are any."""
        physics, _ = self.physics.state()
        if self.correction is None:
            return msgspec.to_builtins(State(physics, None)), {}
        trees = self.correction.trees.to_bytes()
        kept = CorrectionState(self.correction.features.names, digest(trees))
        return msgspec.to_builtins(State(physics, kept)), {"ubj": trees}

    @classmethod
    def from_state(cls, data: object, parts: Mapping[str, bytes]) -> Self:
        """What `state` told.

        Raises:
            ValueError: it is not that.
        """
        state = msgspec.convert(data, State)
        physics = Physics.from_state(state.physics, {})
        if state.correction is None:
            return cls(physics, None)
        features = Features.named(state.correction.features)
        trees = part(parts, "ubj", state.correction.sha256)
        found = Trees.from_bytes(trees, len(features.names))
        return cls(physics, Correction(features, found))


def _error(fit: Fit, rows: Rows, setting: Setting) -> float:
    """Mean |log (predicted / measured)| on architectures held out."""
    predicted, _ = out_of_fold(fit, rows, setting.seed, FOLDS)
    return float(np.abs(np.log(predicted / rows.ms)).mean())

"""Latency by neural networks: one of our own, and the seeds'. Knows not how they are trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import msgspec
import numpy as np
from scipy.special import expit

from predictors.columns import Columns, Floats
from predictors.features import FINE, Features
from predictors.folds import folds
from predictors.network import Network, Singles
from predictors.parts import digest, part
from predictors.powerlaw import PowerLaw
from predictors.rows import Rows
from predictors.setting import Setting

LEAST_MS = 1e-6
"""What a network that says less, or less than nothing, is taken to say."""


class State(msgspec.Struct, forbid_unknown_fields=True):
    """A fitted `Mlp` as it is kept."""

    features: tuple[str, ...]
    exponents: list[float]
    constant: float
    centre: list[float]
    extent: list[float]
    unit: float
    reach: float
    sha256: str
    """Of the network."""


@dataclass(frozen=True, slots=True)
class Mlp:
    """log ms = power law + the mean of small networks of standardised logarithms.

    Each of the networks was stopped where the error on its own fold of architectures was least.
    """

    family: ClassVar[str] = "mlp"
    widths: ClassVar[tuple[int, ...]] = (64, 64)
    members: ClassVar[int] = 4
    steps: ClassVar[int] = 300

    features: Features
    law: PowerLaw
    centre: Floats
    extent: Floats
    """Of the features, [features] each."""
    unit: float
    """What a network's 1 means in log ms: the spread of what the power law leaves over."""
    reach: float
    """The most that it leaves over of any row, in these units; beyond, nothing is believed."""
    network: Network

    @classmethod
    def fit(cls, rows: Rows, setting: Setting) -> Self:
        """Deterministic by the seed."""
        from predictors.descent import ensemble

        features = Features.of(rows.columns, but=FINE)
        x, y = features.matrix(rows.columns), np.log(rows.ms)
        law = PowerLaw.fit(x, y, features.growing)
        left = y - law.log_ms(x)
        unit = max(float(np.median(np.abs(left))) / 0.6745, 1e-6)
        centre, extent = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
        inputs, target = (x - centre) / extent, left / unit
        held_out = list(folds(rows.groups, setting.seed, cls.members))
        network = ensemble(inputs, target, held_out, cls.widths, cls.steps, setting.seed)
        reach = max(float(np.abs(target).max()), 1e-6)
        return cls(features, law, centre, extent, unit, reach, network)

    def predict(self, c: Columns) -> Floats:
        """Milliseconds, [n]."""
        x = self.features.matrix(c)
        found = self.network((x - self.centre) / self.extent, _silu).mean(axis=0)
        left = np.clip(found.astype(np.float64), -self.reach, self.reach)
        ms: Floats = np.exp(self.law.log_ms(x) + self.unit * left)
        return ms

    def spread(self, c: Columns) -> Floats:
        """Ones, [n]."""
        return np.ones_like(c.depth)

    def state(self) -> tuple[object, Mapping[str, bytes]]:
        """What JSON holds, and the network."""
        network = self.network.to_bytes()
        state = State(
            self.features.names,
            self.law.exponents.tolist(),
            self.law.constant,
            self.centre.tolist(),
            self.extent.tolist(),
            self.unit,
            self.reach,
            digest(network),
        )
        return msgspec.to_builtins(state), {"safetensors": network}

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
        if not len(state.centre) == len(state.extent) == count:
            raise ValueError("the scales are not those of the features")
        positive = np.array([*state.extent, state.unit, state.reach])
        if not (np.isfinite([*state.centre, *positive]).all() and (positive > 0).all()):
            raise ValueError("a scale is no positive number")
        network = Network.from_bytes(part(parts, "safetensors", state.sha256), count)
        centre, extent = np.array(state.centre), np.array(state.extent)
        return cls(features, law, centre, extent, state.unit, state.reach, network)


class SeedState(msgspec.Struct, forbid_unknown_fields=True):
    """A fitted `SeedMlp` as it is kept."""

    sha256: str
    """Of the network."""


@dataclass(frozen=True, slots=True)
class SeedMlp:
    """The latency predictor of AutoTinyBERT and Bigger&Faster, for comparison.

    Everything as in their code: four features over constants, milliseconds over 200, a network of
    12 million weights, squared errors, the last step kept; a tenth of the rows is never looked at
    and another tenth only to report. Knows of heads, tokens and kinds of arithmetic nothing.
    """

    family: ClassVar[str] = "mlp-seed"
    widths: ClassVar[tuple[int, ...]] = (2000,) * 4
    steps: ClassVar[int] = 5000
    scale: ClassVar[tuple[float, ...]] = (768.0, 12.0, 3072.0, 768.0)
    unit: ClassVar[float] = 200.0

    network: Network

    @classmethod
    def fit(cls, rows: Rows, setting: Setting) -> Self:
        """Deterministic by the seed and the number of threads; takes minutes."""
        from predictors.descent import plain

        seen = np.random.default_rng(setting.seed).permutation(len(rows))[: int(0.8 * len(rows))]
        x, y = cls._inputs(rows.columns)[seen], rows.ms[seen] / cls.unit
        return cls(plain(x, y, cls.widths, cls.steps, setting.seed))

    @classmethod
    def _inputs(cls, c: Columns) -> Floats:
        sizes = np.stack([c.hidden, c.depth, c.ffn / c.depth, c.qkv / c.depth], axis=1)
        return sizes / cls.scale

    def predict(self, c: Columns) -> Floats:
        """Milliseconds, [n]."""
        found = self.network(self._inputs(c), _relu)[0].astype(np.float64)
        ms: Floats = np.maximum(found * self.unit, LEAST_MS)
        return ms

    def spread(self, c: Columns) -> Floats:
        """Ones, [n]."""
        return np.ones_like(c.depth)

    def state(self) -> tuple[object, Mapping[str, bytes]]:
        """What JSON holds, and the network."""
        network = self.network.to_bytes()
        return msgspec.to_builtins(SeedState(digest(network))), {"safetensors": network}

    @classmethod
    def from_state(cls, data: object, parts: Mapping[str, bytes]) -> Self:
        """What `state` told.

        Raises:
            ValueError: it is not that.
        """
        state = msgspec.convert(data, SeedState)
        network = part(parts, "safetensors", state.sha256)
        return cls(Network.from_bytes(network, len(cls.scale)))


def _silu(x: Singles) -> Singles:
    found: Singles = x * expit(x)
    return found


def _relu(x: Singles) -> Singles:
    return np.maximum(x, 0.0)

"""Predictors and device cards to write and read, for the tests of the cards."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from predictors.calibrated import Calibrated, calibrate
from predictors.card import read_card
from predictors.card_fields import Key, Provenance
from predictors.card_writer import put
from predictors.columns import Columns, Floats, Numerics
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.terms import terms_for
from results.measurement import Workload
from tests.ledger_rows import ENVIRONMENT

FP32 = Key("onnxruntime", "fp32")
INT8 = Key("onnxruntime", "int8-static:smooth=0.5:keep=3.ffn-out+4")
MIXED = Key("openvino", "mixed", "deployed")

PROVENANCE = Provenance(
    sessions=("20250131T093000123-4f5a6b",),
    rows=24,
    seed=7,
    fitted_utc="2025-02-01T08:00:00.000+00:00",
    tool="0.2.0",
    git="0a1b2c3d4e5f",
    notes={"why": "caf\xe9"},
)


@dataclass(frozen=True)
class Fake:
    """A family with parts: constant milliseconds, and bytes that are kept beside the card."""

    ms: Any
    weights: bytes = b"weights"
    family: ClassVar[str] = "fake"

    @classmethod
    def fit(cls, rows: Rows, setting: Setting) -> Self:
        del setting
        return cls(float(rows.ms.mean()))

    def predict(self, c: Columns) -> Floats:
        return np.full(len(c), float(self.ms))

    def spread(self, c: Columns) -> Floats:
        return np.ones(len(c))

    def state(self) -> tuple[object, Mapping[str, bytes]]:
        return {"ms": self.ms}, {"ubj": self.weights, "safetensors": self.weights[::-1]}

    @classmethod
    def from_state(cls, data: object, parts: Mapping[str, bytes]) -> Self:
        if not isinstance(data, dict) or parts["safetensors"] != parts["ubj"][::-1]:
            raise ValueError("the state is no dictionary")
        return cls(data.get("ms"), parts["ubj"])


FAKE = (Fake.__module__, "Fake")
"""Its place among the families."""


def columns(n: int = 24, seed: int = 0) -> Columns:
    rng = np.random.default_rng(seed)
    heads = rng.integers(2, 13, n)
    sizes = {
        "depth": rng.integers(1, 13, n),
        "hidden": rng.integers(2, 13, n) * 64,
        "heads": heads,
        "qkv": heads * 32,
        "ffn": rng.integers(2, 33, n) * 96,
    }
    return Columns.of_sizes(sizes, Workload(), Numerics())


def fitted() -> Calibrated:
    """A real fit: physics on rows with 2 % noise."""
    c = columns()
    noise = np.random.default_rng(1).normal(0, 0.02, len(c))
    ms = (0.2 + 1e-7 * c.hidden * (4 * c.qkv + 2 * c.ffn)) * np.exp(noise)
    rows = Rows(c, ms, tuple(range(len(c))))
    return calibrate(rows, "physics", Setting(terms_for(c, (1 << 20,))))


PHYSICS = fitted()


def faked(ms: Any = 2.0, weights: bytes = b"weights") -> Calibrated:
    return replace(PHYSICS, predictor=Fake(ms, weights))


def filled(folder: Path, *made: tuple[Key, Calibrated], name: str = "cpu.json") -> Path:
    path = folder / name
    put(path, "laptop", ENVIRONMENT, [(key, what, PROVENANCE) for key, what in made])
    return path


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def read_all(path: Path) -> list[Calibrated]:
    return [entry.calibrated() for entry in read_card(path).entries]

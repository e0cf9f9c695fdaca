"""What a learned predictor is shown: logarithms of sizes and of sums of work. Knows no row."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import numpy as np

from predictors.columns import GROUPS, Columns, Floats

GROWING = (
    "depth",
    "hidden",
    "heads",
    "qkv",
    "ffn",
    "batch",
    "tokens",
    "weight bytes",
    "products",
    "scores",
    "passes",
)
"""Features that grow with every size they depend on, so that more of one can only cost more."""

FINE = ("head width", "hidden padding", "qkv padding", "ffn padding", "head padding")
"""How the sizes lie to one another and to the registers of the machine: no direction."""

BLOCK = 16
"""Numbers in a register of 512 bits; what is left of the last one is padding."""

VARIES = 1e-9


@dataclass(frozen=True, slots=True)
class Features:
    """The features of one predictor: those that its rows tell apart."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, c: Columns, but: Collection[str] = ()) -> Self:
        """Those that vary among these candidates, without `but`; the depth where none does."""
        found = {name: x for name, x in _features(c).items() if name not in but}
        varying = tuple(name for name, x in found.items() if np.ptp(x) > VARIES)
        return cls(varying or ("depth",))

    @classmethod
    def named(cls, names: tuple[str, ...]) -> Self:
        """Those of a state that was kept.

        Raises:
            ValueError: no such feature.
        """
        unknown = [name for name in names if not _exists(name)]
        if unknown or not names or len(set(names)) < len(names):
            raise ValueError(f"no features: {', '.join(unknown) or names}")
        return cls(names)

    @property
    def growing(self) -> tuple[bool, ...]:
        """Of which more can only cost more, [features]."""
        return tuple(name in GROWING for name in self.names)

    def matrix(self, c: Columns) -> Floats:
        """[n, features]; 0 for a share that no candidate has."""
        found, none = _features(c), np.zeros_like(c.depth)
        return np.stack([found.get(name, none) for name in self.names], axis=1)


def _features(c: Columns) -> dict[str, Floats]:
    qkv, ffn, rows = c.qkv / c.depth, c.ffn / c.depth, c.batch * c.tokens
    found = {
        "depth": c.depth,
        "hidden": c.hidden,
        "heads": c.heads / c.depth,
        "qkv": qkv,
        "ffn": ffn,
        "batch": c.batch,
        "tokens": c.tokens,
        "threads": c.threads,
        "weight bytes": c.weight_bytes,
        "products": rows * c.hidden * (4.0 * c.qkv + 2.0 * c.ffn),
        "scores": rows * c.tokens * c.qkv,
        "passes": rows * (c.hidden * c.depth + c.qkv + c.ffn + c.tokens * c.heads),
        "head width": c.qkv / c.heads,
        "hidden padding": _padding(c.hidden),
        "qkv padding": _padding(qkv),
        "ffn padding": _padding(ffn),
        "head padding": _padding(c.qkv / c.heads),
    }
    return {name: np.log(x) for name, x in found.items()} | _shares(c)


def _shares(c: Columns) -> dict[str, Floats]:
    """What part of a group of products is computed in a kind of arithmetic."""
    return {
        f"{group} in {kind}": width / (c.ffn if group.startswith("ffn") else c.qkv)
        for (group, kind), width in c.widths.items()
    }


def _padding(size: Floats) -> Floats:
    """By what factor whole blocks are wider."""
    wider: Floats = np.ceil(size / BLOCK) * BLOCK / size
    return wider


def _exists(name: str) -> bool:
    return name in (*GROWING, *FINE, "threads") or name.partition(" in ")[0] in GROUPS

"""Examples into batches of similar length, in an order that is a function of (seed, epoch).

So a run that was stopped needs no generator's state to go on: it counts. Knows no torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.tokens import Encoded, Ints

POOL = 64
"""Batches that are sorted by length together: long enough that nearly nothing is padded, short
enough that every epoch mixes the examples anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Examples side by side, the short ones filled with token 0."""

    ids: NDArray[np.int64]
    """(B, T)"""
    types: NDArray[np.int64]
    """(B, T)"""
    mask: NDArray[np.int64] | None
    """(B, T): 1 token, 0 padding; None where nothing is padded."""
    targets: NDArray[Any]
    """(B, ...)"""
    examples: NDArray[np.int64]
    """(B,): which ones of the data."""

    @property
    def tokens(self) -> int:
        """Tokens of the texts, padding left out."""
        return int(self.ids.size if self.mask is None else self.mask.sum())


def order(
    lengths: Ints, size: int, rng: np.random.Generator, pool: int = POOL
) -> list[NDArray[np.int64]]:
    """Which examples each batch of an epoch has: every example once, similar lengths together.

    Args:
        lengths: (examples,) in tokens.
        size: examples in a batch; the last one may have fewer.
        rng: shuffles the examples, and then the batches.
        pool: batches whose examples are sorted together; 1 sorts nothing.
    """
    shuffled = rng.permutation(len(lengths))
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(shuffled), size * pool):
        part = shuffled[start : start + size * pool]
        if pool > 1:
            part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + size] for i in range(0, len(part), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def in_order(lengths: Ints, tokens: int, most: int = 512) -> Iterator[NDArray[np.int64]]:
    """Examples from the shortest to the longest, in batches of about so many tokens; to score."""
    ranked = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(ranked):
        stop = start + 1
        while (
            stop < len(ranked)
            and stop - start < most
            and (stop + 1 - start) * int(lengths[ranked[stop]]) <= tokens
        ):
            stop += 1
        yield ranked[start:stop]
        start = stop


def gather(data: Encoded, examples: Sequence[int] | NDArray[np.int64], width: int = 0) -> Batch:
    """A batch of these examples, as wide as the longest one, or as `width` if that is more."""
    chosen = np.asarray(examples, np.int64)
    lengths = data.lengths[chosen]
    width = max(width, int(lengths.max()))
    columns = np.arange(width)
    real = columns < lengths[:, None]  # (B, T)
    at = np.where(real, data.starts[chosen][:, None] + columns, 0)
    return Batch(
        ids=np.where(real, data.ids[at], 0).astype(np.int64),
        types=np.where(real, data.types[at], 0).astype(np.int64),
        mask=None if real.all() else real.astype(np.int64),
        targets=data.targets[chosen] if len(data.targets) else data.targets,
        examples=chosen,
    )

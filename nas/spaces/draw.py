"""Whole numbers by chance, however large: numpy stops at 64 bits, a search space does not."""

from collections.abc import Iterator

import numpy as np


def below(rng: np.random.Generator, count: int) -> int:
    """One of 0..count-1, each as likely as any other."""
    bits = (count - 1).bit_length()
    while True:  # more than half of the draws fit
        drawn = int.from_bytes(rng.bytes((bits + 7) // 8), "little") >> (-bits % 8)
        if drawn < count:
            return drawn


def distinct(rng: np.random.Generator, count: int) -> Iterator[int]:
    """All of 0..count-1 in random order, shuffled (Fisher-Yates) only as far as they are taken."""
    moved: dict[int, int] = {}
    for i in range(count):
        j = i + below(rng, count - i)
        drawn = moved.get(j, j)
        moved[j] = moved.pop(i, i)
        yield drawn

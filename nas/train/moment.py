"""Where a training stands, and the randomness that belongs to it. Knows no network.

Every random number is a function of the seed and of the moment, so a run that was killed goes on
with the numbers it would have had, and two processes draw what one would have drawn.
"""

import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Moment:
    """One batch of one step."""

    seed: int
    epoch: int
    step: int
    batch: int = 0
    """Among those that are averaged in this step, over all processes."""

    def of_step(self, purpose: str) -> np.random.Generator:
        """The same for all batches of a step."""
        return generator(self.seed, purpose, self.step)

    def of_batch(self, purpose: str) -> np.random.Generator:
        """Of this batch alone."""
        return generator(self.seed, purpose, self.step, self.batch)


def generator(seed: int, purpose: str, *place: int) -> np.random.Generator:
    """A generator for one purpose in one place."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *place])

"""Random search: what every other searcher must beat. Learns nothing."""

from collections.abc import Sequence

import numpy as np

from nas.search.pool import Pool
from nas.search.searcher import Ground, Trial
from results.architecture import Architecture


class Random:
    """Members within the limit, each as likely as any other; where layers differ, each depth."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self._pool = Pool(ground, np.random.default_rng(seed))

    def ask(self, n: int) -> list[Architecture]:
        return self._pool.draw(n)

    def tell(self, trials: Sequence[Trial]) -> None:
        self._pool.take(t.architecture for t in trials)

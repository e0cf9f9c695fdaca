"""NSGA-II (Deb, Pratap, Agarwal, Meyarivan 2002), optuna's."""

import numpy as np
from optuna.samplers import NSGAIISampler

from nas.search.searcher import Ground
from nas.search.study import Study

POPULATION = 50
"""As in LINAS, and optuna's own."""


def nsga2(ground: Ground, seed: int) -> Study:
    """Generations of the least beaten members; with a limit, of those with the best scores."""
    rng = np.random.default_rng(seed)
    sampler = NSGAIISampler(population_size=POPULATION, seed=int(rng.integers(2**32)))
    return Study(ground, sampler, rng, tries=8)

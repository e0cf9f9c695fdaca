"""Tree-structured Parzen estimators (Bergstra, Bardenet, Bengio, Kégl 2011), optuna's.

All sizes together (multivariate), proposals of one batch kept apart (constant liar); for several
objectives as in Ozaki et al. 2022.
"""

import warnings

import numpy as np
from optuna.samplers import TPESampler

from nas.search.searcher import Ground
from nas.search.study import Study


def bayes(ground: Ground, seed: int) -> Study:
    """Sizes that good members have and bad ones have not."""
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # optuna calls both arguments experimental
        sampler = TPESampler(seed=int(rng.integers(2**32)), multivariate=True, constant_liar=True)
    return Study(ground, sampler, rng, tries=3)  # a try takes some 10 ms

"""An optuna sampler as a searcher: it sees sizes as numbers, and only members that were scored.

What is known before it is scored costs no score: a proposal above the limit, or one that was made
before, is given back to the sampler as failed, and another one is asked for.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from nas.search.pool import Pool
from nas.search.searcher import Ground, Trial
from nas.space import SearchSpace
from nas.spaces.layers import PerHead
from nas.spaces.line import stretched
from results.architecture import Architecture, Layer

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial as Asked


class Study:
    """Maximises the score, and where there is no limit also minimises the cost.

    After so many `tries` for one proposal a member drawn by chance is handed to the sampler.
    """

    def __init__(
        self, ground: Ground, sampler: "BaseSampler", rng: np.random.Generator, tries: int
    ) -> None:
        import optuna
        from optuna.study import StudyDirection

        self._pool = Pool(ground, rng)
        self._space, self._alone = ground.space, ground.limit is not None
        self._grids = _grids(ground.space)
        maximised = StudyDirection.MAXIMIZE
        directions = [maximised] if self._alone else [maximised, StudyDirection.MINIMIZE]
        with _quiet():
            self._study = optuna.create_study(sampler=sampler, directions=directions)
        self._asked: dict[Architecture, Asked] = {}
        self._tries = tries

    def ask(self, n: int) -> list[Architecture]:
        found: list[Architecture] = []
        with _quiet():
            for _ in range(n):
                found += self._one() or self._drawn()
        return found

    def tell(self, trials: Sequence[Trial]) -> None:
        self._pool.take(t.architecture for t in trials)
        with _quiet():
            for t in trials:
                if t.architecture in self._space:
                    self._tell(t)

    def _one(self) -> list[Architecture]:
        from optuna.trial import TrialState

        for _ in range(self._tries):
            asked = self._study.ask(_distributions(self._grids))
            found = self._pool.claim([self._member(asked.params)], 1)
            if found:
                self._asked[found[0]] = asked
                return found
            self._study.tell(asked, state=TrialState.FAIL)
        return []

    def _drawn(self) -> list[Architecture]:
        found = self._pool.draw(1)
        for a in found:
            self._study.enqueue_trial(self._params(a))
            self._asked[a] = self._study.ask(_distributions(self._grids))
        return found

    def _tell(self, t: Trial) -> None:
        from optuna.trial import TrialState, create_trial

        asked = self._asked.pop(t.architecture, None)
        values = [t.score] if self._alone else [t.score, t.cost]
        if not np.isfinite(values).all():
            if asked:
                self._study.tell(asked, state=TrialState.FAIL)
        elif asked:
            self._study.tell(asked, values)
        else:
            params = self._params(t.architecture)
            known = _distributions(self._grids)
            self._study.add_trial(create_trial(params=params, distributions=known, values=values))

    def _member(self, params: Mapping[str, int]) -> Architecture:
        sizes = {name: grid[params[name]] for name, grid in self._grids.items()}
        hidden, depth = sizes["hidden"], sizes["depth"]
        layers = []
        for i in range(depth if self._space.per_layer else 1):
            heads = sizes[f"heads {i}"]
            qkv = sizes.get(f"qkv {i}", hidden)
            if isinstance(self._space.qkv, PerHead):
                qkv = heads * self._space.qkv.width
            layers.append(Layer(heads, max(1, round(qkv / heads)) * heads, sizes[f"ffn {i}"]))
        several = tuple(layers) if self._space.per_layer else tuple(layers) * depth
        tables = (self._space.vocab, self._space.positions, self._space.types)
        return self._space.repair(Architecture(hidden, several, *tables))

    def _params(self, a: Architecture) -> dict[str, int]:
        sizes = {"depth": a.depth, "hidden": a.hidden}
        for i, layer in enumerate(stretched(a.layers, _positions(self._space))):
            sizes |= {f"heads {i}": layer.heads, f"qkv {i}": layer.qkv, f"ffn {i}": layer.ffn}
        return {name: grid.index(sizes[name]) for name, grid in self._grids.items()}


def _positions(space: SearchSpace) -> int:
    """How many layers have sizes of their own."""
    return space.depth[-1] if space.per_layer else 1


def _grids(space: SearchSpace) -> dict[str, tuple[int, ...]]:
    """What is chosen, by name."""
    found = {"depth": space.depth, "hidden": space.hidden}
    for i in range(_positions(space)):
        found |= {f"heads {i}": space.heads, f"ffn {i}": space.ffn}
        if isinstance(space.qkv, tuple):
            found[f"qkv {i}"] = space.qkv
    return found


def _distributions(grids: Mapping[str, tuple[int, ...]]) -> dict[str, "BaseDistribution"]:
    from optuna.distributions import IntDistribution

    return {name: IntDistribution(0, len(grid) - 1) for name, grid in grids.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without optuna's notes on every trial."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)

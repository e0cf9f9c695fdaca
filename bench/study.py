"""Which networks to measure for predictors, round by round. Starts no process, prints nothing."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bench.numerics import numerics_of
from bench.plan import Network, Task, tasks_for
from bench.training import Key, Labelled, labelled, rows_of, unlikeness
from bench.warm_start import WarmStart
from predictors.calibrated import Calibrated, calibrate
from predictors.columns import Columns
from predictors.design import first, wider
from predictors.intervals import least_rows
from predictors.physics import Physics
from predictors.prior import LEAST_ROWS
from predictors.setting import Setting
from predictors.terms import Terms, terms_for
from results.architecture import Architecture
from results.measurement import Measurement, Workload
from results.session import Session
from results.store import Ledger

if TYPE_CHECKING:
    from bench.request import Ground
    from nas.space import SearchSpace

POOL = 2000
"""Candidates drawn from the space; the best of so many is hardly worse than the best of all."""

BEGIN = 12
"""Networks of the first round: two blocks, and as many as there are terms."""

GO_ON = 6
"""Networks of each further round: one block. Beside another device's prices, of the first too."""


@dataclass(frozen=True, slots=True)
class Target:
    """When a predictor is good enough; fractions."""

    mape: float
    half_width: float
    most: int
    """Networks that are measured at most."""

    def reached(self, mape: float, half_width: float) -> bool:
        """Is the error small, and the interval narrow?"""
        return mape <= self.mape and half_width <= self.half_width


@dataclass
class Study:
    """Chooses networks, and judges what their rows are good for."""

    ground: "Ground"
    space: "SearchSpace"
    ledger: Ledger
    session: Session
    target: Target
    seed: int
    begin_with: WarmStart = field(default_factory=WarmStart)
    fresh: bool = False
    """Whether rows of other sessions count for nothing."""
    found: dict[Key, Calibrated] = field(default_factory=dict)
    """The predictors after the last round, where the rows were enough."""
    rounds: int = 0
    _chosen: list[int] = field(default_factory=list)
    _views: dict[str, Columns] = field(default_factory=dict)

    @cached_property
    def pool(self) -> list[tuple[Architecture, Workload]]:
        """Networks of the space and workloads of the device, drawn by the seed."""
        workloads = self.ground.device.workloads()
        rng = np.random.default_rng(self.seed)
        networks = _drawn(self.space, rng, max(POOL // len(workloads), GO_ON))
        return [(network, work) for network in networks for work in workloads]

    @property
    def keys(self) -> list[Key]:
        """What predictors are wanted of."""
        profile = self.ground.procedure.profile
        return [Key(r, s, profile) for r, schemes in self.ground.schemes.items() for s in schemes]

    @property
    def open(self) -> list[Key]:
        """The predictors that are not good enough yet."""
        return [key for key in self.keys if not self.target.reached(*self.expected(key))]

    def expected(self, key: Key) -> tuple[float, float]:
        """Mean error and half-width over the candidates; infinite while rows are too few."""
        if key not in self.found:
            return math.inf, math.inf
        return self.found[key].expected(self._columns(key.scheme))

    @property
    def measured(self) -> int:
        """How many candidates were given out to be measured."""
        return len(self._chosen)

    def begin(self) -> tuple[Task, ...]:
        """The networks of the first round, in everything that is wanted."""
        views = [(self._terms(key.scheme), self._columns(key.scheme)) for key in self.keys]
        begin = GO_ON if all(self.begin_with.of(key) for key in self.keys) else BEGIN
        n = begin + GO_ON * (len(self.ground.device.tokens) - 1)
        self._chosen = first(views, min(n, self.target.most), self.seed)
        return self._tasks(self._chosen, self.keys)

    def more(self, rows: Sequence[Measurement]) -> tuple[Task, ...]:
        """Fit to what was measured; the networks of the next round, for what is not good yet."""
        del rows  # those of earlier sessions count too
        self._judge()
        room = self.target.most - len(self._chosen)
        if not self.open or room <= 0:
            return ()
        self.rounds += 1
        views = [
            (made, self._columns(key.scheme))
            for key in self.open
            if key in self.found and isinstance(made := self.found[key].predictor, Physics)
        ]
        n = min(GO_ON, room)
        if views:
            picked = wider(views, self._chosen, n)
        else:  # too many rows were noisy to fit to the others
            picked = [i for i in range(len(self.pool)) if i not in self._chosen][:n]
        self._chosen += picked
        return self._tasks(picked, self.open)

    def _judge(self) -> None:
        """One predictor for each key, of the family that needs the fewest rows."""
        for key, rows in self._rows().items():
            prior = self.begin_with.of(key)
            least = least_rows() if prior is None else LEAST_ROWS
            if len({x.row.subject.architecture for x in rows}) >= least:
                setting = Setting(self._terms(key.scheme), self.seed, prior)
                self.found[key] = calibrate(rows_of(rows), "physics", setting)

    def _rows(self) -> Mapping[Key, list[Labelled]]:
        """Quiet rows of this device, machine and space."""
        grouped: dict[Key, list[Labelled]] = defaultdict(list)
        alike: dict[str, bool] = {}
        for x in labelled(self.ledger):
            one = x.session
            if one.id not in alike:
                foreign = self.fresh or bool(unlikeness(one, self.session))
                alike[one.id] = one.id == self.session.id or not foreign
            if alike[one.id] and not x.row.noisy and self._belongs(x.row):
                key = Key(x.row.subject.runtime, x.row.subject.scheme, x.row.procedure.profile)
                grouped[key].append(x)
        return {key: grouped[key] for key in self.keys if key in grouped}

    def _belongs(self, row: Measurement) -> bool:
        works = self.ground.device.workloads()
        same = row.device == self.ground.device.name and row.workload in works
        return same and row.subject.architecture in self.space

    def _terms(self, scheme: str) -> Terms:
        hardware = self.session.environment.hardware
        return terms_for(self._columns(scheme), (hardware.l2_bytes, hardware.l3_bytes))

    def _columns(self, scheme: str) -> Columns:
        if scheme not in self._views:
            networks, works = zip(*self.pool, strict=True)
            self._views[scheme] = Columns.of(networks, works, numerics_of(scheme))
        return self._views[scheme]

    def _tasks(self, picked: Sequence[int], keys: Sequence[Key]) -> tuple[Task, ...]:
        schemes: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            schemes[key.runtime].append(key.scheme)
        procedure = self.ground.procedure
        chosen = (self.pool[i] for i in picked)
        return tuple(
            task for a, w in chosen for task in tasks_for([Network(a)], schemes, [w], procedure)
        )


def _drawn(space: "SearchSpace", rng: np.random.Generator, n: int) -> Iterator[Architecture]:
    """Where layers differ nearly all members have the greatest depth: equally many of each."""
    parts = [replace(space, depth=(d,)) for d in space.depth] if space.per_layer else [space]
    for part in parts:
        yield from part.sample_unique(rng, min(max(n // len(parts), 1), part.count))

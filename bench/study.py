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

BEGIN = 18
"""Networks of the first round: three blocks, and more than there are terms. After two blocks the
errors were small already, but the bounds held in 64-94 % of the cases."""

ENOUGH = 15
"""Networks with a quiet row without which no predictor is good enough, unless there is a card to
begin with: a study that was stopped early goes on, however small the errors are by then."""

GO_ON = 6
"""Networks of each further round: one block. Beside another device's prices, of the first too."""

Candidate = tuple[Architecture, Workload]


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
    """How often candidates were given out."""
    stalled: bool = False
    """Whether the last round left no row that counts."""
    _chosen: list[int] = field(default_factory=list)
    """Of the pool: what was given out, and what has a row in everything that is open."""
    _seen: dict[Key, set[tuple[Architecture | None, Workload]]] = field(default_factory=dict)
    """What has a row that counts."""
    _views: dict[str, Columns] = field(default_factory=dict)

    @cached_property
    def pool(self) -> list[Candidate]:
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
        return [key for key in self.keys if not self._good(key)]

    def enough(self, key: Key) -> int:
        """Networks that a predictor must have seen, as far as there are so many."""
        wanted = ENOUGH if self.begin_with.of(key) is None else LEAST_ROWS
        return min(wanted, self.target.most, len(self.pool))

    def seen(self, key: Key) -> int:
        """Networks, or pairs of one and a number of tokens, that have a row that counts."""
        return len(self._seen.get(key, ()))

    def _good(self, key: Key) -> bool:
        return self.seen(key) >= self.enough(key) and self.target.reached(*self.expected(key))

    def expected(self, key: Key) -> tuple[float, float]:
        """Mean error and half-width over the candidates; infinite while rows are too few."""
        if key not in self.found:
            return math.inf, math.inf
        return self.found[key].expected(self._columns(key.scheme))

    @property
    def rows(self) -> int:
        """How many count, those of earlier sessions included."""
        return sum(map(len, self._seen.values()))

    @property
    def is_used_up(self) -> bool:
        """Whether there is no other candidate."""
        return len(self._chosen) >= len(self.pool)

    @property
    def least(self) -> int:
        """Networks without which not all predictors can be fitted."""
        return max(map(self._least, self.keys))

    def begin(self) -> tuple[Task, ...]:
        """The networks of the first round, in everything that is wanted.

        Where the ledger has rows enough to fit to, this is a further round. None has a row yet.
        """
        self.judge()
        if all(key in self.found for key in self.open):
            return self._further()
        views = [(self._terms(key.scheme), self._columns(key.scheme)) for key in self.keys]
        begin = GO_ON if all(self.begin_with.of(key) for key in self.keys) else BEGIN
        n = begin + GO_ON * (len(self.ground.device.tokens) - 1)
        picked = first(views, min(n, self.target.most), self.seed)
        return self._given(picked) or self._further()

    def more(self, rows: Sequence[Measurement]) -> tuple[Task, ...]:
        """Fit to what was measured; the networks of the next round, for what is not good yet."""
        del rows  # those of earlier sessions count too
        before = self.rows
        self.judge()
        self.stalled = self.rows == before
        return () if self.stalled else self._further()

    def judge(self) -> None:
        """One predictor for each key with rows enough, of the family that needs the fewest."""
        rows = self._rows()
        self._seen = {
            key: {(x.row.subject.architecture, x.row.workload) for x in found}
            for key, found in rows.items()
        }
        for key, found in rows.items():
            if len({network for network, _ in self._seen[key]}) >= self._least(key):
                setting = Setting(self._terms(key.scheme), self.seed, self.begin_with.of(key))
                self.found[key] = calibrate(rows_of(found), "physics", setting)
        if seen := [self._seen.get(key, set()) for key in self.open]:
            known = [i for i, one in enumerate(self.pool) if all(one in x for x in seen)]
            self._chosen = list(dict.fromkeys([*self._chosen, *known]))

    def _further(self) -> tuple[Task, ...]:
        """Those whose intervals are widest, in what is open."""
        views = [
            (made, self._columns(key.scheme))
            for key in self.open
            if key in self.found and isinstance(made := self.found[key].predictor, Physics)
        ]
        if views:
            return self._given(wider(views, self._chosen, GO_ON))
        # nothing is open, or too many rows were noisy to fit to the others
        rest = [i for i in range(len(self.pool)) if i not in self._chosen]
        return self._given(rest[:GO_ON])

    def _given(self, picked: Sequence[int]) -> tuple[Task, ...]:
        """Tasks for those of the candidates that are new, as many as may be."""
        room = max(self.target.most - len(self._chosen), 0)
        new = [i for i in picked if i not in self._chosen][:room]
        self._chosen += new
        tasks = self._tasks(new)
        self.rounds += bool(tasks)
        return tasks

    def _least(self, key: Key) -> int:
        return least_rows() if self.begin_with.of(key) is None else LEAST_ROWS

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

    def _tasks(self, picked: Sequence[int]) -> tuple[Task, ...]:
        procedure, open_ = self.ground.procedure, self.open
        found: list[Task] = []
        for network, work in (self.pool[i] for i in picked):
            schemes: dict[str, list[str]] = defaultdict(list)
            for key in open_:
                if (network, work) not in self._seen.get(key, ()):
                    schemes[key.runtime].append(key.scheme)
            found += tasks_for([Network(network)], schemes, [work], procedure)
        return tuple(found)


def _drawn(space: "SearchSpace", rng: np.random.Generator, n: int) -> Iterator[Architecture]:
    """Where layers differ nearly all members have the greatest depth: equally many of each."""
    parts = [replace(space, depth=(d,)) for d in space.depth] if space.per_layer else [space]
    for part in parts:
        yield from part.sample_unique(rng, min(max(n // len(parts), 1), part.count))

"""Networks with random weights, measured near a budget, to narrow what is predicted there.

The bounds of a card hold over a whole space. A search looks at one budget, where some dozen rows
say more: by how much the predictor is off just there, and how little networks differ from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.numerics import numerics_of
from bench.plan import Network, Plan, Task, tasks_for
from bench.request import Asked, Ground, ground_of
from bench.search.oracle import FAR, Correction, Latency, Oracle
from bench.search.sweeps import asked_of, named
from bench.sitting import measure, prepare
from bench.summary import scaled
from bench.watch import Silent, Watch
from predictors.columns import Columns
from predictors.intervals import least_rows
from profiler.device import devices_file, find_device, load_devices, this_host
from profiler.environment import read_hardware
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Procedure, Workload

if TYPE_CHECKING:
    from nas.space import SearchSpace

POOL = 4000
"""Members among which those near the budget are looked for."""

NEIGHBOURS = 4
"""Times as many as are measured: of these they are drawn."""

Cell = tuple[Architecture, str, int]
"""A network, a scheme and a number of tokens."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where is measured."""

    device: str
    runtime: str
    results: Path
    """Folder of the ledger."""
    devices: Path | None = None
    seed: int = 0
    remote: bool = False
    """Is it elsewhere, so that nothing can be measured here?"""

    def asked(self, schemes: Sequence[str], tokens: Sequence[int]) -> Asked:
        """As `bench profile` would be asked; rows of before count."""
        return asked_of(self, schemes, tokens)

    def ground(self, schemes: Sequence[str], tokens: Sequence[int] = ()) -> Ground:
        """The device as this host can be it.

        Raises:
            BadInputError: it cannot, or the runtime has no such scheme.
        """
        if self.remote:
            return self._elsewhere(schemes, tokens)
        ground = ground_of(self.asked(schemes, tokens), this_host(read_hardware()))
        has = ground.schemes.get(self.runtime, [])
        if lacking := [s for s in schemes if s not in has]:
            raise BadInputError(
                f"{self.runtime} on {self.device} has no {lacking[0]}: choose another --runtime "
                "or --quant"
            )
        return ground

    def _elsewhere(self, schemes: Sequence[str], tokens: Sequence[int]) -> Ground:
        """As the file of devices says; whether it can be had is for its node to tell."""
        path = devices_file(self.devices)
        device = find_device(load_devices(path), self.device, path)
        if tokens:
            device = device.model_copy(update={"tokens": list(tokens)})
        return Ground(device, {self.runtime: list(schemes)}, Procedure(), "", [])


def latencies(
    bench: Bench,
    networks: Sequence[Architecture],
    schemes: Sequence[str],
    tokens: Sequence[int],
    watch: Watch | None = None,
) -> Mapping[Cell, float]:
    """Milliseconds on the scale of all sessions; what stayed noisy or failed is left out.

    Raises:
        BadInputError: nothing can be measured as asked.
    """
    ground = bench.ground(schemes, tokens)
    runtimes = {bench.runtime: list(schemes)}
    workloads = ground.device.workloads()
    known = [Network(a) for a in dict.fromkeys(networks)]
    tasks = tasks_for(known, runtimes, workloads, ground.procedure)
    plan = Plan(ground.device, tuple(runtimes), tasks, ground.procedure, bench.seed, ground.cap)
    sitting = named(prepare(bench.asked(schemes, tokens), plan))
    if len(sitting.rows(tasks)) < len(tasks):
        measure(sitting, watch or Silent())
    rows = [row for row in sitting.rows(tasks) if not row.noisy]
    labels = scaled(sitting.ledger.measurements(), sitting.session).labels
    wanted = {(t.subject, t.workload): _cell(t) for t in tasks}
    return {wanted[row.subject, row.workload]: labels[row.id].latency_ms for row in rows}


def _cell(task: Task) -> Cell:
    architecture = task.subject.architecture
    if architecture is None:
        raise ValueError(f"{task.subject} has no sizes")
    return architecture, task.subject.scheme, task.workload.tokens


def corrections(
    oracle: Oracle,
    space: "SearchSpace",
    benches: Mapping[str, Bench],
    n: int,
    watch: Watch | None = None,
) -> list[Correction]:
    """One for each latency of the oracle, from `n` networks that are near its limit.

    `benches`: by device. Where too few rows came out quiet, nothing is limited, the
    predictor's own bounds stay.
    """
    found = []
    for one in oracle.latencies:
        if not np.isfinite(one.limit.value) or benches[one.limit.device].remote:
            found.append(Correction())
            continue
        bench = benches[one.limit.device]
        several = max(n, least_rows(one.confidence) + 2)
        chosen = near(one, oracle, space, several, bench.seed)
        tokens = one.workload.tokens
        cells = latencies(bench, chosen, [oracle.scheme.name], [tokens], watch)
        found.append(_correction(one, oracle, cells))
    return found


def near(
    latency: Latency, oracle: Oracle, space: "SearchSpace", n: int, seed: int
) -> list[Architecture]:
    """Members whose predicted latency is near the limit, drawn by chance."""
    rng = np.random.default_rng([seed, 2])
    parts = [replace(space, depth=(d,)) for d in space.depth] if space.per_layer else [space]
    each = POOL // len(parts)
    pool = [a for part in parts for a in part.sample_unique(rng, min(each, part.count))]
    columns = _columns(pool, latency.workload, oracle)
    found = latency.made.forecast(columns)
    away = np.abs(np.log(found.ms / latency.limit.value))
    away[found.beyond > FAR] = np.inf
    nearest = np.argsort(away, kind="stable")[: NEIGHBOURS * n]
    nearest = nearest[np.isfinite(away[nearest])]
    drawn = rng.choice(nearest, min(n, len(nearest)), replace=False)
    return [pool[i] for i in drawn.tolist()]


def _correction(latency: Latency, oracle: Oracle, cells: Mapping[Cell, float]) -> Correction:
    if len(cells) < least_rows(latency.confidence):
        return Correction()
    networks = [a for a, _, _ in cells]
    predicted = latency.made.forecast(_columns(networks, latency.workload, oracle)).ms
    return Correction.of(np.array(list(cells.values())), predicted)


def _columns(networks: Sequence[Architecture], work: Workload, oracle: Oracle) -> Columns:
    return Columns.of(networks, [work] * len(networks), numerics_of(oracle.scheme.name))

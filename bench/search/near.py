"""Which networks near a budget are measured, and how that narrows what is predicted there.

The bounds of a card hold over a whole space. A search looks at one budget, where some dozen rows
say more: by how much the predictor is off just there, and how little networks differ from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bench.numerics import numerics_of
from bench.search.meter import Bench, Cell, Meter, Wanted
from bench.search.oracle import FAR, Correction, Latency, Oracle
from predictors.columns import Columns
from predictors.intervals import least_rows
from results.architecture import Architecture
from results.measurement import Workload

if TYPE_CHECKING:
    from nas.space import SearchSpace

POOL = 4000
"""Members among which those near the budget are looked for."""

NEIGHBOURS = 4
"""Times as many as are measured: of these they are drawn."""


def corrections(
    oracle: Oracle, space: "SearchSpace", benches: Mapping[str, Bench], n: int, meter: Meter
) -> list[Correction]:
    """One for each latency of the oracle, from `n` networks that are near its limit.

    `benches`: by device. Where too few rows came out quiet, or nothing is limited, the
    predictor's own bounds stay.
    """
    found = [Correction() for _ in oracle.latencies]
    limited = [i for i, one in enumerate(oracle.latencies) if np.isfinite(one.limit.value)]
    wanted = [_wanted(oracle.latencies[i], oracle, space, benches, n) for i in limited]
    for i, cells in zip(limited, meter.latencies(wanted), strict=True):
        found[i] = _correction(oracle.latencies[i], oracle, cells)
    return found


def _wanted(
    latency: Latency,
    oracle: Oracle,
    space: "SearchSpace",
    benches: Mapping[str, Bench],
    n: int,
) -> Wanted:
    bench = benches[latency.limit.device]
    several = max(n, least_rows(latency.confidence) + 2)
    chosen = near(latency, oracle, space, several, bench.seed)
    return Wanted(bench, tuple(chosen), (oracle.scheme.name,), (latency.workload.tokens,))


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

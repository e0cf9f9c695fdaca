"""Networks and predictors -> latencies with bounds, table by table. Prints and writes nothing."""

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from bench.candidates import SIZES, Candidates, Listed, Part, rest_of
from bench.forecasters import Forecaster
from results.errors import BadInputError
from results.measurement import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from predictors.calibrated import Forecast
    from predictors.columns import Columns

PLACE = "place"
"""Column of a network's place among the candidates; never shown."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be predicted, and of whom."""

    candidates: Candidates
    forecasters: tuple[Forecaster, ...]
    confidence: float
    within_ms: float | None = None
    """Only networks whose upper bound is not above it."""
    extrapolate: bool = False
    """Also where no network of the space is in the range of the rows."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What one predictor says of all candidates under one workload."""

    runtime: str
    scheme: str
    batch: int
    tokens: int
    threads: int
    networks: int
    min_ms: float
    median_ms: float
    max_ms: float
    kept: int
    """Networks within the budget; all of them without one."""
    out_of_range: int
    """Networks that are outside the range of the predictor's rows."""


@dataclass(slots=True)
class _Tally:
    """The latencies so far. 8 bytes a network; the median needs them all."""

    ms: "list[NDArray[np.float64]]" = field(default_factory=list)
    kept: int = 0
    outside: int = 0

    def summary(self, forecaster: Forecaster, work: Workload) -> Summary:
        ms = np.concatenate(self.ms)
        return Summary(
            forecaster.runtime,
            forecaster.scheme,
            work.batch,
            work.tokens,
            work.threads,
            networks=len(ms),
            min_ms=float(ms.min()),
            median_ms=float(np.median(ms, overwrite_input=True)),
            max_ms=float(ms.max()),
            kept=self.kept,
            out_of_range=self.outside,
        )


def predict(asked: Asked, keep: "Callable[[pa.Table], None]") -> list[Summary]:
    """Predict all networks with one predictor after the other, each of its workloads in turn.

    `keep` is given the tables one by one: the columns of `columns_of`, and `PLACE`.

    Raises:
        BadInputError: a text is longer than the networks' positions, or no network of the space
            is in the range of the rows.
    """
    for forecaster in asked.forecasters:
        for work in forecaster.workloads:
            _require_positions(asked.candidates, work)
        if not asked.extrapolate:
            _require_range(asked.candidates, forecaster)
    return [
        _predict(asked, forecaster, work, keep)
        for forecaster in asked.forecasters
        for work in forecaster.workloads
    ]


def columns_of(candidates: Candidates) -> tuple[str, ...]:
    """The columns of the tables: a whole space is told by its sizes, other networks by name too.

    `heads`, `qkv` and `ffn` are those of a layer, their mean where layers differ.
    """
    name = ("architecture",) if isinstance(candidates, Listed) else ()
    return (
        *name, *SIZES, "parameters", "runtime", "scheme", "batch", "tokens", "threads",
        "ms", "lower", "upper", "beyond", "family",
    )  # fmt: skip


def _predict(
    asked: Asked, forecaster: Forecaster, work: Workload, keep: "Callable[[pa.Table], None]"
) -> Summary:
    tally, place = _Tally(), 0
    for part in asked.candidates.parts():
        found = forecaster.made.forecast(part.columns(work, forecaster.numerics), asked.confidence)
        tally.ms.append(found.ms)
        tally.outside += int((found.beyond > 1).sum())
        table = _table(
            part, place, found, forecaster, work, named=isinstance(asked.candidates, Listed)
        )
        if asked.within_ms is not None:
            table = table.filter(found.upper <= asked.within_ms)
        tally.kept += len(table)
        keep(table)
        place += len(part)
    return tally.summary(forecaster, work)


def _table(
    part: Part,
    place: int,
    found: "Forecast",
    forecaster: Forecaster,
    work: Workload,
    *,
    named: bool,
) -> "pa.Table":
    """The rows of one part; every column is as long as the part."""
    import pyarrow as pa

    n = len(part)
    name = {"architecture": part.names()} if named else {}
    network = {**part.sizes, "parameters": part.parameters}
    same = {
        "runtime": forecaster.runtime,
        "scheme": forecaster.scheme,
        "batch": work.batch,
        "tokens": work.tokens,
        "threads": work.threads,
    }
    return pa.table(
        {
            **name,
            **network,
            **{column: pa.repeat(value, n) for column, value in same.items()},
            **{column: getattr(found, column) for column in ("ms", "lower", "upper", "beyond")},
            "family": pa.repeat(forecaster.made.predictor.family, n),
            PLACE: np.arange(place, place + n),
        }
    )


def _require_positions(candidates: Candidates, work: Workload) -> None:
    if work.tokens > candidates.positions:
        raise BadInputError(
            f"{work.tokens} tokens do not fit the {candidates.positions} positions of the "
            "networks: give fewer --tokens"
        )


def _require_range(candidates: Candidates, forecaster: Forecaster) -> None:
    """Refuse another space than that of the rows; a single network that is outside is told."""
    space = candidates.space
    if space is None:
        return
    domain = forecaster.made.domain
    low = (round(domain.ranges[name][0]) for name in ("batch", "tokens", "threads"))
    work = Workload(*low)
    if any((domain.beyond(c) <= 1).any() for c in _members(candidates, work, forecaster)):
        return
    least = next(_members(candidates, work, forecaster)).take(slice(0, 1))
    raise BadInputError(
        f"no network of the space {space.name} is in the range of the rows that predict "
        f"{forecaster.runtime} {forecaster.scheme} (of the first, {domain.why(least)[0]}): "
        "measure rows of that space with `bench profile`, or give --extrapolate"
    )


def _members(
    candidates: Candidates, work: Workload, forecaster: Forecaster
) -> "Iterator[Columns]":
    """The candidates, then others of their space: all, or where layers differ some."""
    for part in chain(candidates.parts(), rest_of(candidates)):
        yield part.columns(work, forecaster.numerics)

"""Predictions as they are printed: rows in order, a summary, tables, JSON. Predicts nothing."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.candidates import SIZES
from bench.forecasters import Forecaster
from bench.predicting import PLACE, Summary
from results.errors import BadInputError
from results.measurement import Workload

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

    from predictors.card import Card

SPARE = 1 << 16
"""Rows that are held beside the best before they are compared again."""


class Shown:
    """The rows that will be shown: all of them, or the first in an order."""

    def __init__(self, columns: Sequence[str], sort: str | None, limit: int | None) -> None:
        """Raises BadInputError: there is no such column to sort by."""
        name = (sort or PLACE).removeprefix("-")
        if sort is not None and name not in columns:
            raise BadInputError(f"cannot sort by {name!r}: choose one of {', '.join(columns)}")
        self._columns, self._limit = list(columns), limit
        self._key = (name, "descending" if name != (sort or PLACE) else "ascending")
        self._tables: list[pa.Table] = []

    def add(self, table: "pa.Table") -> None:
        """Take the rows of a table; with a limit, memory is too."""
        self._tables.append(table)
        held = sum(map(len, self._tables))
        if self._limit is not None and held > self._limit + SPARE:
            self._tables = [self._first()]

    def table(self) -> "pa.Table":
        """Those rows in order; of equal ones that which was predicted first."""
        return self._first().select(self._columns)

    def _first(self) -> "pa.Table":
        import pyarrow as pa
        from pyarrow.compute import sort_indices

        whole = pa.concat_tables(self._tables)
        return whole.take(sort_indices(whole, sort_keys=[self._key])[: self._limit])


@dataclass(frozen=True, slots=True)
class Told:
    """All that there is to print."""

    card: "Card"
    forecasters: tuple[Forecaster, ...]
    deployed: bool
    confidence: float
    within_ms: float | None
    summaries: Sequence[Summary]
    rows: "pa.Table | None"
    """None where only the summary is asked for."""


def headline(told: Told) -> list[str]:
    """Of which device the predictions are, and of whom."""
    cpu = told.card.environment.hardware.cpu
    served = ", as served" if told.deployed else ""
    said = [f"{told.card.device} ({cpu}): predicted latency in ms{served}"]
    for forecaster in told.forecasters:
        made = forecaster.made
        rows = f"{made.error.rows} rows"
        if forecaster.fitted_to != forecaster.scheme:
            rows += f" of several schemes ({forecaster.fitted_to})"
        said.append(
            f"{forecaster.runtime} {forecaster.scheme}: {made.predictor.family}, from {rows}, "
            f"error {made.error.mape:.1%} on networks that were held out"
        )
    return said


def notes(table: "pa.Table", forecasters: Sequence[Forecaster]) -> list[str]:
    """For each row, in words, what the predictor had no rows of, and how far; or nothing."""
    made = {(o.runtime, o.scheme): o for o in forecasters}
    return [
        _note(row, made[row["runtime"], row["scheme"]]) if row["beyond"] > 1 else ""
        for row in table.to_pylist()
    ]


def row_table(told: Told, rows: "pa.Table") -> "Table":
    """A line for each prediction."""
    bounds = f"{100 * told.confidence:g} % bounds"
    said = notes(rows, told.forecasters)
    headings = ("network", "runtime", "scheme", "work", "ms", bounds)
    drawn = _table([*headings, *(["note"] if any(said) else [])], words=("network", "note"))
    names = _names(rows)
    for name, row, note in zip(names, rows.to_pylist(), said, strict=True):
        cells = (name, row["runtime"], row["scheme"], _work(row), _ms(row["ms"]))
        drawn.add_row(
            *cells, f"{_ms(row['lower'])}-{_ms(row['upper'])}", *([note] if any(said) else [])
        )
    return drawn


def summary_table(told: Told) -> "Table":
    """A line for each predictor and workload."""
    budget = [] if told.within_ms is None else [f"within {told.within_ms:g} ms"]
    figures = ("networks", "min", "median", "max", *budget, "out of range")
    drawn = _table(["runtime", "scheme", "work", *figures])
    for x in told.summaries:
        times = map(_ms, (x.min_ms, x.median_ms, x.max_ms))
        kept = [f"{x.kept / x.networks:.1%}"] if budget else []
        cells = (x.runtime, x.scheme, _work(asdict(x)), f"{x.networks:,}", *times)
        drawn.add_row(*cells, *kept, f"{x.out_of_range / x.networks:.1%}")
    return drawn


def as_json(told: Told) -> dict[str, Any]:
    """Everything; the rows with their network by name, and the note of the table."""
    found: dict[str, Any] = {
        "device": told.card.device,
        "cpu": told.card.environment.hardware.cpu,
        "profile": "deployed" if told.deployed else "stable",
        "confidence": told.confidence,
        "within_ms": told.within_ms,
        "predictors": [
            {
                "runtime": x.runtime,
                "scheme": x.scheme,
                "fitted_to": x.fitted_to,
                "family": x.made.predictor.family,
                "rows": x.made.error.rows,
                "mape": x.made.error.mape,
            }
            for x in told.forecasters
        ],
        "summary": [asdict(x) for x in told.summaries],
    }
    if told.rows is not None:
        beside = zip(
            _names(told.rows),
            told.rows.to_pylist(),
            notes(told.rows, told.forecasters),
            strict=True,
        )
        found["predictions"] = [
            {"architecture": name, **row, "note": note} for name, row, note in beside
        ]
    return found


def _note(row: dict[str, Any], forecaster: Forecaster) -> str:
    """A domain looks at means over the layers, which the row has."""
    from predictors.columns import Columns, Numerics

    work = Workload(row["batch"], row["tokens"], row["threads"])
    sizes = {name: [row[name]] for name in SIZES}
    (why,) = forecaster.made.domain.why(Columns.of_sizes(sizes, work, Numerics()))
    return f"out of range: {why} ({row['beyond']:.3g} x)"


def _names(rows: "pa.Table") -> list[str]:
    """Of the networks; layers are alike where they have no name."""
    if "architecture" in rows.column_names:
        names: list[str] = rows["architecture"].to_pylist()
        return names
    return [
        f"h{x['hidden']} {x['depth']}x(a{x['heads']} q{x['qkv']} f{x['ffn']})"
        for x in rows.to_pylist()
    ]


def _table(headings: Sequence[str], words: Sequence[str] = ()) -> "Table":
    from rich.table import Table

    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in headings:
        left = heading in ("network", "runtime", "scheme", "note")
        justify: Any = "left" if left else "right"
        drawn.add_column(heading, justify=justify, no_wrap=heading not in words, overflow="fold")
    return drawn


def _work(row: dict[str, Any]) -> str:
    return f"{row['batch']}x{row['tokens']}x{row['threads']}"


def _ms(ms: float) -> str:
    """Three digits, or all before the point."""
    return f"{ms:#.3g}" if ms < 99.95 else f"{ms:.0f}"  # noqa: PLR2004 - three digits

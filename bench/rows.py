"""`bench rows`: list, filter and export what the ledger holds. Measures nothing."""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.rows_import import import_rows
from results.errors import BadInputError
from results.store import Ledger, SessionRecord

if TYPE_CHECKING:
    import pandas as pd

RIGHT = ("work", "latency ms", "error %", "rows", "noisy rows")

Flag = typer.Option
Results = Annotated[Path, Flag(help="Folder of the ledger.")]
Device = Annotated[str | None, Flag(help="Only rows of this device.")]
Runtime = Annotated[str | None, Flag(help="Only rows of this runtime.")]
Scheme = Annotated[str | None, Flag(help="Only rows in this numeric scheme.")]
Part = Annotated[str | None, Flag(help="Only rows whose session id contains this.")]
Noisy = Annotated[bool | None, Flag("--noisy/--quiet", help="Only flagged rows, or only others.")]
All = Annotated[bool, Flag("--all", help="Also rows that a later one supersedes.")]
Limit = Annotated[int | None, Flag(min=1, help="No more than so many rows.")]
Sort = Annotated[str | None, Flag(help="Column to sort by, -COLUMN for the largest first.")]
Sessions = Annotated[bool, Flag("--sessions", help="List sessions and how they ended.")]
Skip = Annotated[bool, Flag("--skip-damaged", help="Pass over lines that cannot be read.")]
Export = Annotated[Path | None, Flag(help="Write a .csv, .parquet, .json or .tsv file instead.")]
Json = Annotated[bool, Flag("--json", help="Print JSON, one object to a line.")]


app = typer.Typer(rich_markup_mode=None, add_completion=False)
app.command("import")(import_rows)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which rows to keep; None keeps all."""

    device: str | None
    runtime: str | None
    scheme: str | None
    session: str | None
    noisy: bool | None


@app.callback(invoke_without_command=True)
def rows(
    context: typer.Context,
    *,
    results: Results = Path("results/data"),
    device: Device = None,
    runtime: Runtime = None,
    scheme: Scheme = None,
    session: Part = None,
    noisy: Noisy = None,
    all_: All = False,
    limit: Limit = None,
    sort: Sort = None,
    sessions: Sessions = False,
    skip_damaged: Skip = False,
    export: Export = None,
    json: Json = False,
) -> None:
    """List rows, newest first, with the main columns; JSON and exported files have them all.

    The work of a row is its batch x tokens x threads. A .tsv file is the seeds' latency data set.
    """
    if context.invoked_subcommand is not None:
        _refuse_options_of(context)
        return
    if sessions and export is not None:
        raise BadInputError("--export writes rows, not sessions: leave out --sessions")
    ledger = Ledger(results, skip_damaged=skip_damaged)
    wanted = _Wanted(device, runtime, scheme, session, noisy)
    if sessions:
        _list_sessions(ledger, wanted, limit, as_json=json)
    else:
        table = _table(ledger, current=not all_)
        chosen = _sorted(_chosen(table, wanted), sort)[:limit]
        if chosen.empty:
            typer.echo(_nothing(results, table), err=json)
        else:
            _show(chosen, export, as_json=json)
    for damage in ledger.damage:
        typer.echo(f"bench: passed over {damage}", err=True)


def _refuse_options_of(context: typer.Context) -> None:
    """What stands before a subcommand would be passed over without a word."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]
    if given:
        option = given[0].rstrip("_").replace("_", "-")
        verb = context.invoked_subcommand
        raise BadInputError(f"--{option} stands before `{verb}`: write the options after it")


def _table(ledger: Ledger, *, current: bool) -> "pd.DataFrame":
    from results.table import frame

    return frame(ledger, current=current)


def _chosen(table: "pd.DataFrame", wanted: _Wanted) -> "pd.DataFrame":
    for column in ("device", "runtime", "scheme", "noisy"):
        value = getattr(wanted, column)
        if value is not None:
            table = table[table[column] == value]
    if wanted.session is not None:
        table = table[table["session"].str.contains(wanted.session, regex=False)]
    return table


def _sorted(table: "pd.DataFrame", sort: str | None) -> "pd.DataFrame":
    if sort is None:
        return table[::-1]
    column = sort.removeprefix("-")
    if column not in table:
        names = ", ".join(table.columns)
        raise BadInputError(f"cannot sort by {column!r}: choose one of {names}")
    return table.sort_values(column, ascending=column == sort, kind="stable")


def _nothing(results: Path, table: "pd.DataFrame") -> str:
    if table.empty:
        return f"The ledger {results} holds no rows yet: measure some with `bench profile`."
    names = (
        f"{column} {', '.join(sorted(table[column].unique()))}"
        for column in ("device", "runtime", "scheme")
    )
    return f"No row of {results} is like that: it holds {'; '.join(names)}."


def _show(table: "pd.DataFrame", export: Path | None, *, as_json: bool) -> None:
    from results.table import json_lines, write

    if export is not None:
        write(table, export)
        typer.echo(f"{len(table)} rows written to {export}", err=as_json)
    if as_json:
        typer.echo(b"\n".join(json_lines(table)))
    elif export is None:
        header = ["id", "device", "runtime", "scheme", "architecture", "work"]
        lines = [_cells(row) for row in table.to_dict("records")]
        _print([*header, "latency ms", "error %", "noisy"], lines)


def _cells(row: dict[Any, Any]) -> Sequence[str]:
    name: str = row["id"]
    if sys.stdout.isatty():  # the time is left out: chance and number tell rows apart
        name = name.partition("-")[2]
    return (
        name,
        row["device"],
        row["runtime"],
        row["scheme"],
        row["architecture"] or row["source"],
        f"{row['batch']}x{row['tokens']}x{row['threads']}",
        f"{row['latency_ms']:.3f}",
        f"{100 * row['error']:.1f}" if math.isfinite(row["error"]) else "-",
        "noisy" if row["noisy"] else "",
    )


def _list_sessions(ledger: Ledger, wanted: _Wanted, limit: int | None, *, as_json: bool) -> None:
    records = [
        record
        for record in reversed(ledger.sessions())
        if wanted.device in (None, record.session.device)
        and (wanted.session or "") in record.session.id
    ][:limit]
    if not records:
        sentence = f"The ledger {ledger.root} holds no such session: `bench profile` begins one."
        typer.echo(sentence, err=as_json)
    elif as_json:
        import json

        for record in records:
            typer.echo(json.dumps(_facts(record)))
    else:
        lines = [[str(value) for value in _facts(record).values()] for record in records]
        _print([name.replace("_", " ") for name in _facts(records[0])], lines)


def _facts(record: SessionRecord) -> dict[str, str | int]:
    return {
        "session": record.session.id,
        "device": record.session.device,
        "status": record.status,
        "rows": record.rows,
        "noisy_rows": record.noisy,
        "plan": record.session.plan,
        "tool": record.session.tool,
    }


def _print(header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """As a table as wide as the terminal; elsewhere as wide as it is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in header:
        justify: Any = "right" if name in RIGHT else "left"
        table.add_column(name, justify=justify, no_wrap=name != "architecture", overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    Console(width=None if sys.stdout.isatty() else 1 << 16).print(table)

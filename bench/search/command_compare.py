"""`nas compare-searches`: hypervolume against evaluations, of searchers or of runs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

Option = typer.Option
Folders = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Folders of searches to compare. [default: all searchers play the table that ships]",
        show_default=False,
    ),
]
Searchers = Annotated[
    list[str] | None, Option("--searcher", help="Only this one; repeatable. [default: all]")
]
Seeds = Annotated[int, Option(min=1, max=1000, help="How often each searcher plays.")]
Evaluations = Annotated[
    int | None, Option(min=1, help="Of each. [default: a tenth of the table, at least 250]")
]
Precision = Annotated[str, Option(help="Scores and latencies of the table: ptq or fp32.")]
Plot = Annotated[Path | None, Option(help="Draw it: .png, or .html, which needs nothing else.")]
Json = Annotated[bool, Option("--json", help="Print JSON instead of the table.")]


def compare_searches(
    folders: Folders = None,
    *,
    searcher: Searchers = None,
    seeds: Seeds = 10,
    evaluations: Evaluations = None,
    precision: Precision = "ptq",
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Compare how much of the front searches reach, and after how many evaluations.

    Without folders every searcher plays a table of sub-models whose scores and latencies are
    known, so that nothing is scored or measured.
    """
    from bench.chart import require_format
    from bench.search.comparison import anchor, marks, of_runs, played
    from bench.search.comparison_table import as_rows, cells
    from nas.commands.table import print_table

    if plot is not None:
        require_format(plot)
    if folders:
        curves = of_runs(folders)
        most = max(c.reached.shape[1] for c in curves)
        at = tuple(sorted({max(1, round(most * part)) for part in (0.1, 0.25, 0.5, 1.0)}))
        title, level = "hypervolume of the trials, in % of that of all together", None
    else:
        from bench.search.benchmark import load

        names, table = _names(searcher), load(precision)
        evaluations = evaluations or max(250, -(-len(table) // 10))
        curves = played(names, precision, seeds, evaluations)
        at, level = marks(table, evaluations), anchor(curves, evaluations)
        title = (
            f"{len(table)} sub-models in {precision}, {seeds} seeds: hypervolume in % of the true"
        )
    found = cells(curves, at, level)
    if as_json:
        typer.echo(json.dumps({"title": title, "searchers": as_rows(curves, at, level)}))
    else:
        typer.echo(title)
        print_table(*found, right=found[0][1:])
    if plot is not None:
        from bench.search.comparison_chart import draw

        draw(curves, title, found, plot)
        typer.echo(f"nas: chart: {plot}", err=True)


def _names(wanted: "Sequence[str] | None") -> list[str]:
    """Those that are wanted, or all whose packages are installed."""
    from nas.search.searchers import NAMES, require
    from results.errors import BadInputError

    found = []
    for name in dict.fromkeys(wanted or NAMES):
        try:
            require(name)
        except BadInputError as error:
            if wanted:
                raise
            typer.echo(f"nas: left out: {error}", err=True)
        else:
            found.append(name)
    return found

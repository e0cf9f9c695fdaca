"""`nas front`: what searches found, as tables, as a page and as a picture."""

from pathlib import Path
from typing import Annotated

import typer

Option = typer.Option
Folders = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Folders of searches, shown together. [default: the only one beside --results]",
        show_default=False,
    ),
]
Names = Annotated[list[str] | None, Option(help="A search beside --results; repeatable.")]
Results = Annotated[Path, Option(help="Folder of the ledger; searches/ is beside it.")]
Html = Annotated[Path | None, Option(help="Write a page to a .html file; it needs nothing else.")]
Plot = Annotated[Path | None, Option(help="Draw it to a .png file.")]
Export = Annotated[
    Path | None,
    Option(
        help="Write the trials to a .csv, .parquet or .json file, their architectures to a .cands"
        " file of the seeds, or their scores to a .results file of the seeds."
    ),
]
Winners = Annotated[bool, Option("--winners", help="--export the winners instead.")]
Json = Annotated[bool, Option("--json", help="Print JSON, one search to a line.")]


def front(
    folders: Folders = None,
    *,
    name: Names = None,
    results: Results = Path("results/data"),
    html: Html = None,
    plot: Plot = None,
    export: Export = None,
    winners: Winners = False,
    as_json: Json = False,
) -> None:
    """Show what searches found: winners, the front of all trials, what was dropped and why.

    A search that has not ended is shown as far as it is.
    """
    from bench.search.front import read, runs_of
    from bench.search.front_run import Output, run

    output = Output(html, plot, export, winners=winners, as_json=as_json)
    output.check()
    run(read(runs_of(folders or [], name or [], results)), output)

"""From what searches found to what is printed and written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from bench.search.front import Found
from bench.search.front_table import summary, tables, to_json
from nas.commands.table import print_table
from results.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Output:
    """Where it goes beside the terminal."""

    html: Path | None = None
    plot: Path | None = None
    export: Path | None = None
    winners: bool = False
    as_json: bool = False

    def check(self) -> None:
        """Refuse names that say no format, before anything is read.

        Raises:
            BadInputError: naming those that there are.
        """
        from bench.search.front_export import SUFFIXES

        _require("--html", self.html, (".html",))
        _require("--plot", self.plot, (".png",))
        _require("--export", self.export, SUFFIXES)
        if self.winners and self.export is None:
            raise BadInputError("--winners says what to --export: name a file for it too")


def _require(option: str, path: Path | None, suffixes: Sequence[str]) -> None:
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise BadInputError(f"{option} {path}: the name must end in {', '.join(suffixes)}")
    if path.is_dir():
        raise BadInputError(f"{option} {path}: that is a folder; name a file in it")
    if not path.resolve().parent.is_dir():
        where = path.resolve().parent
        raise BadInputError(f"{option} {path}: there is no folder {where}; create it first")


def run(found: Sequence[Found], output: Output) -> None:
    """Print the searches and write what was asked for.

    Raises:
        BadInputError: a file cannot be written, or there is nothing to put into it.
    """
    if output.as_json:
        for one in found:
            typer.echo(to_json(one))
    else:
        _show(found)
    for path, told in _written(found, output):
        if not output.as_json:
            typer.echo(f"{told}: {path}")


def _show(found: Sequence[Found]) -> None:
    for one in found:
        for line in summary(one):
            typer.echo(line)
    for table in tables(found):
        typer.echo(f"\n{table.title}")
        print_table(table.header, table.lines, right=table.figures)
    typer.echo()


def _written(found: Sequence[Found], output: Output) -> list[tuple[Path, str]]:
    written = []
    if output.html is not None:
        from bench.search.front_page import write

        write(found, output.html)
        written.append((output.html, "page"))
    if output.plot is not None:
        from bench.search.front_plot import draw

        draw(found, output.plot)
        written.append((output.plot, "plot"))
    if output.export is not None:
        from bench.search.front_export import export

        told = export(found, output.export, winners=output.winners)
        written.append((output.export, told))
    return written

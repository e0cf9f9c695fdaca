"""`nas data`: what there is to learn from; list it, get it, look at it."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.data_show import show
from nas.commands.table import print_table, say
from results.errors import BadInputError

if TYPE_CHECKING:
    from nas.data.catalogue import Entry

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object to a line.")]
Names = Annotated[list[str], typer.Argument(help="Names out of `nas data list`.")]

YOURS = """
Also tasks from files of yours: glue/NAME and squad with --folder, hub:NAME from the hub, a .csv,
.tsv or .jsonl file with named columns, or a folder with one for each split."""

app = typer.Typer(
    help="What there is to learn from: list it, fetch it, look at it.",
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("list")
def list_(*, as_json: Json = False) -> None:
    """List the tasks, corpora and models that registry packages hold; nothing is fetched."""
    from nas.data import catalogue

    known = catalogue.entries().values()
    if as_json:
        for entry in known:
            typer.echo(json.dumps(_facts(entry)))
        return
    header = ["name", "kind", "what", "examples", "MB", "licence", "package", "fetched"]
    print_table(header, [_cells(entry) for entry in known], right=("examples", "MB"))
    typer.echo(YOURS)


@app.command()
def fetch(names: Names) -> None:
    """Fetch packages with pip or npm into the cache, and print where they are.

    Nothing is installed, none of their code is run, and their checksums are known. $SUBBERT_CACHE
    names another folder than ~/.cache/subbert.
    """
    from nas.data import catalogue

    unknown = [name for name in names if name not in catalogue.entries()]
    if unknown:
        known = ", ".join(catalogue.entries())
        raise BadInputError(f"there is nothing called {unknown[0]!r} to fetch: choose {known}")
    for name in dict.fromkeys(names):
        for path in catalogue.fetch(name, say=say):
            typer.echo(path)


app.command()(show)


def _facts(entry: "Entry") -> dict[str, object]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "about": entry.about,
        "examples": entry.examples,
        "bytes": entry.size,
        "licence": entry.licence,
        "packages": [package.pin for package in entry.packages],
        "fetched": entry.fetched,
    }


def _cells(entry: "Entry") -> tuple[str, ...]:
    return (
        entry.name,
        entry.kind,
        entry.about,
        "" if entry.examples is None else f"{entry.examples:,}",
        f"{entry.size / 1e6:.1f}",
        entry.licence,
        ", ".join(package.pin for package in entry.packages),
        "yes" if entry.fetched else "no",
    )

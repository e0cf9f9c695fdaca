"""The `nas` command: one verb a file; here they are only put together."""

from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from nas.command_line import run
from nas.commands.data import app as data
from nas.commands.extract import extract
from nas.commands.generate import generate
from nas.commands.predict import predict
from nas.commands.score import score
from nas.commands.train import app as train

app = typer.Typer(
    name="nas",
    help="Sub-models of BERT-like encoders: data, training, scores, models of their own.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
data.command()(generate)
app.add_typer(data, name="data")
app.command()(extract)
app.command()(predict)
app.command()(score)
app.add_typer(train, name="train")


def _show_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"subbert {version('subbert')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
) -> None:
    """Sub-models of BERT-like encoders: data, training, scores, models of their own."""


def main() -> NoReturn:
    """Run a command; bad input is one sentence on standard error and exit code 2."""
    run(app, "nas")


if __name__ == "__main__":
    main()

"""The `bench` command: one verb a file; here they are only put together."""

from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from bench.devices import devices
from bench.drift import drift
from bench.explain import explain
from bench.export import export
from bench.fit import fit
from bench.predict import predict
from bench.profile import profile
from bench.rows import app as rows
from nas.command_line import run

app = typer.Typer(
    name="bench",
    help="Latency of sub-models of BERT-like encoders that you can trust.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(profile)
app.command()(devices)
app.command()(drift)
app.command()(explain)
app.command()(export)
app.command()(fit)
app.command()(predict)
app.add_typer(rows, name="rows")


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
    """Latency of sub-models of BERT-like encoders that you can trust."""


def main() -> NoReturn:
    """Run a command; bad input is one sentence on standard error and exit code 2."""
    run(app, "bench")


if __name__ == "__main__":
    main()

"""The `bench` command: one verb a file; here they are only put together."""

import sys
from importlib.metadata import packages_distributions, version
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
from results.errors import BadInputError

PACKAGES = ("bench", "nas", "predictors", "profiler", "quant", "results")

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


def main() -> None:
    """Run a command; bad input is one sentence on standard error and exit code 2."""
    try:
        arguments = sys.argv[1:] or ["--help"]
        if "--help" not in arguments:
            require_own_packages()
        status = app(arguments, standalone_mode=False)
    except BadInputError as error:
        _leave(str(error), 2)
    except typer.TyperException as error:
        _leave(f"{error.format_message().rstrip('.')}; see --help", 2)
    except BrokenPipeError:
        _leave("nobody reads the output any more", 1)
    except (OSError, UnicodeEncodeError) as error:
        _leave(f"{error}: mend that and run again; rows that were measured are kept", 2)
    except (KeyboardInterrupt, typer.Abort):
        _leave("stopped", 130)
    sys.exit(status if isinstance(status, int) else 0)


def _leave(sentence: str, code: int) -> NoReturn:
    print("bench:", " ".join(sentence.split()), file=sys.stderr)
    sys.exit(code)


def require_own_packages() -> None:
    """Our package names are generic: stop when another distribution ships one of them too.

    Raises:
        BadInputError: naming both owners.
    """
    owners = packages_distributions()
    for name in PACKAGES:
        foreign = sorted(set(owners.get(name, [])) - {"subbert"})
        if foreign:
            message = (
                f"the package {name!r} is also shipped by {', '.join(foreign)}, which overwrites "
                "subbert's: install the two in separate environments"
            )
            raise BadInputError(message)


if __name__ == "__main__":
    main()

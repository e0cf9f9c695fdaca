"""How every command of ours starts and ends: one sentence for bad input, exit codes."""

import sys
from importlib.metadata import packages_distributions, version
from typing import Annotated, NoReturn

import typer

from results.errors import BadInputError

PACKAGES = ("bench", "nas", "predictors", "profiler", "quant", "results")


def command(name: str, purpose: str) -> typer.Typer:
    """An app without verbs that can tell its version."""

    def show_version(*, wanted: bool) -> None:
        if wanted:
            typer.echo(f"subbert {version('subbert')}")
            raise typer.Exit

    def root(
        *,
        _version: Annotated[
            bool,
            typer.Option(
                "--version",
                callback=show_version,
                is_eager=True,
                help="Show the version and leave.",
            ),
        ] = False,
    ) -> None:
        pass

    app = typer.Typer(
        name=name,
        help=purpose,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback(help=purpose)(root)
    return app


def run(app: typer.Typer, name: str) -> NoReturn:
    """Run a command; bad input is one sentence on standard error and exit code 2."""
    try:
        arguments = sys.argv[1:] or ["--help"]
        if "--help" not in arguments:
            require_own_packages()
        status = app(arguments, standalone_mode=False)
    except BadInputError as error:
        _leave(name, str(error), 2)
    except typer.TyperException as error:
        _leave(name, f"{error.format_message().rstrip('.')}; see --help", 2)
    except BrokenPipeError:
        _leave(name, "nobody reads the output any more", 1)
    except (OSError, UnicodeEncodeError) as error:
        _leave(name, f"{error}: mend that and run again; what was done is kept", 2)
    except (KeyboardInterrupt, typer.Abort):
        _leave(name, "stopped", 130)
    sys.exit(status if isinstance(status, int) else 0)


def _leave(name: str, sentence: str, code: int) -> NoReturn:
    print(f"{name}:", " ".join(sentence.split()), file=sys.stderr)  # noqa: T201
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

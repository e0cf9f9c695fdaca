"""The `nas` command with the verbs for which rooms are put together; `nas.cli` has the others."""

from typing import NoReturn

from bench.search.command_compare import compare_searches
from bench.search.command_front import front
from bench.search.command_search import search
from bench.search.command_ship import ship
from nas.cli import app
from nas.command_line import run

app.command()(search)
app.command()(front)
app.command()(compare_searches)
app.command()(ship)


def main() -> NoReturn:
    """Run a command; bad input is one sentence on standard error and exit code 2."""
    run(app, "nas")


if __name__ == "__main__":
    main()

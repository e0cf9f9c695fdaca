"""Tables and remarks on the screen. Knows not what they say."""

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any


def print_table(
    header: Sequence[str], lines: Iterable[Sequence[str]], right: Collection[str] = ()
) -> None:
    """As wide as the terminal, its cells folded; elsewhere as wide as it is.

    Args:
        header: names of the columns.
        lines: a cell for each column.
        right: columns whose cells end alike.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in header:
        justify: Any = "right" if name in right else "left"
        table.add_column(name, justify=justify, no_wrap=name in right, overflow="fold")
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    Console(width=None if sys.stdout.isatty() else 1 << 16).print(table)


def say(line: str) -> None:
    """For a person, beside what other programs read; of torchrun's processes the first speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(f"nas: {line}", file=sys.stderr)  # noqa: T201

"""The options that say which task is meant, alike in every command. Knows no task."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path | None, typer.Option(help="Folder of the GLUE or SQuAD files.", show_default=False)
]
TextColumn = Annotated[str | None, typer.Option(help="Column of the texts.", show_default=False)]
PairColumn = Annotated[
    str | None, typer.Option(help="Column of the second texts.", show_default=False)
]
LabelColumn = Annotated[str | None, typer.Option(help="Column of the labels.", show_default=False)]

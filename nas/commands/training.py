"""What the verbs of `nas train` share: options, models, origins, the last line. Trains nothing."""

import hashlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.commands.table import say
from results.errors import BadInputError

if TYPE_CHECKING:
    from nas.data.task import Task
    from nas.train.recipe import Recipe
    from nas.train.world import World

QUIET_S = 30.0
"""Seconds between two lines of progress where nobody watches."""

TaskName = Annotated[str, typer.Option(help="trec6, mr, ..., glue/NAME, a table; see nas data.")]
Output = Annotated[Path, typer.Option(help="Folder of the training, and of what comes out.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads; all cores unless said.", show_default=False)
]
Tensorboard = Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard files too.")]


def model_folder(name: str) -> Path:
    """The folder of a model: a path, or the name of a packaged one."""
    from nas.data.packages import MODELS, model

    return Path(name) if name not in MODELS or Path(name).exists() else model(name)


def weights_digest(folder: Path) -> str:
    """SHA-256 of a folder's weights."""
    path = folder / "model.safetensors"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        raise BadInputError(
            f"{folder} has no model.safetensors: give a Hugging Face folder"
        ) from None


def depends_on(
    kind: str, task: "Task", recipe: "Recipe", world: "World", **more: Any
) -> dict[str, Any]:
    """All that the outcome of a training depends on."""
    from nas.data.task import DEV, TRAIN

    return {
        "kind": kind,
        "task": task.name,
        "source": task.source,
        "data": {name: task.splits[name].digest for name in (TRAIN, DEV)},
        "recipe": recipe.as_dict(),
        "processes": world.size,
        "products": world.number,
        **more,
    }


def with_tokens(recipe: "Recipe", task: "Task", context: typer.Context) -> "Recipe":
    """The recipe, its texts as long as is usual for the task where nobody said how long."""
    from nas.score.fit import SPAN_TOKENS

    asked = is_given(context, "tokens")
    return recipe if asked or task.kind != "span" else replace(recipe, tokens=SPAN_TOKENS)


def is_given(context: typer.Context, option: str) -> bool:
    """Did somebody ask for this, or is it the default?"""
    source = context.get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def use_threads(threads: int | None) -> None:
    """Let torch use so many; under torchrun the cores are shared."""
    import os

    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(len(os.sched_getaffinity(0)))


class Speaker:
    """Lines on standard error: on a terminal one takes the place of the last, unless it ends.

    Elsewhere, as in a CI's log, a line that does not end is only one in half a minute.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._spoken = clock, -math.inf

    def __call__(self, line: str) -> None:
        """Say it, or not."""
        ends, terminal, now = line.endswith("\n"), sys.stderr.isatty(), self._clock()
        if not terminal and not ends and now - self._spoken < QUIET_S:
            return
        if not ends:
            self._spoken = now
        start, end = ("\r\x1b[K" if terminal else ""), ("\n" if ends or not terminal else "")
        print(f"{start}{line.rstrip()}", end=end, file=sys.stderr, flush=True)  # noqa: T201


def told(
    result: dict[str, Any],
    metric: str,
    folder: Path,
    *,
    before: bool = False,
    on: str = "the dev split",
) -> None:
    """The last line."""
    if before:
        say(f"{folder} is trained already")
    typer.echo(
        f"{folder}: {metric} {result['score']:.4f} on {on} after step "
        f"{result['step']} of {result['steps']}, {result['seconds']:.0f} s"
    )

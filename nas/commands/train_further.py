"""`nas train further`: an extracted model goes on learning, a task or hidden words."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.commands import pretraining as options
from nas.commands import task_options
from nas.commands.recipe import with_recipe
from nas.commands.table import say
from nas.commands.training import (
    Output,
    Speaker,
    Tensorboard,
    Threads,
    depends_on,
    model_folder,
    told,
    use_threads,
    weights_digest,
    with_tokens,
)
from nas.train.recipe import Recipe
from results.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nas.data.masking import Masking
    from nas.data.task import Task
    from nas.folder import Saved
    from nas.train.loop import Objective
    from nas.train.world import World


@with_recipe(Recipe())
def further(
    *,
    context: typer.Context,
    model: Annotated[
        str, typer.Option(help="Folder that nas extract made, or any of the BERT family.")
    ],
    output: Output,
    recipe: Recipe,
    task: Annotated[
        str | None,
        typer.Option(help="Task that it learns: trec6, mr, ..., a table; see nas data."),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Folder of a network that knows the task and teaches it.")
    ] = None,
    trust: Annotated[
        float,
        typer.Option(min=0, max=1, help="Weight of the teacher's answers against the labels."),
    ] = 0.5,
    data: Annotated[
        Path | None,
        typer.Option(help="Instead: folder that nas data generate made; it learns hidden words."),
    ] = None,
    probability: options.Probability = 0.15,
    whole_word: options.WholeWord = False,
    folder: task_options.Folder = None,
    text_column: task_options.TextColumn = None,
    pair_column: task_options.PairColumn = None,
    label_column: task_options.LabelColumn = None,
    threads: Threads = None,
    tensorboard: Tensorboard = False,
) -> None:
    """Train an extracted model further, on a task or on text."""
    from nas.data import tasks
    from nas.data.columns import Columns
    from nas.data.masking import Masking
    from nas.folder import read
    from nas.train.run import finished, run
    from nas.train.world import world

    if (task is None) == (data is None):
        raise BadInputError("what shall it learn? name a --task or --data, one of them")
    if teacher is not None and task is None:
        raise BadInputError("--teacher teaches a task: name a --task, or use nas train kd")
    use_threads(threads)
    saved = read(model_folder(model))
    if saved.rule is not None:
        message = f"{model} is a supernet: extract a sub-model first, with nas extract"
        raise BadInputError(message)
    with world(recipe.precision) as here:
        if data is not None:
            plan = _text(saved, data, Masking(probability, whole_word), recipe, here)
        else:
            found = tasks.load(
                task or "",
                folder=folder,
                columns=Columns(text_column, pair_column, label_column),
                say=say,
            )
            recipe = with_tokens(recipe, found, context)
            plan = _task(saved, found, (teacher, trust), recipe, here)
        result = finished(output, plan.what)
        if result is not None:
            told(result, plan.score, output, before=True, on=plan.on)
            return
        result = run(
            plan.objective(), recipe, output, here,
            what=plan.what, say=Speaker(), tensorboard=tensorboard,
        )  # fmt: skip
        if here.leads:
            told(result, plan.score, output, on=plan.on)


@dataclass(frozen=True, slots=True)
class _Plan:
    what: dict[str, Any]
    """All that the outcome depends on."""
    objective: "Callable[[], Objective]"
    """Builds what is learned."""
    score: str
    on: str


def _task(
    saved: "Saved",
    task: "Task",
    taught: tuple[str | None, float],
    recipe: Recipe,
    here: "World",
) -> _Plan:
    from nas.folder import read
    from nas.train.further import further

    name, trust = taught
    place = None if name is None else model_folder(name)
    more = {} if place is None else {"teacher": weights_digest(place), "trust": trust}
    what = depends_on("further", task, recipe, here, model=weights_digest(saved.folder), **more)

    def objective() -> "Objective":
        teacher = None if place is None else read(place)
        return further(saved, task, recipe, here, teacher=teacher, trust=trust)

    return _Plan(what, objective, task.metrics[0], "the dev split")


def _text(saved: "Saved", data: Path, masking: "Masking", recipe: Recipe, here: "World") -> _Plan:
    from nas.data.pretraining import Pretraining
    from nas.network import Head
    from nas.train.family import Options
    from nas.train.masked import Masked
    from nas.train.start import Start
    from nas.train.text import Text

    read, start = Pretraining(data), Start(saved.architecture, saved.folder, saved)
    what = options.depends_on_text("further", read, start, recipe, here, masking=asdict(masking))

    def objective() -> "Objective":
        text = Text(read, start.tokenizer, recipe.tokens)
        text.require(start.architecture, start.name)
        head = Head("mlm", start.architecture.vocab)
        return Masked(start.family(head, Options(), recipe, here), text, masking)

    return _Plan(what, objective, "accuracy", options.HELD_OUT)

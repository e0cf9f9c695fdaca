"""`nas train teacher`: a pretrained encoder learns a task."""

from typing import Annotated

import typer

from nas.commands import task_options
from nas.commands.recipe import with_recipe
from nas.commands.table import say
from nas.commands.training import (
    Output,
    TaskName,
    Tensorboard,
    Threads,
    depends_on,
    model_folder,
    speak,
    told,
    use_threads,
    weights_digest,
)
from nas.train.recipe import Recipe


@with_recipe(Recipe())
def teacher(
    *,
    task: TaskName,
    output: Output,
    recipe: Recipe,
    model: Annotated[
        str, typer.Option(help="Hugging Face BERT folder, or minilm, which is fetched.")
    ] = "minilm",
    folder: task_options.Folder = None,
    text_column: task_options.TextColumn = None,
    pair_column: task_options.PairColumn = None,
    label_column: task_options.LabelColumn = None,
    threads: Threads = None,
    tensorboard: Tensorboard = False,
) -> None:
    """Fine-tune an encoder to a task; the best network by the dev split is kept."""
    import torch

    from nas.data import tasks
    from nas.data.columns import Columns
    from nas.data.tokens import tokenizer_of
    from nas.folder import read
    from nas.train.run import finished, run
    from nas.train.task import Labelled, lesson
    from nas.train.world import world

    use_threads(threads)
    columns = Columns(text_column, pair_column, label_column)
    place = model_folder(model)
    found = tasks.load(task, folder=folder, columns=columns, say=say)
    with world(recipe.precision) as here:
        what = depends_on("teacher", found, recipe, here, model=weights_digest(place))
        result = finished(output, what)
        if result is not None:
            told(result, found.metrics[0], output, before=True)
            return
        saved = read(place)
        learned = lesson(
            found, tokenizer_of(place), place, min(recipe.tokens, saved.architecture.positions)
        )
        torch.manual_seed(recipe.seed)
        same = saved.head == learned.head and saved.labels == found.labels
        network = saved.network(None if same else learned.head, dropout=recipe.dropout)
        objective = Labelled(network.to(here.device), learned)
        result = run(
            objective, recipe, output, here, what=what, say=speak, tensorboard=tensorboard
        )
        if here.leads:
            told(result, found.metrics[0], output)

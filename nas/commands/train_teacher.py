"""`nas train teacher`: a pretrained encoder learns a task."""

from typing import Annotated

import typer

from nas.commands import task_options
from nas.commands.recipe import with_recipe
from nas.commands.table import say
from nas.commands.training import (
    Output,
    Speaker,
    TaskName,
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


@with_recipe(Recipe())
def teacher(
    *,
    context: typer.Context,
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
    from nas.data import tasks
    from nas.data.columns import Columns
    from nas.folder import read
    from nas.train.further import further
    from nas.train.run import finished, run
    from nas.train.world import world

    use_threads(threads)
    columns = Columns(text_column, pair_column, label_column)
    place = model_folder(model)
    found = tasks.load(task, folder=folder, columns=columns, say=say)
    recipe = with_tokens(recipe, found, context)
    with world(recipe.precision) as here:
        what = depends_on("teacher", found, recipe, here, model=weights_digest(place))
        result = finished(output, what)
        if result is not None:
            told(result, found.metrics[0], output, before=True)
            return
        objective = further(read(place), found, recipe, here)
        result = run(
            objective, recipe, output, here, what=what, say=Speaker(), tensorboard=tensorboard
        )
        if here.leads:
            told(result, found.metrics[0], output)

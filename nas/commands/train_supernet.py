"""`nas train supernet`: one network whose sub-models of all sizes know a task."""

from typing import Annotated, Literal

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

Teacher = Annotated[
    str,
    typer.Option(
        help="Folder of a network that knows the task: where it begins, and who teaches."
    ),
]
Space = Annotated[str, typer.Option(help="Search space: built-in name or YAML file.")]
Slicing = Annotated[
    str,
    typer.Option(
        help="What sub-models keep: importance (of each head, the most important first), per-head"
        " (the first of each head) or prefix (the first)."
    ),
]
Depth = Annotated[
    str, typer.Option(help="Which layers sub-models keep: first, or spread over all.")
]
Sampling = Annotated[
    Literal["sandwich", "one"],
    typer.Option(
        help="Sub-models of a step: sandwich (largest, smallest, some random ones) or one (random,"
        " learning from the labels alone, as AutoTinyBERT's)."
    ),
]
Randoms = Annotated[int, typer.Option(min=0, help="Random sub-models in a step's sandwich.")]
Taught = Annotated[
    Literal["teacher", "largest"],
    typer.Option(help="Whose answers are learned: the teacher's, or the largest sub-model's."),
]
Trust = Annotated[
    float, typer.Option(min=0, max=1, help="Weight of these answers against the labels.")
]
Hints = Annotated[
    float, typer.Option(min=0, help="Weight of the distance to the teacher's hidden states.")
]
Every = Annotated[
    int,
    typer.Option(
        min=1, help="Train the largest sub-model, the costliest, in every so many steps."
    ),
]


@with_recipe(Recipe(epochs=8, rate=2e-4, dropout=0.0))
def supernet(
    *,
    context: typer.Context,
    task: TaskName,
    teacher: Teacher,
    output: Output,
    recipe: Recipe,
    space: Space = "minilm",
    slicing: Slicing = "importance",
    depth: Depth = "spread",
    sampling: Sampling = "sandwich",
    randoms: Randoms = 2,
    answers: Taught = "teacher",
    trust: Trust = 1.0,
    hints: Hints = 1.0,
    largest_every: Every = 1,
    folder: task_options.Folder = None,
    text_column: task_options.TextColumn = None,
    pair_column: task_options.PairColumn = None,
    label_column: task_options.LabelColumn = None,
    threads: Threads = None,
    tensorboard: Tensorboard = False,
) -> None:
    """Train a supernet to a task; what is best for its sub-models on the dev split is kept."""
    from nas.data import tasks
    from nas.data.columns import Columns
    from nas.space import load_space
    from nas.train.family import Options
    from nas.train.run import finished, run
    from nas.train.sandwich import Teaching, sandwich
    from nas.train.world import world

    use_threads(threads)
    options = Options(load_space(space), slicing, depth, sampling, randoms, largest_every)
    teaching = Teaching(answers, trust, hints)
    place = model_folder(teacher)
    columns = Columns(text_column, pair_column, label_column)
    found = tasks.load(task, folder=folder, columns=columns, say=say)
    recipe = with_tokens(recipe, found, context)
    with world(recipe.precision) as here:
        what = depends_on(
            "supernet", found, recipe, here, teacher=weights_digest(place),
            options=options.as_dict(), teaching=teaching.as_dict(),
        )  # fmt: skip
        result = finished(output, what)
        if result is not None:
            told(result, f"mean {found.metrics[0]}", output, before=True)
            return
        objective = sandwich(found, place, options, recipe, here, teaching=teaching)
        result = run(
            objective, recipe, output, here, what=what, say=Speaker(), tensorboard=tensorboard
        )
        if here.leads:
            told(result, f"mean {found.metrics[0]}", output)

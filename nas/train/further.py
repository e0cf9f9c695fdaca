"""A model of its own goes on learning a task, by a teacher or alone. Knows no supernet."""

import torch

from nas.data.task import Task
from nas.data.tokens import tokenizer_of
from nas.folder import Saved
from nas.train.recipe import Recipe
from nas.train.start import require_one_vocabulary
from nas.train.task import Labelled, lesson, outputs_of
from nas.train.world import World
from results.errors import BadInputError


def further(
    saved: Saved,
    task: Task,
    recipe: Recipe,
    world: World,
    *,
    teacher: Saved | None = None,
    trust: float = 0.5,
) -> Labelled:
    """What it learns of a task.

    Args:
        saved: the model; its head is new if it is not one for the task.
        task: what is learned.
        recipe: how it will be trained.
        world: where.
        teacher: who knows the task.
        trust: weight of the teacher's answers; the labels have the rest.

    Raises:
        BadInputError: the teacher knows another task, or other words.
    """
    positions = min(x.architecture.positions for x in (saved, teacher) if x is not None)
    most = min(recipe.tokens, positions)
    learned = lesson(task, tokenizer_of(saved.folder), saved.folder, most)
    answers = None
    if teacher is not None:
        require_one_vocabulary(teacher.folder, saved.folder)
        if teacher.head != learned.head or teacher.labels != task.labels:
            message = (
                f"{teacher.folder} is no teacher of {task.name}, its head has the labels "
                f"{', '.join(teacher.labels) or 'of nothing'}: run nas train teacher --task "
                f"{task.name}"
            )
            raise BadInputError(message)
        with world.products():
            answers = outputs_of(teacher.network().to(world.device), learned.train)
    torch.manual_seed(recipe.seed)
    same = saved.head == learned.head and saved.labels == task.labels
    network = saved.network(None if same else learned.head, dropout=recipe.dropout)
    return Labelled(network.to(world.device), learned, answers=answers, trust=trust)

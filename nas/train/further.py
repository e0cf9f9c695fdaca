"""A network goes on learning a task, by a teacher or alone. Knows no supernet."""

import torch

from nas.data.task import Task
from nas.folder import Saved
from nas.score.fit import require_head
from nas.train.recipe import Recipe
from nas.train.start import require_one_vocabulary
from nas.train.task import Answers, Labelled, lesson
from nas.train.world import World


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
        saved: the network; its head is new if it is not one for the task.
        task: what is learned.
        recipe: how it will be trained.
        world: where.
        teacher: who knows the task.
        trust: weight of the teacher's answers; the labels have the rest.

    Raises:
        BadInputError: the teacher knows another task, or other words.
    """
    positions = min(x.architecture.positions for x in (saved, teacher) if x is not None)
    learned = lesson(task, saved.folder, min(recipe.tokens, positions))
    answers = None
    if teacher is not None:
        require_one_vocabulary(teacher.folder, saved.folder)
        require_head(teacher, task)
        with world.products():
            answers = Answers(teacher.network().to(world.device), learned.train.encoded)
    torch.manual_seed(recipe.seed)
    network = saved.network(learned.head, task.labels, dropout=recipe.dropout)
    return Labelled(network.to(world.device), learned, answers=answers, trust=trust)

"""Teaching a task to all sub-models of a supernet at once. Knows no file and no optimiser.

The sandwich rule and in-place distillation are Yu and Huang's ("Universally Slimmable Networks and
Improved Training Techniques", ICCV 2019; BigNAS, ECCV 2020): every step trains the largest, the
smallest and some random sub-models; the small ones learn from the large one's answers.
"""

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.task import Task
from nas.data.tokens import Ints
from nas.encoder import Trace
from nas.folder import read
from nas.importance import importance, reorder
from nas.network import Network
from nas.score.fit import require_head
from nas.supernet import backward
from nas.train.family import Family, Options, told
from nas.train.moment import Moment, generator
from nas.train.recipe import Recipe
from nas.train.task import Answers, Lesson, distance, lesson, loss_of, tensors
from nas.train.world import World
from results.architecture import Architecture
from results.errors import BadInputError

SEEN = 512
"""Training examples by which the importance of parts is judged."""


@dataclass(frozen=True, slots=True)
class Teaching:
    """What sub-models take from a teacher."""

    by: str = "teacher"
    """Whose answers are learned: the `teacher`'s, or the `largest` sub-model's (in place)."""
    trust: float = 1.0
    """Weight of these answers; the labels have the rest."""
    hints: float = 1.0
    """Weight of the distance of hidden states from the teacher's, layer by kept layer."""

    def __post_init__(self) -> None:
        if self.by not in ("teacher", "largest"):
            raise BadInputError(f"by must be teacher or largest, not {self.by!r}")

    def as_dict(self) -> dict[str, Any]:
        """By name, to be written down."""
        return asdict(self)


class Sandwich:
    """Learning a task with sub-models of all sizes."""

    def __init__(
        self,
        family: Family,
        lesson: Lesson,
        *,
        teaching: Teaching | None = None,
        answers: Answers | None = None,
        teacher: Network | None = None,
    ) -> None:
        """Take a supernet and what its sub-models shall learn.

        Args:
            family: a supernet with the head of the task.
            lesson: the task.
            teaching: how much is taken from a teacher.
            answers: a teacher's to what is learned from; the largest sub-model teaches where None.
            teacher: a copy of what the supernet began as, for hints.

        Raises:
            BadInputError: the largest shall teach, and is not there in some steps.
        """
        self.family, self.lesson, self.teaching = family, lesson, teaching or Teaching()
        self._answers, self.teacher = answers, teacher
        if answers is None:
            family.require_largest()

    @property
    def network(self) -> Network:
        """The supernet's parameters."""
        return self.family.network

    @property
    def lengths(self) -> Ints:
        """(examples,): tokens of each."""
        return self.lesson.train.encoded.lengths

    def learn(self, examples: NDArray[np.int64], moment: Moment, share: float) -> dict[str, float]:
        """One batch, through several sub-models."""
        self.network.train()
        device = next(self.network.parameters()).device
        inputs, targets = tensors(self.lesson.train.encoded, examples, device)
        subs, losses = self.family.drawn(moment), dict[str, float]()
        shown, soft = self._shown(inputs), None
        for name, sub in subs.items():
            trace = None if shown is None else Trace(attention=False)
            outputs = self.family.at(sub)(*inputs, trace)
            if soft is None and self._answers is not None:
                soft = self._answers.at(examples, outputs)
            loss = self._loss(outputs, targets, soft)
            if trace is not None and shown is not None:
                loss = loss + self.teaching.hints * self._missed(sub, trace, shown, inputs[1])
            if soft is None:  # it was the largest, which teaches the others
                soft = outputs.detach()
            backward(loss * (share / len(subs)))
            losses[name] = loss.item()
        return told(losses)

    def _loss(self, outputs: Tensor, targets: Tensor, soft: Tensor | None) -> Tensor:
        if soft is None:
            return loss_of(outputs, targets)
        trust = self.teaching.trust
        taught = distance(outputs, soft)
        return taught if trust == 1 else trust * taught + (1 - trust) * loss_of(outputs, targets)

    @torch.no_grad()
    def _shown(self, inputs: tuple[Tensor, Tensor | None, Tensor]) -> Trace | None:
        """The teacher's hidden states."""
        if self.teacher is None:
            return None
        trace = Trace(attention=False)
        self.teacher(*inputs, trace)
        return trace

    def _missed(self, sub: Architecture, mine: Trace, shown: Trace, mask: Tensor | None) -> Tensor:
        """How far hidden states are from the teacher's, relative to the size of all of these.

        A layer learns from the teacher's layer that it is a part of (TinyBERT's eq. 8 without the
        matrix: the columns are the teacher's own). A narrow sub-model has a part of the columns to
        learn and so a smaller loss: else its few columns would outweigh those of the wide ones.
        """
        places = [0, *(i + 1 for i in self.family.layers(sub))]
        total = mine.hidden[0].new_zeros(())
        for x, place in zip(mine.hidden, places, strict=True):
            whole = shown.hidden[place]
            missed = (x - whole[..., : sub.hidden]).square()
            if mask is not None:
                missed, whole = missed * mask[..., None], whole * mask[..., None]
            total = total + missed.sum() / whole.square().sum()
        return total / len(places)

    def evaluate(self) -> dict[str, float]:
        """Mean of the task's first metric over some sub-models, and each one's."""
        name = self.lesson.task.metrics[0]
        found = {
            who: self.lesson.score(self.family.at(sub))[name]
            for who, sub in self.family.watched.items()
        }
        self.network.train()
        return {"mean": sum(found.values()) / len(found), **found}

    def keep(self, folder: Path) -> None:
        """Write the supernet as it is now."""
        self.family.keep(folder, self.lesson.tokenizer, self.lesson.task.labels)


def sandwich(
    task: Task,
    teacher: Path,
    options: Options,
    recipe: Recipe,
    world: World,
    *,
    teaching: Teaching | None = None,
) -> Sandwich:
    """A supernet that begins as a teacher, its parts in the order of their importance.

    With `sampling="one"` it learns from the labels alone, as AutoTinyBERT's.

    Args:
        task: what is learned.
        teacher: folder of a network with a head for it.
        options: what kind of supernet it becomes.
        recipe: how it will be trained.
        world: where.
        teaching: how much is taken from the teacher.

    Raises:
        BadInputError: the teacher knows another task, or is smaller than the search space.
    """
    saved, teaching = read(teacher), teaching or Teaching()
    require_head(saved, task)
    learned = lesson(task, teacher, min(recipe.tokens, saved.architecture.positions))
    network = saved.network(dropout=0.0)
    answers = frozen = None
    taught = options.sampling == "sandwich"
    if taught and teaching.by == "teacher":
        with world.products():
            answers = Answers(network.to(world.device), learned.train.encoded)
        network = network.to("cpu")
    if options.slicing == "importance":
        reorder(network, importance(network, _sample(learned, recipe.seed), loss_of))
    network.dropout = network.encoder.dropout = recipe.dropout
    if taught and teaching.hints:
        frozen = copy.deepcopy(network).requires_grad_(requires_grad=False).to(world.device).eval()
    family = Family(network.to(world.device), options, seed=recipe.seed)
    return Sandwich(family, learned, teaching=teaching, answers=answers, teacher=frozen)


def _sample(learned: Lesson, seed: int) -> Iterator[tuple[Tensor, Tensor | None, Tensor, Tensor]]:
    """Training examples to see importance by."""
    data, rng = learned.train.encoded, generator(seed, "importance")
    chosen = rng.permutation(len(data))[:SEEN]
    for start in range(0, len(chosen), 32):
        inputs, targets = tensors(data, chosen[start : start + 32], torch.device("cpu"))
        yield (*inputs, targets)

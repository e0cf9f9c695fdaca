"""Training all sub-models of a supernet at once. Knows no file and no optimiser.

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

from nas.data import metrics
from nas.data.task import Task
from nas.data.tokens import Ints, tokenizer_of
from nas.elastic import Rule
from nas.encoder import Trace
from nas.folder import read, write
from nas.importance import importance, reorder
from nas.network import Network
from nas.space import SearchSpace, load_space
from nas.supernet import Supernet, backward
from nas.train.moment import Moment, generator
from nas.train.recipe import Recipe
from nas.train.task import Floats, Lesson, distance, lesson, loss_of, outputs_of, tensors
from nas.train.world import World
from results.architecture import Architecture
from results.errors import BadInputError

CANDIDATES = 16
"""Random architectures among which the one nearest to the wanted size is taken."""

SEEN = 512
"""Training examples by which the importance of parts is judged."""

WATCHED = 4
"""Random sub-models that are evaluated beside the largest and the smallest."""


@dataclass(frozen=True, slots=True)
class Options:
    """What kind of supernet it becomes."""

    space: str = "minilm"
    """Built-in search space, or a YAML file."""
    slicing: str = "importance"
    """`importance`, `per-head` or `prefix`."""
    depth: str = "spread"
    """`first` or `spread`; spread, so that a layer's output always means the same."""
    sampling: str = "sandwich"
    """`sandwich`, or `one` random sub-model a step (AutoTinyBERT)."""
    randoms: int = 2
    """Random sub-models beside the largest and the smallest."""
    trust: float = 1.0
    """Weight of the teacher's answers; the labels have the rest."""
    hints: float = 1.0
    """Weight of the distance of hidden states from the teacher's, layer by kept layer."""
    largest_every: int = 3
    """Steps from one in which the largest is trained to the next. It costs as much as all others
    together; where it begins as the teacher, it needs no more than to be kept there."""

    def __post_init__(self) -> None:
        known = {"slicing": ("importance", "per-head", "prefix"), "sampling": ("sandwich", "one")}
        for name, values in known.items():
            if getattr(self, name) not in values:
                message = f"{name} must be one of {', '.join(values)}, not {getattr(self, name)!r}"
                raise BadInputError(message)

    @property
    def rule(self) -> Rule:
        """How sub-models are cut."""
        heads = "prefix" if self.slicing == "prefix" else "per-head"
        return Rule(heads, self.depth)  # type: ignore[arg-type]  # checked there

    def as_dict(self) -> dict[str, Any]:
        """By name, to be written down."""
        return asdict(self)


class Sandwich:
    """Learning a task with sub-models of all sizes."""

    def __init__(
        self,
        supernet: Supernet,
        lesson: Lesson,
        options: Options,
        *,
        answers: Floats | None = None,
        teacher: Network | None = None,
        seed: int = 0,
    ) -> None:
        """Take a supernet and what its sub-models shall learn.

        Args:
            supernet: with the head of the task.
            lesson: the task.
            options: how sub-models are drawn and taught.
            answers: (examples, outputs): a teacher's; the largest sub-model teaches where None.
            teacher: a copy of what the supernet began as, for hints.
            seed: of the sub-models that are evaluated.
        """
        self.supernet, self.lesson, self.options = supernet, lesson, options
        self._teacher = teacher
        self.space = load_space(options.space)
        self._answers = None if answers is None else torch.from_numpy(answers)
        rng = generator(seed, "watched")
        self.watched = [self.space.largest, self.space.smallest]
        self.watched += [balanced(self.space, rng) for _ in range(WATCHED)]
        if answers is None and options.sampling == "sandwich" and options.largest_every > 1:
            raise BadInputError("without a teacher the largest teaches: train it in every step")
        for sub in self.watched:
            supernet.at(sub)  # says now what does not fit

    @property
    def network(self) -> Network:
        """The supernet's parameters."""
        return self.supernet.network

    @property
    def lengths(self) -> Ints:
        """(examples,): tokens of each."""
        return self.lesson.train.lengths

    def learn(self, examples: NDArray[np.int64], moment: Moment, share: float) -> dict[str, float]:
        """One batch, through several sub-models."""
        self.network.train()
        device = next(self.network.parameters()).device
        inputs, targets = tensors(self.lesson.train, examples, device)
        if self.options.sampling == "one":
            loss = loss_of(self.supernet.at(self._drawn(moment)[0])(*inputs), targets)
            backward(loss * share)
            return {"loss": loss.item()}
        soft = None
        if self._answers is not None:
            soft = self._answers[torch.from_numpy(examples)].to(device)
        subs, losses = self._drawn(moment), []
        shown = self._shown(inputs)
        for sub in subs:
            trace = None if shown is None else Trace(attention=False)
            outputs = self.supernet.at(sub)(*inputs, trace)
            loss = self._loss(outputs, targets, soft)
            if trace is not None and shown is not None:
                loss = loss + self.options.hints * self._missed(sub, trace, shown, inputs[1])
            if soft is None:
                soft = outputs.detach()
            backward(loss * (share / len(subs)))
            losses.append(loss.item())
        named = {"largest": self.space.largest, "smallest": self.space.smallest}
        found = dict(zip(subs, losses, strict=True))
        return {n: found[sub] for n, sub in named.items() if sub in found}

    def _loss(self, outputs: Tensor, targets: Tensor, soft: Tensor | None) -> Tensor:
        if soft is None:  # the largest, which teaches the others
            return loss_of(outputs, targets)
        trust = self.options.trust
        taught = distance(outputs, soft)
        return taught if trust == 1 else trust * taught + (1 - trust) * loss_of(outputs, targets)

    @torch.no_grad()
    def _shown(self, inputs: tuple[Tensor, Tensor | None, Tensor]) -> Trace | None:
        """The teacher's hidden states."""
        if self._teacher is None:
            return None
        trace = Trace(attention=False)
        self._teacher(*inputs, trace)
        return trace

    def _missed(self, sub: Architecture, mine: Trace, shown: Trace, mask: Tensor | None) -> Tensor:
        """How far hidden states are from the teacher's, relative to their size.

        A layer learns from the teacher's layer that it is a part of (TinyBERT's eq. 8 without the
        matrix: the columns are the teacher's own).
        """
        layers = self.supernet.rule.layers(sub.depth, self.supernet.architecture.depth)
        places = [0, *(i + 1 for i in layers)]
        total = mine.hidden[0].new_zeros(())
        for x, place in zip(mine.hidden, places, strict=True):
            y = shown.hidden[place][..., : sub.hidden]
            missed = (x - y).square()
            if mask is not None:
                missed, y = missed * mask[..., None], y * mask[..., None]
            total = total + missed.mean() / y.square().mean()
        return total / len(places)

    def _drawn(self, moment: Moment) -> list[Architecture]:
        rng, space = moment.of_step("sub-models"), self.space
        if self.options.sampling == "one":
            return [space.sample(rng)]
        randoms = [balanced(space, rng) for _ in range(self.options.randoms)]
        largest = [space.largest] if moment.step % self.options.largest_every == 0 else []
        return [*largest, space.smallest, *randoms]

    def evaluate(self) -> dict[str, float]:
        """Mean of the task's first metric over some sub-models, and each one's."""
        dev, name = self.lesson.dev, self.lesson.task.metrics[0]
        found = []
        for sub in self.watched:
            outputs = outputs_of(self.supernet.at(sub), dev)
            found.append(metrics.evaluate((name,), outputs, dev.targets)[name])
        self.network.train()
        scores = {"mean": sum(found) / len(found), "largest": found[0], "smallest": found[1]}
        return scores | {f"random {i + 1}": x for i, x in enumerate(found[2:])}

    def keep(self, folder: Path) -> None:
        """Write the supernet as it is now."""
        write(
            self.network,
            folder,
            tokenizer=self.lesson.tokenizer,
            labels=self.lesson.task.labels,
            rule=self.supernet.rule,
            space=self.options.space,
        )


def sandwich(
    task: Task, teacher: Path, options: Options, recipe: Recipe, world: World
) -> Sandwich:
    """A supernet that begins as a teacher, its parts in the order of their importance.

    Args:
        task: what is learned.
        teacher: folder of a network with a head for it.
        options: what kind of supernet it becomes.
        recipe: how it will be trained.
        world: where.

    Raises:
        BadInputError: the teacher knows another task, or is smaller than the search space.
    """
    saved = read(teacher)
    most = min(recipe.tokens, saved.architecture.positions)
    learned = lesson(task, tokenizer_of(teacher), teacher, most)
    if saved.head != learned.head or saved.labels != task.labels:
        message = (
            f"{teacher} is no teacher of {task.name}, its head has the labels "
            f"{', '.join(saved.labels) or 'of nothing'}: run nas train teacher --task {task.name}"
        )
        raise BadInputError(message)
    network = saved.network(dropout=0.0)
    answers = None
    if options.sampling == "sandwich":
        with world.products():
            answers = outputs_of(network.to(world.device), learned.train)
        network = network.to("cpu")
    if options.slicing == "importance":
        reorder(network, importance(network, _sample(learned, recipe.seed), loss_of))
    network.dropout = network.encoder.dropout = recipe.dropout
    frozen = None
    if options.hints and options.sampling == "sandwich":
        frozen = copy.deepcopy(network).requires_grad_(requires_grad=False).to(world.device).eval()
    supernet = Supernet(network.to(world.device), options.rule)
    return Sandwich(supernet, learned, options, answers=answers, teacher=frozen, seed=recipe.seed)


def _sample(learned: Lesson, seed: int) -> Iterator[tuple[Tensor, Tensor | None, Tensor, Tensor]]:
    """Training examples to see importance by."""
    rng = generator(seed, "importance")
    chosen = rng.permutation(len(learned.train))[:SEEN]
    for start in range(0, len(chosen), 32):
        inputs, targets = tensors(learned.train, chosen[start : start + 32], torch.device("cpu"))
        yield (*inputs, targets)


def balanced(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """A random architecture, small ones as often as large ones by the logarithm of their work."""
    low, high = (np.log(a.macs(128)) for a in (space.smallest, space.largest))
    wanted = rng.uniform(low, high)
    found = [space.sample(rng) for _ in range(CANDIDATES)]
    return min(found, key=lambda a: abs(np.log(a.macs(128)) - wanted))

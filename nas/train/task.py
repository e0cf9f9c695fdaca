"""Learning a task from labels and from a teacher's answers. Knows no file and no optimiser."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nas.data.batches import gather
from nas.data.task import DEV, TRAIN, Task
from nas.data.tokens import Encoded, Ints, tokenizer_of
from nas.folder import write
from nas.network import Head, Network
from nas.score.engines import Floats, floats, outputs
from nas.score.fit import split_of
from nas.score.questions import Questions, batches, questions_of
from nas.supernet import backward, with_gradients
from nas.train.moment import Moment

SCORED_TOKENS = 4096
"""Tokens scored at once: enough to fill the cores, little enough for their caches."""

NEVER = -1e9
"""A logit of what is not so."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A task's examples as a network reads them."""

    task: Task
    train: Questions
    dev: Questions
    tokenizer: Path
    """Folder with the tokeniser's files."""

    @property
    def head(self) -> Head:
        """The head that a network needs for it."""
        kind = self.task.kind
        outputs = {"classes": len(self.task.labels), "score": 1, "span": 2}
        return Head(kind, outputs[kind])

    def score(self, network: Network) -> dict[str, float]:
        """The task's metrics on the dev split."""
        return self.dev.judge(outputs_of(network, self.dev.encoded)).metrics


def lesson(task: Task, model: Path, tokens: int) -> Lesson:
    """Tokenise what is learned from and what is chosen by; the test split is not looked at.

    Args:
        task: what is learned.
        model: folder with the tokeniser.
        tokens: texts are cut after so many, or read in windows of so many.

    Raises:
        BadInputError: a split is missing or empty, or has no labels.
    """
    words = tokenizer_of(model)
    train, dev = (questions_of(task, split_of(task, name), words, tokens) for name in (TRAIN, DEV))
    return Lesson(task, train, dev, model)


class Answers:
    """What a teacher says to every entry of some data."""

    def __init__(self, teacher: Network, data: Encoded) -> None:
        """Ask it."""
        self._each, self._lengths = outputs_of(teacher, data), data.lengths

    def at(self, examples: NDArray[np.int64], like: Tensor) -> Tensor:
        """Of a batch, in the shape of a student's outputs; no answer is at a padded token."""
        found = np.full(like.shape, NEVER, np.float32)
        for row, i in enumerate(examples.tolist()):
            if self._each[i].ndim > 1:  # (T, 2)
                found[row, : self._lengths[i]] = self._each[i][: self._lengths[i]]
            else:
                found[row] = self._each[i]
        return torch.from_numpy(found).to(like.device)


class Labelled:
    """Learning from labels; with a teacher, from its answers too."""

    def __init__(
        self,
        network: Network,
        lesson: Lesson,
        *,
        answers: Answers | None = None,
        trust: float = 0.5,
    ) -> None:
        """Take a network and what it shall learn.

        Args:
            network: with the head of the task.
            lesson: the task.
            answers: a teacher's to what is learned from.
            trust: weight of the teacher's answers; the labels have the rest.
        """
        self.network, self.lesson = with_gradients(network), lesson
        self._answers = answers
        self._trust = trust if answers is not None else 0.0

    @property
    def lengths(self) -> Ints:
        """(examples,): tokens of each."""
        return self.lesson.train.encoded.lengths

    def learn(self, examples: NDArray[np.int64], moment: Moment, share: float) -> dict[str, float]:
        """One batch."""
        del moment
        self.network.train()
        device = next(self.network.parameters()).device
        inputs, targets = tensors(self.lesson.train.encoded, examples, device)
        outputs = self.network(*inputs)
        loss = loss_of(outputs, targets)
        if self._answers is not None:
            taught = distance(outputs, self._answers.at(examples, outputs))
            loss = (1 - self._trust) * loss + self._trust * taught
        backward(loss * share)
        return {"loss": loss.item()}

    def evaluate(self) -> dict[str, float]:
        """The task's metrics on the dev split."""
        return self.lesson.score(self.network)

    def keep(self, folder: Path) -> None:
        """Write the network as it is now."""
        task = self.lesson.task
        write(self.network, folder, tokenizer=self.lesson.tokenizer, labels=task.labels)


def tensors(
    data: Encoded, examples: NDArray[np.int64], device: torch.device
) -> tuple[tuple[Tensor, Tensor | None, Tensor], Tensor]:
    """What a network is fed, and what it should say."""
    batch = gather(data, examples)
    ids, types = (torch.from_numpy(x).to(device) for x in (batch.ids, batch.types))
    mask = None if batch.mask is None else torch.from_numpy(batch.mask).to(device)
    return (ids, mask, types), torch.from_numpy(batch.targets).to(device)


def loss_of(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of classes, or of the tokens that start and end; squared error of scores."""
    if targets.dtype == torch.int64:  # (B, classes) and (B,), or (B, T, 2) and (B, 2)
        return F.cross_entropy(outputs.float(), targets)
    return F.mse_loss(outputs.float(), targets)


def distance(outputs: Tensor, answers: Tensor) -> Tensor:
    """How far answers are from a teacher's; 0 where they agree.

    The Kullback-Leibler divergence of the probabilities, of classes or of tokens, or the squared
    error of scores.
    """
    if outputs.ndim == 1:
        return F.mse_loss(outputs.float(), answers)
    mine, theirs = (F.log_softmax(x.float(), 1) for x in (outputs, answers))
    per_example = F.kl_div(mine, theirs, log_target=True, reduction="none").sum(1)
    return per_example.mean()


def outputs_of(network: Network, data: Encoded) -> list[Floats]:
    """Of a network that is not in training, to each entry, in the order of the data.

    Raises:
        BadInputError: some are no numbers.
    """
    was = network.training
    network.eval()
    found = outputs(floats(network).answer, batches(data, SCORED_TOKENS), len(data))
    network.train(was)
    return found

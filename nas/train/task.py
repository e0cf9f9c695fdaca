"""Learning a task from labels and from a teacher's answers. Knows no file and no optimiser."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nas.data import metrics
from nas.data.batches import gather, in_order
from nas.data.task import DEV, TRAIN, Split, Task
from nas.data.tokens import Encoded, Ints, encode
from nas.folder import write
from nas.network import Head, Network
from nas.supernet import backward, with_gradients
from nas.train.moment import Moment
from results.errors import BadInputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SCORED_TOKENS = 4096
"""Tokens scored at once: enough to fill the cores, little enough for their caches."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A task's examples as a network reads them."""

    task: Task
    train: Encoded
    dev: Encoded
    tokenizer: Path
    """Folder with the tokeniser's files."""

    @property
    def head(self) -> Head:
        """The head that a network needs for it."""
        return Head(self.task.kind, len(self.task.labels) if self.task.kind == "classes" else 1)


def lesson(task: Task, words: "Tokenizer", folder: Path, tokens: int) -> Lesson:
    """Tokenise what is learned from and what is chosen by; the test split is not looked at."""
    if task.kind == "span":
        raise BadInputError(f"{task.name}: answers in texts cannot be trained on yet")
    train, dev = (encoded(task.splits[name], words, tokens) for name in (TRAIN, DEV))
    return Lesson(task, train, dev, folder)


def encoded(split: Split, words: "Tokenizer", tokens: int) -> Encoded:
    """A split with its labels as targets."""
    whole = all(isinstance(label, int) for label in split.labels)
    targets: NDArray[Any] = np.array(split.labels, np.int64 if whole else np.float32)
    return encode(words, split.texts, split.pairs, most_tokens=tokens, targets=targets)


class Labelled:
    """Learning from labels; with a teacher, from its answers too."""

    def __init__(
        self,
        network: Network,
        lesson: Lesson,
        *,
        answers: Floats | None = None,
        trust: float = 0.5,
    ) -> None:
        """Take a network and what it shall learn.

        Args:
            network: with the head of the task.
            lesson: the task.
            answers: (examples, outputs): a teacher's, for each training example.
            trust: weight of the teacher's answers; the labels have the rest.
        """
        self.network, self.lesson = with_gradients(network), lesson
        self._answers = None if answers is None else torch.from_numpy(answers)
        self._trust = trust if answers is not None else 0.0

    @property
    def lengths(self) -> Ints:
        """(examples,): tokens of each."""
        return self.lesson.train.lengths

    def learn(self, examples: NDArray[np.int64], moment: Moment, share: float) -> dict[str, float]:
        """One batch."""
        del moment
        self.network.train()
        device = next(self.network.parameters()).device
        inputs, targets = tensors(self.lesson.train, examples, device)
        outputs = self.network(*inputs)
        loss = loss_of(outputs, targets)
        if self._answers is not None:
            taught = distance(outputs, self._answers[torch.from_numpy(examples)].to(device))
            loss = (1 - self._trust) * loss + self._trust * taught
        backward(loss * share)
        return {"loss": loss.item()}

    def evaluate(self) -> dict[str, float]:
        """The task's metrics on the dev split."""
        found = outputs_of(self.network, self.lesson.dev)
        return metrics.evaluate(self.lesson.task.metrics, found, self.lesson.dev.targets)

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
    """Cross-entropy of class numbers, squared error of scores."""
    if targets.dtype == torch.int64:
        return F.cross_entropy(outputs.float(), targets)
    return F.mse_loss(outputs.float(), targets)


def distance(outputs: Tensor, answers: Tensor) -> Tensor:
    """How far answers are from a teacher's; 0 where they agree.

    The Kullback-Leibler divergence of the probabilities, or the squared error of scores.
    """
    if outputs.ndim == 1:
        return F.mse_loss(outputs.float(), answers)
    logs = F.log_softmax(outputs.float(), -1)
    return F.kl_div(logs, F.log_softmax(answers, -1), log_target=True, reduction="batchmean")


@torch.inference_mode()
def outputs_of(network: Network, data: Encoded) -> Floats:
    """(examples, outputs) of a network that is not in training, in the order of the data."""
    was = network.training
    network.eval()
    device = next(network.parameters()).device
    found: Floats | None = None
    for examples in in_order(data.lengths, SCORED_TOKENS):
        inputs, _ = tensors(data, examples, device)
        part = network(*inputs).float().cpu().numpy()
        if found is None:
            found = np.zeros((len(data), *part.shape[1:]), np.float32)
        found[examples] = part
    network.train(was)
    return np.zeros((0,), np.float32) if found is None else found

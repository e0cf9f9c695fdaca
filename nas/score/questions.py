"""A split as a network reads it, and what answers to it are worth. Knows no network."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nas.data.batches import Batch, gather, in_order
from nas.data.metrics import evaluate
from nas.data.spans import QUESTION, Windows, decode, windows
from nas.data.squad import score_answers
from nas.data.task import Split, Task
from nas.data.tokens import Encoded, encode
from results.errors import BadInputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = NDArray[np.float32]

STRIDE = 128
"""Tokens that a window of a long text shares with the one before it, as in Devlin et al. 2019."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a network's outputs are worth."""

    metrics: dict[str, float]
    loss: float
    """Mean cross-entropy in nats, or mean squared error."""
    predictions: tuple[int | float | str, ...]
    """A class, a score or the words of an answer, to each example."""


class Questions(Protocol):
    """A split in tokens."""

    @property
    def encoded(self) -> Encoded:
        """What a network reads, and what it should say.

        An example with a long text may be several entries.
        """

    def judge(self, outputs: Sequence[Floats]) -> Judged:
        """Of an output to each entry: (classes,), () or (tokens or more, 2)."""


def questions_of(task: Task, split: Split, tokenizer: "Tokenizer", most_tokens: int) -> Questions:
    """The split in tokens; what is longer than `most_tokens` is cut, or goes into windows."""
    if task.kind == "span":
        return _Spans(task, split, tokenizer, most_tokens)
    return _Labelled(task, split, tokenizer, most_tokens)


def drawn(split: Split, most: int, seed: int) -> Split:
    """`most` examples of a split at the most, drawn without order, in the order they had."""
    if most >= len(split):
        return split
    rng = np.random.default_rng([seed, most, len(split)])
    chosen = np.sort(rng.permutation(len(split))[:most]).tolist()
    columns = ("texts", "pairs", "labels", "answers", "names")
    given = {name: getattr(split, name) for name in columns}
    return replace(
        split, **{n: tuple(column[i] for i in chosen) for n, column in given.items() if column}
    )


def batches(data: Encoded, tokens: int) -> list[Batch]:
    """All entries, the shortest first, in batches of about so many tokens."""
    return [gather(data, entries) for entries in in_order(data.lengths, tokens)]


def unpadded(data: Encoded, most: int) -> Iterator[Batch]:
    """All entries, the shortest first, in batches of up to `most` of the same length."""
    ranked = np.argsort(data.lengths, kind="stable")
    ends = np.flatnonzero(np.diff(data.lengths[ranked], append=-1)) + 1
    start = 0
    for end in ends.tolist():
        for first in range(start, end, most):
            yield gather(data, ranked[first : min(first + most, end)])
        start = end


def digest(data: Encoded) -> str:
    """SHA-256 of the tokens: 64 hexadecimal digits."""
    whole = hashlib.sha256()
    for array in (data.ids, data.types, data.starts):
        whole.update(np.ascontiguousarray(array, "<i8").tobytes())
    return whole.hexdigest()


class _Labelled:
    """Classes or scores."""

    def __init__(self, task: Task, split: Split, tokenizer: "Tokenizer", tokens: int) -> None:
        if not split.labels:
            raise BadInputError(
                f"{task.name} has no labels there: nothing can be learned or scored"
            )
        kind = np.int64 if task.kind == "classes" else np.float32
        self._task, labels = task, np.array(split.labels, kind)
        self.encoded = encode(
            tokenizer, split.texts, split.pairs, most_tokens=tokens, targets=labels
        )

    def judge(self, outputs: Sequence[Floats]) -> Judged:
        found, labels = np.stack(outputs), self.encoded.targets
        metrics = evaluate(self._task.metrics, found, labels)
        if self._task.kind == "classes":
            rows = np.arange(len(labels))
            loss = -log_softmax(found)[rows, labels].mean()
            return Judged(metrics, float(loss), tuple(found.argmax(axis=1).tolist()))
        loss = np.square(found.astype(np.float64) - labels).mean()
        shortest = tuple(float(str(x)) for x in found)  # 0.1, not 0.10000000149011612
        return Judged(metrics, float(loss), shortest)


class _Spans:
    """Answers out of texts, which are read in windows."""

    def __init__(self, task: Task, split: Split, tokenizer: "Tokenizer", tokens: int) -> None:
        if not split.answers:
            raise BadInputError(
                f"{task.name} has no answers there: nothing can be learned or scored"
            )
        shared, question = min(STRIDE, tokens // 3), min(QUESTION, tokens // 6)
        found = windows(tokenizer, split, tokens=tokens, stride=shared, question=question)
        self._task, self._split, self.windows = task, split, found
        self.encoded = _joined(found)

    def judge(self, outputs: Sequence[Floats]) -> Judged:
        cut = [y[:n] for y, n in zip(outputs, self.encoded.lengths, strict=True)]
        starts, ends = ([y[:, i] for y in cut] for i in (0, 1))
        answers = decode(self.windows, starts, ends, self._split)
        metrics = score_answers(answers, self._split)
        losses = [_surprise(starts, self.windows.starts), _surprise(ends, self.windows.ends)]
        chosen = {name: metrics[name] for name in self._task.metrics}
        return Judged(chosen, float(np.mean(losses)), tuple(answers))


def log_softmax(logits: Floats) -> NDArray[np.float64]:
    """Of the last axis."""
    x = logits.astype(np.float64)
    x -= x.max(axis=-1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(axis=-1, keepdims=True)), np.float64)


def _surprise(logits: Sequence[Floats], right: NDArray[Any]) -> float:
    """Mean cross-entropy; a window without the answer should say its first token."""
    return float(-np.mean([log_softmax(y)[i] for y, i in zip(logits, right, strict=True)]))


def _joined(found: Windows) -> Encoded:
    lengths = [len(ids) for ids in found.ids]
    return Encoded(
        ids=np.concatenate(found.ids),
        types=np.concatenate(found.types),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        targets=np.stack([found.starts, found.ends], axis=1).astype(np.int64),
    )

"""Learning a teacher's attention and hidden states from text, without labels. Knows no file.

Last layer only: AutoTinyBERT (Yin et al., ACL 2021). All layers, the embeddings among them: the
general distillation of TinyBERT (Jiao et al., Findings of EMNLP 2020, eq. 7 to 9); as in its code
one matrix carries all hidden states to the teacher's width. No word is hidden: both recipes say
so. Mean squares are taken over real tokens, where the seeds count padding as zeros.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.batches import in_order
from nas.data.tokens import Ints
from nas.encoder import Trace
from nas.network import Network
from nas.supernet import backward
from nas.train.family import Family, told
from nas.train.moment import Moment
from nas.train.task import SCORED_TOKENS
from nas.train.text import Inputs, Text
from results.architecture import Architecture
from results.errors import BadInputError

Layers = Literal["last", "all"]


@dataclass(frozen=True, slots=True)
class Lessons:
    """What of the teacher is learned."""

    layers: Layers = "last"
    """`last` (AutoTinyBERT) or `all` (TinyBERT)."""
    attention: bool = True
    """The scores before the softmax, head by head."""

    def __post_init__(self) -> None:
        if self.layers not in ("last", "all"):
            raise BadInputError(f"layers must be last or all, not {self.layers!r}")

    def as_dict(self) -> dict[str, Any]:
        """By name, to be written down."""
        return {"layers": self.layers, "attention": self.attention}

    def hidden(self, student: int, teacher: int) -> tuple[tuple[int, int], ...]:
        """Which states are compared, student's and teacher's; 0 is the embeddings' output.

        TinyBERT's uniform map, m to m N / M; where M layers do not divide the teacher's N, to the
        nearest layer, of two the deeper one. It ends at the last layer.
        """
        if self.layers == "last":
            return ((student, teacher),)
        return tuple((m, (2 * m * teacher + student) // (2 * student)) for m in range(student + 1))

    def scores(self, student: int, teacher: int) -> tuple[tuple[int, int], ...]:
        """Which layers' attention is compared, both counted from 0."""
        pairs = self.hidden(student, teacher)
        return tuple((m - 1, n - 1) for m, n in pairs if m) if self.attention else ()

    def require(self, students: Iterable[Architecture], teacher: Architecture) -> None:
        """Raises BadInputError: a sub-model has no layer or no head for what is taught."""
        for a in students:
            if self.layers == "all" and a.depth > teacher.depth:
                message = (
                    f"a student of {a.depth} layers cannot learn from all layers of a teacher of "
                    f"{teacher.depth}: choose --layers last, or a space of {teacher.depth} at most"
                )
                raise BadInputError(message)
            for m, n in self.scores(a.depth, teacher.depth):
                mine, theirs = a.layers[m].heads, teacher.layers[n].heads
                if mine != theirs:
                    message = (
                        f"a student with {mine} heads cannot learn the attention of a teacher with"
                        f" {theirs}: leave it out with --attention no, or choose a space with "
                        f"{theirs} heads"
                    )
                    raise BadInputError(message)


class Distilled:
    """Learning to be as the teacher is inside."""

    def __init__(
        self, family: Family, teacher: Network, text: Text, lessons: Lessons | None = None
    ) -> None:
        """Take a network, or a supernet, and who teaches it.

        Args:
            family: its network has a `fit` head as wide as the teacher.
            teacher: on the same device; nothing in it is changed.
            text: what is learned from, and what is not.
            lessons: what of the teacher is learned.

        Raises:
            BadInputError: the teacher's layers or heads cannot be mapped to the student's.
        """
        self.family, self.text, self.lessons = family, text, lessons or Lessons()
        self.lessons.require(family.sizes(), teacher.architecture)
        self.teacher = teacher.eval().requires_grad_(requires_grad=False)

    @property
    def network(self) -> Network:
        """Whose parameters are trained."""
        return self.family.network

    @property
    def lengths(self) -> Ints:
        """(examples,): tokens of each sequence that is learned from."""
        return self.text.lengths

    def learn(self, examples: NDArray[np.int64], moment: Moment, share: float) -> dict[str, float]:
        """One batch, through one or several sub-models."""
        self.network.train()
        inputs = self._inputs(self.text.learned[examples])
        shown = self._shown(inputs)
        subs = self.family.drawn(moment)
        losses: dict[str, float] = {}
        for name, sub in subs.items():
            attention, hidden = self.losses(self.family.at(sub), inputs, shown)
            loss = attention + hidden
            backward(loss * (share / len(subs)))
            losses[name] = loss.item()
        return told(losses)

    def losses(self, student: Network, inputs: Inputs, shown: Trace) -> tuple[Tensor, Tensor]:
        """Mean squared errors against what a teacher shows, each a sum over the mapped layers.

        Returns:
            of the attention scores, and of the hidden states behind `fit_dense`.
        """
        trace = Trace()
        student.encoder(*inputs, trace)
        depths = student.architecture.depth, self.teacher.architecture.depth
        real = inputs[1]
        none = shown.hidden[0].new_zeros(())
        pairs = None if real is None else real[:, None, :, None] * real[:, None, None, :]
        attention = sum(
            (
                mean_square(trace.scores[m].float(), shown.scores[n].float(), pairs)
                for m, n in self.lessons.scores(*depths)
            ),
            none,
        )
        at = None if real is None else real[:, :, None]
        hidden = sum(
            (
                mean_square(student.answer(trace.hidden[m]).float(), shown.hidden[n].float(), at)
                for m, n in self.lessons.hidden(*depths)
            ),
            none,
        )
        return attention, hidden

    def evaluate(self) -> dict[str, float]:
        """How near the held-out text's states are: minus the loss, so that more is better.

        First the means over the sub-models that are watched, then the loss of each.
        """
        self.network.eval()
        found = {name: self._scored(self.family.at(a)) for name, a in self.family.watched.items()}
        self.network.train()
        attention, hidden = np.mean(list(found.values()), axis=0).tolist()
        loss = attention + hidden
        scores = {"nearness": -loss, "loss": loss, "attention": attention, "hidden": hidden}
        if len(found) > 1:
            scores |= {f"loss {name}": sum(x) for name, x in found.items()}
        return scores

    @torch.inference_mode()
    def _scored(self, network: Network) -> tuple[float, float]:
        attention = hidden = 0.0
        held = self.text.held
        for examples in in_order(self.text.lengths_of(held), SCORED_TOKENS):
            inputs = self._inputs(held[examples])
            found = self.losses(network, inputs, self._shown(inputs))
            attention += found[0].item() * len(examples)
            hidden += found[1].item() * len(examples)
        return attention / len(held), hidden / len(held)

    @torch.no_grad()
    def _shown(self, inputs: Inputs) -> Trace:
        trace = Trace()
        self.teacher(*inputs, trace)
        return trace

    def _inputs(self, rows: NDArray[np.int64]) -> Inputs:
        return self.text.batch(rows).inputs(next(self.network.parameters()).device)

    def keep(self, folder: Path) -> None:
        """Write the network as it is now, `fit_dense` with it."""
        self.family.keep(folder, self.text.tokenizer)


def mean_square(found: Tensor, wanted: Tensor, real: Tensor | None) -> Tensor:
    """Of the differences, where `real` (1 or 0, broadcast over heads and widths) is 1."""
    squares = (found - wanted).square()
    if real is None:
        return squares.mean()
    share = squares.numel() // real.numel()
    return (squares * real).sum() / (real.sum() * share)

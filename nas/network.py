"""An encoder with a head for one kind of work. Knows no file, no data and no training.

The heads are those of transformers' `BertForSequenceClassification`,
`BertForQuestionAnswering` and `BertForMaskedLM`, under their names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.encoder import (
    EPSILON,
    Encoder,
    Floats,
    Linear,
    Trace,
    as_torchs_own,
    canonical,
    flat,
    randomise,
)
from results.architecture import Architecture
from results.errors import BadInputError

Work = Literal["classes", "score", "span", "mlm", "fit"]
"""What a head is for: one of several classes; a number; where an answer starts and ends; hidden
words; and, to be taught only, the teacher's hidden states (AutoTinyBERT's `fit_dense`)."""

PREFIX = "bert."
"""Before the names of the encoder's tensors where there is a head."""

TAUGHT_BARE = ("mlm", "fit")
"""Heads before which nothing is left out in training, as in BERT's and AutoTinyBERT's."""

OF_ENCODER = ("embeddings.", "encoder.", PREFIX + "embeddings.", PREFIX + "encoder.")
"""How the names begin of what no head brings along."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands on top of an encoder."""

    work: Work
    outputs: int
    """Classes; 1 for a score; 2 for a span; the vocabulary; the teacher's width."""

    @property
    def pooled(self) -> bool:
        """Does it read one vector per example, by BERT's pooler?"""
        return self.work in ("classes", "score")


class Output(nn.Module):
    """One linear layer."""

    def __init__(self, hidden: int, head: Head) -> None:
        super().__init__()
        self.out = Linear(hidden, head.outputs)

    def forward(self, x: Tensor, _words: Tensor) -> Tensor:  # (..., hidden) -> (..., outputs)
        y: Tensor = self.out(x)
        return y


class Words(nn.Module):
    """BERT's reading of hidden words: a layer, and the table of words turned round."""

    def __init__(self, hidden: int, head: Head) -> None:
        super().__init__()
        self.transform = Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden, EPSILON)
        self.bias = nn.Parameter(torch.empty(head.outputs))

    def forward(self, x: Tensor, words: Tensor) -> Tensor:  # (..., hidden) -> (..., vocabulary)
        return F.linear(self.norm(F.gelu(self.transform(x))), words, self.bias)


_NAMES = {
    "classes": {"out": "classifier"},
    "score": {"out": "classifier"},
    "span": {"out": "qa_outputs"},
    "fit": {"out": "fit_dense"},
    "mlm": {
        "transform": "cls.predictions.transform.dense",
        "norm": "cls.predictions.transform.LayerNorm",
        "": "cls.predictions",
    },
}


class Network(nn.Module):
    """An encoder and a head; without a head it answers with the encoder's hidden states."""

    def __init__(
        self,
        architecture: Architecture,
        head: Head | None = None,
        weights: Mapping[str, Floats] | None = None,
        *,
        dropout: float = 0.0,
        new_head: bool = False,
        hollow: bool = False,
    ) -> None:
        """Build it.

        Args:
            architecture: of the encoder.
            head: what it is for.
            weights: under Hugging Face's names, those of the encoder behind `bert.` or not; random
                where None.
            new_head: a head or a pooler that is not among the weights is random.
            dropout: share of entries left out in training, in the encoder and before the head.
            hollow: without memory for the weights; who calls puts tensors in their place.

        Raises:
            BadInputError: a tensor of the encoder is missing, or has another shape.
        """
        super().__init__()
        self.architecture, self.head_kind, self.dropout = architecture, head, dropout
        self.encoder = Encoder(
            architecture, pooler=head is not None and head.pooled, dropout=dropout, hollow=hollow
        )
        self.head: nn.Module | None = None
        if head is not None:
            with torch.device("meta" if hollow else "cpu"):
                kind = Words if head.work == "mlm" else Output
                self.head = kind(architecture.hidden, head)
        if not hollow and self.head is not None:
            as_torchs_own(self.head)
            randomise(self.head)
        if not hollow and weights is not None:
            self._fill(weights, new_head=new_head)

    def forward(  # -> (B, outputs), (B, T, outputs) or (B, T, hidden)
        self,
        input_ids: Tensor,  # (B, T)
        attention_mask: Tensor | None = None,  # (B, T)
        token_type_ids: Tensor | None = None,  # (B, T)
        trace: Trace | None = None,
    ) -> Tensor:
        return self.answer(self.encoder(input_ids, attention_mask, token_type_ids, trace))

    def answer(self, x: Tensor) -> Tensor:
        """What the head says of hidden states, (B, T, hidden); the states where there is none.

        A head that reads no pooler takes (..., hidden): so only some tokens can be answered for.
        """
        if self.head is None or self.head_kind is None:
            return x
        if self.head_kind.pooled:
            x = self.encoder.pool(x)
        if self.training and self.dropout and self.head_kind.work not in TAUGHT_BARE:
            x = F.dropout(x, self.dropout)
        y: Tensor = self.head(x, self.encoder.embeddings.words.weight)
        return y[..., 0] if self.head_kind.work == "score" else y

    def weights(self) -> dict[str, Floats]:
        """All tensors under Hugging Face's names; views where no axis is split into heads."""
        return {name: value.detach().cpu().numpy() for name, value in self.named()}

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors under Hugging Face's names."""
        for name, value in flat(self):
            yield self.canonical(name), value

    def canonical(self, name: str) -> str:
        """Hugging Face's name of a parameter of ours: `classifier.bias` for `head.out.bias`."""
        room, _, rest = name.partition(".")
        if room == "encoder":
            return (PREFIX if self.head_kind else "") + canonical(rest)
        if self.head_kind is None:
            raise KeyError(name)
        middle, _, tail = rest.rpartition(".")
        return f"{_NAMES[self.head_kind.work][middle]}.{tail}"

    def _fill(self, weights: Mapping[str, Floats], *, new_head: bool) -> None:
        plain = {name.removeprefix(PREFIX): value for name, value in weights.items()}
        for name, value in self.weights().items():
            given = plain.get(name.removeprefix(PREFIX))
            if new_head and not name.startswith(OF_ENCODER):
                if given is not None and given.shape == value.shape:
                    np.copyto(value, given)
                continue
            if given is None:
                message = f"the weights lack {name}; give a tensor of shape {value.shape}"
                raise BadInputError(message)
            if given.shape != value.shape:
                message = f"{name} has shape {given.shape} where {value.shape} is needed"
                raise BadInputError(message)
            np.copyto(value, given)

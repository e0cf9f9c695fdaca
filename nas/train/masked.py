"""Learning to read hidden words, by one network or by sub-models of all sizes. Knows no file.

Masked language modelling is Devlin et al.'s ("BERT", NAACL 2019); that masks are drawn anew in
every epoch, and next sentences left out, is Liu et al.'s ("RoBERTa", 2019). In a sandwich small
sub-models learn from what the largest says of the same hidden words.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nas.data.batches import in_order
from nas.data.masking import NO_TARGET, Masking, draw, mask
from nas.data.tokens import Ints
from nas.network import Network
from nas.supernet import backward
from nas.train.family import Family, told
from nas.train.moment import Moment
from nas.train.task import SCORED_TOKENS
from nas.train.text import Inputs, Text

HELD_OUT = 0, 2**32 - 1
"""Seed and epoch of the masks by which every training on the same text is scored."""


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """Sequences with hidden words, and those words."""

    inputs: Inputs
    places: Tensor
    """(n,): where they are in the flattened (B T)."""
    words: Tensor
    """(n,): their ids."""

    def read_by(self, network: Network) -> Tensor:
        """(n, vocabulary): what a network says of the hidden words alone."""
        states: Tensor = network.encoder(*self.inputs)  # (B, T, hidden)
        return network.answer(states.flatten(0, 1)[self.places])


class Masked:
    """Learning the hidden words of a text."""

    def __init__(self, family: Family, text: Text, masking: Masking | None = None) -> None:
        """Take a network, or a supernet, and what it shall read.

        Args:
            family: its network has a head for hidden words.
            text: what is learned from, and what is not.
            masking: how many words are hidden, and which.

        Raises:
            BadInputError: the largest, which teaches, is not there in some steps.
        """
        family.require_largest()
        self.family, self.text, self.masking = family, text, masking or Masking()

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
        hidden = self.hidden(self.text.learned[examples], moment.seed, moment.epoch)
        subs = self.family.drawn(moment)
        losses: dict[str, float] = {}
        taught: Taught | None = None
        for name, sub in subs.items():
            outputs = hidden.read_by(self.family.at(sub)).float()
            if taught is None:
                loss = cross_entropy(outputs, hidden.words)
                taught = Taught.by(outputs) if len(subs) > 1 else None
            else:
                loss = taught.divergence(outputs)
            backward(loss * (share / len(subs)))
            losses[name] = loss.item()
        return told(losses)

    def hidden(self, rows: NDArray[np.int64], seed: int, epoch: int) -> Hidden:
        """Sequences of the text with the words hidden that this epoch hides."""
        lines = self.text.batch(rows)
        draws = draw(seed, epoch, rows, lines.ids.shape[1])
        ids, targets = mask(lines.ids, self.text.words, self.masking, draws)
        places = np.flatnonzero(targets != NO_TARGET)
        device = next(self.network.parameters()).device
        _, seen, types = lines.inputs(device)
        return Hidden(
            (torch.from_numpy(ids.astype(np.int64)).to(device), seen, types),
            torch.from_numpy(places).to(device),
            torch.from_numpy(targets.ravel()[places].astype(np.int64)).to(device),
        )

    def evaluate(self) -> dict[str, float]:
        """Share of the held-out text's hidden words that are read, and the loss.

        First the means over the sub-models that are watched, then those of each.
        """
        self.network.eval()
        found = {name: self._scored(self.family.at(a)) for name, a in self.family.watched.items()}
        self.network.train()
        means = np.mean(list(found.values()), axis=0)
        scores = {"accuracy": float(means[0]), "loss": float(means[1])}
        if len(found) > 1:
            scores |= {f"accuracy {name}": x for name, (x, _) in found.items()}
            scores |= {f"loss {name}": x for name, (_, x) in found.items()}
        return scores

    @torch.inference_mode()
    def _scored(self, network: Network) -> tuple[float, float]:
        right, loss, count = 0, 0.0, 0
        lengths = self.text.lengths_of(self.text.held)
        for examples in in_order(lengths, SCORED_TOKENS):
            hidden = self.hidden(self.text.held[examples], *HELD_OUT)
            outputs = hidden.read_by(network).float()
            right += int((outputs.argmax(-1) == hidden.words).sum())
            loss += F.cross_entropy(outputs, hidden.words, reduction="sum").item()
            count += len(hidden.words)
        return right / max(1, count), loss / max(1, count)

    def keep(self, folder: Path) -> None:
        """Write the network as it is now."""
        self.family.keep(folder, self.text.tokenizer)


def cross_entropy(outputs: Tensor, words: Tensor) -> Tensor:
    """Mean over the hidden words; 0 where none could be hidden."""
    return F.cross_entropy(outputs, words, reduction="sum") / max(1, len(words))


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """What the largest sub-model says of hidden words, for the others."""

    chances: Tensor
    """(n, vocabulary)"""
    entropy: Tensor
    """Of all of them, in sum: what no student's cross-entropy can be below."""

    @classmethod
    def by(cls, outputs: Tensor) -> "Taught":
        """As a teacher says it, (n, vocabulary) before the softmax."""
        chances = outputs.detach().softmax(-1)
        return cls(chances, torch.special.entr(chances).sum())

    def divergence(self, outputs: Tensor) -> Tensor:
        """Kullback and Leibler's, a mean over the hidden words.

        A cross-entropy less the entropy needs half the memory of torch's `kl_div`.
        """
        found = F.cross_entropy(outputs, self.chances, reduction="sum") - self.entropy
        return found / max(1, len(outputs))

"""Sequences of text that are learned from, and some that are not. Knows no network and no loss."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.batches import gather
from nas.data.pretraining import Pretraining
from nas.data.tokens import Encoded, Ints
from nas.data.vocabulary import Vocabulary, WordPieces
from results.architecture import Architecture
from results.errors import BadInputError

SHARE, LEAST, MOST = 100, 64, 2048
"""Of so many sequences one is held out; at least so many, and at the most."""

Inputs = tuple[Tensor, Tensor | None, Tensor]
"""Ids, mask and types, (B, T) each; no mask where nothing is padded."""


class Text:
    """Pretraining data, divided. Next-sentence labels are left alone.

    What is held out is a function of the sequences themselves: those with the lowest digests, so
    that copies of a sequence are on one side, and the same data are always divided alike.
    """

    def __init__(self, data: Pretraining, model: Path, tokens: int) -> None:
        """Divide it.

        Args:
            data: as `nas data generate` makes it.
            model: folder with the tokeniser it was made by.
            tokens: sequences are cut after so many.

        Raises:
            BadInputError: it is of another vocabulary, or too little.
        """
        self.words: Vocabulary = WordPieces(model).vocabulary
        data.require(self.words, model)
        self.data, self.tokenizer, self.tokens = data, model, tokens
        self.learned, self.held = _divided(data)

    @property
    def lengths(self) -> Ints:
        """(examples,): tokens of each sequence that is learned from."""
        return self.lengths_of(self.learned)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence, after the cut."""
        return min(int(self.data.lengths.max()), self.tokens)

    def require(self, architecture: Architecture, name: str) -> None:
        """Raises BadInputError: the text is not for this network."""
        if self.longest > architecture.positions:
            message = (
                f"{self.data.path} has sequences of {self.longest} tokens and {name} has "
                f"{architecture.positions} positions: cut them with --tokens "
                f"{architecture.positions}, or generate the data again with that"
            )
            raise BadInputError(message)
        if architecture.vocab < len(self.words):
            message = (
                f"{name} has a table of {architecture.vocab} words, and its tokenizer knows "
                f"{len(self.words)}: give a folder whose weights and tokenizer belong together"
            )
            raise BadInputError(message)

    def lengths_of(self, rows: NDArray[np.int64]) -> Ints:
        """(rows,): tokens of each, after the cut."""
        return np.minimum(self.data.lengths[rows], self.tokens).astype(np.int32)

    def batch(self, rows: NDArray[np.int64]) -> "Lines":
        """Sequences side by side, the short ones filled with [PAD]."""
        found = gather(_cut(self.data.rows(rows), self.tokens), np.arange(len(rows)))
        ids = found.ids.astype(np.int32)
        if found.mask is not None:
            ids[found.mask == 0] = self.words.pad
        return Lines(ids, found.types, found.mask, rows)


@dataclass(frozen=True, eq=False)
class Lines:
    """Sequences side by side."""

    ids: NDArray[np.int32]
    """(B, T)"""
    types: NDArray[np.int64]
    """(B, T)"""
    mask: NDArray[np.int64] | None
    """(B, T): 1 token, 0 padding; None where nothing is padded."""
    rows: NDArray[np.int64]
    """(B,): which ones of the data."""

    def inputs(self, device: torch.device) -> Inputs:
        """What a network is fed."""
        ids, types = (torch.from_numpy(x.astype(np.int64)) for x in (self.ids, self.types))
        mask = None if self.mask is None else torch.from_numpy(self.mask).to(device)
        return ids.to(device), mask, types.to(device)


def _divided(data: Pretraining) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    count = len(data)
    wanted = min(max(count // SHARE, LEAST), MOST, count // 2)
    if not wanted:
        message = (
            f"{data.path} has {count} sequences, and one is learned from and one held out at "
            "least: generate data from more text"
        )
        raise BadInputError(message)
    digests = np.array([_digest(data, row) for row in range(count)], np.uint64)
    limit = np.partition(digests, wanted - 1)[wanted - 1]
    held = digests <= limit
    if held.all():
        raise BadInputError(f"{data.path} has one sequence again and again: generate other data")
    return np.flatnonzero(~held), np.flatnonzero(held)


def _digest(data: Pretraining, row: int) -> int:
    ids = data.rows([row]).ids
    return int.from_bytes(hashlib.blake2b(ids.tobytes(), digest_size=8).digest(), "little")


def _cut(data: Encoded, tokens: int) -> Encoded:
    """The first so many tokens of each."""
    lengths = data.lengths
    if not len(lengths) or int(lengths.max()) <= tokens:
        return data
    inside = np.arange(len(data.ids)) - np.repeat(data.starts[:-1], lengths)
    kept = inside < tokens
    starts = np.concatenate([[0], np.cumsum(np.minimum(lengths, tokens), dtype=np.int64)])
    return replace(data, ids=data.ids[kept], types=data.types[kept], starts=starts)

"""Which tokens a masked language model has to guess. Knows no file, no network, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.data.vocabulary import Vocabulary

Ids = NDArray[np.int32]

NO_TARGET = -100
"""What PyTorch's cross-entropy leaves out."""

HIDDEN, SWAPPED = 0.8, 0.9
"""Below the first: [MASK] instead; below the second: any token; else the token itself (BERT)."""

_CHOICE, _FATE, _SWAP, _DRAWS = 0, 1, 2, 3
"""What the three numbers drawn for a token decide."""

_PURPOSE = 0x6D61736B
"""Keeps these draws apart from others of the same seed."""


@dataclass(frozen=True, slots=True)
class Masking:
    """How much is masked, and by what unit."""

    probability: float = 0.15
    """Share of a sequence's own tokens (its marks do not count); above 0, one token at least."""
    whole_words: bool = False
    """A word's `##` pieces are masked with its first one, or none of them is."""
    most: int | None = None
    """Masked tokens of a sequence at the most."""


def draw(
    seed: int, epoch: int, rows: Sequence[int] | NDArray[np.int64], tokens: int
) -> NDArray[np.float32]:
    """What `mask` needs to choose: (rows, tokens, 3), uniform in [0, 1).

    A row's numbers depend on the seed, the epoch and the row: not on its batch, nor on `tokens`.
    """
    draws = np.empty((len(rows), tokens, _DRAWS), np.float32)
    key = np.random.SeedSequence((_PURPOSE, seed, epoch)).generate_state(2, np.uint64)
    for place, row in enumerate(rows):
        counter = np.array([0, 0, row, 0], np.uint64)
        rng = np.random.Generator(np.random.Philox(key=key, counter=counter))
        rng.random(out=draws[place], dtype=np.float32)
    return draws


def mask(
    ids: Ids, words: Vocabulary, masking: Masking, draws: NDArray[np.float32]
) -> tuple[Ids, Ids]:
    """Inputs and targets of masked language modelling (Devlin et al., NAACL 2019, 3.1), anew.

    `ids` (B, T) has sequences of any length, padded with any special token. The inputs are `ids`
    with [MASK] in 80 % of the chosen places, any ordinary token in 10 %, left as it is in 10 %.
    The targets hold the original there and `NO_TARGET` everywhere else. Special tokens
    are never chosen. Of n tokens round(n x probability) are, fewer only where whole words do not
    add up to that.
    """
    free = ~words.special[ids]
    budget = _budget(free.sum(axis=1), masking)
    keys = draws[..., _CHOICE]
    if masking.whole_words:
        chosen = _whole_words(free, words.continues[ids], budget, keys)
    else:
        order: NDArray[np.int64] = np.where(free, keys, np.inf).argsort(axis=1, kind="stable")
        chosen = _ranks(order) < budget[:, None]
    ordinary = np.flatnonzero(~words.special)
    others = ordinary[
        (draws[..., _SWAP] * np.float32(len(ordinary))).astype(np.int64) % len(ordinary)
    ]
    fate = draws[..., _FATE]
    inputs = ids.copy()
    inputs[chosen & (fate < HIDDEN)] = words.mask
    swapped = chosen & (fate >= HIDDEN) & (fate < SWAPPED)
    inputs[swapped] = others[swapped]
    return inputs, np.where(chosen, ids, ids.dtype.type(NO_TARGET))


def _budget(free: NDArray[np.int64], masking: Masking) -> NDArray[np.int64]:
    """Tokens to choose in every row (B)."""
    if masking.probability <= 0:
        return np.zeros_like(free)
    wanted = np.maximum(1, np.rint(free * masking.probability).astype(np.int64))
    most = free if masking.most is None else np.minimum(free, masking.most)
    budget: NDArray[np.int64] = np.minimum(wanted, most)
    return budget


def _ranks(order: NDArray[np.int64]) -> NDArray[np.int64]:
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None, :], axis=1)
    return ranks


def _whole_words(
    free: NDArray[np.bool_],
    continues: NDArray[np.bool_],
    budget: NDArray[np.int64],
    keys: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Words in random order, each one taken that still fits (B, T); all rows at once."""
    before = np.zeros_like(free)
    before[:, 1:] = free[:, :-1]
    heads = free & ~(continues & before)
    word = np.cumsum(heads, axis=1) - 1  # the number of the word a place belongs to, in its row
    rows, count = len(free), int(heads.sum(axis=1).max(initial=0))
    sizes = np.zeros((rows, count), np.int64)
    order_keys = np.full((rows, count), np.inf, np.float32)
    row, place = np.nonzero(free)
    np.add.at(sizes, (row, word[row, place]), 1)
    row, place = np.nonzero(heads)
    order_keys[row, word[row, place]] = keys[row, place]
    order: NDArray[np.int64] = order_keys.argsort(axis=1, kind="stable")
    taken = np.zeros((rows, count), np.bool_)
    rest, every = budget.copy(), np.arange(rows)
    for words in order.T:
        size = sizes[every, words]
        fits = (size > 0) & (size <= rest)
        rest -= size * fits
        taken[every, words] |= fits
        if not rest.any():
            break
    if not count:
        return free
    chosen: NDArray[np.bool_] = np.take_along_axis(taken, np.maximum(word, 0), axis=1)
    return free & chosen

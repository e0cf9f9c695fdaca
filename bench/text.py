"""Sentences from a file as token ids, in batches of one length. Knows no model and no clock."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.data.tokens import tokenizer_of
from profiler.runtimes.runtime import INPUTS, Inputs
from results.errors import BadInputError
from results.textfile import read_text

if TYPE_CHECKING:
    from quant.calibrate import Batch

BATCH = 32
"""Sentences in a batch at the most."""

LEAST_SENTENCES = 2


@dataclass(frozen=True, slots=True)
class Text:
    """Sentences of one file, tokenised."""

    label: str
    """`name@sha256:<16 digits>`."""
    sentences: tuple[tuple[int, ...], ...]
    """Token ids, with the marks that begin and end a sentence."""

    def halves(self) -> tuple["Text", "Text"]:
        """Every other sentence, and the rest."""
        return (
            Text(f"{self.label} (odd lines)", self.sentences[::2]),
            Text(f"{self.label} (even lines)", self.sentences[1::2]),
        )

    def batches(self) -> list[Inputs]:
        """Batches of sentences of equal length, the shortest first: nothing is padded."""
        return list(_batches(sorted(self.sentences, key=len)))


def read(path: Path, model: Path, tokens: int) -> Text:
    """One sentence a line, by the tokenizer of a Hugging Face folder, cut after `tokens`.

    Raises:
        BadInputError: no text to speak of, or no tokenizer in the folder.
    """
    whole = read_text(path)
    lines = [line for line in whole.splitlines() if line.strip()]
    if len(lines) < LEAST_SENTENCES:
        raise BadInputError(
            f"{path} has {len(lines)} lines of text: give a sentence a line, some hundred of them"
        )
    label = f"{path.name}@sha256:{hashlib.sha256(whole.encode()).hexdigest()[:16]}"
    return Text(label, tuple(_tokenised(lines, model, tokens)))


def _tokenised(lines: Sequence[str], model: Path, tokens: int) -> Iterator[tuple[int, ...]]:
    tokenizer = tokenizer_of(model)
    tokenizer.enable_truncation(tokens)
    for found in tokenizer.encode_batch(list(lines)):
        yield tuple(found.ids)


def _batches(ordered: Sequence[tuple[int, ...]]) -> Iterator[Inputs]:
    start = 0
    for end in range(1, len(ordered) + 1):
        full = end - start == BATCH
        if full or end == len(ordered) or len(ordered[end]) != len(ordered[start]):
            ids = np.array(ordered[start:end], np.int64)
            yield Inputs(ids, np.ones_like(ids), np.zeros_like(ids))
            start = end


def fed(batches: Sequence[Inputs]) -> "list[Batch]":
    """The same batches as a graph is fed them."""
    return [{name: getattr(batch, name) for name in INPUTS} for batch in batches]

"""Text that ranges of activations are observed on, as batches. Knows no network."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.data.task import TRAIN, Task
from nas.data.tokens import encode, tokenizer_of
from nas.extract.onnx_files import Observed
from nas.score.engines import fed
from nas.score.scorer import Scorer
from results.errors import BadInputError
from results.textfile import read_text

MOST_TOKENS = 128
"""Of an example; what is longer is cut."""

EXAMPLES = 512
"""Of a task, evenly spaced."""

BATCH = 32

LEAST_LINES = 2


@dataclass(frozen=True, slots=True)
class Text:
    """Texts, or pairs of them, and where they are from."""

    label: str
    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None = None


def of_file(path: Path) -> Text:
    """A sentence a line."""
    whole = read_text(path)
    lines = tuple(line for line in whole.splitlines() if line.strip())
    if len(lines) < LEAST_LINES:
        message = f"{path} has {len(lines)} lines of text: give a sentence a line, some hundred"
        raise BadInputError(message)
    digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return Text(f"{path.name}@sha256:{digest}", lines)


def of_task(task: Task) -> Text:
    """Some of what a task learns from; never of what it is judged by."""
    split = task.splits[TRAIN]
    wanted = min(EXAMPLES, len(split))
    places = np.linspace(0, len(split) - 1, wanted).round().astype(int).tolist()
    texts = tuple(split.texts[i] for i in places)
    pairs = None if split.pairs is None else tuple(split.pairs[i] for i in places)
    return Text(f"{task.name} {TRAIN}@sha256:{split.digest[:16]}", texts, pairs)


def of_scorer(scorer: Scorer) -> Observed:
    """What a scorer calibrates on: with it a file has the very ranges that were scored.

    Whole examples of the train split, drawn by the scorer's seed; questions in their windows.
    """
    found, label = scorer.calibration
    return Observed(label, fed(found))


def batches(text: Text, folder: Path, positions: int) -> list[Mapping[str, NDArray[np.int64]]]:
    """What a graph is fed: examples of one length side by side, nothing is padded."""
    most = min(MOST_TOKENS, positions)
    found = encode(tokenizer_of(folder), text.texts, text.pairs, most_tokens=most)
    ranked = np.argsort(found.lengths, kind="stable")
    return [
        _batch([found.ids[found.starts[i] : found.starts[i + 1]] for i in part],
               [found.types[found.starts[i] : found.starts[i + 1]] for i in part])
        for part in _alike(ranked, found.lengths)
    ]  # fmt: skip


def _alike(ranked: NDArray[np.intp], lengths: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    """Stretches of one length, `BATCH` at the most."""
    borders = np.flatnonzero(np.diff(lengths[ranked])) + 1
    runs = np.split(ranked, borders)
    return [run[i : i + BATCH] for run in runs for i in range(0, len(run), BATCH)]


def _batch(
    ids: Sequence[NDArray[np.int32]], types: Sequence[NDArray[np.int32]]
) -> Mapping[str, NDArray[np.int64]]:
    stacked = np.stack(ids).astype(np.int64)
    return {
        "input_ids": stacked,
        "attention_mask": np.ones_like(stacked),
        "token_type_ids": np.stack(types).astype(np.int64),
    }

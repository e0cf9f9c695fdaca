"""Long texts in windows that overlap, and answers out of them. Knows no file and no network.

The recipe is that of Devlin et al. 2019, section 4.2: a question and a stretch of its text in each
window, a logit a token for where the answer starts and for where it ends.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.data.task import Answer, Split
from results.errors import BadInputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Integers = NDArray[np.int32]
Floats = NDArray[np.float32]

QUESTION = 64
"""Tokens of a question, at most; what is longer is cut."""

BATCH = 1_000
"""Questions that are in memory as the tokeniser's own objects at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Windows in columns, those of a question one after the other; T differs between them."""

    ids: tuple[Integers, ...]
    """Token numbers, (T,): special ones, the question, a stretch of the context. No padding."""
    types: tuple[Integers, ...]
    """(T,): 0 for the question, 1 for the context."""
    offsets: tuple[Integers, ...]
    """(T, 2): first character in the context and the one after the last; -1 outside it."""
    examples: Integers
    """(W,): number of the question in its split."""
    starts: Integers
    """(W,): token where the first right answer starts; 0 if it is not whole in this window."""
    ends: Integers
    """(W,): token where it ends, itself a part of it; 0 likewise."""

    def __len__(self) -> int:
        return len(self.ids)


def windows(
    tokenizer: "Tokenizer",
    split: Split,
    *,
    tokens: int = 384,
    stride: int = 128,
    question: int = QUESTION,
) -> Windows:
    """Every question with every stretch of its context.

    Args:
        tokenizer: of BERT's kind; it is left as it was.
        split: of a task of spans.
        tokens: at most, in a window.
        stride: tokens of the context that a window shares with the one before it.
        question: tokens of a question, at most.

    Raises:
        BadInputError: windows too short for the question, the shared tokens and one more.
    """
    if split.pairs is None:
        raise BadInputError("texts without contexts have no spans; take a task of kind `span`")
    tokenizer = _own(tokenizer)
    least = question + stride + tokenizer.num_special_tokens_to_add(is_pair=True) + 1
    if tokens < least or min(stride, question) < 0:
        need = f"a question of {question}, {stride} that are shared and one more need {least}"
        raise BadInputError(f"windows of {tokens} tokens are too short: {need}")
    found: list[_Window] = []
    for first in range(0, len(split), BATCH):
        texts = _shortened(tokenizer, split.texts[first : first + BATCH], question)
        contexts = split.pairs[first : first + BATCH]
        tokenizer.enable_truncation(tokens, stride=stride, strategy="only_second")
        encodings = tokenizer.encode_batch(list(zip(texts, contexts, strict=True)))
        for number, encoding in enumerate(encodings, start=first):
            answer = split.answers[number][0] if split.answers else None
            several = [encoding, *encoding.overflowing]
            found.extend(_of_one(several, number, len(split.pairs[number]), answer))
    return _columns(found)


def decode(
    found: Windows,
    start_logits: Sequence[Floats],
    end_logits: Sequence[Floats],
    split: Split,
    *,
    n_best: int = 20,
    longest: int = 30,
) -> list[str]:
    """The likeliest answer to each question, "" where no window has one.

    Args:
        found: from `windows`, of all of the split or of some of it.
        start_logits: of each window, (T,) or longer if padded.
        end_logits: likewise.
        split: where the texts are.
        n_best: how many of the likeliest starts and ends of a window are paired.
        longest: tokens of an answer, at most.

    Raises:
        BadInputError: logits that are no numbers, or not one a token.
    """
    best = np.full(len(split), -np.inf)
    answers = [""] * len(split)
    if not len(found) == len(start_logits) == len(end_logits):
        counts = f"{len(start_logits)} and {len(end_logits)} for {len(found)} windows"
        raise BadInputError(f"there are logits of {counts}; give those of each")
    contexts = split.pairs or ()
    for window, example in enumerate(found.examples.tolist()):
        offsets = found.offsets[window]
        inside = np.flatnonzero(offsets[:, 0] >= 0)
        starts = _logits(start_logits[window], len(offsets))[inside]
        ends = _logits(end_logits[window], len(offsets))[inside]
        score, start, end = _likeliest(starts, ends, n_best, longest)
        if score > best[example]:
            best[example] = score
            first, last = offsets[inside[start], 0], offsets[inside[end], 1]
            answers[example] = contexts[example][first:last]
    return answers


@dataclass(frozen=True, slots=True)
class _Window:
    ids: Integers
    types: Integers
    offsets: Integers
    example: int
    start: int
    end: int


def _own(tokenizer: "Tokenizer") -> "Tokenizer":
    """A copy, so that nobody else's tokeniser is told to cut."""
    copy = type(tokenizer).from_str(tokenizer.to_str())
    copy.no_padding()
    copy.no_truncation()
    return copy


def _shortened(tokenizer: "Tokenizer", texts: Sequence[str], most: int) -> list[str]:
    """Questions of so many tokens at most."""
    tokenizer.no_truncation()
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    ends = [e.offsets[:most][-1][1] if len(e) > most and most else None for e in encodings]
    return [text[:end] if most else "" for text, end in zip(texts, ends, strict=True)]


def _of_one(
    encodings: Sequence[Any], example: int, characters: int, answer: Answer | None
) -> Iterator[_Window]:
    """The windows of one question; together they have all of its context."""
    for place, encoding in enumerate(encodings):
        second = np.array([s == 1 for s in encoding.sequence_ids], bool)
        offsets = np.where(second[:, None], np.array(encoding.offsets, np.int32), np.int32(-1))
        inside = np.flatnonzero(second)
        begin = 0 if place == 0 or not inside.size else offsets[inside[0], 0]
        stop = characters if place == len(encodings) - 1 else offsets[inside[-1], 1]
        start, end = _tokens(offsets, inside, (int(begin), int(stop)), answer)
        ids, types = (np.array(x, np.int32) for x in (encoding.ids, encoding.type_ids))
        yield _Window(ids, types, offsets, example, start, end)


def _tokens(
    offsets: Integers, inside: NDArray[np.intp], has: tuple[int, int], answer: Answer | None
) -> tuple[int, int]:
    """First and last token of the answer, if the window has all its characters; else 0 and 0."""
    if answer is None or not inside.size:
        return 0, 0
    start, stop = answer.start, answer.start + len(answer.text)
    if not has[0] <= start < stop <= has[1]:
        return 0, 0
    first = int(np.searchsorted(offsets[inside, 1], start, side="right"))
    last = int(np.searchsorted(offsets[inside, 0], stop, side="left")) - 1
    return (int(inside[first]), int(inside[last])) if first <= last else (0, 0)


def _columns(found: Sequence[_Window]) -> Windows:
    examples, starts, ends = (
        np.array([getattr(w, name) for w in found], np.int32)
        for name in ("example", "start", "end")
    )
    return Windows(
        tuple(w.ids for w in found),
        tuple(w.types for w in found),
        tuple(w.offsets for w in found),
        examples,
        starts,
        ends,
    )


def _logits(given: Floats, tokens: int) -> Floats:
    logits = np.asarray(given, np.float32)
    if logits.ndim != 1 or len(logits) < tokens:
        raise BadInputError(f"a window of {tokens} tokens has logits of shape {logits.shape}")
    if not np.isfinite(logits[:tokens]).all():
        raise BadInputError("some logits are not finite; the network diverged")
    return logits[:tokens]


def _likeliest(starts: Floats, ends: Floats, n_best: int, longest: int) -> tuple[float, int, int]:
    """The best sum of a start's and an end's logit, and where they are; earlier ones win ties."""
    first = np.sort(np.argsort(-starts, kind="stable")[:n_best])
    last = np.sort(np.argsort(-ends, kind="stable")[:n_best])
    tokens = last[None, :] - first[:, None] + 1
    sums = np.add.outer(starts[first].astype(np.float64), ends[last])
    sums[(tokens < 1) | (tokens > longest)] = -np.inf
    if not sums.size:
        return -np.inf, 0, 0
    row, column = np.unravel_index(sums.argmax(), sums.shape)
    return float(sums[row, column]), int(first[row]), int(last[column])

"""From documents as token ids to sequences for pretraining. Knows no file and no tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from nas.data.vocabulary import Vocabulary
from results.errors import BadInputError

Style = Literal["autotinybert", "tinybert"]

Sentence = Sequence[int]
Document = Sequence[Sentence]

LEAST_TOKENS = 3
"""Greedy packing leaves out what is shorter (Bigger&Faster): a heading, a lone "Yes."."""

SHORT = 0.1
"""How often a document's sequences are made shorter than they could be (BERT)."""

ONE_SEGMENT, FOLLOWS, RANDOM = -1, 0, 1
"""Labels of next-sentence prediction, as in BERT: 1 where the second segment is a random one."""

LEAST_ROOM = 8
"""Tokens of a sequence at least, marks included."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """N sequences end to end. Each is `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`."""

    ids: NDArray[np.int32]
    """All tokens (T)."""
    lengths: NDArray[np.int32]
    """Tokens of each sequence (N); they sum to T."""
    boundaries: NDArray[np.int32]
    """Where the second segment begins (N): tokens up to the first [SEP], itself included."""
    next_sentence: NDArray[np.int8]
    """`FOLLOWS`, `RANDOM` or `ONE_SEGMENT` (N)."""
    documents: NDArray[np.int64]
    """The number of the document it, or its first segment, is from (N)."""

    def __len__(self) -> int:
        return len(self.lengths)

    def first(self, sequences: int) -> "Packed":
        """The first ones only."""
        return Packed(
            self.ids[: int(self.lengths[:sequences].sum())],
            self.lengths[:sequences],
            self.boundaries[:sequences],
            self.next_sentence[:sequences],
            self.documents[:sequences],
        )


@dataclass(frozen=True, slots=True)
class Packing:
    """How documents become sequences."""

    style: Style
    tokens: int
    """Of a sequence at the most, its marks included."""
    seed: int = 0
    epoch: int = 0
    """Another one draws anew (`tinybert`)."""

    def pack(self, documents: Sequence[Document], first: int, words: Vocabulary) -> Packed:
        """The sequences of all documents, in their order; `first` is the number of the first one.

        What is random depends on the seed, the epoch, the document's number, and on which other
        documents are here: `tinybert` draws second segments from them.

        Raises:
            BadInputError: there are no others to draw from.
        """
        made = _Made(words)
        if self.style == "autotinybert":
            for number, document in enumerate(documents, first):
                for sequence in greedy(document, self.tokens - 2):
                    made.add_one(sequence, number)
        else:
            others = _Others(documents)
            for number, document in enumerate(documents):
                rng = np.random.default_rng((self.seed, self.epoch, first + number))
                for a, b, random in _pairs(document, number, others, self.tokens - 3, rng):
                    made.add_two(a, b, first + number, random=random)
        return made.packed()


class _Made:
    """Sequences as they come."""

    def __init__(self, words: Vocabulary) -> None:
        self._cls, self._sep = words.cls, words.sep
        self._sequences: list[list[int]] = []
        self._rest: list[tuple[int, int, int]] = []

    def add_one(self, a: Sequence[int], document: int) -> None:
        self._sequences.append([self._cls, *a, self._sep])
        self._rest.append((len(a) + 2, ONE_SEGMENT, document))

    def add_two(self, a: Sequence[int], b: Sequence[int], document: int, *, random: bool) -> None:
        self._sequences.append([self._cls, *a, self._sep, *b, self._sep])
        self._rest.append((len(a) + 2, RANDOM if random else FOLLOWS, document))

    def packed(self) -> Packed:
        lengths = np.fromiter(map(len, self._sequences), np.int32, len(self._sequences))
        ids = np.fromiter(chain.from_iterable(self._sequences), np.int32, int(lengths.sum()))
        rest = np.array(self._rest, np.int64).reshape(-1, 3)
        return Packed(
            ids, lengths, rest[:, 0].astype(np.int32), rest[:, 1].astype(np.int8), rest[:, 2]
        )


def greedy(document: Document, room: int) -> list[list[int]]:
    """Whole sentences, as many as fit into `room` tokens, then the next sequence (AutoTinyBERT).

    A sentence that is longer by itself is cut after `room` tokens; what is shorter than
    `LEAST_TOKENS` is left out, sentence or sequence.
    """
    made: list[list[int]] = []
    current: list[int] = []
    for sentence in document:
        if len(sentence) < LEAST_TOKENS:
            continue
        if current and len(current) + len(sentence) > room:
            made.append(current)
            current = []
        current.extend(sentence[:room])
    return [*made, current] if current else made


class _Others:
    """Documents to draw from, each as likely as it has sentences (TinyBERT)."""

    def __init__(self, documents: Sequence[Document]) -> None:
        if sum(map(bool, documents)) < 2:  # noqa: PLR2004
            raise BadInputError(
                "the corpus has a single document, and tinybert draws segments from others: put "
                "blank lines between documents, or choose --style autotinybert"
            )
        self._documents = documents
        self._ends = np.cumsum([len(document) for document in documents])

    def draw(self, own: int, rng: Generator) -> Document:
        """Any but document `own`, from a random sentence of it on."""
        total, size = int(self._ends[-1]), len(self._documents[own])
        sentence = (int(self._ends[own]) + int(rng.integers(total - size))) % total
        other = int(np.searchsorted(self._ends, sentence, side="right"))
        document = self._documents[other]
        return document[int(rng.integers(len(document))) :]


def _pairs(
    document: Document, own: int, others: _Others, room: int, rng: Generator
) -> list[tuple[list[int], list[int], bool]]:
    """BERT's `create_instances_from_document`: two segments, and is the second a random one?

    Sentences that a random second segment pushed out are used again.
    """
    target = int(rng.integers(2, room + 1)) if rng.random() < SHORT else room
    made = []
    start = 0
    while start < len(document):
        end, length = start, 0
        while end < len(document) and length < target:
            length += len(document[end])
            end += 1
        middle = start + (int(rng.integers(1, end - start)) if end - start > 1 else 1)
        a = list(chain.from_iterable(document[start:middle]))
        random = end - start == 1 or rng.random() < 0.5  # noqa: PLR2004
        if random:
            b, end = _until(others.draw(own, rng), target - len(a)), middle
        else:
            b = list(chain.from_iterable(document[middle:end]))
        made.append((*truncated(a, b, room, rng), random))
        start = end
    return made


def _until(sentences: Document, length: int) -> list[int]:
    found: list[int] = []
    for sentence in sentences:
        found.extend(sentence)
        if len(found) >= length:
            break
    return found


def truncated(
    a: list[int], b: list[int], room: int, rng: Generator
) -> tuple[list[int], list[int]]:
    """Both cut to `room` tokens together, the longer one first, at either end by chance (BERT)."""
    kept_b = min(len(b), max(room - len(a), room // 2))
    kept_a = min(len(a), room - kept_b)
    return _cut(a, kept_a, rng), _cut(b, kept_b, rng)


def _cut(tokens: list[int], kept: int, rng: Generator) -> list[int]:
    excess = len(tokens) - kept
    front = int(rng.binomial(excess, 0.5)) if excess else 0
    return tokens[front : front + kept]

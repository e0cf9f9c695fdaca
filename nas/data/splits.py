"""Examples without repetitions, and which of them to learn from. Knows no file and no task.

Nothing is drawn: SHA-256 of the normalised text orders examples, wherever they stand in a file.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nas.data.task import DEV, TEST, TRAIN

TENTH = 10
MOST = 2_000
"""Examples of a dev or a test split: a tenth, but no more than these."""

Examples = Sequence["Example"]


@dataclass(frozen=True, slots=True)
class Example:
    """A text or two, and what is said of it."""

    text: str
    label: str
    """Name of a class, or a number as it was written."""
    pair: str | None = None
    group: str = ""
    """Examples of one group are never in two splits; "" if each stands for itself."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many examples were left out, and why."""

    repeated: int = 0
    """An earlier example has the same text and label."""
    contradictory: int = 0
    """Another one has the same text and a different label; all of them went."""
    shared: int = 0
    """A split to choose by or to report has the same text."""

    def __add__(self, other: "Dropped") -> "Dropped":
        return Dropped(
            self.repeated + other.repeated,
            self.contradictory + other.contradictory,
            self.shared + other.shared,
        )

    def __str__(self) -> str:
        parts = (
            (self.repeated, "repeated"),
            (self.contradictory, "with a text that has two labels"),
            (self.shared, "to learn from that dev or test has too"),
        )
        return ", ".join(f"{count:,} {what}" for count, what in parts if count)


def normalised(example: Example) -> str:
    """Its text or two, alike for letters of either case and whatever white space."""
    first = " ".join(example.text.casefold().split())
    if example.pair is None:
        return first
    return first + "\n" + " ".join(example.pair.casefold().split())


def distinct(examples: Iterable[Example]) -> tuple[list[Example], Dropped]:
    """The first of each text, in their order; none of a text with different labels."""
    found: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        found[normalised(example)].append(example)
    kept, repeated, contradictory = [], 0, 0
    for same in found.values():
        if len({example.label for example in same}) == 1:
            kept.append(same[0])
            repeated += len(same) - 1
        else:
            contradictory += len(same)
    return kept, Dropped(repeated, contradictory)


def divide(
    examples: Examples, parts: Sequence[str] = (DEV, TEST), *, stratified: bool = True
) -> dict[str, list[Example]]:
    """A tenth for each of `parts` (dev, test), 2,000 at most; the rest is `train`.

    Test takes the lowest hashes of each label and dev the highest, both rounded down, so that
    every label is left in train. One example more, of 20,000 at most, moves at most one other
    across each border, and none between dev and test. Groups, where there are any, stay whole
    and are not stratified.

    Args:
        examples: distinct ones.
        parts: what to take from them besides `train`.
        stratified: the tenth of each label, not only of all.
    """
    strata: dict[str, dict[bytes, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, example in enumerate(examples):
        stratum = example.label if stratified and not example.group else ""
        strata[stratum][_hash(example.group or normalised(example))].append(place)
    where = [TRAIN] * len(examples)
    for units in strata.values():
        most = _share(sum(len(unit) for unit in units.values()), len(examples))
        upwards = [units[key] for key in sorted(units)]
        for part in parts:
            for place in _first(upwards if part == TEST else upwards[::-1], most):
                where[place] = part
    return {
        part: [example for example, its in zip(examples, where, strict=True) if its == part]
        for part in (TRAIN, *parts)
    }


def separated(
    splits: Mapping[str, Examples], order: Sequence[str] = (TRAIN, DEV, TEST)
) -> tuple[dict[str, list[Example]], Dropped]:
    """Given splits without what a later one has too: the last one stays whole.

    Args:
        splits: by their names, which are some of `order`.
        order: from the one to learn from to the one to report.
    """
    seen: set[str] = set()
    kept: dict[str, list[Example]] = {}
    shared = 0
    for name in reversed([name for name in order if name in splits]):
        own = [(normalised(example), example) for example in splits[name]]
        kept[name] = [example for text, example in own if text not in seen]
        shared += len(own) - len(kept[name])
        seen.update(text for text, _ in own)
    return dict(reversed(kept.items())), Dropped(shared=shared)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _share(count: int, total: int) -> int:
    """A tenth of so many examples, less where the tenth of all of them is more than is needed."""
    return count // TENTH if total <= TENTH * MOST else count * MOST // total


def _first(units: Iterable[Sequence[int]], most: int) -> Iterable[int]:
    """The members of the first units, `most` of them or a little fewer: none is broken up."""
    for unit in units:
        most -= len(unit)
        if most < 0:
            return
        yield from unit

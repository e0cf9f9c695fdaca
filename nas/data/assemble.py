"""From examples to a `Task`: classes get numbers, what cannot be learnt is refused."""

import math
from collections.abc import Mapping, Sequence

from nas.data.splits import Examples
from nas.data.task import TRAIN, Split, Task
from results.errors import BadInputError
from results.textfile import one_line

SOME = 5
"""Labels that a sentence names."""

ACCURACY = ("accuracy",)
CORRELATION = ("pearson", "spearman")


def classify(name: str, splits: Mapping[str, Examples], source: str) -> Task:
    """A task of classes: those of `train`, sorted, numbers by their value.

    Raises:
        BadInputError: there are fewer than two, or another split has one more.
    """
    classes = in_order({example.label for example in splits[TRAIN]})
    if len(classes) < 2:  # noqa: PLR2004
        found = f"only the label {one_line(classes[0], 50)!r}" if classes else "no examples"
        message = f"{name} has {found} to learn from: at least two different labels are needed"
        raise BadInputError(message)
    for part, examples in splits.items():
        unseen = in_order({example.label for example in examples} - set(classes))
        if unseen:
            message = (
                f"{part} of {name} has labels that train never shows: {some(unseen)}; add "
                "examples of them to train or take them out"
            )
            raise BadInputError(message)
    number = {label: place for place, label in enumerate(classes)}
    made = {
        part: _split(examples, tuple(number[example.label] for example in examples))
        for part, examples in splits.items()
    }
    return Task(name, "classes", tuple(classes), ACCURACY, made, source)


def regress(name: str, splits: Mapping[str, Examples], source: str) -> Task:
    """A task of scores: every label is a number."""
    made = {
        part: _split(examples, tuple(float(example.label) for example in examples))
        for part, examples in splits.items()
    }
    if len(set(made[TRAIN].labels)) < 2:  # noqa: PLR2004
        raise BadInputError(f"{name} has but one score to learn from: are the labels right?")
    return Task(name, "score", (), CORRELATION, made, source)


def are_scores(labels: Sequence[str]) -> bool:
    """Are all of them numbers, and some not whole?"""
    numbers = [number for number in map(_number, labels) if number is not None]
    return len(numbers) == len(labels) and not all(number.is_integer() for number in numbers)


def in_order(labels: set[str]) -> list[str]:
    """Whole numbers by their value, anything else by its letters."""
    if all(label.removeprefix("-").isdecimal() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def some(names: Sequence[str]) -> str:
    """The first of them, in quotes, and how many there are if there are more."""
    shown = ", ".join(repr(one_line(name, 50)) for name in names[:SOME])
    return shown if len(names) <= SOME else f"{shown}, ... ({len(names):,} of them)"


def _number(label: str) -> float | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _split(examples: Examples, labels: tuple[int, ...] | tuple[float, ...]) -> Split:
    pairs = [example.pair for example in examples if example.pair is not None]
    return Split(tuple(e.text for e in examples), tuple(pairs) if pairs else None, labels)

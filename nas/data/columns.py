"""Which columns of a table hold the texts and the labels. Knows no file."""

from collections.abc import Sequence
from dataclasses import dataclass

from results.errors import BadInputError
from results.textfile import one_line

TEXTS = ("text", "sentence", "sentence1", "question1", "premise", "question")
PAIRS = ("pair", "text2", "sentence2", "question2", "hypothesis")
LABELS = ("label", "labels", "class")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names that a person gave; None is looked for among the usual ones."""

    text: str | None = None
    pair: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Names of columns that are there."""

    text: str
    pair: str | None
    """None: the task has one text."""
    label: str | None
    """None: nobody labelled it."""


WHAT = {"text": "the text", "pair": "the second text", "label": "the label"}


def choose(columns: Columns, names: Sequence[str], where: object) -> Chosen:
    """Which of the columns `names` of `where` (for the message) are meant.

    Second texts are looked for only if the first ones were not named: who names one column and
    means two names both.

    Raises:
        BadInputError: a named one is not there, none or several could be meant, or one is meant
            twice.
    """
    text = _one("text", columns.text, TEXTS, names, where)
    if text is None:
        raise none_usual("text", names, where)
    pair = columns.pair
    if pair is not None or columns.text is None:
        pair = _one("pair", pair, PAIRS, names, where)
    label = _one("label", columns.label, LABELS, names, where)
    used = [name for name in (text, pair, label) if name is not None]
    for name in used:
        if used.count(name) > 1:
            raise BadInputError(f"the column {name!r} of {where} cannot be two things at once")
    return Chosen(text, pair, label)


def none_usual(role: str, names: Sequence[str], where: object) -> BadInputError:
    """What to say where a column is needed and none has a usual name."""
    message = f"{where} has no column with a usual name for {WHAT[role]}"
    return BadInputError(f"{message}: name one with --{role}-column, it has {_listed(names)}")


def _one(
    role: str, given: str | None, usual: Sequence[str], names: Sequence[str], where: object
) -> str | None:
    if given is not None:
        if given not in names:
            message = f"{where} has no column {given!r} to hold {WHAT[role]}"
            raise BadInputError(f"{message}: it has {_listed(names)}")
        return given
    found = [name for name in names if name.strip().casefold() in usual]
    if len(found) > 1:
        message = f"{where} has several columns that could hold {WHAT[role]}, {_listed(found)}"
        raise BadInputError(f"{message}: name one with --{role}-column")
    return found[0] if found else None


def _listed(names: Sequence[str]) -> str:
    return one_line(", ".join(map(repr, names)), 400)

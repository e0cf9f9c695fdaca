"""A device card to JSON and back, and what of it is refused. Knows no file."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec

from predictors.card_fields import CardFields, EntryFields, Key
from predictors.columns import Columns, Numerics
from predictors.domain import sizes
from results.architecture import Architecture
from results.measurement import Workload
from results.textfile import one_line

FORMAT = "subbert device card"

SCHEMA = 1
"""One more for every change an old reader would misread, a field of `Environment` included.

1 (0.2.0): a device, its environment, and an entry for each predictor.
"""

SIZES = tuple(sizes(Columns.of([Architecture.uniform(1, 1, 1, 1, 1)], [Workload()], Numerics())))
"""What the domain of every entry has a range of."""

MOST_SCHEMA = 10**6

OTHER = "name another file with --card"

PLAIN_NAME = re.compile(r"(?!\.{1,2}\Z)[^/\\\0]+")


class CardError(ValueError):
    """Why this is no card; without the name of the file."""


def encode(card: CardFields) -> bytes:
    """Indented JSON; floats come back bit by bit.

    Raises:
        CardError: it holds what would not come back (a NaN, say); nothing may be written.
    """
    try:
        text = _indented(msgspec.to_builtins(card)) + "\n"
    except ValueError as error:
        raise CardError(f"would hold a number that is not finite ({error})") from error
    content = text.encode("utf-8", "replace")  # file names may hold bytes that are no text
    decode(content)
    return content


def decode(content: bytes | str) -> CardFields:
    """The card that this JSON holds.

    Raises:
        CardError: no JSON, no card, a newer one, or one that was changed by hand.
    """
    try:
        raw = msgspec.json.decode(content)
    except (ValueError, RecursionError) as error:
        raise CardError(f"is no JSON ({error}): {OTHER}") from error
    _require_known_schema(raw)
    try:
        card = msgspec.convert(raw, CardFields)
    except (ValueError, RecursionError) as error:
        raise _damaged(error) from error
    unknown = _unknown(raw["environment"], msgspec.to_builtins(card.environment), "environment")
    for i, (entry, tree) in enumerate(zip(card.entries, raw["entries"], strict=True)):
        _require_sound(entry, f"$.entries[{i}]")
        plain = msgspec.to_builtins(entry.provenance)
        unknown += _unknown(tree["provenance"], plain, f"entries[{i}].provenance")
    if unknown:
        raise _damaged(f"unknown field `$.{unknown[0]}`")
    _require_distinct(card)
    return card


def _damaged(what: object) -> CardError:
    return CardError(
        f"is a damaged device card ({one_line(what)}): restore it, or delete it and fit again"
    )


def _require_known_schema(raw: object) -> None:
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise CardError(f"is no device card: {OTHER}")
    schema = raw.get("schema")
    if not (isinstance(schema, int) and 1 <= schema < MOST_SCHEMA):
        raise _damaged(f"Expected a whole number from 1 to {MOST_SCHEMA} - at `$.schema`")
    if schema > SCHEMA:
        raise CardError(
            f"was written by a newer subbert (schema {schema}); this one reads up to "
            f"{SCHEMA}: upgrade subbert"
        )


def _require_sound(entry: EntryFields, where: str) -> None:
    """Refuse what has the right type and no meaning."""
    for wrong, path in _nonsense(entry):
        raise _damaged(f"{wrong} - at `{where}.{path}`")


def _nonsense(entry: EntryFields) -> Iterator[tuple[str, str]]:
    if set(entry.domain.ranges) != set(SIZES):
        yield f"Expected the ranges of {', '.join(SIZES)}", "domain.ranges"
    for name, (low, high) in entry.domain.ranges.items():
        if not 0 < low <= high:
            yield "Expected two positive numbers, the smaller first", f"domain.ranges[{name!r}]"
    if any(score < 0 for score in entry.scores[:1]) or any(
        a > b for a, b in pairwise(entry.scores)
    ):
        yield "Expected positive numbers that ascend", "scores"
    for suffix, part in entry.parts.items():
        if not PLAIN_NAME.fullmatch(part.file):
            yield f"{part.file!r} is no plain file name", f"parts[{suffix!r}].file"


def _require_distinct(card: CardFields) -> None:
    seen = set[Key]()
    for entry in card.entries:
        if entry.key in seen:
            raise _damaged(f"two entries for {entry.key}")
        seen.add(entry.key)


def _unknown(raw: Mapping[str, object], known: Mapping[str, object], path: str) -> list[str]:
    """Fields that are in `raw` only: msgspec passes them over in a dataclass."""
    found = [f"{path}.{name}" for name in raw if name not in known]
    for name, inner in known.items():
        given = raw.get(name)
        if isinstance(inner, dict) and isinstance(given, dict):
            found += _unknown(given, inner, f"{path}.{name}")
    return found


def _indented(value: object, indent: str = "") -> str:
    """JSON with a line for each field; numbers and words of a list share one."""
    inner = indent + "  "
    if isinstance(value, dict) and value:
        fields = (f"{_line(str(k))}: {_indented(v, inner)}" for k, v in value.items())
        return _block("{", fields, "}", indent)
    if isinstance(value, list | tuple) and any(isinstance(v, dict | list | tuple) for v in value):
        return _block("[", (_indented(v, inner) for v in value), "]", indent)
    return _line(value)


def _block(begin: str, lines: Iterator[str], end: str, indent: str) -> str:
    return begin + ",".join(f"\n{indent}  {line}" for line in lines) + f"\n{indent}{end}"


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)

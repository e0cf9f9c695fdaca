"""Words to lines of JSON and back, in every schema there has been. Knows no file."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from results.measurement import Measurement
from results.score import Score
from results.session import SCHEMA, Session

EndStatus = Literal["complete", "incomplete", "interrupted", "budget"]
"""Everything planned was measured; something failed; a person stopped it; time ran out."""

Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns a line of one schema, as plain JSON, into a line of the next."""

MIGRATIONS: Mapping[int, Migration] = {}
"""From a schema number to the step that leads to the next one."""


class LineError(ValueError):
    """Why a line cannot be read."""


@dataclass(frozen=True, slots=True)
class End:
    """The last line of a session that did not die."""

    status: EndStatus
    ended_utc: str = ""


Row = Measurement | Score

Word = Session | Row | End


class _SessionLine(msgspec.Struct, tag="session", tag_field="kind", frozen=True):
    session: Session


class _MeasurementLine(msgspec.Struct, tag="measurement", tag_field="kind", frozen=True):
    measurement: Measurement


class _ScoreLine(msgspec.Struct, tag="score", tag_field="kind", frozen=True):
    score: Score


class _EndLine(msgspec.Struct, tag="end", tag_field="kind", frozen=True):
    end: End


class _AnyLine(msgspec.Struct, frozen=True):
    kind: str


class _SchemaOf(msgspec.Struct, frozen=True):
    schema: int


class _AnySessionLine(msgspec.Struct, tag="session", tag_field="kind", frozen=True):
    session: _SchemaOf


_Line = _SessionLine | _MeasurementLine | _ScoreLine | _EndLine
_lines: msgspec.json.Decoder[_Line] = msgspec.json.Decoder(_Line)
_any_lines = msgspec.json.Decoder(_AnyLine)
_headers = msgspec.json.Decoder(_AnySessionLine)


def to_line(word: Word) -> bytes:
    """One line of JSON with its newline.

    Raises:
        LineError: the word holds what would not come back (a NaN, say); nothing may be written.
    """
    line = _encode(_wrap(word))
    _decode(line)
    return line + b"\n"


def schema_of(line: bytes) -> int:
    """The schema number a session line gives, whatever else that schema says.

    Raises:
        LineError: not a session line.
    """
    try:
        return _headers.decode(line).session.schema
    except (ValueError, RecursionError) as error:
        raise LineError(f"no session header: {error}") from error


def from_line(
    line: bytes, schema: int = SCHEMA, migrations: Mapping[int, Migration] = MIGRATIONS
) -> Word | None:
    """The word a line of `schema` holds; None for a kind that this version does not know.

    Raises:
        LineError: no JSON, not UTF-8, or not what its kind should hold.
    """
    if schema == SCHEMA:
        return _decode(line)
    return _decode(_migrated(line, schema, migrations))


def _wrap(word: Word) -> _Line:
    if isinstance(word, Session):
        return _SessionLine(word)
    if isinstance(word, Score):
        return _ScoreLine(word)
    return _MeasurementLine(word) if isinstance(word, Measurement) else _EndLine(word)


def _encode(line: _Line) -> bytes:
    try:
        return msgspec.json.encode(line)
    except UnicodeEncodeError:
        # A command line or a file name may hold bytes that are no text: they become "?".
        text = json.dumps(msgspec.to_builtins(line), ensure_ascii=False)
        return text.encode("utf-8", "replace")


def _decode(line: bytes) -> Word | None:
    try:
        if not line.isascii():
            line.decode()  # fields that are passed over are not looked at otherwise
        return _word(_lines.decode(line))
    except (ValueError, RecursionError) as error:
        if _is_of_unknown_kind(line):
            return None
        raise LineError(str(error)) from error


def _word(line: _Line) -> Word:
    if isinstance(line, _SessionLine):
        return line.session
    if isinstance(line, _ScoreLine):
        return line.score
    return line.measurement if isinstance(line, _MeasurementLine) else line.end


def _is_of_unknown_kind(line: bytes) -> bool:
    try:
        kind = _any_lines.decode(line).kind
    except (ValueError, RecursionError):
        return False
    return kind not in ("session", "measurement", "score", "end")


def _migrated(line: bytes, schema: int, migrations: Mapping[int, Migration]) -> bytes:
    unknown = [step for step in range(schema, SCHEMA) if step not in migrations]
    if unknown:
        raise LineError(f"no subbert ever wrote schema {unknown[0]}")
    try:
        tree = msgspec.json.decode(line, type=dict[str, Any])
        for step in range(schema, SCHEMA):
            tree = migrations[step](tree)
        if tree.get("kind") == "session":
            tree["session"] |= {"schema": SCHEMA}
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise LineError(f"no line of schema {schema}: {error}") from error
    return msgspec.json.encode(tree)

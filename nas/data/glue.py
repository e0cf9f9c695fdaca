"""The nine GLUE tasks in the files that GLUE gives out. Knows no tokeniser and no network.

Layouts, labels and their order are those of GLUE and of transformers' GLUE processors (the hub's
data sets count MNLI's labels in another order). Quotes are plain text: no field is quoted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nas.data.holdout import held_out
from nas.data.task import DEV, TEST, TRAIN, Kind, Split, Task
from results.errors import BadInputError
from results.textfile import one_line

DEV_MISMATCHED = "dev-mismatched"

MOST = 5
"""The highest score of STS-B."""

MSR_TRAIN, MSR_TEST, MSR_DEV = "msr_paraphrase_train.txt", "msr_paraphrase_test.txt", "dev_ids.tsv"
"""MRPC as Microsoft gives it out, with its test labels; GLUE's list of those to choose by."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One of GLUE's tasks: where its folder says what."""

    folder: str
    texts: tuple[int, ...]
    """Columns, from 0, of the one or two texts."""
    label: int
    """Column of the label; -1 is the last one."""
    labels: tuple[str, ...]
    """As they are in the file, in the order of their numbers; empty for a score of 0 ... 5."""
    metrics: tuple[str, ...]
    header: tuple[str, ...]
    """What the first line says above texts and label; nothing if it is an example already."""
    may_be_short: bool = False
    """The official files are known to have broken lines."""

    @property
    def kind(self) -> Kind:
        return "classes" if self.labels else "score"

    @property
    def columns(self) -> int:
        """How many a line needs."""
        return max(*self.texts, self.label) + 1


_BINARY = ("0", "1")
_TWO_WAY = ("entailment", "not_entailment")
_THREE_WAY = ("contradiction", "entailment", "neutral")
_SENTENCES = ("sentence1", "sentence2")
_EQUAL = ("#1 String", "#2 String", "Quality")

TASKS = {
    "cola": Layout("CoLA", (3,), 1, _BINARY, ("matthews",), ()),
    "sst-2": Layout("SST-2", (0,), 1, _BINARY, ("accuracy",), ("sentence", "label")),
    "mrpc": Layout("MRPC", (3, 4), 0, _BINARY, ("f1", "accuracy"), _EQUAL),
    "sts-b": Layout("STS-B", (7, 8), -1, (), ("pearson", "spearman"), (*_SENTENCES, "score")),
    "qqp": Layout(
        "QQP",
        (3, 4),
        5,
        _BINARY,
        ("f1", "accuracy"),
        ("question1", "question2", "is_duplicate"),
        may_be_short=True,
    ),
    "mnli": Layout("MNLI", (8, 9), -1, _THREE_WAY, ("accuracy",), (*_SENTENCES, "gold_label")),
    "qnli": Layout("QNLI", (1, 2), -1, _TWO_WAY, ("accuracy",), ("question", "sentence", "label")),
    "rte": Layout("RTE", (1, 2), -1, _TWO_WAY, ("accuracy",), (*_SENTENCES, "label")),
    "wnli": Layout("WNLI", (1, 2), -1, _BINARY, ("accuracy",), (*_SENTENCES, "label")),
}

_ALIASES = {"sst": "sst-2", "sts": "sts-b"}


def task_name(name: str) -> str:
    """The name in `TASKS` of what a person calls it: `SST2`, `sst`, `stsb`, `CoLA` ...

    Raises:
        BadInputError: no task of GLUE is called so.
    """
    wanted = _plain(name)
    for known in (*TASKS, *_ALIASES):
        if wanted == _plain(known):
            return _ALIASES.get(known, known)
    raise BadInputError(f"{one_line(name)!r} is no task of GLUE; there are {', '.join(TASKS)}")


def load(name: str, folder: Path | str) -> Task:
    """A task, from the folder of all tasks (`glue_data`, with `CoLA`, `SST-2` ...) or its own.

    GLUE's test files have no labels. The test split is a tenth of the training examples, 2,000
    at most, held out so that the dev split is free for a search. MRPC's is Microsoft's own, where
    it is there.

    Raises:
        BadInputError: no such task, a missing file, or a line that is not as GLUE's are.
    """
    name = task_name(name)
    reader = _Reader(TASKS[name])
    splits = reader.splits(_own_folder(Path(folder), reader.layout.folder))
    for split, examples in splits.items():
        if not len(examples):
            raise BadInputError(f"{folder}: {name} has no examples for {split}; fetch it anew")
    if TEST not in splits:
        splits[TRAIN], splits[TEST] = held_out(
            splits[TRAIN], TEST, stratified=bool(reader.layout.labels)
        )
    notes = [f"{count} short lines of {file} left out" for file, count in reader.short.items()]
    source = "; ".join([f"GLUE {reader.layout.folder}", *notes])
    layout = reader.layout
    return Task(name, layout.kind, layout.labels, layout.metrics, splits, source)


@dataclass(frozen=True, slots=True)
class _Row:
    path: Path
    number: int
    fields: list[str]


class _Reader:
    """Files of one layout -> splits; counts what it has to leave out."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.short: Counter[str] = Counter()

    def splits(self, folder: Path) -> dict[str, Split]:
        if not (folder / "train.tsv").exists() and (folder / MSR_TRAIN).exists():
            splits = self._msr(folder)
        else:
            splits = {name: self._split(folder / file) for name, file in self._files().items()}
        if (folder / MSR_TEST).exists():
            splits[TEST] = self._split(folder / MSR_TEST)
        return splits

    def _files(self) -> dict[str, str]:
        if self.layout.folder == "MNLI":
            dev = {DEV: "dev_matched.tsv", DEV_MISMATCHED: "dev_mismatched.tsv"}
        else:
            dev = {DEV: "dev.tsv"}
        return {TRAIN: "train.tsv"} | dev

    def _msr(self, folder: Path) -> dict[str, Split]:
        """Microsoft's own files; which examples GLUE took for dev is in a file of its own."""
        rows = list(self._rows(folder / MSR_TRAIN))
        if not (folder / MSR_DEV).exists():
            train, dev = held_out(self._made(rows), DEV)
            return {TRAIN: train, DEV: dev}
        chosen = {tuple(fields) for _, fields in _lines(folder / MSR_DEV)}
        for_dev = [tuple(row.fields[1:3]) in chosen for row in rows]
        return {
            TRAIN: self._made([r for r, dev in zip(rows, for_dev, strict=True) if not dev]),
            DEV: self._made([r for r, dev in zip(rows, for_dev, strict=True) if dev]),
        }

    def _split(self, path: Path) -> Split:
        return self._made(list(self._rows(path)))

    def _rows(self, path: Path) -> Iterator[_Row]:
        """Lines with all their columns."""
        lines = _lines(path)
        if self.layout.header:
            self._check_header(path, next(lines, (1, []))[1])
        for number, fields in lines:
            if len(fields) >= self.layout.columns:
                yield _Row(path, number, fields)
            elif self.layout.may_be_short:
                self.short[path.name] += 1
            else:
                found = f"{len(fields)} columns where {self.layout.columns} are needed"
                raise BadInputError(f"{path}, line {number}: {found}; fetch the file anew")

    def _check_header(self, path: Path, fields: Sequence[str]) -> None:
        places = (*self.layout.texts, self.layout.label)
        for place, name in zip(places, self.layout.header, strict=True):
            if len(fields) < self.layout.columns or fields[place] != name:
                where = "in the last column" if place < 0 else f"in column {place + 1}"
                message = (
                    f"{path}, line 1: the header should have {name!r} {where}, as GLUE's "
                    f"{self.layout.folder} has; is it the right file?"
                )
                raise BadInputError(message)

    def _made(self, rows: Sequence[_Row]) -> Split:
        texts = [tuple(row.fields[place] for row in rows) for place in self.layout.texts]
        pairs = texts[1] if len(texts) > 1 else None
        if self.layout.labels:
            return Split(texts[0], pairs, labels=tuple(map(self._class, rows)))
        return Split(texts[0], pairs, labels=tuple(map(self._score, rows)))

    def _class(self, row: _Row) -> int:
        label = row.fields[self.layout.label]
        try:
            return self.layout.labels.index(label)
        except ValueError:
            known = ", ".join(self.layout.labels)
            message = f"the label {one_line(label, 40)!r} is none of {known}; fetch the file anew"
            raise BadInputError(f"{row.path}, line {row.number}: {message}") from None

    def _score(self, row: _Row) -> float:
        text = row.fields[self.layout.label]
        with suppress(ValueError):
            if 0 <= (score := float(text)) <= MOST:
                return score
        message = f"the score {one_line(text, 40)!r} is no number from 0 to {MOST}"
        raise BadInputError(f"{row.path}, line {row.number}: {message}; fetch the file anew")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbers, from 1, and fields of lines; empty ones are passed over."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip("\n"):
                    yield number, line.rstrip("\n").split("\t")
    except FileNotFoundError:
        raise BadInputError(f"{path}: there is no such file; GLUE's folder has it") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{path} is not UTF-8 text; fetch the file anew") from None
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from error


def _own_folder(given: Path, name: str) -> Path:
    """The task's folder: `given`, or the one in it with the task's name, however written."""
    if not given.is_dir():
        raise BadInputError(f"{given}: there is no such folder; name the one with GLUE's files")
    if any((given / file).exists() for file in ("train.tsv", MSR_TRAIN)):
        return given
    inside = sorted(p for p in given.iterdir() if p.is_dir() and _plain(p.name) == _plain(name))
    if not inside:
        raise BadInputError(f"{given} has neither train.tsv nor a folder {name}; get GLUE's files")
    return inside[0]


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())

"""Tasks out of a person's tables: CSV, TSV and JSON lines, one file or one a split."""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nas.data.assemble import are_scores, classify, in_order, regress, some
from nas.data.columns import Chosen, Columns, choose, none_usual
from nas.data.packages import Say
from nas.data.splits import Dropped, Example, Examples, distinct, divide, separated
from nas.data.task import DEV, TEST, TRAIN, Task
from results.errors import BadInputError
from results.textfile import one_line, read_text

SUFFIXES = (".csv", ".tsv", ".jsonl")

MOST_BYTES = 4 << 30

NAMES: Mapping[str, tuple[str, ...]] = {
    TRAIN: ("train", "training"),
    DEV: ("dev", "validation", "valid", "val"),
    TEST: ("test",),
}
"""What files of a split are called."""

MANY = 50
"""More classes than this, for fewer than two examples each, are no classes."""


Lines = Sequence[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Table:
    """Lines as cells by the names of their columns."""

    path: Path
    names: Sequence[str]
    lines: Lines
    """The number of a line in the file, from 1, and its cells."""
    sha256: str


def load(path: Path, columns: Columns, *, say: Say) -> tuple[Task, Dropped]:
    """A task from a file, divided here, or from a folder with a file for each split.

    CSV may quote cells, TSV has no quotes; both begin with a line of names. A line of a JSON lines
    file is an object. Of a folder, `train` is needed, and what is missing of dev and test is
    taken from it, but a test split only if there is no dev split either.

    Returns:
        The task, and what was left out because it was said before.

    Raises:
        BadInputError: a file or line that cannot be used, labels that cannot be learnt.
    """
    given = _by_split(path) if path.is_dir() else {TRAIN: path}
    tables = {part: read(file) for part, file in given.items()}
    splits = {part: examples(table, columns) for part, table in tables.items()}
    labelled = {part: rows for part, rows in splits.items() if rows is not None}
    for part in tables.keys() - labelled.keys():
        table = tables[part]
        if part == TRAIN:
            raise none_usual("label", table.names, table.path)
        say(f"{table.path} has no labels: it is left out")
    apart, shared = separated(labelled)
    kept, dropped = distinct(apart[TRAIN])
    parts = [part for part in (DEV, TEST) if part not in labelled and DEV not in labelled]
    scores = are_scores([example.label for rows in labelled.values() for example in rows])
    if not scores:
        _require_classes(kept, tables[TRAIN].path)
    divided = divide(kept, parts, stratified=not scores)
    _require_some(divided, tables[TRAIN].path, "ten" if scores else "ten of one label")
    whole = divided | {part: rows for part, rows in apart.items() if part != TRAIN}
    made = regress if scores else classify
    task = made(path.stem, whole, _source(path, tables.values()))
    return task, dropped + shared


def read(path: Path) -> Table:
    """A .csv, .tsv or .jsonl file, UTF-8; empty lines are passed over.

    Raises:
        BadInputError: it is none of them, or which line is damaged.
    """
    if path.suffix not in SUFFIXES:
        raise BadInputError(f"{path}: name a .csv, .tsv or .jsonl file")
    text = read_text(path, MOST_BYTES)
    read_lines = _json_lines if path.suffix == ".jsonl" else _separated_lines
    names, lines = read_lines(text, path)
    if not lines:
        raise BadInputError(f"{path} holds no examples: is it the right file?")
    return Table(path, names, lines, hashlib.sha256(path.read_bytes()).hexdigest())


def examples(table: Table, columns: Columns) -> list[Example] | None:
    """Its examples; None if no column holds labels.

    Raises:
        BadInputError: which line has no text or no label.
    """
    chosen = choose(columns, table.names, table.path)
    if chosen.label is None:
        return None
    return [_example(cells, chosen, f"{table.path}, line {n}") for n, cells in table.lines]


def _example(cells: Mapping[str, Any], chosen: Chosen, where: str) -> Example:
    text, pair, label = (
        None if name is None else _as_text(cells.get(name), f"{where}: the column {name!r}")
        for name in (chosen.text, chosen.pair, chosen.label)
    )
    return Example(str(text), str(label), pair)


def _as_text(cell: object, where: str) -> str:
    """A cell; the numbers and truth values of JSON as JSON writes them."""
    if isinstance(cell, list | dict):
        raise BadInputError(f"{where} holds a list or an object: name one that holds texts")
    text = cell if isinstance(cell, str) else msgspec.json.encode(cell).decode()
    if cell is None or not text.strip():
        raise BadInputError(f"{where} is empty; fill it in or take the line out")
    return text.strip()


def _separated_lines(text: str, path: Path) -> tuple[Sequence[str], Lines]:
    names: list[str] = []
    lines = []
    for number, cells in _cells(text, path):
        if not names:
            names = [cell.strip() for cell in cells]
            _require_names(names, path)
        elif len(cells) != len(names):
            message = (
                f"{path}, line {number} has {len(cells)} cells for {len(names)} columns: mend the "
                "line or quote cells that hold the separator (.csv)"
            )
            raise BadInputError(message)
        else:
            lines.append((number, dict(zip(names, cells, strict=True))))
    return names, lines


def _cells(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, with the number each begins at."""
    if path.suffix == ".tsv":
        for number, line in enumerate(io.StringIO(text), 1):
            if line.strip():
                yield number, line.rstrip("\r\n").split("\t")
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins = 1
    try:
        for cells in reader:
            if any(cells):
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        message = f"{path}, line {begins} is no CSV: {one_line(error)}; is a quote never closed?"
        raise BadInputError(message) from None


def _json_lines(text: str, path: Path) -> tuple[Sequence[str], Lines]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    lines = []
    for number, line in enumerate(io.StringIO(text), 1):
        if line.strip():
            try:
                lines.append((number, decoder.decode(line)))
            except msgspec.DecodeError as error:
                message = f"{path}, line {number} is no JSON object: {one_line(error)}"
                raise BadInputError(f"{message}; mend the line") from None
    names = dict.fromkeys(name for _, cells in lines for name in cells)
    return list(names), lines


def _require_names(names: Sequence[str], path: Path) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise BadInputError(f"{path} has two columns {doubled[0]!r}: rename one of them")


def _require_classes(found: Examples, path: Path) -> None:
    classes = in_order({example.label for example in found})
    if len(classes) > max(MANY, len(found) // 2):
        message = (
            f"{path} has {len(classes):,} different labels for {len(found):,} examples "
            f"({some(classes[:2])}, ...): name the right column with --label-column"
        )
        raise BadInputError(message)


def _require_some(divided: Mapping[str, Examples], path: Path, least: str) -> None:
    for part, rows in divided.items():
        if part != TRAIN and not rows:
            message = (
                f"{path} has {sum(map(len, divided.values()))} different examples, too few to "
                f"take a {part} split from: at least {least} are needed"
            )
            raise BadInputError(message)


def _by_split(folder: Path) -> dict[str, Path]:
    found = {}
    for part, names in NAMES.items():
        files = [
            file
            for file in sorted(folder.iterdir())
            if file.stem in names and file.suffix in SUFFIXES
        ]
        if len(files) > 1:
            message = f"{folder} has both {files[0].name} and {files[1].name}: keep one of them"
            raise BadInputError(message)
        if files:
            found[part] = files[0]
    if TRAIN not in found:
        message = f"{folder} has no train.csv, train.tsv or train.jsonl: name a folder that has"
        raise BadInputError(message)
    return found


def _source(path: Path, tables: Iterable[Table]) -> str:
    parts = sorted(f"{table.path.name}@sha256:{table.sha256[:16]}" for table in tables)
    return f"{path.name}: {', '.join(parts)}" if path.is_dir() else parts[0]

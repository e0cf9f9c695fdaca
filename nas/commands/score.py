"""`nas score`: how right sub-models of a supernet are on a task, by the weights they inherit."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.table import print_table, say
from nas.commands.task_options import Folder, LabelColumn, PairColumn, TextColumn
from results.errors import BadInputError

if TYPE_CHECKING:
    from nas.folder import Saved
    from nas.score.scorer import Scorer
    from results.architecture import Architecture
    from results.score import Score

MACS_TOKENS = 128
SAMPLES = 20

Option = typer.Option
Supernet = Annotated[Path, Option(help="Folder of a supernet with a head for the task.")]
TaskName = Annotated[str, Option(help="What is asked; see `nas data list`.")]
Arch = Annotated[
    list[Path] | None,
    Option(
        help="File with architectures: JSON, or a dict of the seeds, one a line; repeatable."
        " [default: the whole network]"
    ),
]
Space = Annotated[
    str | None,
    Option(
        help="Search space, or its YAML file, to draw from too. [default: the supernet's own, if"
        " there are --samples]",
        show_default=False,
    ),
]
Samples = Annotated[
    int | None,
    Option(min=1, max=1_000_000, help="How many to draw from it. [default: 20]"),
]
Seed = Annotated[
    int, Option(min=0, max=2**32 - 1, help="Of all that is drawn: networks, texts, examples.")
]
Schemes = Annotated[
    list[str] | None,
    Option(help="fp32, int8-dynamic, ptq, ...; repeatable. [default: fp32]"),
]
Split = Annotated[
    str, Option(help="dev to choose by, test to report once; a search never reads test.")
]
Results = Annotated[Path, Option(help="Folder of the ledger; what it has is not scored again.")]
Limit = Annotated[int | None, Option(min=1, help="No more than so many examples, drawn.")]
Calibration = Annotated[
    int, Option(min=1, help="Sentences of the train split that ptq is calibrated on.")
]
MostTokens = Annotated[
    int | None,
    Option(help="Texts are cut after so many. [default: 128; 384 for spans]"),
]
Threads = Annotated[int | None, Option(min=1, max=1024, help="[default: as torch chooses]")]
Sort = Annotated[str | None, Option(help="Column to sort by, -COLUMN for the largest first.")]
Json = Annotated[bool, Option("--json", help="Print JSON, one object to a line.")]


def score(
    *,
    supernet: Supernet,
    task: TaskName,
    folder: Folder = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
    arch: Arch = None,
    space: Space = None,
    samples: Samples = None,
    seed: Seed = 0,
    scheme: Schemes = None,
    split: Split = "dev",
    results: Results = Path("results/data"),
    limit: Limit = None,
    calibration: Calibration = 128,
    most_tokens: MostTokens = None,
    threads: Threads = None,
    sort: Sort = None,
    as_json: Json = False,
) -> None:
    """Score sub-models by inherited weights: every metric of the task, in any numeric scheme.

    What is scored in int8 is the graph that `bench profile` times and that is exported, calibrated
    on the sub-model itself. Every answer is kept in the ledger.
    """
    from nas.data import tasks
    from nas.data.columns import Columns
    from nas.folder import read
    from nas.score.engines import engine_of
    from nas.score.scorer import Options, Scorer
    from quant.scheme import parse

    schemes = [parse(text) for text in scheme or ["fp32"]]
    for one in schemes:
        engine_of(one)  # told before anything is scored
    saved = read(supernet)
    wanted = _architectures(arch or [], saved.architecture)
    wanted += _drawn(space, samples, seed, saved)
    asked = tasks.load(
        task, folder=folder, columns=Columns(text_column, pair_column, label_column), say=say
    )
    _require_column(sort, asked.metrics)
    options = Options(most_tokens, limit, calibration, seed, threads)
    with Scorer(saved, asked, split, results=results, options=options) as scorer:
        networks = list(dict.fromkeys(wanted)) or [saved.architecture]
        found = list(_scored(scorer, networks, [one.name for one in schemes]))
    _show(_sorted(found, sort), as_json=as_json)


def _architectures(files: Sequence[Path], whole: "Architecture") -> "list[Architecture]":
    """Those of the files; tables that a file does not speak of are the supernet's."""
    from results.notation import BERT_TABLES, read_architectures

    found = []
    for file in files:
        for a in read_architectures(file):
            unsaid = (a.vocab, a.positions, a.types) == BERT_TABLES
            found.append(_with_tables(a, whole) if unsaid else a)
    return found


def _drawn(
    space: str | None, samples: int | None, seed: int, saved: "Saved"
) -> "list[Architecture]":
    if space is None and samples is None:
        return []
    import numpy as np

    from nas.space import load_space

    members = saved.space if space is None else load_space(space)
    if members is None:
        raise BadInputError(f"{saved.folder} was trained for no search space: name a --space")
    several = members.sample_unique(np.random.default_rng(seed), samples or SAMPLES)
    return [_with_tables(a, saved.architecture) for a in several]


def _with_tables(a: "Architecture", whole: "Architecture") -> "Architecture":
    return replace(a, vocab=whole.vocab, positions=whole.positions, types=whole.types)


def _scored(
    scorer: "Scorer", networks: "Sequence[Architecture]", schemes: Sequence[str]
) -> "Iterator[Score]":
    """One after the other; on a terminal with a line that says how far it is."""
    from rich.console import Console
    from rich.progress import track

    talk = Console(stderr=True)
    for scheme in dict.fromkeys(schemes):
        yield from track(
            scorer.scores(networks, scheme),
            scheme,
            total=len(networks),
            console=talk,
            transient=True,
            disable=not sys.stderr.isatty(),
        )


COLUMNS = {
    "parameters": lambda x: x.architecture.parameters,
    "macs": lambda x: x.architecture.macs(MACS_TOKENS),
    "bytes": lambda x: x.weight_bytes,
    "loss": lambda x: x.loss,
    "seconds": lambda x: x.seconds,
}
"""What can be sorted by beside the metrics."""


def _require_column(sort: str | None, metrics: Sequence[str]) -> None:
    names = (*metrics, *COLUMNS)
    if sort is not None and sort.removeprefix("-") not in names:
        message = f"cannot sort by {sort.removeprefix('-')!r}"
        raise BadInputError(f"{message}: choose one of {', '.join(names)}")


def _sorted(found: "list[Score]", sort: str | None) -> "list[Score]":
    if sort is None:
        return found
    name = sort.removeprefix("-")
    value = COLUMNS.get(name, lambda x: x.metrics[name])
    return sorted(found, key=value, reverse=name != sort)


def _show(found: "Sequence[Score]", *, as_json: bool) -> None:
    if as_json:
        for one in found:
            typer.echo(json.dumps(_facts(one)))
        return
    first = found[0]
    typer.echo(f"{first.task} {first.split}: {first.examples} examples, {first.source}\n")
    share = [f"{first.share} 95 %"] if first.share else []
    numbers = ["M parameters", f"M MACs at {MACS_TOKENS}", "MB", *first.metrics, *share, "loss"]
    header = ["architecture", "scheme", *numbers]
    print_table(header, [_cells(one) for one in found], right=numbers)


def _cells(one: "Score") -> list[str]:
    a = one.architecture
    return [
        str(a),
        one.scheme,
        f"{a.parameters / 1e6:.2f}",
        f"{a.macs(MACS_TOKENS) / 1e6:.0f}",
        f"{one.weight_bytes / 1e6:.2f}",
        *(f"{value:.4f}" for value in one.metrics.values()),
        *([f"{one.interval[0]:.3f}-{one.interval[1]:.3f}"] if one.interval else []),
        f"{one.loss:.4f}",
    ]


def _facts(one: "Score") -> dict[str, object]:
    """The row without its answers, which the ledger has."""
    facts = asdict(one)
    del facts["predictions"]
    a = one.architecture
    return facts | {
        "parameters": a.parameters,
        "macs": a.macs(MACS_TOKENS),
        "interval": one.interval,
    }

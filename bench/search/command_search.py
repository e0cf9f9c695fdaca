"""`nas search`: the most accurate sub-models that measurably keep a budget."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.task_options import Folder, LabelColumn, PairColumn, TextColumn

if TYPE_CHECKING:
    from bench.search.request import Asked
    from bench.search.talk import Talk
    from results.choice import Outcome
    from results.searches import Run

Option = typer.Option
Count = Annotated[int, Option(min=1)]


def search(
    *,
    task: Annotated[str, Option(help="What it answers: trec6, mr, ...; see `nas data list`.")],
    device: Annotated[list[str], Option(help="Where it shall run; repeatable, or a comma list.")],
    latency: Annotated[
        list[str] | None,
        Option(
            help="How long one call may take: 10, 10ms, or 3x (so many times faster than the whole"
            " network in float32, as measured); one for each device, or one for all."
        ),
    ] = None,
    quant: Annotated[
        str,
        Option(
            help="Numeric scheme it shall have: ptq, fp32, int8-dynamic, ..., or mixed (each group"
            " of matrix products in float32 or as in ptq)."
        ),
    ] = "ptq",
    tokens: Annotated[
        str | None,
        Option(
            help="Length of the text: a number, or task (95 % of the task's own texts are no"
            " longer; the mean is told too). [default: the device's]"
        ),
    ] = None,
    max_size: Annotated[str | None, Option(help="Of the ONNX file: 20MB, 500kB.")] = None,
    max_memory: Annotated[str | None, Option(help="That a process needs for it: 100MB.")] = None,
    min_accuracy: Annotated[
        str | None, Option(help="On the dev split, in the scheme: 0.9 or 90%.")
    ] = None,
    confidence: Annotated[
        float, Option(help="How often predicted bounds hold; the upper one must keep the budget.")
    ] = 0.9,
    searcher: Annotated[
        str,
        Option(help="surrogate, random, grid, fast, evolution, evolver, nsga2, local or bayes."),
    ] = "surrogate",
    evaluations: Annotated[
        int, Option(min=1, max=1_000_000, help="Sub-models scored in float32.")
    ] = 200,
    refinements: Annotated[
        int, Option(min=1, max=1_000_000, help="Sub-models scored in the scheme.")
    ] = 60,
    winners: Annotated[int, Option(min=1, max=50, help="Verified models wanted.")] = 3,
    probe: Annotated[
        int,
        Option(min=0, max=1000, help="Networks measured near the budget first; 0: none."),
    ] = 24,
    seed: Annotated[int, Option(min=0, max=2**32 - 2, help="Of all that is drawn.")] = 0,
    space: Annotated[
        str | None,
        Option(help="Search space: a name or a YAML file. [default: the supernet's]"),
    ] = None,
    supernet: Annotated[
        Path | None,
        Option(help="Folder of a supernet. [default: models/TASK/supernet beside --results]"),
    ] = None,
    teacher: Annotated[
        Path | None,
        Option(help="Folder of its teacher. [default: models/TASK/teacher beside --results]"),
    ] = None,
    model: Annotated[
        str, Option(help="What a teacher begins with, if one has to be trained.")
    ] = "minilm",
    runtime: Annotated[str, Option(help="That runs the ONNX file.")] = "onnxruntime",
    calibration: Annotated[
        int, Option(min=1, help="Sentences of the train split that ptq is calibrated on.")
    ] = 128,
    name: Annotated[
        str | None,
        Option(help="Of the run: its folder in searches/ beside --results. [default: what it is]"),
    ] = None,
    results: Annotated[Path, Option(help="Folder of the ledger.")] = Path("results/data"),
    devices: Annotated[Path | None, Option(help="File of device definitions.")] = None,
    workers: Annotated[
        int | None, Option(min=1, help="Processes that score. [default: one a CPU]")
    ] = None,
    ray: Annotated[
        str | None,
        Option(
            help="Score and measure on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT; each"
            " device is a custom resource of its nodes."
        ),
    ] = None,
    auto: Annotated[
        bool | None,
        Option(
            "--auto/--no-auto",
            help="Measure, fit and train what is missing. [default: ask on a terminal]",
        ),
    ] = None,
    folder: Folder = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
    as_json: Annotated[bool, Option("--json", help="Print JSON.")] = False,
) -> None:
    """Search a supernet for the most accurate sub-models that keep a budget, and verify them.

    Stage one scores sub-models in float32, stage two the best of them in the scheme, as it ships.
    Finalists become ONNX files and are measured on the device; what is over budget is dropped.
    Everything is kept: the same command goes on where it was stopped.
    """
    from bench.search.limits import Wanted, limits
    from bench.search.request import Asked, Effort
    from nas.data.columns import Columns

    wanted = Wanted(
        tuple(_listed(device)), tuple(_listed(latency or [])), max_size, max_memory, min_accuracy
    )
    asked = Asked(
        task=task,
        wanted=wanted,
        limits=limits(wanted),
        quant=quant,
        runtime=runtime,
        tokens=tokens,
        confidence=confidence,
        searcher=searcher,
        seed=seed,
        effort=Effort(evaluations, refinements, winners, probe),
        space=space,
        supernet=supernet,
        teacher=teacher,
        model=model,
        results=results,
        devices=devices,
        name=name,
        folder=folder,
        columns=Columns(text_column, pair_column, label_column),
        auto=auto,
        workers=workers,
        ray=ray,
        calibration=calibration,
    )
    _run(asked, as_json=as_json)


def _run(asked: "Asked", *, as_json: bool) -> None:
    from bench.search.run import search

    run, outcome = search(asked, _talk())
    _tell(run, as_json=as_json)
    if outcome.winners and not as_json:
        ray = "" if asked.ray is None else f" --ray {asked.ray}"
        typer.echo(f"next: nas ship --search {run.folder} --winner 1{ray}")
        typer.echo(f"      nas front {run.folder} --html front.html")
    if len(outcome.winners) < asked.effort.winners:
        _tell_few(run, outcome, asked.effort.winners)
        raise SystemExit(0 if outcome.winners else 1)


def _talk() -> "Talk":
    """To standard error; on a terminal with progress, and somebody to ask."""
    from rich.console import Console

    from bench.live import Live
    from bench.search.talk import Talk
    from nas.commands.table import say
    from nas.commands.training import Speaker

    watched = sys.stderr.isatty()
    console = Console(stderr=True, highlight=False, markup=False)
    asks = sys.stdin.isatty() and watched
    return Talk(
        say,
        Speaker(),
        (lambda: Live(console)) if watched else None,
        (lambda question: typer.confirm(question, err=True)) if asks else None,
    )


def _listed(texts: list[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _tell(run: "Run", *, as_json: bool) -> None:
    from bench.search import front_run
    from bench.search.front import read

    front_run.run(read([run]), front_run.Output(as_json=as_json))


def _tell_few(run: "Run", outcome: "Outcome", wanted: int) -> None:
    typer.echo(
        f"nas: {len(outcome.winners)} of {wanted} winners stand: all other finalists broke a limit"
        f" when they were measured; see {run.folder}, or search with more --refinements under "
        "another --name",
        err=True,
    )

"""`bench explain`: where the time of a call goes, in fp32 and in another scheme, and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from bench.explain_request import Task
    from bench.explain_tables import Explained

PATIENCE_S = 600
"""Longest silence of the worker: it answers once a stage."""

STAGES = {
    "parts": "both schemes under the profiler, part by part",
    "machine": "the peaks and the bandwidth of this machine",
    "widths": "layers and products of many widths",
}


def explain(  # noqa: PLR0913 - one argument an option
    *,
    arch: Annotated[
        str | None,
        typer.Option(help="Architecture, with random weights: a file with one, or JSON itself."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Hugging Face folder with the network, instead.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Target from devices.yaml. [default: the first this host can be]"),
    ] = None,
    devices: Annotated[
        Path | None, typer.Option(help="Targets to read instead of ./devices.yaml.")
    ] = None,
    scheme: Annotated[str, typer.Option(help="What to compare with fp32.")] = "int8-dynamic",
    runtime: Annotated[
        str, typer.Option(help="Whose profiler to ask: onnxruntime or torch.")
    ] = "onnxruntime",
    tokens: Annotated[
        int | None, typer.Option(help="Tokens of an example. [default: the device's]")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write a roofline picture, .png or .html.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, no progress.")] = False,
) -> None:
    """Tell why int8 is or is not faster here: time by part, GEMM rates, roofs, widths that pay."""
    import json

    from rich.console import Console

    from bench.explain_request import Wanted, task_of
    from bench.explain_tables import as_json as report
    from bench.explain_tables import tables
    from profiler.device import this_host
    from profiler.environment import read_hardware

    if plot is not None:
        from bench.chart import require_format

        require_format(plot)
        _require_writable(plot)
    wanted = Wanted(arch, model, device, devices, scheme, runtime, tokens)
    task = task_of(wanted, this_host(read_hardware()))
    found = _measured(task, Console(stderr=True, quiet=as_json))
    console = Console(highlight=False, markup=False)
    if as_json:
        typer.echo(json.dumps(report(found)))
    else:
        for title, table, sentences in tables(found):
            console.print(title, table, *sentences, "", sep="\n")
        console.print(" ".join(found.conclusion))
    if plot is not None:
        from bench.roofline import draw

        draw(found, plot)
        if not as_json:
            console.print(f"roofline: {plot}")


def _require_writable(plot: Path) -> None:
    """Find out before anything is measured."""
    from results.errors import BadInputError

    there = plot.exists()
    try:
        plot.open("ab").close()
    except OSError as error:
        message = f"cannot write --plot {plot} ({error.strerror}): choose another file"
        raise BadInputError(message) from None
    if not there:
        plot.unlink()


def _measured(task: "Task", talk: "Console") -> "Explained":
    """All stages, in one pinned process."""
    import os

    import msgspec

    from bench.explain_figures import Dissection, Machine, Widths, breakdown
    from bench.explain_tables import Explained
    from profiler.cpus import reserved_cpus
    from profiler.device import CAPS
    from profiler.isolate import Worker, WorkerError, out_of_the_way, stable_variables
    from results.errors import BadInputError

    device, question = task.device, task.question
    variables = stable_variables(os.environ, device.threads, CAPS.get(question.cap, {}))
    answers = {}
    with reserved_cpus(device.threads) as free:
        cpus = free if device.pin else ()
        with out_of_the_way(cpus), Worker("bench.explain_worker", variables, cpus) as worker:
            for stage, saying in STAGES.items():
                request = {"stage": stage, "question": msgspec.to_builtins(question)}
                with talk.status(f"measuring {saying}"):
                    try:
                        (answer,) = worker.ask(request, PATIENCE_S)
                    except WorkerError as error:
                        answer = {"why": error}
                if "why" in answer:
                    message = f"{question.architecture} cannot be explained: {answer['why']}"
                    raise BadInputError(message)
                answers[stage] = answer["found"]
    parts = msgspec.convert(answers["parts"], Dissection)
    return Explained(
        question,
        device.name,
        breakdown(parts.fp32, question, parts.quantise_us),
        breakdown(parts.scheme, question, parts.quantise_us),
        msgspec.convert(answers["machine"], Machine),
        msgspec.convert(answers["widths"], Widths),
    )

"""`bench profile`: measure sub-encoders on a device and keep every sample in the ledger."""

from pathlib import Path
from typing import Annotated

import typer

from bench.request import Asked, Chosen, parse_seconds

RESULTS = Path("results/data")


def profile(
    *,
    device: Annotated[str, typer.Option(help="Target from devices.yaml; see `bench devices`.")],
    devices: Annotated[
        Path | None, typer.Option(help="Targets to read instead of ./devices.yaml.")
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="Search space to sample: autotinybert, bigger-faster, minilm, ... or a YAML file."
            " [default: bigger-faster]"
        ),
    ] = None,
    samples: Annotated[int, typer.Option(help="Networks to draw from the space.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the draw, the weights and the token ids.")] = 0,
    arch: Annotated[
        Path | None,
        typer.Option(help="Architectures to measure instead: JSON, or one per line."),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Hugging Face folder or .onnx file to measure; repeatable."),
    ] = None,
    runtime: Annotated[
        list[str] | None, typer.Option(help="Only these runtimes, listed or not; repeatable.")
    ] = None,
    scheme: Annotated[
        list[str] | None,
        typer.Option(
            "--scheme",
            "--precision",
            help="Only these schemes, settings and all (ptq:ffn-out=fp32); int8: every int8 one of"
            " the device; repeatable.",
        ),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Examples in a call.")] = None,
    tokens: Annotated[
        list[int] | None, typer.Option(help="Tokens of an example; repeatable.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of an inference.")] = None,
    target_error: Annotated[
        float, typer.Option(help="Stop a row when its 95 % interval is this narrow, in percent.")
    ] = 3.0,
    processes: Annotated[
        int, typer.Option(help="Fresh processes each row is measured in; 3 or more for finalists.")
    ] = 1,
    time_budget: Annotated[
        str | None, typer.Option(help="Begin no further block after this long, e.g. 90s, 10m, 2h.")
    ] = None,
    deployed: Annotated[
        bool,
        typer.Option(help="Leave allocator, spinning and affinity alone: wall time, as served."),
    ] = False,
    results: Annotated[Path, typer.Option(help="Folder of the ledger.")] = RESULTS,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--no-resume",
            help="Skip what the ledger already has, or measure all anew."
            " [default: go on with an unfinished run of the same plan]",
        ),
    ] = None,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Pass over ledger lines that cannot be read.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Write a chart: latency against MACs, .png or .html.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, no progress.")] = False,
) -> None:
    """Measure sub-encoders in every precision and runtime of a device.

    Rows go to the ledger as they are taken: stop at any time, and the same command goes on.
    """
    chosen = Chosen(
        space=space,
        samples=samples,
        seed=seed,
        arch=arch,
        models=tuple(model or ()),
        runtimes=tuple(runtime or ()),
        schemes=tuple(scheme or ()),
        batch=batch,
        tokens=tuple(tokens or ()),
        threads=threads,
        target_error=target_error / 100,
        processes=processes,
        deployed=deployed,
    )
    budget_s = parse_seconds("--time-budget", time_budget) if time_budget else None
    asked = Asked(device, devices, chosen, results, resume, budget_s, skip_damaged)
    if plot is not None:
        from bench.chart import require_format

        require_format(plot)
    from bench.run import run

    run(asked, plot=plot, as_json=as_json)

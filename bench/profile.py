"""`bench profile`: measure sub-encoders on a device and keep every sample in the ledger."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.request import Asked, Chosen, parse_seconds
from results.errors import BadInputError

if TYPE_CHECKING:
    from bench.study import Target

RESULTS = Path("results/data")

SAMPLES, SAMPLES_FOR_PREDICTOR = 20, 60


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
    samples: Annotated[
        int | None,
        typer.Option(
            help="Networks to draw from the space; with --for-predictor the most to be measured."
            " [default: 20, 60 with --for-predictor]"
        ),
    ] = None,
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
    for_predictor: Annotated[
        bool,
        typer.Option(
            "--for-predictor",
            help="Choose the networks that predictors learn most from, measure until these are"
            " good enough, and fit them: see `bench fit`.",
        ),
    ] = False,
    target_mape: Annotated[
        float | None,
        typer.Option(
            help="Good enough: mean error on held-out networks, in percent. [default: 5]",
        ),
    ] = None,
    target_width: Annotated[
        float | None,
        typer.Option(
            help="Good enough: half-width of the 90 % interval, in percent. [default: 10]"
        ),
    ] = None,
    from_card: Annotated[
        Path | None,
        typer.Option(help="With --for-predictor: begin with the prices of another device's card."),
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
        Path | None,
        typer.Option(
            help="Write a chart, .png or .html: latency against MACs; with --for-predictor"
            " predicted against measured."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, no progress.")] = False,
) -> None:
    """Measure sub-encoders in every precision and runtime of a device.

    Rows go to the ledger as they are taken: stop at any time, and the same command goes on.
    """
    chosen = Chosen(
        space=space,
        samples=(SAMPLES_FOR_PREDICTOR if for_predictor else SAMPLES)
        if samples is None
        else samples,
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
    if for_predictor:
        from bench.for_predictor import Purpose, run_for_predictor

        target = _target(target_mape, target_width, chosen.samples)
        run_for_predictor(asked, Purpose(target, from_card, plot=plot, as_json=as_json))
        return
    only = {"target-mape": target_mape, "target-width": target_width, "from-card": from_card}
    if given := [name for name, value in only.items() if value is not None]:
        raise BadInputError(f"--{given[0]} means nothing without --for-predictor: add that")
    from bench.run import run

    run(asked, plot=plot, as_json=as_json)


def _target(mape: float | None, half_width: float | None, most: int) -> "Target":
    from bench.study import Target

    made = []
    for name, percent, usual in (("mape", mape, 5.0), ("width", half_width, 10.0)):
        value = usual if percent is None else percent
        if not 0.1 <= value <= 100:  # noqa: PLR2004
            message = f"--target-{name} {value:g} is out of range: give percent from 0.1 to 100"
            raise BadInputError(message)
        made.append(value / 100)
    return Target(made[0], made[1], most)

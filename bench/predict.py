"""`bench predict`: latencies with bounds from a device card, without measuring anything."""

from pathlib import Path
from typing import Annotated

import typer


def predict(
    *,
    device: Annotated[
        str | None, typer.Option(help="Whose card: cards/DEVICE.json in the ledger's folder.")
    ] = None,
    card: Annotated[Path | None, typer.Option(help="The card itself, wherever it is.")] = None,
    results: Annotated[Path, typer.Option(help="Folder of the ledger.")] = Path("results/data"),
    arch: Annotated[
        Path | None, typer.Option(help="Architectures to predict: JSON, or one per line.")
    ] = None,
    model: Annotated[
        list[Path] | None, typer.Option(help="Hugging Face folder to predict; repeatable.")
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="Search space: autotinybert, minilm, ... or a YAML file."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Networks to draw from the space.  [default: 20]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    whole: Annotated[
        bool,
        typer.Option("--all", help="Every network of the space; its layers must be alike."),
    ] = False,
    layers: Annotated[int | None, typer.Option(help="One network: how many layers.")] = None,
    hidden: Annotated[int | None, typer.Option(help="Its width.")] = None,
    heads: Annotated[
        int | None, typer.Option(help="Its heads in a layer.  [default: qkv / 64]")
    ] = None,
    qkv: Annotated[
        int | None, typer.Option(help="Width of q, k and v.  [default: as --hidden]")
    ] = None,
    ffn: Annotated[
        int | None, typer.Option(help="Width of the feed-forward.  [default: 4 x --hidden]")
    ] = None,
    runtime: Annotated[
        list[str] | None, typer.Option(help="Only on these runtimes; repeatable.")
    ] = None,
    scheme: Annotated[
        list[str] | None,
        typer.Option(
            "--scheme",
            "--precision",
            help="Only in these schemes; also mixtures of what the card has (ptq:ffn-out=fp32);"
            " int8: every int8 one of the card; repeatable.",
        ),
    ] = None,
    deployed: Annotated[
        bool, typer.Option(help="Latencies as served, from rows of --deployed.")
    ] = False,
    batch: Annotated[
        int | None, typer.Option(help="Examples in a call.  [default: as in the card's rows]")
    ] = None,
    tokens: Annotated[
        list[int] | None, typer.Option(help="Tokens of an example; repeatable.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of an inference.")] = None,
    confidence: Annotated[
        float, typer.Option(help="How often the bounds hold, from 0.5 to 0.99.")
    ] = 0.9,
    within: Annotated[
        float | None, typer.Option(help="Only networks whose upper bound is at most so many ms.")
    ] = None,
    extrapolate: Annotated[
        bool, typer.Option(help="Predict a space although none of it is in the card's range.")
    ] = False,
    sort: Annotated[
        str | None, typer.Option(help="Column to sort by, -COLUMN for the largest first.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="No more than so many rows.")] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the rows to a .csv, .parquet or .json file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Predict latencies, with bounds, of networks that nobody has measured.

    A row's work is its batch x tokens x threads. With --all only a summary is printed, unless
    --limit says how many rows; --export has them all. The networks of a space are told by size.
    """
    from bench.candidate_choice import Chosen
    from bench.forecasters import Wanted
    from bench.predict_run import Output, card_of, run

    chosen = Chosen(
        arch, tuple(model or ()), space, samples, seed, whole, layers, hidden, heads, qkv, ffn
    )
    wanted = Wanted(
        runtimes=tuple(runtime or ()),
        schemes=tuple(scheme or ()),
        deployed=deployed,
        batch=batch,
        tokens=tuple(tokens or ()),
        threads=threads,
        confidence=confidence,
    )
    output = Output(within, sort, limit, export, as_json, extrapolate)
    run(card_of(device, card, results), chosen, wanted, output)

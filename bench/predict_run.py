"""From a card and options to predictions, a file and what is printed. Predicts nothing itself."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from results.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from bench.candidate_choice import Chosen
    from bench.candidates import Candidates
    from bench.forecasters import Wanted
    from bench.predicting import Asked, Summary
    from bench.predictions import Shown, Told
    from predictors.card import Card

WIDTH = 160
"""Of a table where there is no terminal: no line is broken, and none is endless."""


@dataclass(frozen=True, slots=True)
class Output:
    """Which rows are shown, and how."""

    within_ms: float | None
    sort: str | None
    limit: int | None
    export: Path | None
    as_json: bool
    extrapolate: bool

    def __post_init__(self) -> None:
        budget = self.within_ms
        if budget is not None and not (math.isfinite(budget) and budget > 0):
            raise BadInputError(f"--within {budget:g} is no budget: give milliseconds above 0")
        if self.export is not None:
            from bench.prediction_file import require_suffix

            require_suffix(self.export)


def card_of(device: str | None, path: Path | None, results: Path) -> "Card":
    """The card in that file, or of that device among the results.

    Raises:
        BadInputError: there is none, or it is of another device.
    """
    from bench.fitting import default_card
    from predictors.card import read_card

    if path is None:
        if device is None:
            raise BadInputError("of which device? name it with --device, or a card with --card")
        path = default_card(results, device)
        if not path.exists():
            raise BadInputError(
                f"there is no device card {path}: make it with `bench fit --device {device}`, "
                f"after rows with `bench profile --device {device} --for-predictor`"
            )
    card = read_card(path)
    if device not in (None, card.device):
        raise BadInputError(f"{path} is the card of {card.device}, not of {device}")
    return card


def run(card: "Card", chosen: "Chosen", wanted: "Wanted", output: Output) -> None:
    """Predict, write and print.

    Raises:
        BadInputError: the networks, the predictors or the file are not what they should be.
    """
    began = time.perf_counter()
    told = _predict(card, chosen, wanted, output)
    _print(told, output, time.perf_counter() - began)


def _predict(card: "Card", chosen: "Chosen", wanted: "Wanted", output: Output) -> "Told":
    from bench.candidate_choice import candidates
    from bench.forecasters import forecasters
    from bench.predicting import Asked, columns_of
    from bench.predictions import Told

    networks = candidates(chosen)
    answers = forecasters(card, wanted)
    for pair in answers.left_out:
        typer.echo(f"bench: left out {pair}: the card has no predictor for it", err=True)
    asked = Asked(
        networks, answers.forecasters, wanted.confidence, output.within_ms, output.extrapolate
    )
    shown = _shown(networks, columns_of(networks), output)
    summaries = _run(asked, shown, output.export)
    rows = None if shown is None else shown.table()
    return Told(
        card,
        answers.forecasters,
        wanted.deployed,
        wanted.confidence,
        output.within_ms,
        summaries,
        rows,
    )


def _shown(networks: "Candidates", columns: "Sequence[str]", output: Output) -> "Shown | None":
    """What keeps the rows to show; None where all of a space go by."""
    from bench.candidates import Listed
    from bench.predictions import Shown

    if output.limit is not None or isinstance(networks, Listed):
        return Shown(columns, output.sort, output.limit)
    if output.sort is not None:
        raise BadInputError("--sort with --all needs --limit: say how many rows to show")
    return None


def _run(asked: "Asked", shown: "Shown | None", export: Path | None) -> "list[Summary]":
    """Predict; rows go to the file as they come, or when their order is known."""
    from bench.predicting import columns_of, predict
    from bench.prediction_file import PredictionFile

    if export is None:
        return predict(asked, _drop if shown is None else shown.add)
    with PredictionFile(export, columns_of(asked.candidates)) as file:
        found = predict(asked, file.write if shown is None else shown.add)
        if shown is not None:
            file.write(shown.table())
    return found


def _drop(_table: "pa.Table") -> None:
    """Of a space that is only summed up no row is kept."""


def _print(told: "Told", output: Output, seconds: float) -> None:
    from rich.console import Console

    from bench.predictions import as_json, headline, row_table, summary_table

    if output.as_json:
        typer.echo(json.dumps(as_json(told) | {"seconds": seconds}))
    else:
        console = Console(highlight=False, markup=False)
        console = console if console.is_terminal else Console(highlight=False, width=WIDTH)
        for sentence in headline(told):
            console.print(sentence, soft_wrap=True)
        if told.rows is not None and len(told.rows):
            console.print(row_table(told, told.rows))
        if told.rows is None or told.summaries[0].networks > 1:
            console.print(summary_table(told))
    for sentence in _remarks(told, output, seconds):
        typer.echo(sentence, err=output.as_json)


def _remarks(told: "Told", output: Output, seconds: float) -> "Iterator[str]":
    from profiler.environment import read_hardware

    here, there = read_hardware().cpu, told.card.environment.hardware.cpu
    if here != there:
        yield f"This host has another CPU ({here}): the predictions are for {there}."
    every = sum(x.networks for x in told.summaries)
    kept = sum(x.kept for x in told.summaries)
    if output.within_ms is not None:
        yield f"{kept:,} of {every:,} predictions are within {output.within_ms:g} ms"
    if output.export is not None:
        rows = kept if told.rows is None else len(told.rows)
        yield f"{rows:,} rows written to {output.export}"
    yield f"{every:,} prediction{'s' if every > 1 else ''} in {seconds:.2f} s"

"""`bench fit`: predictors of latency from the ledger's rows, with an error card each."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from bench.fitting import Asked, Fitted, Plan
    from results.store import Ledger

RESULTS = Path("results/data")

WIDTH = 160
"""Of the table where there is no terminal."""


def fit(
    *,
    device: Annotated[str, typer.Option(help="Whose rows to fit to; see `bench rows`.")],
    results: Annotated[Path, typer.Option(help="Folder of the ledger.")] = RESULTS,
    runtime: Annotated[
        list[str] | None, typer.Option(help="Only rows of these runtimes; repeatable.")
    ] = None,
    scheme: Annotated[
        list[str] | None,
        typer.Option(
            "--scheme",
            "--precision",
            help="Only rows in these schemes, settings and all; int8: every int8 one; repeatable.",
        ),
    ] = None,
    session: Annotated[
        list[str] | None,
        typer.Option(help="Only rows whose session id contains one of these; repeatable."),
    ] = None,
    family: Annotated[
        str,
        typer.Option(
            help="Kind of predictor: physics, hybrid, xgboost, mlp, mlp-seed; auto: the one with"
            " the least error on held-out networks."
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of the folds and of what a family draws.")] = 0,
    card: Annotated[
        Path | None,
        typer.Option(help="File to write. [default: cards/DEVICE.json in the ledger's folder]"),
    ] = None,
    from_card: Annotated[
        Path | None,
        typer.Option(help="Begin with the prices of another device's card: five networks do."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Write a chart: predicted against measured, .png or .html."),
    ] = None,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Pass over ledger lines that cannot be read.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, no progress.")] = False,
) -> None:
    """Fit a predictor to the rows of every runtime and precision of a device.

    Errors are those on networks that were held out. A predictor is on the disk before the next is
    begun.
    """
    from bench.fitting import Asked, default_card, spelled
    from bench.training import Wanted
    from bench.warm_start import warm_start
    from results.store import Ledger

    if plot is not None:
        from bench.chart import require_format

        require_format(plot)
    ledger = Ledger(results, skip_damaged=skip_damaged)
    schemes = spelled(ledger, scheme or ())
    wanted = Wanted(device, tuple(runtime or ()), schemes, tuple(session or ()))
    asked = Asked(wanted, family, seed, warm_start(from_card, device))
    output = Output(card or default_card(results, device), plot, as_json=as_json)
    fit_and_report(ledger, asked, output)
    for damage in ledger.damage:
        typer.echo(f"bench: passed over {damage}", err=True)


@dataclass(frozen=True, slots=True)
class Output:
    """Where to, and how."""

    card: Path
    plot: Path | None
    as_json: bool
    beside: "Mapping[str, object]" = field(default_factory=dict)
    """What else there is to say in the JSON, by name."""

    @property
    def talk(self) -> "Console":
        """For people: all there is to say, or what is said beside the JSON."""
        from rich.console import Console

        stream = sys.stderr if self.as_json else sys.stdout
        width = None if stream.isatty() else WIDTH
        return Console(stderr=self.as_json, highlight=False, markup=False, width=width)


def fit_and_report(ledger: "Ledger", asked: "Asked", output: Output) -> None:
    """Fit to every set of rows, keep each predictor as soon as it is there, and print the errors.

    Told to stop, it reports on those that are there.

    Raises:
        BadInputError: nothing can be fitted as asked, or the card or the chart cannot be written.
    """
    from rich.progress import Progress

    from bench.fitting import fit_one, keep, name_of, plan, require_card

    planned = plan(ledger, asked)
    require_card(output.card, asked, planned)
    found: list[Fitted] = []
    talk = output.talk
    for sentence in [*_beginnings(planned, asked), *(f"left out: {x}" for x in planned.left_out)]:
        talk.print(sentence, soft_wrap=True)
    try:
        with Progress(console=talk, transient=True, disable=not talk.is_terminal) as bar:
            task = bar.add_task("", total=len(planned.sets))
            for rows in planned.sets:
                bar.update(task, description=name_of(rows.key))
                fitted = fit_one(rows, asked)
                keep(output.card, asked, fitted)
                found.append(fitted)
                bar.advance(task)
    except KeyboardInterrupt:
        if found:
            _report(found, planned, asked, output)
        raise
    _report(found, planned, asked, output)


def _beginnings(planned: "Plan", asked: "Asked") -> "Iterator[str]":
    """With what another device's card helped, and with what it could not."""
    from bench.fitting import name_of

    begun = asked.begin_with
    without = [name_of(x.key) for x in planned.sets if begun.of(x.key) is None]
    if begun.origin:
        yield f"begun with the prices of {begun.origin}"
    if begun.origin and without:
        yield f"that card has none of {', '.join(without)}: fitted to the rows alone"


def _report(found: "Sequence[Fitted]", planned: "Plan", asked: "Asked", output: Output) -> None:
    from bench.fit_report import remarks, table, to_json
    from bench.fitting import default_card

    device, talk = asked.wanted.device, output.talk
    usual = output.card == default_card(RESULTS, device)
    named = f"--device {device}" if usual else f"--card {output.card}"
    if all(x.key.profile == "deployed" for x in found):
        named += " --deployed"
    said = list(remarks(found, output.card, named))
    if output.as_json:
        typer.echo(to_json(found, asked, output.card, planned.left_out, output.beside))
    else:
        talk.print(table(found, device))
    for sentence in said:
        talk.print(sentence, soft_wrap=True)
    if output.plot is not None:
        from bench.fit_chart import draw

        draw(found, device, said, output.plot)
        talk.print(f"chart: {output.plot}", soft_wrap=True)

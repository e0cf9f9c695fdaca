"""`nas ship`: a winner of a search, trained further, measured, with its card."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands import task_options
from nas.commands.recipe import with_recipe
from nas.commands.table import say
from nas.commands.training import is_given
from nas.train.recipe import Recipe
from results.errors import BadInputError

if TYPE_CHECKING:
    from bench.search.model_card import Card
    from bench.search.ship import Shipped

USUAL = Recipe()


@with_recipe(USUAL)
def ship(
    *,
    context: typer.Context,
    recipe: Recipe,
    search: Annotated[Path, typer.Option(help="Folder of the search: results/searches/NAME.")],
    winner: Annotated[int, typer.Option(help="Which one of it; the best is 1.")] = 1,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write. [default: shipped/WINNER in the search's]", show_default=False
        ),
    ] = None,
    no_training: Annotated[
        bool, typer.Option("--no-training", help="Ship the inherited weights.")
    ] = False,
    teacher: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a network that teaches. [default: the search's]", show_default=False
        ),
    ] = None,
    trust: Annotated[
        float,
        typer.Option(min=0, max=1, help="Weight of the teacher's answers against the labels."),
    ] = 0.5,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads of the training.", show_default=False),
    ] = None,
    folder: task_options.Folder = None,
    text_column: task_options.TextColumn = None,
    pair_column: task_options.PairColumn = None,
    label_column: task_options.LabelColumn = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the ledger. [default: the one beside the search]", show_default=False
        ),
    ] = None,
    devices: Annotated[
        Path | None, typer.Option(help="File of device definitions.", show_default=False)
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="Device of the search to measure on; repeatable. [default: all of them]",
            show_default=False,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Measure on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT; each device is a"
            " custom resource of its nodes.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print card.json.")] = False,
) -> None:
    """Train a winner further, quantise it again, judge and measure it, write it with its card.

    Of inherited and trained weights those ship that are better on the dev split. What breaks the
    budget when it is measured does not ship: exit code 1.
    """
    from rich.console import Console

    from bench.live import Live
    from bench.search.ship import Asked
    from bench.search.ship import ship as shipped
    from nas.data.columns import Columns

    asked = Asked(
        search=search,
        winner=winner,
        output=output,
        training=not no_training,
        teacher=teacher,
        trust=trust,
        recipe=_given(context, recipe),
        threads=threads,
        results=results,
        devices=devices,
        only=tuple(device or ()),
        ray=ray,
        folder=folder,
        columns=Columns(text_column, pair_column, label_column),
    )
    if no_training and (asked.recipe or teacher is not None):
        raise BadInputError(
            "--no-training leaves nothing to be taught: leave it out, or the options of training"
        )
    talk = Console(stderr=True, highlight=False, markup=False)
    _tell(shipped(asked, say, lambda: Live(talk)), as_json=as_json)


def _given(context: typer.Context, recipe: Recipe) -> tuple[str, ...]:
    """What was asked for, as options of `nas train further`, which knows the rest."""
    numbers = recipe.as_dict()
    asked = [name for name in numbers if is_given(context, name)]
    return tuple(text for name in asked for text in (f"--{name}", str(numbers[name])))


def _tell(done: "Shipped", *, as_json: bool) -> None:
    card = done.card
    if as_json:
        typer.echo(card.bytes.decode(), nl=False)
    else:
        for line in _lines(card):
            typer.echo(line)
    if done.broken:
        busy = "; the machine was busy, and another try may say less" if card.noisy else ""
        say(
            f"it does not ship: {'; '.join(done.broken)}{busy}; its files are kept in "
            f"{done.folder}: ship another --winner, or search with a lower budget"
        )
        raise typer.Exit(1)
    if not as_json:
        typer.echo(f"{done.folder}: {card.name}, {card.weights} weights")


def _lines(card: "Card") -> list[str]:
    lines = [
        f"{one.tokens} tokens on {one.device}: {one.ms:.3g} ms ({one.lower:.3g}-{one.upper:.3g})"
        for one in card.measured
    ]
    lines.append(f"{card.megabytes:.2f} MB, {card.memory_megabytes:.1f} MB of memory")
    for one in card.judgements:
        metric, value = next(iter(one.metrics.items()))
        within = "" if one.interval is None else f" ({one.interval[0]:.3f}-{one.interval[1]:.3f})"
        what = f"{one.weights} weights in {one.scheme}, {one.split}"
        lines.append(f"{what}: {metric} {value:.4f}{within}")
    return lines

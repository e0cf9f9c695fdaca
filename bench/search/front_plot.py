"""What searches found as a PNG. Computes nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.search.front import QUANTISED, Found
from bench.search.front_points import DROPPED, FRONT, WINNERS, Layer, Picture, pictures
from results.errors import BadInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#777777"
IN_A_ROW = 2
"""Pictures beside each other."""

WIDTH, HEIGHT = 7.5, 4.5
"""Inches of one picture."""

BESIDE, LINE = 2, 0.22
"""Names of the legend beside each other under a picture; inches of a line of it."""

STYLES: dict[str, dict[str, Any]] = {
    QUANTISED: {"marker": "o", "markersize": 4, "alpha": 0.8},
    WINNERS: {"marker": "*", "markersize": 14, "markeredgecolor": "#222222", "zorder": 4},
    DROPPED: {"marker": "X", "markersize": 8, "markerfacecolor": "#ffffff", "zorder": 3},
}
"""By the kind of a layer; of all others a circle that is not filled."""

OPEN = {"marker": "o", "markersize": 4, "fillstyle": "none", "alpha": 0.5}


def draw(found: Sequence[Found], path: Path) -> None:
    """The picture of these searches, a part for each workload.

    Raises:
        BadInputError: there is nothing to draw yet, or it cannot be written there.
    """
    figure = _figure(pictures(found), found)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise BadInputError(
            f"cannot write --plot {path} ({error.strerror}): choose another file"
        ) from None


def _figure(drawn: Sequence[Picture], found: Sequence[Found]) -> "Figure":
    from matplotlib.figure import Figure

    columns = min(IN_A_ROW, len(drawn))
    rows = -(-len(drawn) // columns)
    beside = BESIDE * columns
    height = HEIGHT * rows + LINE * -(-len(drawn[0].layers) // beside)
    figure = Figure(figsize=(WIDTH * columns, height), layout="constrained")
    for n, picture in enumerate(drawn, 1):
        _part(figure.add_subplot(rows, columns, n), picture, found)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    legend = figure.legend(
        handles, labels, loc="outside lower left", ncols=beside, frameon=False, fontsize=8
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    title = ", ".join(x.label for x in found)
    figure.suptitle(title, x=0.01, ha="left", parse_math=False)
    return figure


def _part(axes: "Axes", picture: Picture, found: Sequence[Found]) -> None:
    for layer in picture.layers:
        _draw(axes, layer, layer.name_among(found))
    for value, words in picture.budgets:
        axes.axvline(value, color=GREY, linestyle="--", linewidth=1)
        top = axes.get_xaxis_transform()
        where: dict[str, Any] = {"rotation": 90, "ha": "left", "va": "bottom", "fontsize": 8}
        axes.text(value, 0.02, words, transform=top, color=GREY, parse_math=False, **where)
    if picture.least is not None:
        axes.axhline(picture.least, color=GREY, linestyle=":", linewidth=1)
    axes.set_xlabel(picture.axis, parse_math=False)
    axes.set_ylabel(picture.metric, parse_math=False)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)


def _draw(axes: "Axes", layer: Layer, name: str) -> None:
    x, y = [p.x for p in layer.points], [p.y for p in layer.points]
    if layer.kind == FRONT:
        style = "-" if layer.stage == QUANTISED else ":"
        axes.step(x, y, where="post", color=layer.colour, linestyle=style, label=name)
        return
    if layer.kind in (WINNERS, DROPPED):
        ends = [p.x - p.lower for p in layer.points], [p.upper - p.x for p in layer.points]
        axes.errorbar(x, y, xerr=ends, fmt="none", ecolor="#333333", elinewidth=1, zorder=2)
    look = STYLES.get(layer.kind, OPEN)
    axes.plot(x, y, linestyle="none", color=layer.colour, label=name, **look)

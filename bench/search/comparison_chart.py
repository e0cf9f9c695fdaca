"""Hypervolume against evaluations, as a PNG or as one HTML page that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.chart import write
from bench.search.comparison import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (
    "#40007a", "#b35806", "#1b7837", "#2166ac", "#c51b7d", "#01665e", "#8c510a", "#777777",
    "#000000",
)  # fmt: skip
"""After ColorBrewer, dark enough for lines; then from the first again, dashed."""

PAGE = """{{ svg|safe }}
<table><thead><tr>{% for h in headings %}<th>{{ h }}</th>{% endfor %}</tr></thead><tbody>
{% for cells in lines %}<tr>{% for c in cells %}<td>{{ c }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
"""


def draw(
    curves: Sequence[Curve],
    title: str,
    cells: tuple[Sequence[str], Sequence[Sequence[str]]],
    path: Path,
) -> None:
    """Means over the seeds, and bands of one standard deviation; the page has the table too.

    Raises:
        BadInputError: it cannot be written there.
    """
    headings, lines = cells
    fields = {"title": title, "headings": headings, "lines": lines, "words": 1}
    write(_figure(curves, title), path, PAGE, fields, "the table above is all there is")


def _figure(curves: Sequence[Curve], title: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for i, curve in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        x = np.arange(1, curve.reached.shape[1] + 1)
        mean, spread = 100 * curve.reached.mean(0), 100 * curve.reached.std(0)
        dashes = "-" if i < len(COLOURS) else "--"
        axes.plot(x, mean, dashes, color=colour, label=curve.name, linewidth=1.6)
        axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)
    low = min(100 * float(c.reached[:, min(8, c.reached.shape[1]) - 1].mean()) for c in curves)
    axes.set_ylim(max(0.0, low - 2), 100.5)
    axes.set_xlabel("evaluations")
    axes.set_ylabel("hypervolume, % of all that there is")
    axes.set_title(title, loc="left")
    axes.grid(visible=True, which="major", color="#ddd", linewidth=0.6)
    axes.legend(loc="lower right", frameon=False)
    return figure

"""Predicted against measured and the residuals, every network held out; as PNG or HTML page."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from bench.chart import COLOURS, require_format, write
from bench.fit_report import headings, lines
from bench.fitting import Fitted, name_of
from bench.training import MIXED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 12
"""Predictors in one picture; the table has them all."""

BESIDE = 4
"""More predictors than that stand in two columns."""

BAND = 0.1
"""Relative error up to which a prediction is drawn as near."""

GREY, LIGHT = "#999999", "#eeeeee"

NARROW = 8.0
"""From the least to the largest number of an axis: below it, more of them are written."""

PAGE = """<table><thead><tr>{% for h in headings %}<th>{{ h }}</th>{% endfor %}</tr></thead><tbody>
{% for cells in lines %}<tr>{% for c in cells %}<td>{{ c }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
{% for remark in remarks %}<p>{{ remark }}</p>
{% endfor %}{{ svg|safe }}
"""


def draw(found: Sequence[Fitted], device: str, remarks: Sequence[str], path: Path) -> None:
    """Write the picture to `path`; as a page with the error card and the remarks.

    Raises:
        BadInputError: it cannot be written there.
    """
    require_format(path)
    shown = sorted(found, key=lambda x: x.key.scheme == MIXED)[:MOST]
    some = f" ({MOST} of {len(found)})" if len(found) > MOST else ""
    title = f"{device}: networks predicted by predictors that have not seen them{some}"
    fields = {
        "title": title,
        "headings": headings(found),
        "lines": list(lines(found)),
        "remarks": remarks,
    }
    write(_figure(shown, title), path, PAGE, fields, "the card is kept")


def _figure(found: Sequence[Fitted], title: str) -> "Figure":
    from matplotlib.figure import Figure

    beside = 1 if len(found) <= BESIDE else 2
    down = -(-len(found) // beside)
    figure = Figure(figsize=(9 * beside, 0.6 + 3 * down), layout="constrained")
    panels = figure.subplots(down, 2 * beside, squeeze=False)
    for x, (left, right) in zip(found, panels.reshape(-1, 2), strict=False):
        _predictions(left, x)
        _residuals(right, x)
    for unused in panels.reshape(-1, 2)[len(found) :].flat:
        unused.set_axis_off()
    figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=12)
    return figure


def _predictions(axes: "Axes", x: Fitted) -> None:
    """On equal logarithmic axes, with the diagonal and the band around it."""
    measured, predicted = x.rows.rows.ms, x.made.held_out
    ends = [
        0.8 * min(measured.min(), predicted.min()),
        1.25 * max(measured.max(), predicted.max()),
    ]
    low, high = ([(1.0 + side) * end for end in ends] for side in (-BAND, BAND))
    axes.fill_between(ends, low, high, color=LIGHT, label=f"± {BAND:.0%}")
    axes.plot(ends, ends, color=GREY, linewidth=0.8)
    _points(axes, x, predicted.tolist())
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    _plain_numbers(axes, "xy")
    axes.set_ylabel("predicted, ms")
    axes.set_title(f"{name_of(x.key)}: {x.made.predictor.family}", loc="left", fontsize=10)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    _grid(axes)


def _residuals(axes: "Axes", x: Fitted) -> None:
    """What the prediction is off by, in percent, with the mean interval."""
    error = x.made.error
    off = 100.0 * (x.made.held_out / x.rows.rows.ms - 1.0)
    width = 100.0 * error.half_width
    if isfinite(width):
        holds = f", holds {error.coverage:.0%}" if isfinite(error.coverage) else ""
        label = f"{error.confidence:.0%} interval{holds}"
        axes.axhspan(-width, width, color=LIGHT, label=label)
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    _points(axes, x, off.tolist())
    axes.set_xscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.2 * (high - low))  # the legend stands above the points
    _plain_numbers(axes, "x")
    axes.set_ylabel("predicted too high, %")
    axes.set_title(f"MAPE {error.mape:.1%}, {error.rows} rows", loc="left", fontsize=10)
    if isfinite(width):
        axes.legend(loc="upper left", frameon=False, fontsize=8)
    _grid(axes)


def _points(axes: "Axes", x: Fitted, heights: Sequence[float]) -> None:
    colour = COLOURS.get(x.key.runtime, "#000000")
    axes.plot(x.rows.rows.ms.tolist(), heights, "o", color=colour, markersize=2.5, alpha=0.6)
    axes.set_xlabel("measured, ms")


def _plain_numbers(axes: "Axes", which: str) -> None:
    """Some of each decade, not as powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    steps = (1.0, 2.0, 5.0) if high > NARROW * low else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    for axis in (axes.xaxis, axes.yaxis)[: len(which)]:
        axis.set_major_locator(LogLocator(subs=steps))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _grid(axes: "Axes") -> None:
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)

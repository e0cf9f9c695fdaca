"""The roofline picture (Williams et al., CACM 2009) of `bench explain`, as PNG or HTML page."""

from collections.abc import Iterator, Sequence
from math import log
from pathlib import Path
from typing import TYPE_CHECKING

from bench.chart import require_format, write
from bench.explain_figures import Machine, Rate
from bench.explain_tables import Explained
from bench.explain_words import NAMES
from profiler.parts import GEMMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"fp32": "#b35806", "int8": "#40007a"}
"""Readable in grey and to the colour-blind (ColorBrewer PuOr)."""

MARKERS = {"qkv": "o", "attention-output": "s", "ffn-in": "^", "ffn-out": "D"}
HOLLOW = {"qkv": "○", "attention-output": "□", "ffn-in": "△", "ffn-out": "◇"}
FILLED = {"qkv": "●", "attention-output": "■", "ffn-in": "▲", "ffn-out": "◆"}
"""The markers as characters: points may hide each other, their labels do not."""

LABELS_AT = 0.72
"""Where the column of labels begins, as a share of the width."""

LABEL_GAP = 0.055
"""From one label to the next, as a share of the height."""

LOWEST_LABEL = 0.03

NEARLY = 1.2
"""Rates within this factor count as equal when labels are put in order."""

PAGE = """<p>{{ conclusion }}</p>
{{ svg|safe }}
<table><thead><tr><th>product</th><th>scheme</th><th>ops/byte</th><th>GOP/s</th>
<th>of peak</th></tr></thead><tbody>
{% for r in rates %}<tr><td>{{ r.name }}</td><td>{{ r.scheme }}</td>
<td>{{ "%.0f"|format(r.intensity) }}</td><td>{{ "%.0f"|format(r.gops) }}</td>
<td>{{ "%.0f"|format(100 * r.share) }} %</td></tr>
{% endfor %}</tbody></table>
"""


def draw(found: Explained, path: Path) -> None:
    """Write the picture to `path`.

    Raises:
        BadInputError: it cannot be written there.
    """
    require_format(path)
    asked = found.question
    title = f"{asked.architecture} on {found.device}, {asked.runtime}: {asked.scheme} and fp32"
    figure = _figure(found, title)
    rates = [
        {
            "name": NAMES[rate.group],
            "scheme": scheme,
            "intensity": rate.intensity,
            "gops": rate.gops,
            "share": rate.gops / found.machine.peaks[rate.arithmetic],
        }
        for scheme, own in _both(found)
        for rate in own
    ]
    conclusion = " ".join(found.conclusion)
    fields = {"title": title, "words": 2, "conclusion": conclusion, "rates": rates}
    write(figure, path, PAGE, fields, "choose another file")


def _both(found: Explained) -> Iterator[tuple[str, list[Rate]]]:
    """The linear layers' rates by scheme, fp32 first."""
    for scheme, own in (("fp32", found.floats), (found.question.scheme, found.integers)):
        yield scheme, [rate for rate in own.rates if rate.group in GEMMS]


def _figure(found: Explained, title: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    drawn = list(_both(found))
    everything = [(rate, scheme) for scheme, own in drawn for rate in own]
    _limits(axes, [rate for rate, _ in everything], found.machine)
    _roofs(axes, found.machine)
    for scheme, own in drawn:
        for rate in own:
            _point(axes, rate, scheme, named=rate is own[0])
    _labels(axes, sorted(everything, key=lambda one: _from_above(one[0])), found.machine)
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("operations for each byte of weights and activations")
    axes.set_ylabel("GOP/s")
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(visible=True, which="major", color="#ddd", linewidth=0.6)
    return figure


def _limits(axes: "Axes", rates: Sequence[Rate], machine: Machine) -> None:
    """The ridges and the points, and as much again for labels on the right."""
    ridges = [machine.peaks[a] / machine.bandwidths[a] for a in machine.peaks]
    seen = [*ridges, *(rate.intensity for rate in rates)]
    left = min(seen) / 4
    axes.set_xlim(left, max(seen) * (max(seen) / left) ** 0.7)
    lowest = min([*machine.peaks.values(), *(rate.gops for rate in rates)])
    axes.set_ylim(lowest / 4, 6 * max(machine.peaks.values()))


def _roofs(axes: "Axes", machine: Machine) -> None:
    """For each arithmetic, what bandwidth allows and what the peak allows, whichever is less."""
    left, right = axes.get_xlim()
    for arithmetic in ("int8", "fp32"):
        peak, bandwidth = machine.peaks[arithmetic], machine.bandwidths[arithmetic]
        axes.plot(
            [left, peak / bandwidth, right],
            [left * bandwidth, peak, peak],
            color=COLOURS[arithmetic],
            linewidth=1.4,
            label=f"{arithmetic} roof: {peak:,.0f} GOP/s, and "
            f"{machine.weights[arithmetic] / 1e6:.0f} MB of weights read at {bandwidth:.0f} GB/s",
        )


def _point(axes: "Axes", rate: Rate, scheme: str, *, named: bool) -> None:
    colour = COLOURS[rate.arithmetic]
    axes.plot(
        rate.intensity,
        rate.gops,
        MARKERS[rate.group],
        color=colour,
        markerfacecolor="white" if scheme == "fp32" else colour,
        markersize=6,
        zorder=3,
        label=f"{scheme}: GOP/s (share of the peak)" if named else None,
    )


def _labels(axes: "Axes", ordered: Sequence[tuple[Rate, str]], machine: Machine) -> None:
    """A column of labels, each with a line to its point and at its height where there is room."""
    low, high = (log(y) for y in axes.get_ylim())
    wanted = [(log(rate.gops) - low) / (high - low) for rate, _ in ordered]
    for (rate, scheme), height in zip(ordered, spread(wanted), strict=True):
        colour = COLOURS[rate.arithmetic]
        sign = (HOLLOW if scheme == "fp32" else FILLED)[rate.group]
        share = rate.gops / machine.peaks[rate.arithmetic]
        axes.annotate(
            f"{sign} {_short(rate)} {rate.gops:,.0f} ({share:.0%})",
            (rate.intensity, rate.gops),
            (LABELS_AT, height),
            textcoords="axes fraction",
            fontsize=9,
            verticalalignment="center",
            color=colour,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.5,
                "relpos": (0, 0.5),
                "shrinkB": 4,
            },
        )


def spread(wanted: Sequence[float]) -> list[float]:
    """Heights from the top down, as wanted where nothing is nearer than `LABEL_GAP`."""
    found: list[float] = []
    for height in wanted:
        found.append(min(height, found[-1] - LABEL_GAP) if found else height)
    floors = [LOWEST_LABEL + LABEL_GAP * place for place in range(len(found))][::-1]
    return [max(height, floor) for height, floor in zip(found, floors, strict=True)]


def _short(rate: Rate) -> str:
    return NAMES[rate.group].removeprefix("GEMM ")


def _from_above(rate: Rate) -> tuple[float, ...]:
    """Highest first; of nearly equal ones the rightmost, so that lines to labels do not cross."""
    return -round(log(rate.gops) / log(NEARLY)), -round(rate.intensity), -rate.gops

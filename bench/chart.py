"""Latency against work, fp32 beside int8, as a PNG or as one HTML page that needs nothing else."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from results.errors import BadInputError
from results.measurement import Measurement
from results.stats import Label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".html")

COLOURS = {
    "torch": "#b35806",
    "onnxruntime": "#40007a",
    "openvino": "#1b7837",
    "onednn": "#2166ac",
    "torchao": "#777777",
}
"""One a runtime; after ColorBrewer's PuOr and RdBu, readable to the colour-blind."""

MARKERS = {"fp32": "o", "bf16": "s", "int8-dynamic": "^", "ptq": "D", "ptq-bf16": "d"}
"""One a scheme, those of float32 filled; all others a cross."""

FRAME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; color: #222; }
svg { width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #ddd; }
th:nth-child(-n+{{ words }}), td:nth-child(-n+{{ words }}) { text-align: left; }
</style></head><body>
<h1>{{ title }}</h1>
{{ body|safe }}</body></html>
"""
"""Of every page: `words` columns of its tables stand on the left, the others are figures."""

PAGE = """{{ svg|safe }}
<table><thead><tr><th>runtime</th><th>scheme</th><th>network</th><th>tokens</th><th>MMACs</th>
<th>latency ms</th><th>± 95 %</th><th>noisy</th></tr></thead><tbody>
{% for p in points %}<tr><td>{{ p.runtime }}</td><td>{{ p.scheme }}</td><td>{{ p.network }}</td>
<td>{{ p.tokens }}</td><td>{{ "%.1f"|format(p.mmacs) }}</td>
<td>{{ "%.3f"|format(p.latency_ms) }}</td><td>{{ "%.1f"|format(100 * p.error) }} %</td>
<td>{{ "noisy" if p.noisy else "" }}</td></tr>
{% endfor %}</tbody></table>
"""


def require_format(path: Path) -> None:
    """Refuse a chart of a kind nobody can draw, before anything is measured."""
    if path.is_dir():
        message = f"--plot {path}: that is a folder; name a file in it"
        raise BadInputError(message)
    if path.suffix not in FORMATS:
        message = f"--plot {path}: a chart ends in {' or '.join(FORMATS)}"
        raise BadInputError(message)
    if not path.resolve().parent.is_dir():
        message = f"--plot {path}: there is no folder {path.resolve().parent}; create it first"
        raise BadInputError(message)


def points(rows: Sequence[Measurement], found: Mapping[str, Label]) -> list[dict[str, object]]:
    """What is drawn: one point a row whose network is known."""
    drawn = []
    for row in rows:
        architecture = row.subject.architecture
        if architecture is not None:
            work = row.workload
            drawn.append(
                {
                    "runtime": row.subject.runtime,
                    "scheme": row.subject.scheme,
                    "network": str(architecture),
                    "tokens": work.tokens,
                    "mmacs": architecture.macs(work.tokens, work.batch) / 1e6,
                    "latency_ms": found[row.id].latency_ms,
                    "error": found[row.id].error,
                    "noisy": row.noisy,
                }
            )
    return sorted(drawn, key=lambda p: str(p["runtime"]) + str(p["scheme"]) + str(p["network"]))


def draw(rows: Sequence[Measurement], found: Mapping[str, Label], device: str, path: Path) -> None:
    """Write the chart to `path`; `found` are the labels by row id."""
    require_format(path)
    drawn = points(rows, found)
    if not drawn:
        raise BadInputError("--plot: the rows have no known networks to draw against MACs")
    title = f"Latency of sub-encoders on {device}"
    figure = _figure(drawn, title)
    write(figure, path, PAGE, {"title": title, "points": drawn}, "the rows are kept")


def write(
    figure: "Figure", path: Path, page: str, fields: Mapping[str, object], comfort: str
) -> None:
    """A .png of the figure, or an HTML page: the Jinja template `page`, with the figure as `svg`.

    Of the `fields` the frame needs `title`, and takes `words`.

    Raises:
        BadInputError: it cannot be written there; ends with `comfort`.
    """
    from jinja2 import Environment

    try:
        if path.suffix == ".png":
            figure.savefig(path, dpi=150)
            return
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
        svg = buffer.getvalue()
        environment = Environment(autoescape=True)
        body = environment.from_string(page).render(svg=svg[svg.index("<svg") :], **fields)
        text = environment.from_string(FRAME).render({"words": 3} | dict(fields), body=body)
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        message = f"cannot write --plot {path} ({error.strerror}); {comfort}"
        raise BadInputError(message) from None


def _figure(drawn: Sequence[dict[str, object]], title: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for key in dict.fromkeys((str(p["runtime"]), str(p["scheme"])) for p in drawn):
        own = [p for p in drawn if (p["runtime"], p["scheme"]) == key]
        axes.plot(
            [_number(p["mmacs"]) for p in own],
            [_number(p["latency_ms"]) for p in own],
            MARKERS.get(key[1], "x"),
            markersize=5,
            color=COLOURS.get(key[0], "#000000"),
            fillstyle="full" if key[1] == "fp32" else "none",
            label=" ".join(key),
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("multiply-accumulates of one call, millions")
    axes.set_ylabel("latency, ms")
    axes.set_title(title, loc="left")
    axes.grid(visible=True, which="major", color="#ddd", linewidth=0.6)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def _number(value: object) -> float:
    return value if isinstance(value, float) else float(str(value))

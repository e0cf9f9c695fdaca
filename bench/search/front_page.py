"""What searches found as one HTML page that needs nothing else. Computes nothing."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from bench.search.front import QUANTISED, Found
from bench.search.front_points import DROPPED, FRONT, WINNERS, Layer, Picture, pictures
from bench.search.front_table import summary, tables
from bench.search.limits import told
from results.errors import BadInputError

SYMBOLS = {WINNERS: "star", DROPPED: "x", QUANTISED: "circle"}
"""By the kind of a layer; of all others a circle that is not filled."""

SIZES = {WINNERS: 15, DROPPED: 10}
"""Pixels; 7 of all others."""

PALE = "#ffffff"
"""Of what did not stay."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 85rem;
  padding: 0 1rem; color: #222; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .2rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #ddd;
  vertical-align: top; }
.word { text-align: left; overflow-wrap: anywhere; }
.wide td, .wide th { white-space: nowrap; }
[role=tablist] { margin-top: 1rem; border-bottom: 1px solid #bbb; }
[role=tab] { font: inherit; padding: .3rem 1rem; border: 0; border-bottom: 3px solid transparent;
  background: none; cursor: pointer; }
[role=tab][aria-selected=true] { border-color: #0072b2; font-weight: 600; }
</style></head><body>
<h1>{{ title }}</h1>
{% for lines in summaries %}{% for line in lines %}<p>{{ line }}</p>
{% endfor %}<br>{% endfor %}
{% if tabs|length > 1 %}<div role="tablist">
{% for name in tabs %}<button role="tab" id="tab-{{ loop.index0 }}"
 aria-controls="panel-{{ loop.index0 }}"
 aria-selected="{{ 'true' if loop.first else 'false' }}">{{ name }}</button>
{% endfor %}</div>{% endif %}
{% for figure in figures %}<div role="tabpanel" id="panel-{{ loop.index0 }}"
{%- if not loop.first %} hidden{% endif %}>{{ figure|safe }}</div>
{% endfor %}
{% for table in tables %}<h2>{{ table.title }}</h2>
<div class="wide"><table><thead><tr>{% for cell in table.header %}
<th{% if loop.index <= table.words %} class="word"{% endif %}>{{ cell }}</th>
{%- endfor %}</tr></thead><tbody>
{% for line in table.lines %}<tr>{% for cell in line %}
<td{% if loop.index <= table.words %} class="word"{% endif %}>{{ cell }}</td>
{%- endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endfor %}
{% for name, facts in origins %}<h2>where {{ name }} comes from</h2>
<table><tbody>{% for what, value in facts %}<tr><th class="word">{{ what }}</th>
<td class="word">{{ value }}</td></tr>
{% endfor %}</tbody></table>
{% endfor %}
<script>
const tabs = [...document.querySelectorAll("[role=tab]")];
for (const tab of tabs) tab.addEventListener("click", () => {
  for (const other of tabs) {
    const panel = document.getElementById(other.getAttribute("aria-controls"));
    panel.hidden = other !== tab;
    other.setAttribute("aria-selected", other === tab);
    if (other === tab) Plotly.Plots.resize(panel.querySelector(".js-plotly-plot"));
  }
});
</script>
</body></html>
"""


def write(found: Sequence[Found], path: Path) -> None:
    """The page of these searches.

    Raises:
        BadInputError: there is nothing to draw yet, or it cannot be written there.
    """
    from jinja2 import Environment

    drawn = pictures(found)
    text = (
        Environment(autoescape=True)
        .from_string(PAGE)
        .render(
            title=f"Front of {', '.join(x.label for x in found)}",
            summaries=[list(summary(x)) for x in found],
            tabs=[x.name for x in drawn],
            figures=[_figure(x, n, found) for n, x in enumerate(drawn)],
            tables=list(tables(found)),
            origins=[(x.label, list(_origin(x))) for x in found],
        )
    )
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInputError(
            f"cannot write --html {path} ({error.strerror}): choose another file"
        ) from None


def _figure(picture: Picture, number: int, found: Sequence[Found]) -> str:
    """Its part of the page; the first one brings plotly.js for all."""
    from plotly.io import to_html

    figure = {
        "data": [_trace(x, x.name_among(found)) for x in picture.layers],
        "layout": {
            "height": 600,
            "margin": {"t": 40, "r": 20, "b": 130},
            "hovermode": "closest",
            "hoverlabel": {"align": "left"},
            "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
            "xaxis": _axis(picture.axis),
            "yaxis": _axis(picture.metric),
            "shapes": list(_lines(picture)),
            "annotations": [_words(*budget) for budget in picture.budgets],
        },
    }
    made: str = to_html(
        figure,
        full_html=False,
        include_plotlyjs=number == 0,
        div_id=f"figure-{number}",
        config={"displaylogo": False, "responsive": True},
        validate=False,
    )
    return made


def _axis(title: str) -> dict[str, Any]:
    return {"title": {"text": _plain(title)}, "gridcolor": "#e5e5e5", "zeroline": False}


def _lines(picture: Picture) -> Iterator[dict[str, Any]]:
    """Across the whole picture: the budgets, and the score that must be reached."""
    for value, _ in picture.budgets:
        upright = {"x0": value, "x1": value, "y0": 0, "y1": 1, "yref": "paper"}
        yield {"type": "line", "line": {"dash": "dash", "color": "#555"}} | upright
    if picture.least is not None:
        level = {"x0": 0, "x1": 1, "xref": "paper", "y0": picture.least, "y1": picture.least}
        yield {"type": "line", "line": {"dash": "dot", "color": "#555"}} | level


def _words(value: float, words: str) -> dict[str, Any]:
    where = {"x": value, "y": 1, "yref": "paper", "xanchor": "left", "yanchor": "top"}
    return {"text": _plain(words), "showarrow": False} | where


def _plain(text: str) -> str:
    """A text in which plotly, which obeys a few tags, finds none."""
    return escape(text, quote=False)


def _trace(layer: Layer, name: str) -> dict[str, Any]:
    """Of plotly, as a dict."""
    x, y = [p.x for p in layer.points], [p.y for p in layer.points]
    trace: dict[str, Any] = {"type": "scatter", "x": x, "y": y, "name": _plain(name)}
    if layer.kind == FRONT:
        dash = "solid" if layer.stage == QUANTISED else "dot"
        line = {"color": layer.colour, "dash": dash, "shape": "hv", "width": 1.5}
        return trace | {"mode": "lines", "line": line, "hoverinfo": "skip"}
    trace |= {
        "mode": "markers",
        "text": ["<br>".join(_plain(line) for line in p.told) for p in layer.points],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": _marker(layer),
    }
    if layer.kind in (WINNERS, DROPPED):
        trace["error_x"] = {
            "array": [p.upper - p.x for p in layer.points],
            "arrayminus": [p.x - p.lower for p in layer.points],
            "color": "#333",
            "thickness": 1.2,
        }
    return trace


def _marker(layer: Layer) -> dict[str, Any]:
    dropped = layer.kind == DROPPED
    edges = {WINNERS: "#222222", DROPPED: layer.colour}
    return {
        "symbol": SYMBOLS.get(layer.kind, "circle-open"),
        "size": SIZES.get(layer.kind, 7),
        "color": PALE if dropped else layer.colour,
        "line": {"width": 1.5, "color": edges[layer.kind]} if layer.kind in edges else {},
    }


def _origin(one: Found) -> Iterator[tuple[str, str]]:
    """What a search must have to be done again, as far as it is known."""
    asked = one.search
    yield "task", f"{asked.task}, {asked.split} split, {asked.examples} examples"
    yield "budget", ", ".join(told(x) for x in asked.limits)
    yield "scheme", f"{asked.scheme} on {asked.runtime}"
    yield "searcher", f"{asked.searcher}, seed {asked.seed}, {asked.evaluations} evaluations"
    yield "space", asked.space
    yield "supernet", asked.supernet
    yield from ((f"card of {name}", f"sha256:{digest}") for name, digest in asked.cards.items())
    yield from ((f"machine of {name}", digest) for name, digest in asked.fingerprints.items())
    yield from asked.options.items()
    yield "versions", ", ".join(f"{name} {number}" for name, number in asked.packages.items())
    yield "subbert", f"{asked.tool}, git {asked.git or 'unknown'}"
    yield "begun", asked.started_utc
    if one.outcome is not None:
        yield "ended", one.outcome.ended_utc
        for x in one.outcome.winners:
            yield f"winner {x.rank}", f"{x.folder}/{x.file}, sha256:{x.sha256}"

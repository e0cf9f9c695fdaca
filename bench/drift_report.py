"""What `bench drift` found, as tables and as JSON. Measures nothing."""

import json
from dataclasses import asdict
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from bench.drifting import Found, Result

SHOWN = 12
"""Places of the ranking that are printed."""


def to_json(found: "Found") -> str:
    """Everything, as one object."""
    return json.dumps(asdict(found))


def as_text(found: "Found") -> str:
    """Tables, and what follows from them."""
    out = StringIO()
    console = Console(file=out, markup=False, highlight=False, width=140)
    console.print(_table(found))
    if len(found.results) == 2:  # noqa: PLR2004 - float32 and one other
        console.print(_parts(found.results[1]))
    if found.ranking:
        console.print(_ranking(found))
    for sentence in _remarks(found):
        console.print(sentence, soft_wrap=True)
    return out.getvalue().rstrip("\n")


def _table(found: "Found") -> Table:
    count = found.results[0].drift.sentences
    table = _bare(f"{found.model} on {count} sentences of {found.text}")
    labels = found.results[0].drift.labels_flipped is not None
    for heading in (
        "runtime",
        "scheme",
        "MB",
        f"ms ({found.tokens} tok)",
        "vs fp32",
        "cosine",
        "least",
        "token cos.",
        "least",
        "max error",
        "neighbour changed",
        *(["label flipped"] if labels else []),
    ):
        left = heading in ("runtime", "scheme")
        table.add_column(heading, justify="left" if left else "right", no_wrap=left)
    first = found.results[0].latency_ms
    for result in found.results:
        d = result.drift
        table.add_row(
            result.runtime,
            result.scheme,
            f"{result.model_bytes / 1e6:.1f}",
            f"{result.latency_ms:.2f}",
            f"{first / result.latency_ms:.2f} x",
            f"{d.cosine:.4f}",
            f"{d.least_cosine:.4f}",
            f"{d.token_cosine:.4f}",
            f"{d.least_token_cosine:.4f}",
            f"{d.largest_error:.2f}",
            f"{d.neighbours_changed:.1%}",
            *([f"{d.labels_flipped or 0:.1%}"] if labels else []),
        )
    return table


def _parts(result: "Result") -> Table:
    table = _bare(f"\nwhat {result.scheme} stores")
    for heading in ("group", "stored as", "tensors", "MB", "MB in float32"):
        table.add_column(heading, justify="left" if heading in ("group", "stored as") else "right")
    for part in result.parts:
        table.add_row(
            part.group,
            part.stored,
            str(part.tensors),
            f"{part.bytes / 1e6:.2f}",
            f"{part.float_bytes / 1e6:.2f}",
        )
    return table


def _ranking(found: "Found") -> Table:
    table = _bare(f"\nwhat costs most: one group of one layer in {found.ranked}, the rest float32")
    table.add_column("layer.group")
    table.add_column("1 - cosine", justify="right")
    for where, moved in found.ranking[:SHOWN]:
        table.add_row(where, f"{moved:.5f}")
    return table


def _remarks(found: "Found") -> list[str]:
    said = []
    if found.calibration:
        said.append(f"calibrated on {found.calibration}")
    if found.ranking:
        worst = "+".join(sorted(where for where, _ in found.ranking[:2]))
        said.append(
            f"to keep the two that cost most in float32: --scheme {found.ranked}:keep={worst}"
        )
    over = dict.fromkeys(r.scheme for r in found.results if r.overflowing)
    if over and found.vnni:
        said.append(
            "exact on this CPU; on x86 CPUs without VNNI 16-bit sums overflow in "
            f"{', '.join(over)}: there add :reduce-range=yes"
        )
    elif over:
        said.append(
            f"this CPU has no VNNI, and 16-bit sums can overflow in {', '.join(over)}: add "
            ":reduce-range=yes to the scheme"
        )
    return said


def _bare(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))

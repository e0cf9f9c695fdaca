"""What `bench fit` made, as a table, as sentences and as JSON. Fits nothing."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich.table import Table

from bench.fitting import Asked, Fitted, facts, name_of, tried

if TYPE_CHECKING:
    from pathlib import Path

    from predictors.error import ErrorCard

Ranges = Mapping[str, tuple[float, float]]

WORDY = ("runtime", "scheme", "family", "instead of")
"""Columns that are no figures."""


def headings(found: Sequence[Fitted]) -> list[str]:
    """Of the columns: three of words, figures, and one of words if families were compared."""
    confidence = found[0].made.error.confidence
    width = f"±{100 * confidence:g}%"
    figures = ("rows", "networks", "MAPE", "median", "<5%", "<10%", "tau", width, "holds")
    compared = ["instead of"] if any(tried(x.made) for x in found) else []
    return ["runtime", "scheme", "family", *figures, *compared]


def lines(found: Sequence[Fitted]) -> Iterator[list[str]]:
    """The cells of each predictor; errors are those on architectures it was not fitted to."""
    compared = any(tried(x.made) for x in found)
    for x in found:
        yield [*_names(x), *_figures(x.made.error), *([_second(x)] if compared else [])]


def table(found: Sequence[Fitted], device: str) -> Table:
    """A line for each predictor."""
    drawn = Table(
        title=f"{device}: errors on networks that were held out",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for heading in headings(found):
        justify: Literal["left", "right"] = "left" if heading in WORDY else "right"
        long = heading in ("scheme", "instead of")
        drawn.add_column(heading, justify=justify, no_wrap=not long, overflow="fold")
    for cells in lines(found):
        drawn.add_row(*cells)
    return drawn


def remarks(found: Sequence[Fitted], card: "Path", named: str) -> Iterator[str]:
    """What the table does not say: where the predictors hold, what was left out, what is next.

    `named` is how the next command finds the card.
    """
    yield from ranges({name_of(x.key): x.made.domain.ranges for x in found})
    noisy = sum(x.rows.noisy for x in found if not _is_mixed(x))
    if noisy:
        yield f"noisy rows left out: {noisy}"
    yield f"card: {card}"
    yield f"next: bench predict {named} --layers 4 --hidden 312 --heads 12"


def ranges(seen: Mapping[str, Ranges]) -> Iterator[str]:
    """The range of validity in words, by the names of the predictors.

    First what most have in common, then who differs in what.
    """
    sizes = next(iter(seen.values()))
    usual = {
        size: Counter(found[size] for found in seen.values()).most_common(1)[0][0]
        for size in sizes
    }
    yield f"fitted to {_told(usual)}"
    others: dict[str, list[str]] = defaultdict(list)
    for name, found in seen.items():
        differing = {size: found[size] for size in sizes if found[size] != usual[size]}
        if differing:
            others[_told(differing)].append(name)
    for told, names in others.items():
        yield f"  {', '.join(names)}: {told}"


def to_json(
    found: Sequence[Fitted],
    asked: Asked,
    card: "Path",
    left_out: Sequence[str],
    beside: Mapping[str, object] | None = None,
) -> str:
    """Everything, as one object; what is no number (a tau of two rows) is null."""
    told = {
        "device": asked.wanted.device,
        "family": asked.family,
        "seed": asked.seed,
        "card": str(card),
        "predictors": [facts(x) for x in found],
        "left_out": list(left_out),
        **(beside or {}),
    }
    return json.dumps(_finite(told))


def _names(x: Fitted) -> tuple[str, str, str]:
    profile = "" if x.key.profile == "stable" else f" ({x.key.profile})"
    return x.key.runtime, x.key.scheme + profile, x.made.predictor.family


def _second(x: Fitted) -> str:
    """The best of the families that were not chosen."""
    others = tried(x.made)
    name = min(others, key=lambda name: others[name], default=None)
    return f"{name} {_percent(others[name])}" if name else ""


def _figures(e: "ErrorCard") -> tuple[str, ...]:
    shares = (f"{share:.0%}" for share in (e.within_5, e.within_10))
    tau = f"{e.kendall_tau:.3f}" if math.isfinite(e.kendall_tau) else "-"
    width = _percent(e.half_width) if math.isfinite(e.half_width) else "-"
    return (
        str(e.rows),
        str(e.architectures),
        _percent(e.mape),
        _percent(e.median),
        *shares,
        tau,
        width,
        f"{e.coverage:.0%}" if math.isfinite(e.coverage) else "-",
    )


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _told(found: Ranges) -> str:
    return ", ".join(f"{size} {_ends(*ends)}" for size, ends in found.items())


def _ends(low: float, high: float) -> str:
    return f"{low:.4g}" if low == high else f"{low:.4g}-{high:.4g}"


def _is_mixed(x: Fitted) -> bool:
    from bench.training import MIXED

    return x.key.scheme == MIXED


def _finite(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: _finite(value) for name, value in told.items()}
    if isinstance(told, list):
        return [_finite(value) for value in told]
    return None if isinstance(told, float) and not math.isfinite(told) else told

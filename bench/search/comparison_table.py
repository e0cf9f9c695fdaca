"""Curves as a table for people, or as JSON. Compares nothing."""

from collections.abc import Sequence

import numpy as np

from bench.search.comparison import ANCHOR_AT, Curve

Cells = tuple[list[str], list[list[str]]]


def cells(curves: Sequence[Curve], at: Sequence[int], level: float | None) -> Cells:
    """Headings and lines: the mean +- standard deviation after so many evaluations.

    With a level, how many are needed to reach it, or more than there were.
    """
    headings = ["searcher", *map(str, at)]
    if level is not None:
        headings.append(f"to NSGA-II's {100 * level:.1f} %")
    lines = []
    for curve in curves:
        line = [curve.name]
        for evaluations in at:
            mean, spread = curve.after(evaluations)
            line.append(_share(mean, spread if len(curve.reached) > 1 else None))
        if level is not None:
            line.append(_needed(curve, level))
        lines.append(line)
    return headings, lines


def as_rows(
    curves: Sequence[Curve], at: Sequence[int], level: float | None
) -> list[dict[str, object]]:
    """The same for JSON: parts of the hypervolume, and `needed` of every seed, null: never."""
    rows: list[dict[str, object]] = []
    for curve in curves:
        after = {str(x): dict(zip(("mean", "deviation"), curve.after(x), strict=True)) for x in at}
        rows.append({"searcher": curve.name, "reached": after})
        if level is not None:
            needed = [int(x) if np.isfinite(x) else None for x in curve.needed(level)]
            rows[-1] |= {"level": level, "needed": needed}
    return rows


def _share(mean: float, spread: float | None) -> str:
    beside = "" if spread is None else f" ± {100 * spread:.1f}"
    return f"{100 * mean:.1f}{beside}"


def _needed(curve: Curve, level: float) -> str:
    needed = curve.needed(level)
    most = curve.reached.shape[1]
    if not np.isfinite(needed).all():
        met = int(np.isfinite(needed).sum())
        return f"> {most} ({met} of {len(needed)} did)"
    mean = float(needed.mean())
    return f"{mean:.0f} ± {needed.std():.0f} ({ANCHOR_AT / mean:.1f} x)"

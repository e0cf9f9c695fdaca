"""From times by width to the widths one should prefer. Pure arithmetic; measures nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.explain_figures import Rung

MULTIPLES = (64, 32, 16)
WORTH_IT = 0.03
"""A gain or a step below this is not told from none."""

MOSTLY = 0.9
"""Share of the widths between two multiples that must be dearer than those."""


@dataclass(frozen=True, slots=True)
class Step:
    """Widths that are no such multiple cost more for each operation."""

    multiple: int
    excess: float
    """Median over the widths half way between two multiples, relative to these."""


def pays_from(ladder: Sequence[Rung]) -> int | None:
    """The smallest width at which, and at every larger one tried, the scheme is faster."""
    found = None
    for rung in sorted(ladder, key=lambda r: -r.width):
        if rung.scheme_ms > rung.fp32_ms * (1 - WORTH_IT):
            break
        found = rung.width
    return found


def preferred(times: Mapping[int, float]) -> Step | None:
    """The largest multiple worth keeping to, of a square product's times by width; None: no step.

    A width half way between two multiples is compared with the mean of these two, so that what
    grows evenly with the width cancels.
    """
    cost = {width: time / width**2 for width, time in times.items()}
    for multiple in MULTIPLES:
        half = multiple // 2
        between = [
            2 * cost[w] / (cost[w - half] + cost[w + half]) - 1
            for w in cost
            if w % multiple == half and {w - half, w + half} <= cost.keys()
        ]
        dearer = sum(excess > 0 for excess in between)
        if between and median(between) >= WORTH_IT and dearer >= MOSTLY * len(between):
            return Step(multiple, median(between))
    return None

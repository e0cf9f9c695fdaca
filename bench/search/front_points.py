"""What searches found as points, lines and budgets of a picture. Draws nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.search.front import QUANTISED, Found, Latency, Place, places
from bench.search.front_table import number
from bench.search.limits import told
from results.choice import Dropped, Limit, Measured, Tried, Winner
from results.errors import BadInputError

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""One a search, then from the beginning; Okabe and Ito's, readable to the colour-blind."""

FRONT, WINNERS, DROPPED = "front", "winners", "dropped"


@dataclass(frozen=True, slots=True)
class Point:
    """One model of a picture."""

    x: float
    """Milliseconds or megabytes."""
    y: float
    """The score."""
    lower: float
    upper: float
    """Ends of the interval of `x`; both `x` where none is known."""
    told: tuple[str, ...]
    """Lines about it."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Points of one search that are drawn alike."""

    search: int
    """Its place among them."""
    label: str
    kind: str
    """A stage, `front`, `winners` or `dropped`."""
    stage: str
    points: tuple[Point, ...]

    @property
    def colour(self) -> str:
        """The one of its search."""
        return COLOURS[self.search % len(COLOURS)]

    @property
    def name(self) -> str:
        """For a legend: what it shows."""
        full = self.stage != QUANTISED
        names = {
            FRONT: f"front of the {'full-precision' if full else QUANTISED} trials",
            WINNERS: "winners, measured",
            DROPPED: "dropped, measured",
        }
        return names.get(self.kind, "trials in full precision" if full else "quantised trials")

    def name_among(self, found: Sequence[Found]) -> str:
        """With its search where there are several."""
        return self.name if len(found) == 1 else f"{self.name}: {self.label}"


@dataclass(frozen=True, slots=True)
class Picture:
    """Score against one cost."""

    name: str
    """Of its tab: the device, or `size`."""
    axis: str
    metric: str
    layers: tuple[Layer, ...]
    budgets: tuple[tuple[float, str], ...]
    """What is allowed, in the unit of the axis, and in words."""
    least: float | None
    """The score that must be reached."""


def pictures(found: Sequence[Found]) -> tuple[Picture, ...]:
    """One for each workload, and one of the sizes where they are limited.

    Raises:
        BadInputError: no trial was scored yet.
    """
    if not any(x.trials for x in found):
        labels = ", ".join(x.label for x in found)
        raise BadInputError(f"there is nothing to draw yet: no trial of {labels} has a score")
    where = places(found)
    limits = [x for one in found for x in one.search.limits]
    drawn = [_picture(found, place, _name(place, where)) for place in where]
    if not drawn or any(x.kind == "size" for x in limits):
        drawn.append(_picture(found, None, "size"))
    return tuple(drawn)


def _name(place: Place, where: Sequence[Place]) -> str:
    """As long as it must be to tell the workloads apart."""
    runtimes = {x.runtime for x in where if x.device == place.device}
    lengths = {x.tokens for x in where if x.device == place.device}
    runtime = f", {place.runtime}" if len(runtimes) > 1 else ""
    return f"{place.device}{runtime}" + (f", {place.tokens} tokens" if len(lengths) > 1 else "")


def _picture(found: Sequence[Found], place: Place | None, name: str) -> Picture:
    limits = list(dict.fromkeys(x for one in found for x in one.search.limits))
    scores = [x.value for x in limits if x.kind == "accuracy"]
    return Picture(
        name,
        f"latency on {place.device} ({place.runtime}, {place.tokens} tokens), ms"
        if place
        else "size of the weights, MB",
        next(x.metric for x in found if x.metric),
        tuple(
            layer
            for n, one in enumerate(found)
            for layer in _layers(n, one, place)
            if layer.points
        ),
        tuple({x.value: (x.value, told(x)) for x in limits if _limits(x, place)}.values()),
        max(scores, default=None),
    )


def _limits(limit: Limit, place: Place | None) -> bool:
    return place.limited_by(limit) if place else limit.kind == "size"


def _layers(n: int, one: Found, place: Place | None) -> Iterator[Layer]:
    for stage in one.stages:
        trials = [x for x in one.of_stage(stage) if place is None or place.find(x.predicted)]
        points = {x.n: _trial(one, x, place) for x in trials}
        yield Layer(n, one.label, stage, stage, tuple(points.values()))
        best = one.best(trials, [points[x.n].x for x in trials])
        yield Layer(n, one.label, FRONT, stage, tuple(points[x.n] for x in best))
    if one.outcome is None:
        return
    last = one.stages[-1] if one.stages else ""
    for kind, several in ((DROPPED, one.outcome.dropped), (WINNERS, one.outcome.winners)):
        points_of = [_measured(one, x, place) for x in several]
        yield Layer(n, one.label, kind, last, tuple(x for x in points_of if x is not None))


def _trial(one: Found, x: Tried, place: Place | None) -> Point:
    latency = place.find(x.predicted) if place else None
    cost = latency.ms if latency else x.megabytes
    lines = [
        f"trial {x.n} of {one.label}, {x.searcher}",
        str(x.architecture),
        f"scored in {x.scheme}: {_metrics(x.metrics)}",
        *_latencies("predicted", x.predicted),
        *_latencies("measured", _times(one, x)),
        f"{x.megabytes:.2f} MB, {x.cost:.0%} of the limit",
    ]
    return Point(cost, one.score(x.metrics), cost, cost, tuple(lines))


def _times(one: Found, x: Tried) -> tuple[Measured, ...]:
    """None but of a finalist."""
    same = (
        y.measured
        for y in one.finalists
        if (y.architecture, y.scheme) == (x.architecture, x.scheme)
    )
    return next(same, ())


def _measured(one: Found, x: Winner | Dropped, place: Place | None) -> Point | None:
    """None where its latency was not measured."""
    latency = place.find(x.measured) if place else None
    if latency is not None:
        span = latency.ms, latency.lower, latency.upper
    elif place is None and isinstance(x, Winner):
        span = x.megabytes, x.megabytes, x.megabytes
    else:
        return None
    cost, lower, upper = span
    lines = [*_headed(one, x), *_latencies("measured", x.measured), *_weighed(x)]
    return Point(cost, one.score(x.metrics), lower, upper, tuple(lines))


def _headed(one: Found, x: Winner | Dropped) -> Iterator[str]:
    if isinstance(x, Winner):
        yield f"winner {x.rank} of {one.label}"
        yield from (str(x.architecture), f"{x.scheme}: {_metrics(x.metrics)}")
        yield f"fp32: {_metrics(x.full_metrics)}"
        yield from _latencies("predicted", x.predicted)
    else:
        yield f"dropped by {one.label}: {x.why}"
        yield from (str(x.architecture), f"{x.scheme}: {_metrics(x.metrics)}")


def _weighed(x: Winner | Dropped) -> Iterator[str]:
    if isinstance(x, Winner):
        memory = x.memory_megabytes
        yield f"{x.megabytes:.2f} MB" + (f", {memory:.1f} MB of memory" if memory else "")


def _metrics(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def _latencies(word: str, several: Sequence[Latency]) -> Iterator[str]:
    for x in several:
        ends = f"{number(x.lower)}-{number(x.upper)}"
        yield f"{word} {number(x.ms)} ms ({ends}) on {x.device}, {x.tokens} tokens"

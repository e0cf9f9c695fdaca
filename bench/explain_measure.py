"""What the worker of `bench explain` measures, in three stages, each one answer. Prints none."""

from collections.abc import Callable, Mapping
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from bench.explain_figures import (
    WEIGHT_BYTES,
    Dissection,
    Machine,
    Question,
    Rung,
    Seen,
    Widths,
    products,
)
from bench.explain_networks import Twin, encoder, layers, next_to_nothing, twin
from profiler.gemm import FP32, INT8, QUANTISES, Shape, makers, quantiser
from profiler.parts import QUANTISING_PRODUCTS
from profiler.peak import bandwidths, peaks
from profiler.side_by_side import Level, alternate, busy, level, levels, warm
from profiler.trace import middle
from results.errors import BadInputError

if TYPE_CHECKING:
    from profiler.timing import Call

ROUNDS = 25
PARTS_S = 8.0
"""Seconds after which no further round of the dissection begins."""

LADDER = (32, 64, 128, 192, 256, 384, 512, 768)
STEPS = tuple(range(256, 513, 8))
STEP_ROWS = 256
"""Rows of the products that are searched for steps, at the most."""

CACHED = 1 << 20
"""Bytes of matrices that stay in a level-2 cache."""


def serve(request: dict[str, object], answer: Callable[[dict[str, object]], None]) -> None:
    """Go through one stage, and answer what it found."""
    asked = msgspec.convert(request["question"], Question)
    try:
        found = STAGES[str(request["stage"])](asked)
    except BadInputError as error:
        answer({"event": "refused", "why": str(error)})
    else:
        answer({"event": "found", "found": msgspec.to_builtins(found)})


def dissect(asked: Question) -> Dissection:
    """Both schemes, profiled and not, and the same of next to nothing, in turn."""
    twins = {
        (scheme, fixed): twin(next_to_nothing(asked) if fixed else asked, scheme)
        for scheme in (FP32, asked.scheme)
        for fixed in (False, True)
    }
    visits: dict[tuple[str, bool, bool], Callable[[], object]] = {}
    for (scheme, fixed), one in twins.items():
        warm(one.run)
        visits[scheme, fixed, False] = one.visit
        visits[scheme, fixed, True] = one.tracer.visit
    alternate(visits, ROUNDS, PARTS_S)
    floats, integers = (
        _seen(twins[scheme, False], twins[scheme, True], asked.workload.threads)
        for scheme in (FP32, asked.scheme)
    )
    return Dissection(floats, integers, _quantising(integers, asked))


def machine(asked: Question) -> Machine:
    """The roofs, and what the network's products reach by themselves."""
    engine, threads = asked.runtime, asked.workload.threads
    shapes = products(asked.architecture, asked.rows)
    numbers = sum(s.taken * s.given for group in shapes.values() for s in group)
    sizes = {arithmetic: numbers * size for arithmetic, size in WEIGHT_BYTES.items()}
    typical = {
        group: sorted(own, key=lambda s: s.ops)[len(own) // 2] for group, own in shapes.items()
    }
    alone = _alone(typical, engine, threads)
    return Machine(peaks(engine, threads), bandwidths(sizes, threads), sizes, alone)


def widths(asked: Question) -> Widths:
    """Layers of growing width in both schemes, and square products of many widths."""
    threads = asked.workload.threads
    runs = {
        (width, scheme, depth): encoder(layers(width, depth, asked), scheme)
        for width in LADDER
        for scheme in (FP32, asked.scheme)
        for depth in (1, 3)
    }
    spent = levels(runs, threads)

    def layer_ms(width: int, scheme: str) -> float:
        return (spent[width, scheme, 3] - spent[width, scheme, 1]) / 2e6

    ladder = [Rung(w, layer_ms(w, FP32), layer_ms(w, asked.scheme)) for w in LADDER]
    squares: dict[tuple[str, int], Call] = {}
    for arithmetic in (FP32, INT8):
        count = _count(Shape(1, 352, 352), WEIGHT_BYTES[arithmetic])
        for width in STEPS:
            shape = Shape(min(asked.rows, STEP_ROWS), width, width)
            squares[arithmetic, width] = makers(asked.runtime)[arithmetic](shape, count, threads)
    taken = levels(squares, threads)
    fp32, int8 = ({str(w): taken[a, w] for w in STEPS} for a in (FP32, INT8))
    return Widths(tuple(ladder), fp32, int8)


STAGES: Mapping[str, Callable[[Question], object]] = {
    "parts": dissect,
    "machine": machine,
    "widths": widths,
}


def _alone(shapes: Mapping[str, Shape], engine: str, threads: int) -> dict[str, dict[str, float]]:
    """GOP/s of products that have nothing else to do, by arithmetic; quantising not counted."""
    runs: dict[tuple[str, str], Call] = {}
    counts: dict[tuple[str, str], int] = {}
    for group, shape in shapes.items():
        for arithmetic, size in WEIGHT_BYTES.items():
            counts[group, arithmetic] = _count(shape, size)
            make = makers(engine)[arithmetic]
            runs[group, arithmetic] = make(shape, counts[group, arithmetic], threads)
        runs[group, "quantising"] = quantiser(engine, shape.rows, shape.taken, threads)
    spent = levels(runs, threads)
    found: dict[str, dict[str, float]] = {group: {} for group in shapes}
    for (group, arithmetic), count in counts.items():
        ns = spent[group, arithmetic] / count
        if arithmetic == INT8 and QUANTISES[engine]:
            ns -= spent[group, "quantising"]
        found[group][arithmetic] = shapes[group].ops / ns
    return found


def _seen(whole: Twin, fixed: Twin, threads: int) -> Seen:
    """Medians; the least of all where neighbours disturb most of the calls."""
    calls = whole.tracer.calls()
    disturbed = busy(whole.tracer.tape)
    typical: Level = min if disturbed else median
    return Seen(
        whole_ms=level(whole.tape, threads, typical) / 1e6,
        profiled_ms=level(whole.tracer.tape, threads, typical) / 1e6,
        pieces=tuple(middle(calls, typical)),
        calls=len(calls),
        busy=disturbed,
        fixed_ms=level(fixed.tape, threads, typical) / 1e6,
        fixed_pieces=tuple(middle(fixed.tracer.calls(), typical)),
    )


def _quantising(seen: Seen, asked: Question) -> dict[str, float]:
    """Microseconds of quantising the input of each linear layer, where products do it inside."""
    if not any(p.operator in QUANTISING_PRODUCTS for p in seen.pieces):
        return {}
    shapes = products(asked.architecture, asked.rows).values()
    taken = sorted({shape.taken for group in shapes for shape in group})
    threads = asked.workload.threads
    runs = {w: quantiser(asked.runtime, asked.rows, w, threads) for w in taken}
    runs[0] = quantiser(asked.runtime, 1, 4, threads)  # what any call costs
    spent = levels(runs, threads)
    return {str(width): max(spent[width] - spent[0], 0.0) / 1e3 for width in taken}


def _count(shape: Shape, size: int) -> int:
    """How many matrices of this shape a cache holds: several, for a call has a cost of its own."""
    return max(1, min(8, CACHED // (shape.taken * shape.given * size)))

"""What the worker of `bench explain` measures, in three stages, each one answer. Prints none."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

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
from bench.subjects import Source, build
from profiler.gemm import FP32, INT8, QUANTISES, Shape, makers, quantiser
from profiler.parts import QUANTISING_PRODUCTS
from profiler.peak import bandwidths, peaks
from profiler.runtimes.runtime import Inputs, load_runtime, random_inputs
from profiler.side_by_side import alternate, level, levels, warm
from profiler.timing import Call, Clocks, Pace, Tape, visit
from profiler.trace import Tracer, level_for, middle
from results.architecture import Architecture, Layer
from results.errors import BadInputError

if TYPE_CHECKING:
    from torch import nn

    from profiler.runtimes.runtime import Graph

ROUNDS = 25
PARTS_S = 8.0
"""Seconds after which no further round of the dissection begins."""

LADDER = (32, 64, 128, 192, 256, 384, 512, 768)
STEPS = tuple(range(256, 513, 8))
STEP_ROWS = 256
"""Rows of the products that are searched for steps, at the most."""

CACHED = 1 << 20
"""Bytes of matrices that stay in a level-2 cache."""

_LINEARS = {
    "attention.query": "qkv",
    "attention.key": "qkv",
    "attention.value": "qkv",
    "attention.out": "attention-output",
    "ffn.up": "ffn-in",
    "ffn.down": "ffn-out",
}
"""The linear layers of `nas.encoder`, within a block."""


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
        (scheme, fixed): _twin(_next_to_nothing(asked) if fixed else asked, scheme)
        for scheme in (FP32, asked.scheme)
        for fixed in (False, True)
    }
    visits: dict[tuple[str, bool, bool], Callable[[], object]] = {}
    for (scheme, fixed), twin in twins.items():
        warm(twin.run)
        visits[scheme, fixed, False] = twin.visit
        visits[scheme, fixed, True] = twin.tracer.visit
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
        (width, scheme, depth): _encoder(_layers(width, depth, asked), scheme)
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


@dataclass(slots=True)
class _Twin:
    """A network in one scheme, ready to be called with the profiler and without."""

    run: Call
    tracer: Tracer
    tape: Tape = field(default_factory=Tape)

    def visit(self) -> None:
        visit(self.run, self.tape, Pace(), Clocks())


def _twin(asked: Question, scheme: str) -> _Twin:
    inputs = random_inputs(asked.workload, asked.architecture.vocab, asked.seed)
    model, run = _prepared(asked, scheme, inputs)
    if asked.runtime == "onnxruntime":
        from profiler.onnx_trace import OrtTracer

        return _Twin(run, OrtTracer(cast("Graph", model), inputs, asked.workload.threads))
    from profiler.torch_trace import TorchTracer

    module = cast("nn.Module", model)
    return _Twin(run, TorchTracer(module, labels(module), run))


def _prepared(asked: Question, scheme: str, inputs: Inputs) -> tuple[object, Call]:
    runtime = load_runtime(asked.runtime)
    model = build(runtime.takes, asked.architecture, scheme, asked.source, asked.seed, asked.cap)
    threads = asked.workload.threads
    return model, runtime.prepare(model, inputs, threads, stable=True, cap=asked.cap).run


def labels(module: "nn.Module") -> dict[str, str]:
    """The part of each module of our encoder that is one as a whole, by its path."""
    found = {"embeddings": "embedding"}
    for path, _ in module.named_modules():
        inside = re.fullmatch(r"blocks\.\d+\.(.+)", path)
        if inside and inside[1] in _LINEARS:
            found[path] = _LINEARS[inside[1]]
    return found


def _seen(whole: _Twin, fixed: _Twin, threads: int) -> Seen:
    calls = whole.tracer.calls()
    typical = level_for(whole.tracer.tape)
    return Seen(
        whole_ms=level(whole.tape, threads) / 1e6,
        profiled_ms=level(whole.tracer.tape, threads) / 1e6,
        pieces=tuple(middle(calls, typical)),
        calls=len(calls),
        fixed_ms=level(fixed.tape, threads) / 1e6,
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


def _layers(width: int, depth: int, asked: Question) -> Question:
    """The same of layers of BERT's proportions, heads 32 wide, on a small table of words."""
    layer = Layer(width // 32, width, 4 * width)
    positions = max(512, asked.workload.tokens)
    small = Architecture(width, (layer,) * depth, vocab=1000, positions=positions)
    return replace(asked, architecture=small, source=Source())


def _next_to_nothing(asked: Question) -> Question:
    """The same of as many layers as the network has, with as little to compute as can be."""
    least = Architecture(4, (Layer(1, 4, 4),) * asked.architecture.depth, vocab=8, positions=1)
    workload = replace(asked.workload, batch=1, tokens=1)
    return replace(asked, architecture=least, source=Source(), workload=workload)


def _encoder(asked: Question, scheme: str) -> Call:
    inputs = random_inputs(asked.workload, asked.architecture.vocab, asked.seed)
    return _prepared(asked, scheme, inputs)[1]

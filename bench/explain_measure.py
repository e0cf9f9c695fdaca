"""What the worker of `bench explain` measures, in three stages, each one answer. Prints none."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
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
from profiler.runtimes.runtime import Inputs, Prepared, load_runtime, random_inputs
from profiler.side_by_side import alternate, level, levels
from profiler.timing import Call, Clocks, Pace, Tape, visit, warm_up
from profiler.trace import Tracer, middle
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
    """Both schemes, profiled and not, in turn."""
    runtime = load_runtime(asked.runtime)
    inputs = random_inputs(asked.workload, asked.architecture.vocab, asked.seed)
    calls: dict[tuple[str, str], Call] = {}
    tracers: dict[str, Tracer] = {}
    for scheme in (FP32, asked.scheme):
        model = build(
            runtime.takes, asked.architecture, scheme, asked.source, asked.seed, asked.cap
        )
        prepared = runtime.prepare(
            model, inputs, asked.workload.threads, stable=True, cap=asked.cap
        )
        calls[scheme, "whole"] = prepared.run
        calls[scheme, "fixed"] = _encoder(_next_to_nothing(asked), scheme, asked, tokens=1)
        tracers[scheme] = _tracer(model, prepared, inputs, asked)
    tapes = {name: Tape() for name in calls}
    visits = {name: _visiting(calls[name], tapes[name]) for name in calls}
    visits |= {(scheme, "profiled"): tracer.visit for scheme, tracer in tracers.items()}
    for run in calls.values():
        warm_up(run, Clocks())
    alternate(visits, ROUNDS, PARTS_S)
    floats, integers = (_seen(name, tapes, tracers[name], asked) for name in (FP32, asked.scheme))
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
    alone = {group: _alone(shape, engine, threads) for group, shape in typical.items()}
    return Machine(peaks(engine, threads), bandwidths(sizes, threads), sizes, alone)


def widths(asked: Question) -> Widths:
    """Layers of growing width in both schemes, and square products of many widths."""
    threads = asked.workload.threads
    runs = {
        (width, scheme, depth): _encoder(_of_width(width, depth, asked), scheme, asked)
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


def _alone(shape: Shape, engine: str, threads: int) -> dict[str, float]:
    """GOP/s of a product that has nothing else to do, by arithmetic; quantising not counted."""
    counts = {arithmetic: _count(shape, size) for arithmetic, size in WEIGHT_BYTES.items()}
    runs = {a: makers(engine)[a](shape, count, threads) for a, count in counts.items()}
    runs["quantising"] = quantiser(engine, shape.rows, shape.taken, threads)
    spent = levels(runs, threads)
    each = {arithmetic: spent[arithmetic] / count for arithmetic, count in counts.items()}
    if QUANTISES[engine]:
        each[INT8] -= spent["quantising"]
    return {arithmetic: shape.ops / ns for arithmetic, ns in each.items()}


def _visiting(run: Call, tape: Tape) -> Callable[[], object]:
    return lambda: visit(run, tape, Pace(), Clocks())


def _tracer(model: object, prepared: Prepared, inputs: Inputs, asked: Question) -> Tracer:
    if asked.runtime == "onnxruntime":
        from profiler.onnx_trace import OrtTracer

        return OrtTracer(cast("Graph", model), inputs, asked.workload.threads)
    from profiler.torch_trace import TorchTracer

    module = cast("nn.Module", model)
    return TorchTracer(module, labels(module), prepared.run)


def labels(module: "nn.Module") -> dict[str, str]:
    """The part of each module of our encoder that is one as a whole, by its path."""
    found = {"embeddings": "embedding"}
    for path, _ in module.named_modules():
        inside = re.fullmatch(r"blocks\.\d+\.(.+)", path)
        if inside and inside[1] in _LINEARS:
            found[path] = _LINEARS[inside[1]]
    return found


def _seen(
    scheme: str, tapes: Mapping[tuple[str, str], Tape], tracer: Tracer, asked: Question
) -> Seen:
    calls = tracer.calls()
    threads = asked.workload.threads
    return Seen(
        whole_ms=level(tapes[scheme, "whole"], threads) / 1e6,
        profiled_ms=level(tracer.tape, threads) / 1e6,
        fixed_ms=level(tapes[scheme, "fixed"], threads) / 1e6,
        pieces=tuple(middle(calls)),
        calls=len(calls),
    )


def _quantising(seen: Seen, asked: Question) -> dict[str, float]:
    """Microseconds of quantising the input of each linear layer, where products do it inside."""
    if not any(p.operator in QUANTISING_PRODUCTS for p in seen.pieces):
        return {}
    shapes = products(asked.architecture, asked.rows).values()
    taken = sorted({shape.taken for group in shapes for shape in group})
    threads = asked.workload.threads
    runs = {w: quantiser(asked.runtime, asked.rows, w, threads) for w in taken}
    return {str(width): ns / 1e3 for width, ns in levels(runs, threads).items()}


def _count(shape: Shape, size: int) -> int:
    """How many matrices of this shape a cache holds: several, for a call has a cost of its own."""
    return max(1, min(8, CACHED // (shape.taken * shape.given * size)))


def _of_width(width: int, depth: int, asked: Question) -> Architecture:
    """Layers of BERT's proportions, heads 32 wide, on a small table of words."""
    layer = Layer(width // 32, width, 4 * width)
    positions = max(512, asked.workload.tokens)
    return Architecture(width, (layer,) * depth, vocab=1000, positions=positions)


def _next_to_nothing(asked: Question) -> Architecture:
    """As many layers as the network has, with as little to compute as can be."""
    return Architecture(4, (Layer(1, 4, 4),) * asked.architecture.depth, vocab=8, positions=1)


def _encoder(a: Architecture, scheme: str, asked: Question, tokens: int = 0) -> Call:
    """A call of an encoder with random weights, on the workload asked for or on few tokens."""
    runtime = load_runtime(asked.runtime)
    model = build(runtime.takes, a, scheme, Source(), asked.seed, asked.cap)
    workload = replace(asked.workload, tokens=tokens or asked.workload.tokens)
    inputs = random_inputs(workload, a.vocab, asked.seed)
    return runtime.prepare(model, inputs, workload.threads, stable=True, cap=asked.cap).run

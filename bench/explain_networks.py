"""The networks `bench explain` calls, ready for a profiler or without one. Measures nothing."""

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from bench.explain_figures import Question
from bench.subjects import Source, build
from profiler.runtimes.runtime import Inputs, load_runtime, random_inputs
from profiler.timing import Call, Clocks, Pace, Tape, visit
from profiler.trace import Tracer
from results.architecture import Architecture, Layer

if TYPE_CHECKING:
    from torch import nn

    from profiler.runtimes.runtime import Graph

_LINEARS = {
    "attention.query": "qkv",
    "attention.key": "qkv",
    "attention.value": "qkv",
    "attention.out": "attention-output",
    "ffn.up": "ffn-in",
    "ffn.down": "ffn-out",
}
"""The linear layers of `nas.encoder`, within a block."""


@dataclass(slots=True)
class Twin:
    """A network in one scheme, ready to be called with the profiler and without."""

    run: Call
    tracer: Tracer
    tape: Tape = field(default_factory=Tape)

    def visit(self) -> None:
        visit(self.run, self.tape, Pace(), Clocks())


def twin(asked: Question, scheme: str) -> Twin:
    """The network in that scheme, loaded; in torch the profiled one is the very same."""
    inputs = random_inputs(asked.workload, asked.architecture.vocab, asked.seed)
    model, run = _prepared(asked, scheme, inputs)
    if asked.runtime == "onnxruntime":
        from profiler.onnx_trace import OrtTracer

        return Twin(run, OrtTracer(cast("Graph", model), inputs, asked.workload.threads))
    from profiler.torch_trace import TorchTracer

    module = cast("nn.Module", model)
    return Twin(run, TorchTracer(module, labels(module), run))


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


def layers(width: int, depth: int, asked: Question) -> Question:
    """The same of layers of BERT's proportions, heads 32 wide, on a small table of words."""
    layer = Layer(width // 32, width, 4 * width)
    positions = max(512, asked.workload.tokens)
    small = Architecture(width, (layer,) * depth, vocab=1000, positions=positions)
    return replace(asked, architecture=small, source=Source())


def next_to_nothing(asked: Question) -> Question:
    """The same of as many layers as the network has, with as little to compute as can be."""
    least = Architecture(4, (Layer(1, 4, 4),) * asked.architecture.depth, vocab=8, positions=1)
    workload = replace(asked.workload, batch=1, tokens=1)
    return replace(asked, architecture=least, source=Source(), workload=workload)


def encoder(asked: Question, scheme: str) -> Call:
    """A call of the network in that scheme."""
    inputs = random_inputs(asked.workload, asked.architecture.vocab, asked.seed)
    return _prepared(asked, scheme, inputs)[1]

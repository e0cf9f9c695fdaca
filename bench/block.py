"""A block: a few models of one runtime, built, loaded and measured side by side. Keeps nothing."""

import gc
import os
import random
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from bench.subjects import Source, anchor_for, build
from bench.theirs import anchor_scheme
from profiler.contention import read, since
from profiler.cpus import allowed_cpus
from profiler.rounds import Candidate, Instruments, measure
from profiler.runtimes.runtime import Prepared, Runtime, load_runtime, random_inputs
from profiler.side_by_side import no_collection
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Cold, Contention, Procedure, Run, Workload

if TYPE_CHECKING:
    from profiler.runtimes.runtime import Inputs

Answer = Callable[[dict[str, object]], None]

FOREIGN_VOCAB = 1000
"""Token ids stay below this in a foreign graph whose vocabulary nobody told us."""


@dataclass(frozen=True, slots=True)
class Order:
    """One model of the block: what to build, and whose weights."""

    architecture: Architecture | None
    scheme: str
    source: Source = field(default_factory=Source)


@dataclass(frozen=True, slots=True)
class Request:
    """What the parent asks of the worker."""

    runtime: str
    workload: Workload
    procedure: Procedure
    orders: tuple[Order, ...]
    seed: int
    """Of the weights and the token ids."""
    shuffle: int
    """Seed of the order in which models are visited."""
    cap: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one order: a run, or why there is none."""

    index: int
    failure: str = ""
    run: Run | None = None
    cold: Cold | None = None
    model_bytes: int = 0
    peak_rss_bytes: int = 0
    isa: str = ""


@dataclass(slots=True)
class _Loaded:
    candidate: Candidate
    prepared: Prepared
    build_ns: int
    load_ns: int


def serve(request: dict[str, object], answer: Answer) -> None:
    """Measure a block and answer one `row` for each order."""
    asked = msgspec.convert(request, Request)
    for found in measure_block(asked, lambda: answer({"event": "alive"})):
        answer({"event": "row", **msgspec.to_builtins(found)})


def measure_block(asked: Request, alive: Callable[[], None] = lambda: None) -> list[Answered]:
    """Build and load every model of the block with its anchors, then measure them in rotation.

    `alive` is called after every model that was loaded or warmed up and after every round.
    """
    runtime = load_runtime(asked.runtime)
    loaded: dict[int, _Loaded] = {}
    answers: list[Answered] = []
    anchors: dict[str, Candidate] = {}
    stable = asked.procedure.profile == "stable"
    for index, order in enumerate(asked.orders):
        try:
            loaded[index] = _load(runtime, order, asked)
            if stable:
                loaded[index].candidate.anchor = _anchor(runtime, order, asked, anchors)
        except Exception as error:  # noqa: BLE001 - one bad model must not cost the others
            answers.append(Answered(index, failure=_failure(error)))
            loaded.pop(index, None)
        alive()
    before = read()
    runs = _in_rotation([x.candidate for x in loaded.values()], asked, alive)
    around = since(before)
    answers += [
        _answered(index, found, run, around)
        for (index, found), run in zip(loaded.items(), runs, strict=True)
    ]
    return answers


def _failure(error: Exception) -> str:
    """One line: our own sentences as they are, others with their kind."""
    said = " ".join(str(error).split())[:300]
    return said if isinstance(error, BadInputError) else f"{type(error).__name__}: {said}"


def _load(runtime: Runtime, order: Order, asked: Request) -> _Loaded:
    stable = asked.procedure.profile == "stable"
    began = time.perf_counter_ns()
    model = build(
        runtime.takes, order.architecture, order.scheme, order.source, asked.seed, asked.cap
    )
    built = time.perf_counter_ns()
    prepared = runtime.prepare(
        model, _inputs(order, asked), asked.workload.threads, stable=stable, cap=asked.cap
    )
    ready = time.perf_counter_ns()
    return _Loaded(Candidate(prepared.run), prepared, built - began, ready - built)


def _inputs(order: Order, asked: Request) -> "Inputs":
    vocab = order.architecture.vocab if order.architecture else FOREIGN_VOCAB
    return random_inputs(asked.workload, vocab, asked.seed)


def _anchor(
    runtime: Runtime, order: Order, asked: Request, anchors: dict[str, Candidate]
) -> Candidate | None:
    """The anchor of this order's scheme and size; None for a foreign graph."""
    if order.architecture is None:
        return None
    tokens = asked.workload.tokens
    beside = anchor_for(order.architecture.macs(tokens), tokens)
    scheme = anchor_scheme(order.scheme)
    key = f"{scheme} {beside}"
    if key not in anchors:
        loaded = _load(runtime, Order(_long_enough(beside, tokens), scheme), asked)
        anchors[key] = Candidate(loaded.prepared.run, name=str(beside))
    return anchors[key]


def _long_enough(architecture: Architecture, tokens: int) -> Architecture:
    """The same layers over a position table that holds this many tokens."""
    if tokens <= architecture.positions:
        return architecture
    return replace(architecture, positions=tokens)


def _in_rotation(
    candidates: Sequence[Candidate], asked: Request, alive: Callable[[], None]
) -> list[Run]:
    """All in one rotation; each alone, one after another, in the `deployed` profile."""
    rng = random.Random(asked.shuffle)  # noqa: S311 - an order of visits, no secret
    if asked.procedure.profile == "deployed":
        tools = Instruments(rng, clock="wall", level=median, between=alive)
        return [run for c in candidates for run in measure([c], asked.procedure, tools)]
    clock = "cpu" if asked.workload.threads == 1 else "wall"

    def between() -> None:
        gc.collect()
        alive()

    with no_collection():
        return measure(candidates, asked.procedure, Instruments(rng, clock=clock, between=between))


def _answered(index: int, found: _Loaded, run: Run, around: Contention) -> Answered:
    cold = Cold(found.build_ns, found.load_ns, found.candidate.warm.first_ns)
    placed = replace(run, pid=os.getpid(), cpus=allowed_cpus(), contention=around)
    prepared = found.prepared
    return Answered(index, "", placed, cold, prepared.model_bytes, _peak(), prepared.isa)


def _peak() -> int:
    """Largest resident memory of this process so far (ru_maxrss is in KiB on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

"""Runs an encoder in several schemes over one text, and times them in turn. Draws nothing."""

import gc
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from bench.modules import MAKERS, module_refusal
from bench.subjects import Source, build, of_pressed, source_of
from bench.text import Text, fed, read
from nas.checkpoint import Classifier, architecture_of, load_classifier, load_weights
from profiler.cpus import allowed_cpus, pin, reserved_cpus
from profiler.device import this_host
from profiler.environment import read_hardware
from profiler.rounds import Candidate, Instruments, measure
from profiler.runtimes.runtime import Prepared, load_runtime, random_inputs
from quant.calibrate import calibrate
from quant.calibration import Calibration
from quant.drift import Drift, drift, one_at_a_time, overflowing_pairs, with_labels
from quant.press import Pressed, press
from quant.scheme import FP32, Scheme, parse
from quant.sizes import Part, sizes
from quant.weights import TensorWeights
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Procedure, Run, Workload

if TYPE_CHECKING:
    from numpy.typing import NDArray

VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""CPU flags of which one says that sums of products are kept in 32 bits; x86 only."""

TOKENS = 128

RANKED_ON = 100
"""Sentences the ranking of layers looks at."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be compared, on what."""

    model: Path
    text: Path
    calibration: Path | None
    schemes: tuple[str, ...]
    runtimes: tuple[str, ...]
    tokens: int | None
    sensitivity: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One scheme on one runtime."""

    scheme: str
    runtime: str
    model_bytes: int
    latency_ms: float
    """CPU time of one call of one sentence of `tokens` tokens, one thread, warm."""
    drift: Drift
    parts: tuple[Part, ...] = ()
    overflowing: int = 0
    """Pairs of weights that overflow on an x86 CPU without VNNI."""


@dataclass(frozen=True, slots=True)
class Found:
    """The answer."""

    model: str
    text: str
    calibration: str
    tokens: int
    results: tuple[Result, ...]
    """The float32 graph in ONNX Runtime first: what the others are compared with."""
    ranking: tuple[tuple[str, float], ...]
    """Each group of each layer, and 1 - cosine when it alone is quantised; the worst first."""
    ranked: str
    vnni: bool


@dataclass(frozen=True, slots=True)
class _Subject:
    source: Source
    architecture: Architecture
    weights: TensorWeights
    classifier: Classifier | None
    tokens: int


def compare(question: Question) -> Found:
    """Quantise, run and time every scheme.

    Raises:
        BadInputError: the folder, the text, a scheme or the runtime cannot be used.
    """
    schemes = [parse(text) for text in dict.fromkeys(question.schemes)]
    pairs = _pairs(question.runtimes, schemes)
    subject = _subject(question)
    text = read(question.text, question.model, subject.tokens)
    if question.calibration is not None:
        known = read(question.calibration, question.model, subject.tokens)
    elif any(scheme.calibrated for scheme in schemes):
        known, text = text.halves()
    else:
        known = text
    before = allowed_cpus()
    with reserved_cpus(1) as cpus:
        pin(cpus)
        try:
            return _compare(question, pairs, subject, text, known)
        finally:
            pin(before)


def _pairs(runtimes: Sequence[str], schemes: Sequence[Scheme]) -> list[tuple[str, Scheme]]:
    """Each scheme on each of the runtimes that has it; one that none has is refused."""
    found: list[tuple[str, Scheme]] = []
    for scheme in schemes:
        refused = {name: _refusal(name, scheme) for name in dict.fromkeys(runtimes)}
        if all(refused.values()):
            told = "; ".join(f"{name}: {why}" for name, why in refused.items())
            raise BadInputError(f"--scheme {scheme}: {told}")
        found += [(name, scheme) for name, why in refused.items() if not why]
    return found


def _refusal(runtime: str, scheme: Scheme) -> str:
    engine = load_runtime(runtime)
    why = engine.scheme_refusal(scheme.name, "")
    return why or (module_refusal(scheme.name) if engine.takes in MAKERS else "")


def _subject(question: Question) -> _Subject:
    source, folder = source_of(question.model), question.model
    if source.is_onnx:
        raise BadInputError(f"{folder} is an ONNX file: give a Hugging Face folder with weights")
    architecture = architecture_of(folder)
    tokens = question.tokens or min(TOKENS, architecture.positions)
    if tokens > architecture.positions:
        raise BadInputError(
            f"{tokens} tokens do not fit the {architecture.positions} positions of {folder}: give "
            "fewer --tokens"
        )
    weights = TensorWeights(load_weights(folder))
    weights.tensors(architecture)
    return _Subject(source, architecture, weights, load_classifier(folder), tokens)


def _compare(
    question: Question,
    pairs: Sequence[tuple[str, Scheme]],
    subject: _Subject,
    text: Text,
    known: Text,
) -> Found:
    batches, schemes = text.batches(), list(dict.fromkeys(scheme for _, scheme in pairs))
    pressed = {scheme: _pressed(scheme, subject, known) for scheme in schemes}
    reference = press(subject.architecture, FP32, subject.weights)
    prepared = [_load(subject, "onnxruntime", FP32, reference)]
    prepared += [_load(subject, runtime, scheme, pressed[scheme]) for runtime, scheme in pairs]
    hidden = [[one.answer(batch) for batch in batches] for one in prepared]
    times = _timed([one.run for one in prepared])
    named = [("onnxruntime", FP32), *pairs]
    results = [
        Result(
            scheme.name,
            runtime,
            prepared[i].model_bytes,
            times[i],
            _drift(subject, hidden[0], hidden[i]),
            tuple(sizes(pressed.get(scheme, reference))),
            overflowing_pairs(pressed.get(scheme, reference)),
        )
        for i, (runtime, scheme) in enumerate(named)
    ]
    ranked = next((s for s in schemes if question.sensitivity and s.arithmetics != {"fp32"}), None)
    return Found(
        subject.source.label,
        text.label,
        known.label if any(s.calibrated for s in schemes) else "",
        subject.tokens,
        tuple(results),
        _ranking(subject, ranked, text, known) if ranked else (),
        ranked.name if ranked else "",
        bool(VNNI & set(this_host(read_hardware()).hardware.isa)),
    )


def _load(subject: _Subject, runtime: str, scheme: Scheme, pressed: Pressed) -> Prepared:
    """Torch quantises a module by itself; the others are given what was pressed."""
    engine = load_runtime(runtime)
    if engine.takes in MAKERS:
        model = build(engine.takes, subject.architecture, scheme.name, subject.source, 0, "")
    else:
        model = of_pressed(engine.takes, pressed)
    workload = Workload(1, subject.tokens, 1)
    inputs = random_inputs(workload, subject.architecture.vocab, 0)
    return engine.prepare(model, inputs, 1, stable=True, cap="")


def _pressed(scheme: Scheme, subject: _Subject, known: Text) -> Pressed:
    calibration = _calibrated(scheme, subject, known)
    return press(subject.architecture, scheme, subject.weights, calibration)


def _calibrated(scheme: Scheme, subject: _Subject, known: Text) -> Calibration | None:
    if not scheme.calibrated:
        return None
    batches = fed(known.batches())
    return calibrate(subject.architecture, scheme, subject.weights, batches, known.label)


def _drift(
    subject: _Subject,
    exact: "Sequence[NDArray[np.float32]]",
    rough: "Sequence[NDArray[np.float32]]",
) -> Drift:
    found = drift(exact, rough)
    if subject.classifier is None:
        return found
    one, two = (np.concatenate([subject.classifier(x) for x in h]) for h in (exact, rough))
    return with_labels(found, one, two)


def _timed(calls: "Sequence[object]") -> list[float]:
    """Milliseconds of each, visited in turn as `bench profile` does; no anchor, no row."""
    candidates = [Candidate(call) for call in calls]  # type: ignore[arg-type]
    tools = Instruments(random.Random(0), between=gc.collect)  # noqa: S311 - an order of visits
    return [_milliseconds(run) for run in measure(candidates, Procedure(most_rounds=9), tools)]


def _milliseconds(run: Run) -> float:
    """Median over visits of the fastest call."""
    return median(_fastest(run)) / 1e6


def _fastest(run: Run) -> Iterator[int]:
    start = 0
    for samples in run.subject.visits:
        yield min(run.subject.cpu_ns[start : start + samples])
        start += samples


def _ranking(
    subject: _Subject, scheme: Scheme, text: Text, known: Text
) -> tuple[tuple[str, float], ...]:
    few = replace(text, sentences=text.sentences[:RANKED_ON])
    batches = few.batches()
    a, weights = subject.architecture, subject.weights
    whole = _calibrated(scheme, subject, known)
    exact = _load(subject, "onnxruntime", FP32, press(a, FP32, weights))
    hidden = [exact.answer(batch) for batch in batches]
    found = []
    for where, alone in one_at_a_time(a, scheme):
        rough = _load(subject, "onnxruntime", alone, press(a, alone, weights, whole))
        found.append((where, drift(hidden, [rough.answer(batch) for batch in batches]).moved))
    return tuple(sorted(found, key=lambda pair: -pair[1]))

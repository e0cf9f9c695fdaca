"""What the runtimes can do on this machine, found out by doing it. Knows no device and no table.

Each is tried in a process of its own: engines talk as they are loaded, read their settings once,
and an instruction that a CPU lacks ends the process.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec

from bench.choice import scheme_refusal
from profiler.device import CAPS
from profiler.isolate import Worker, WorkerError, stable_variables
from profiler.runtimes.runtime import load_runtime, random_inputs, refusal
from profiler.saturation import graph, verdict
from quant.scheme import parse
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Workload

if TYPE_CHECKING:
    from profiler.runtimes.runtime import Runtime
    from profiler.saturation import Kind

TRIED = Architecture.uniform(1, 48, 2, 48, 96)

PATIENCE_S = 120
"""Longest silence; to import an engine takes seconds on a busy machine."""


@dataclass(frozen=True, slots=True)
class Ability:
    """One scheme on one runtime."""

    scheme: str
    refused: str = ""
    """Why it does not run here; empty where it does."""
    sums: str = ""
    """Of its int8 products: `exact` or `saturates`; empty where there are none."""


@dataclass(frozen=True, slots=True)
class Report:
    """One runtime, held to an instruction set or not."""

    runtime: str
    cap: str
    version: str = ""
    refused: str = ""
    """Why it cannot be used at all."""
    schemes: tuple[Ability, ...] = ()


def reports(runtimes: Sequence[str], caps: Sequence[str]) -> list[Report]:
    """What each of them can do, free and under each cap; all are tried at once."""
    asked = [(name, cap) for cap in caps for name in runtimes if not (cap and refusal(name, ""))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda pair: _report(*pair), asked))


def _report(name: str, cap: str) -> Report:
    if why := refusal(name, cap):
        return Report(name, cap, refused=why)
    found = version(load_runtime(name).package)
    variables = stable_variables(os.environ, 1, CAPS.get(cap, {}))
    with Worker("bench.ability_worker", variables, None) as worker:
        try:
            answers = list(worker.ask({"runtime": name, "cap": cap}, PATIENCE_S))
        except WorkerError as error:
            return Report(name, cap, found, refused=f"{name}: {error}")
    return Report(name, cap, found, schemes=msgspec.convert(answers, tuple[Ability, ...]))


def serve(request: dict[str, object], answer: Callable[[dict[str, object]], None]) -> None:
    """In the process of its own: try every scheme of a runtime and answer each."""
    for found in abilities(load_runtime(str(request["runtime"])), str(request["cap"])):
        answer(asdict(found))


def abilities(runtime: "Runtime", cap: str) -> Iterator[Ability]:
    """One small encoder in each scheme, and one product of integers where there are any."""
    for scheme in runtime.schemes:
        why = scheme_refusal(runtime, scheme, cap)
        if why:
            yield Ability(scheme, why)
            continue
        try:
            _run(runtime, scheme, cap)
            yield Ability(scheme, sums=_sums(runtime, scheme, cap))
        except Exception as error:  # noqa: BLE001 - engines raise what they like
            said = " ".join(str(error).split())[:200]
            ours = isinstance(error, BadInputError)
            yield Ability(scheme, said if ours else f"{type(error).__name__}: {said}")


def _run(runtime: "Runtime", scheme: str, cap: str) -> None:
    from bench.subjects import Source, build

    model = build(runtime.takes, TRIED, scheme, Source(), 0, cap)
    inputs = random_inputs(Workload(1, 16), TRIED.vocab, 0)
    runtime.prepare(model, inputs, 1, stable=True, cap=cap).run()


def _sums(runtime: "Runtime", scheme: str, cap: str) -> str:
    kinds: tuple[Kind, ...] = ("int8-static", "int8-dynamic")
    for kind in kinds:
        if kind in parse(scheme).arithmetics:
            return verdict(runtime, _product(runtime.takes, kind, cap), cap)
    return ""


def _product(takes: str, kind: "Kind", cap: str) -> object:
    if takes == "graph":
        return graph(kind)
    from bench.product import product

    return product(takes, cap)

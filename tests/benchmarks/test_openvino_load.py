"""How long from sizes to an OpenVINO session that can run: our writing of it, and its reader's.

Times are reported (`pytest tests/benchmarks --benchmark-enable`), never asserted.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from profiler.runtimes import openvino as engine
from profiler.runtimes.runtime import load_runtime, random_inputs
from quant import graph, scheme
from quant.weights import RandomWeights
from results.architecture import Architecture
from results.measurement import Workload

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

pytest.importorskip("openvino", reason="needs the extra openvino")

ARCHITECTURES = [
    Architecture.uniform(4, 312, 12, 312, 1200),
    Architecture.uniform(6, 384, 12, 384, 1536),
    Architecture.uniform(12, 768, 12, 768, 3072),
]
ROUNDS = 9
SOURCE = RandomWeights(0)
INPUTS = random_inputs(Workload(1, 128), 30522, 0)


@pytest.mark.parametrize("kind", ["fp32", "ptq"])
@pytest.mark.parametrize("a", ARCHITECTURES, ids=str)
def test_from_sizes_to_an_openvino_session(
    a: Architecture, kind: str, benchmark: "BenchmarkFixture", monkeypatch: pytest.MonkeyPatch
) -> None:
    def build() -> object:
        made = graph.emit(a, scheme.parse(kind), SOURCE)
        return load_runtime("openvino").prepare(made, INPUTS, 1, stable=True, cap="")

    def by_their_reader() -> object:
        with monkeypatch.context() as patch:
            patch.setattr(engine, "with_fixed_sizes", lambda *_: None)
            return build()

    benchmark.pedantic(build, rounds=1)

    if not benchmark.disabled:
        ours, theirs = _side_by_side(build, by_their_reader)
        benchmark.extra_info |= {"ours_ms": ours, "theirs_ms": theirs, "ratio": ours / theirs}


def test_one_that_is_loaded_from_a_file(benchmark: Any, tmp_path: Path) -> None:
    """What it costs to write the model down first, as anyone else would."""
    made = graph.emit(ARCHITECTURES[0], scheme.PTQ, SOURCE)

    def build() -> object:
        from openvino import Core

        graph.save(made, tmp_path / "encoder.onnx")
        core = Core()
        model = core.read_model(tmp_path / "encoder.onnx")
        model.reshape({port: [1, 128] for port in model.inputs})
        return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    benchmark.pedantic(build, rounds=5)


def _side_by_side(*ways: Callable[[], object]) -> tuple[float, ...]:
    """Median CPU milliseconds of each, taken in turns."""
    taken: dict[Callable[[], object], list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, samples in taken.items():
            began = time.process_time_ns()
            way()
            samples.append((time.process_time_ns() - began) / 1e6)
    return tuple(median(samples) for samples in taken.values())

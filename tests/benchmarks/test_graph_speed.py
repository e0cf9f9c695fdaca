"""How long from sizes to a session, and what int8 costs beside ONNX Runtime's own quantiser.

Times are reported (`pytest tests/benchmarks --benchmark-enable`), never asserted.
"""

import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pytest

from quant import graph, scheme
from quant.weights import RandomWeights
from results.architecture import Architecture
from tests.written_bert import session

if TYPE_CHECKING:
    import onnxruntime
    from pytest_benchmark.fixture import BenchmarkFixture

ARCHITECTURES = [
    Architecture.uniform(4, 312, 12, 312, 1200),
    Architecture.uniform(6, 384, 12, 384, 1536),
    Architecture.uniform(3, 144, 12, 144, 512),
]
ROUNDS = 30
SOURCE = RandomWeights(0)
FEED = {
    "input_ids": np.arange(1000, 1128)[None],
    "attention_mask": np.ones((1, 128), np.int64),
    "token_type_ids": np.zeros((1, 128), np.int64),
}


@pytest.mark.parametrize("kind", scheme.KNOWN.values(), ids=str)
@pytest.mark.parametrize("a", ARCHITECTURES, ids=str)
def test_from_sizes_to_a_session(
    a: Architecture, kind: scheme.Scheme, benchmark: "BenchmarkFixture", tmp_path: Path
) -> None:
    def build() -> None:
        made = graph.emit(a, kind, SOURCE)
        session(made.lay_out(tmp_path), made.initializers)

    benchmark(build)

    if not benchmark.disabled:
        began = time.process_time_ns()
        made = graph.emit(a, kind, SOURCE)
        benchmark.extra_info["emit_ms"] = (time.process_time_ns() - began) / 1e6
        benchmark.extra_info["proto_bytes"] = len(made.proto)


@pytest.mark.parametrize("a", ARCHITECTURES, ids=str)
def test_int8_beside_quantize_dynamic(
    a: Architecture, benchmark: "BenchmarkFixture", tmp_path: Path
) -> None:
    made = graph.emit(a, scheme.INT8_DYNAMIC, SOURCE)
    ours = session(made.lay_out(tmp_path), made.initializers)

    benchmark(ours.run, None, FEED)

    if not benchmark.disabled:
        from nas.encoder import Encoder
        from tests.exported_bert import quantised_elsewhere

        encoder = Encoder(a, SOURCE.tensors(a), pooler=False)
        theirs = session(quantised_elsewhere(encoder, tmp_path), {})
        mine, other = _side_by_side(ours, theirs)
        benchmark.extra_info |= {"ours_ms": mine, "theirs_ms": other, "ratio": mine / other}


def _side_by_side(*sessions: "onnxruntime.InferenceSession") -> tuple[float, ...]:
    """Median CPU milliseconds of each, taken in turns, the order reversed every round."""
    taken: dict[int, list[float]] = {index: [] for index in range(len(sessions))}
    for turn in range(ROUNDS):
        for index in sorted(taken, reverse=bool(turn % 2)):
            began = time.process_time_ns()
            sessions[index].run(None, FEED)
            taken[index].append((time.process_time_ns() - began) / 1e6)
    return tuple(median(samples) for samples in taken.values())

"""The probe for cut sums of int8 products: what it calls exact, and kernels that really cut."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from profiler.device import CAPS
from profiler.runtimes.runtime import Inputs, Prepared, cpu_flags, load_runtime, refusal
from profiler.saturation import graph, inputs, matrix, verdict
from quant.graph import emit, save
from quant.int8 import saturating_matmul
from quant.scheme import parse
from quant.weights import RandomWeights
from results.architecture import Architecture

VNNI = {"avx512_vnni", "avx_vnni", "amx_int8", "asimd"}


class Told:
    """A runtime that multiplies as it is told."""

    takes = package = "numpy"
    schemes = ()

    def scheme_refusal(self, scheme: str, cap: str) -> str:
        return scheme + cap

    def cap_refusal(self, cap: str) -> str:
        return cap

    def prepare(
        self, model: Any, inputs: Inputs, threads: int, *, stable: bool, cap: str
    ) -> Prepared:
        del threads, stable, cap

        def answer(given: Inputs) -> NDArray[np.float32]:
            return np.asarray(model(given.input_ids), np.float32)

        return Prepared(lambda: answer(inputs), answer, model_bytes=0)


def right(x: NDArray[np.int64]) -> NDArray[Any]:
    return x @ matrix().astype(np.int64)


def in_seven_bits(x: NDArray[np.int64]) -> NDArray[Any]:
    step = x.max() / 127
    return np.rint(x / step) @ matrix().astype(np.int64) * step


def with_another_scale(x: NDArray[np.int64]) -> NDArray[Any]:
    return right(x) * (127 / 127.5)


def cut(x: NDArray[np.int64]) -> NDArray[Any]:
    return saturating_matmul(x.astype(np.uint8), np.ascontiguousarray(matrix().T))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (right, "exact"),
        (in_seven_bits, "exact"),
        (with_another_scale, "exact"),
        (cut, "saturates"),
        (lambda x: np.maximum(right(x), cut(x)), "saturates"),  # in one direction only
        (lambda x: np.full_like(right(x), np.nan, np.float64), "saturates"),
    ],
)
def test_cut_sums_are_told_from_coarse_ones(
    how: Callable[[NDArray[np.int64]], NDArray[Any]], expected: str
) -> None:
    assert expected == verdict(Told(), how)


def test_the_graph_is_the_product_by_the_letter_of_onnx() -> None:
    model = ModelProto()
    model.ParseFromString(graph("int8-static").proto)
    ids = np.random.default_rng(0).integers(0, 256, inputs().input_ids.shape)

    (found,) = ReferenceEvaluator(model).run(None, {"input_ids": ids})

    np.testing.assert_array_equal(right(ids), found)


def multiplying() -> list[tuple[str, str]]:
    return [("onnxruntime", "int8-static"), ("onnxruntime", "int8-dynamic"),
            ("openvino", "int8-static")]  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), multiplying())
@pytest.mark.skipif(not VNNI & cpu_flags(), reason="this CPU cuts sums")
def test_sums_are_exact_on_a_cpu_with_vnni(name: str, kind: Any) -> None:
    if why := refusal(name, ""):
        pytest.skip(why)

    assert "exact" == verdict(load_runtime(name), graph(kind))


@pytest.mark.parametrize("kind", ["int8-static", "int8-dynamic"])
@pytest.mark.skipif(
    platform.machine() != "x86_64" or bool(VNNI & cpu_flags()), reason="this CPU cuts no sums"
)
def test_cut_sums_of_onnx_runtime_are_found_out(kind: Any) -> None:
    assert "saturates" == verdict(load_runtime("onnxruntime"), graph(kind))


def test_onnx_runtime_multiplies_the_integers_of_the_probe_as_those_of_an_encoder(
    tmp_path: Path,
) -> None:
    made = emit(Architecture.uniform(1, 48, 2, 48, 96), parse("ptq"), RandomWeights(0))
    encoder = tmp_path / "encoder.onnx"
    save(made, encoder)

    used = [products(path) for path in (graph("int8-static").lay_out(tmp_path), encoder)]

    assert [{"QGemm"}, {"QGemm"}] == used


def products(path: Path) -> set[str]:
    """The operators of matrix products with stored factors, once the runtime has fused them."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path.with_suffix(".fused"))
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    fused = onnx.load(options.optimized_model_filepath).graph
    stored = {one.name for one in fused.initializer}
    return {n.op_type for n in fused.node if "Gemm" in n.op_type and stored & set(n.input)}


HELD = """
from profiler.runtimes.runtime import load_runtime
from profiler.saturation import graph, verdict

runtime = load_runtime({name!r})
if runtime.takes == "graph":
    print(verdict(runtime, graph("int8-static")))
else:
    from bench.product import product

    print(verdict(runtime, product(runtime.takes, "avx2")))
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [("onednn", "saturates"), ("openvino", "saturates"), ("torch", "exact")],
)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="is about an instruction of x86")
def test_without_vnni_onednn_cuts_sums_unless_seven_bits_are_used(
    name: str, expected: str
) -> None:
    if why := refusal(name, ""):
        pytest.skip(why)
    held = os.environ | CAPS["avx2"]

    done = subprocess.run(
        [sys.executable, "-c", HELD.format(name=name)],
        check=True, capture_output=True, text=True, env=held,
    )  # fmt: skip

    assert expected == done.stdout.strip()
    assert "" == done.stderr

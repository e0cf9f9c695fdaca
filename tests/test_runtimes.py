"""What every runtime promises, and what each refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.subjects import Source, build
from profiler.runtimes.runtime import (
    MODULES,
    Runtime,
    ThreadsError,
    load_runtime,
    random_inputs,
    refusal,
)
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.measurement import Workload

NETWORK = Architecture(48, (Layer(2, 24, 64), Layer(4, 96, 40)), vocab=200, positions=32)
WORKLOAD = Workload(batch=2, tokens=16)


@pytest.fixture(params=MODULES)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return load_runtime(request.param)


def output(runtime: Runtime, scheme: str, *, stable: bool = True, threads: int = 1) -> Any:
    model = build(runtime.takes, NETWORK, scheme, Source(), seed=3, cap="")
    inputs = random_inputs(WORKLOAD, NETWORK.vocab, 3)
    prepared = runtime.prepare(model, inputs, threads, stable=stable, cap="")
    assert prepared.model_bytes > 0
    return np.asarray(prepared.run())


def reference() -> Any:
    module = build("module", NETWORK, "fp32", Source(), seed=3, cap="")
    inputs = random_inputs(WORKLOAD, NETWORK.vocab, 3)
    assert isinstance(module, torch.nn.Module)
    with torch.inference_mode():
        found = module(torch.from_numpy(inputs.input_ids), torch.from_numpy(inputs.attention_mask))
    return found.numpy()


def test_every_runtime_computes_the_same_network(runtime: Runtime) -> None:
    np.testing.assert_allclose(reference(), output(runtime, "fp32"), atol=1e-4)


def test_spinning_or_not_is_the_same_network(runtime: Runtime) -> None:
    np.testing.assert_allclose(reference(), output(runtime, "fp32", stable=False), atol=1e-4)


def test_int8_stays_near_the_float_network_but_is_not_it(runtime: Runtime) -> None:
    exact, rounded = reference().ravel(), output(runtime, "int8-dynamic").ravel()

    cosine = exact @ rounded / np.linalg.norm(exact) / np.linalg.norm(rounded)
    assert 0.999 < cosine
    assert np.abs(exact - rounded).max() > 1e-4


def test_the_seed_decides_weights_and_token_ids() -> None:
    one, again, other = (random_inputs(WORKLOAD, 200, seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(one.input_ids, again.input_ids)
    assert (one.input_ids != other.input_ids).any()
    assert 1 == one.attention_mask.min()
    assert one.input_ids.max() < 200


@pytest.mark.parametrize("workload", [Workload(1, 1), Workload(3, 32)])
def test_inputs_have_the_shape_of_the_workload(workload: Workload) -> None:
    inputs = random_inputs(workload, 10, 0)

    shape = (workload.batch, workload.tokens)
    assert [shape] * 3 == [
        inputs.input_ids.shape,
        inputs.attention_mask.shape,
        inputs.token_type_ids.shape,
    ]


def test_a_module_in_training_mode_is_not_timed() -> None:
    module = build("module", NETWORK, "fp32", Source(), seed=0, cap="")
    assert isinstance(module, torch.nn.Module)
    module.train()

    with pytest.raises(ValueError, match="training mode"):
        load_runtime("torch").prepare(
            module, random_inputs(WORKLOAD, 200, 0), 1, stable=True, cap=""
        )


def test_the_timed_module_keeps_no_gradients() -> None:
    runtime = load_runtime("torch")
    model = build("module", NETWORK, "fp32", Source(), seed=0, cap="")
    run = runtime.prepare(model, random_inputs(WORKLOAD, 200, 0), 1, stable=True, cap="").run

    out = run()

    assert isinstance(out, torch.Tensor)
    assert out.is_inference()


def test_another_number_of_threads_than_asked_for_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = build("module", NETWORK, "fp32", Source(), seed=0, cap="")
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)

    with pytest.raises(ThreadsError, match=r"7 threads.*not with 1"):
        load_runtime("torch").prepare(
            module, random_inputs(WORKLOAD, 200, 0), 1, stable=True, cap=""
        )


def test_onnxruntime_must_start_the_threads_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = load_runtime("onnxruntime")
    monkeypatch.setattr("profiler.runtimes.onnxruntime._own_threads", lambda: 5)

    with pytest.raises(ThreadsError, match="started 0 threads, not 1"):
        output(runtime, "fp32", threads=2)


def test_a_thread_that_the_library_starts_for_itself_is_no_reason_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # before, after (the count settles at the second reading of each): one stray, then none
    readings = iter([5, 5, 8, 8, 8, 8, 8, 8])
    monkeypatch.setattr("profiler.runtimes.onnxruntime._own_threads", lambda: next(readings))

    np.testing.assert_allclose(reference(), output(load_runtime("onnxruntime"), "fp32"), atol=1e-4)


def test_two_threads_are_really_started_by_onnxruntime() -> None:
    assert output(load_runtime("onnxruntime"), "fp32", threads=2) is not None


def test_a_cap_that_did_not_take_is_an_error_and_no_row() -> None:
    model = build("module", NETWORK, "fp32", Source(), seed=0, cap="")
    if torch.backends.cpu.get_cpu_capability() == "AVX2":
        pytest.skip("this process is at AVX2 as it is")

    with pytest.raises(ThreadsError, match="held to avx2"):
        load_runtime("torch").prepare(
            model, random_inputs(WORKLOAD, 200, 0), 1, stable=True, cap="avx2"
        )


def test_a_runtime_that_takes_no_cap_is_refused_under_one() -> None:
    assert "cannot be held to avx2" in refusal("onnxruntime", "avx2")
    assert "" == refusal("onnxruntime", "")
    assert "" == refusal("torch", "avx2")


def test_an_unknown_runtime_is_told_the_known_ones() -> None:
    with pytest.raises(BadInputError, match=r"unknown runtime 'tvm'.*torch, onnxruntime"):
        load_runtime("tvm")


def test_a_foreign_graph_is_timed_with_the_inputs_it_asks_for(tmp_path: Path) -> None:
    from quant.graph import emit, save
    from quant.scheme import parse
    from quant.weights import RandomWeights

    path = tmp_path / "m.onnx"
    save(emit(NETWORK, parse("fp32"), RandomWeights(3)), path)
    runtime = load_runtime("onnxruntime")

    model = build(runtime.takes, None, "as-is", Source(str(path), "m"), seed=3, cap="")
    prepared = runtime.prepare(
        model, random_inputs(WORKLOAD, NETWORK.vocab, 3), 1, stable=True, cap=""
    )

    np.testing.assert_allclose(reference(), np.asarray(prepared.run()), atol=1e-4)

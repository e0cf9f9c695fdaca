"""What every runtime promises, and what each refuses."""

import gc
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.subjects import Source, build
from profiler.runtimes import runtime as runtimes
from profiler.runtimes.openvino import OpenVino
from profiler.runtimes.runtime import (
    MODULES,
    Inputs,
    Prepared,
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


def loaded(name: str) -> Runtime:
    if refusal(name, ""):
        pytest.skip(refusal(name, ""))
    return load_runtime(name)


@pytest.fixture(params=MODULES)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return loaded(request.param)


def prepared(
    runtime: Runtime, scheme: str, *, stable: bool = True, threads: int = 1, cap: str = ""
) -> Prepared:
    model = build(runtime.takes, NETWORK, scheme, Source(), seed=3, cap=cap)
    inputs = random_inputs(WORKLOAD, NETWORK.vocab, 3)
    return runtime.prepare(model, inputs, threads, stable=stable, cap=cap)


def output(runtime: Runtime, scheme: str, *, stable: bool = True, threads: int = 1) -> Any:
    found = prepared(runtime, scheme, stable=stable, threads=threads)
    assert found.model_bytes > 0
    return np.asarray(found.run())


def reference(inputs: Inputs | None = None) -> Any:
    module = build("module", NETWORK, "fp32", Source(), seed=3, cap="")
    given = inputs or random_inputs(WORKLOAD, NETWORK.vocab, 3)
    assert isinstance(module, torch.nn.Module)
    with torch.inference_mode():
        found = module(
            torch.from_numpy(given.input_ids),
            torch.from_numpy(given.attention_mask),
            torch.from_numpy(given.token_type_ids),
        )
    return found.numpy()


def cosine(one: Any, other: Any) -> float:
    one, other = one.ravel(), other.ravel()
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def text() -> Inputs:
    """Three examples of other lengths than WORKLOAD has, in two segments, padded."""
    ids = np.random.default_rng(8).integers(0, NETWORK.vocab, (3, 21))
    mask = (np.arange(21) < np.array([[21], [13], [2]])).astype(np.int64)
    return Inputs(ids, mask, np.where(np.arange(21) > 9, mask, 0))


ROUNDED = [
    (n, s) for n in MODULES for s in import_module(MODULES[n]).RUNTIME.schemes if s != "fp32"
]


def test_every_runtime_computes_the_same_network(runtime: Runtime) -> None:
    np.testing.assert_allclose(reference(), output(runtime, "fp32"), atol=1e-4)


def test_spinning_or_not_is_the_same_network(runtime: Runtime) -> None:
    np.testing.assert_allclose(reference(), output(runtime, "fp32", stable=False), atol=1e-4)


@pytest.mark.parametrize(("name", "scheme"), ROUNDED)
def test_a_scheme_stays_near_the_float_network_but_is_not_it(name: str, scheme: str) -> None:
    runtime = loaded(name)
    if why := runtime.scheme_refusal(scheme, ""):
        pytest.skip(why)

    exact, rounded = reference(), output(runtime, scheme)

    assert 0.999 < cosine(exact, rounded)
    assert np.abs(exact - rounded).max() > 1e-4


def test_every_runtime_answers_any_text_in_float32(runtime: Runtime) -> None:
    found = prepared(runtime, "fp32").answer(text())

    there = text().attention_mask.astype(bool)
    np.testing.assert_allclose(reference(text())[there], found[there], atol=1e-4)
    assert np.float32 == found.dtype


@pytest.mark.parametrize(("name", "scheme"), ROUNDED)
def test_what_is_answered_is_what_is_timed(name: str, scheme: str) -> None:
    runtime = loaded(name)
    if why := runtime.scheme_refusal(scheme, ""):
        pytest.skip(why)
    inputs = random_inputs(WORKLOAD, NETWORK.vocab, 3)
    model = prepared(runtime, scheme)

    first = model.answer(inputs)
    model.answer(text())

    np.testing.assert_array_equal(first, np.asarray(model.run()))
    assert np.float32 == first.dtype


def test_an_answer_is_not_overwritten_by_the_next_call(runtime: Runtime) -> None:
    model = prepared(runtime, "fp32")
    first = model.answer(random_inputs(WORKLOAD, NETWORK.vocab, 3))
    before = first.copy()

    model.answer(random_inputs(WORKLOAD, NETWORK.vocab, 4))
    model.run()

    np.testing.assert_array_equal(before, first)


def test_neither_model_nor_inputs_need_be_kept_by_who_prepared_them(runtime: Runtime) -> None:
    run = prepared(runtime, "fp32").run
    gc.collect()
    np.full((64, 1024), 7).sum()  # what would lie where something was freed

    np.testing.assert_allclose(reference(), np.asarray(run()), atol=1e-4)


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
    assert "AVX-512" in OpenVino().cap_refusal("avx2")


def test_an_unknown_runtime_is_told_the_known_ones() -> None:
    with pytest.raises(BadInputError, match=r"unknown runtime 'tvm'.*torch, onnxruntime"):
        load_runtime("tvm")


def test_a_package_that_is_missing_is_named_with_the_extra_it_comes_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda _: None)

    assert refusal("openvino", "") == (
        "runtime 'openvino' needs the package openvino: pip install 'subbert[openvino]'"
    )
    assert refusal("torch", "") == "runtime 'torch' needs the package torch: pip install torch"


@pytest.mark.parametrize(
    ("name", "scheme", "cap", "told"),
    [
        ("onnxruntime", "ptq", "", ""),
        ("onnxruntime", "ptq:ffn-out=fp32", "", ""),
        ("onnxruntime", "bf16", "", "it has no scheme 'bf16', only fp32, int8-dynamic"),
        ("onnxruntime", "ptq:rest=bf16", "", "it does not compute in bf16"),
        ("torch", "ptq:ffn-out=fp32", "", "it has no scheme 'ptq', only fp32, bf16, int8-dynamic"),
        ("torch", "bf16", "", ""),
        ("torch", "bf16", "avx2", "avx2 has no bf16"),
    ],
)
def test_a_scheme_that_cannot_run_is_refused_by_its_name_without_settings(
    monkeypatch: pytest.MonkeyPatch, name: str, scheme: str, cap: str, told: str
) -> None:
    monkeypatch.setattr(runtimes, "cpu_flags", lambda: {"avx2", "avx512_bf16"})

    said = load_runtime(name).scheme_refusal(scheme, cap)

    assert said.startswith(told) if told else said == ""


@pytest.mark.parametrize("scheme", ["bf16", "ptq-bf16"])
def test_bf16_is_refused_where_the_cpu_would_emulate_it(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(runtimes, "cpu_flags", lambda: {"avx2", "avx512f", "avx512_vnni"})

    assert "has neither avx512_bf16 nor amx_bf16" in OpenVino().scheme_refusal(scheme, "")
    assert OpenVino().scheme_refusal("ptq", "") == ""


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

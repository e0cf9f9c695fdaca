"""What a block really hands to a runtime, which here writes it down and computes nothing much."""

import gc
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import pytest

from bench import block
from bench.block import Order, Request, measure_block
from bench.subjects import ANCHORS, Source, build
from profiler.runtimes.runtime import Inputs, Prepared, load_runtime, random_inputs
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Procedure, Workload

NETWORK = Architecture.uniform(1, 24, 2, 24, 32)


@dataclass
class Notebook:
    """A runtime that remembers what it was given."""

    takes: str = "graph"
    inputs: list[Inputs] = field(default_factory=list)
    stable: list[bool] = field(default_factory=list)
    collecting: set[bool] = field(default_factory=set)

    def prepare(
        self, model: object, inputs: Inputs, threads: int, *, stable: bool, cap: str
    ) -> Prepared:
        del model, threads, cap
        self.inputs.append(inputs)
        self.stable.append(stable)

        def run() -> object:
            self.collecting.add(gc.isenabled())
            return np.arange(3000).sum()

        def answer(given: Inputs) -> Any:
            return given.input_ids.astype(np.float32)

        return Prepared(run, answer, model_bytes=7, isa="SSE9")


def request(*orders: Order, profile: str = "stable") -> Request:
    procedure = Procedure(profile=profile, target_error=0.4, noisy_error=0.8, most_rounds=6)
    return Request("torch", Workload(2, 9), procedure, orders, seed=5, shuffle=1)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    runtime = Notebook()
    monkeypatch.setattr(block, "load_runtime", lambda _: runtime)
    return runtime


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []

    def remember(_takes: str, architecture: Any, scheme: str, *_: object) -> object:
        if scheme == "broken":
            raise BadInputError("no such scheme")
        found.append((architecture, scheme))
        return object()

    monkeypatch.setattr(block, "build", remember)
    return found


def test_each_scheme_has_an_anchor_of_its_own_built_once(
    notebook: Notebook, built: list[tuple[Any, ...]]
) -> None:
    del notebook
    orders = [Order(NETWORK, scheme) for scheme in ("fp32", "int8-dynamic")] * 2

    answers = measure_block(request(*orders))

    anchors = [one for one in built if one[0] != NETWORK]
    assert [(ANCHORS["tiny"], "fp32"), (ANCHORS["tiny"], "int8-dynamic")] == anchors
    assert {str(ANCHORS["tiny"])} == {a.run.anchor_name for a in answers if a.run}


def test_what_is_run_is_the_workload_with_the_vocabulary_of_the_network(
    notebook: Notebook, built: list[tuple[Any, ...]]
) -> None:
    del built
    measure_block(request(Order(NETWORK, "fp32")))

    expected = random_inputs(Workload(2, 9), NETWORK.vocab, 5)
    for inputs in notebook.inputs:
        np.testing.assert_array_equal(expected.input_ids, inputs.input_ids)


def test_no_garbage_is_collected_during_a_call_but_for_deployed_rows(
    notebook: Notebook, built: list[tuple[Any, ...]]
) -> None:
    del built
    measure_block(request(Order(NETWORK, "fp32")))
    stable = set(notebook.collecting)
    notebook.collecting.clear()
    measure_block(request(Order(NETWORK, "fp32"), profile="deployed"))

    assert {False} == stable
    assert {True} == notebook.collecting
    assert gc.isenabled()
    assert [True, True, False] == notebook.stable


def test_a_row_carries_what_the_runtime_says_of_itself(
    notebook: Notebook, built: list[tuple[Any, ...]]
) -> None:
    del built
    (answer,) = measure_block(request(Order(NETWORK, "fp32")))

    assert ("SSE9", 7) == (answer.isa, answer.model_bytes)
    assert answer.run
    assert answer.run.contention
    assert answer.run.contention.seconds > 0
    assert notebook.inputs


def test_one_bad_model_costs_the_others_nothing(
    notebook: Notebook, built: list[tuple[Any, ...]]
) -> None:
    del notebook, built
    answers = measure_block(request(Order(NETWORK, "broken"), Order(NETWORK, "fp32")))

    told = {answer.index: answer.failure for answer in answers}
    assert {0: "no such scheme", 1: ""} == told


def test_signs_of_life_come_while_a_block_is_measured(
    notebook: Notebook, built: list[tuple[Any, ...]]
) -> None:
    del notebook, built
    signs: list[int] = []

    measure_block(request(Order(NETWORK, "fp32")), lambda: signs.append(1))

    assert len(signs) >= 1 + 2 + 6  # a load, two warm-ups, six rounds


def test_under_a_cap_int8_moves_to_the_kernels_that_listen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def remember(module: object, kernels: str = "", **_: object) -> object:
        asked.append(kernels)
        return module

    monkeypatch.setattr("quant.dynamic.quantise_dynamic", remember)
    for cap in ("", "avx2"):
        build("module", NETWORK, "int8-dynamic", Source(), 0, cap)

    assert ["", "onednn"] == asked


@pytest.mark.parametrize("stable", [True, False])
def test_onnxruntime_spins_only_where_the_environment_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
    stable: bool,  # noqa: FBT001
) -> None:
    seen: list[Any] = []
    real = onnxruntime.InferenceSession

    def remember(path: str, options: Any, **more: Any) -> Any:
        seen.append(options)
        return real(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", remember)
    model = build("graph", NETWORK, "fp32", Source(), 0, "")
    inputs = random_inputs(Workload(1, 4), NETWORK.vocab, 0)
    load_runtime("onnxruntime").prepare(model, inputs, 1, stable=stable, cap="")

    (options,) = seen
    assert onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL == options.graph_optimization_level
    if stable:
        assert "0" == options.get_session_config_entry("session.intra_op.allow_spinning")
    else:
        with pytest.raises(RuntimeError):
            options.get_session_config_entry("session.intra_op.allow_spinning")

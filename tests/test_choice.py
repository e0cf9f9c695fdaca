"""Which schemes run on which runtimes: what is left out with a sentence, and what is refused."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bench.choice import Choice, Wanted, choose
from profiler.device import Device, load_devices
from profiler.runtimes import runtime as runtimes
from quant.scheme import parse
from results.errors import BadInputError

LISTED = {
    "torch": ["fp32", "bf16", "int8-dynamic"],
    "onnxruntime": ["fp32", "int8-dynamic", "ptq:ffn-out=fp32"],
}


def device(listed: dict[str, list[str]] | None = None) -> Device:
    return Device(name="d", runtimes=listed or LISTED)


def chosen(*schemes: str, on: tuple[str, ...] = (), cap: str = "", listed: Any = None) -> Choice:
    return choose(device(listed), Wanted(on, schemes), cap)


@pytest.fixture(autouse=True)
def a_cpu_with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "cpu_flags", lambda: {"avx512_bf16"})


@pytest.fixture
def no_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "cpu_flags", lambda: {"avx512_vnni"})


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None if name == package else name)


def test_what_is_not_named_is_what_the_device_lists() -> None:
    assert Choice(LISTED, []) == chosen()


def test_a_scheme_runs_on_every_runtime_that_has_it_listed_or_not() -> None:
    one = chosen("int8-static:observer=mse", "fp32")

    expected = {"torch": ["fp32"], "onnxruntime": ["int8-static:observer=mse", "fp32"]}
    assert Choice(expected, []) == one


def test_a_scheme_is_spelled_in_one_way_only() -> None:
    spelled = chosen("ptq:observer=mse:ffn-out=fp32", "ptq:ffn-out=fp32:observer=mse")

    assert ["ptq:ffn-out=fp32:observer=mse"] == spelled.schemes["onnxruntime"]


def test_int8_is_what_the_device_lists_or_the_best_that_the_runtime_has() -> None:
    found = chosen("int8", on=("torch", "onnxruntime")).schemes
    assert {
        "torch": ["int8-dynamic"],
        "onnxruntime": ["int8-dynamic", "ptq:ffn-out=fp32"],
    } == found

    bare = {"torch": ["fp32"], "onnxruntime": ["fp32"]}
    assert {"torch": ["int8-dynamic"], "onnxruntime": ["ptq"]} == chosen(
        "int8", listed=bare
    ).schemes


def test_a_runtime_that_the_device_does_not_list_runs_all_it_has() -> None:
    only_torch = {"torch": ["fp32"]}
    found = chosen(on=("onnxruntime",), listed=only_torch).schemes["onnxruntime"]

    assert ["fp32", "int8-dynamic", "int8-static", "int8-weight-only"] == found[:4]


@pytest.mark.usefixtures("no_bf16")
def test_a_listed_scheme_that_the_cpu_lacks_is_left_out_and_a_named_one_refused() -> None:
    left = chosen()
    assert ["fp32", "int8-dynamic"] == left.schemes["torch"]
    assert [
        "bf16 on torch: this CPU has neither avx512_bf16 nor amx_bf16, and would emulate bf16"
    ] == (left.refused)

    with pytest.raises(
        BadInputError, match=r"--scheme bf16 cannot be had as d: bf16 on torch: this"
    ):
        chosen("fp32", "bf16")


def test_a_scheme_is_refused_for_what_a_cap_forbids() -> None:
    assert ["onnxruntime cannot be held to avx2"] == [
        why[:34] for why in chosen("fp32", cap="avx2").refused
    ]
    assert "bf16 on torch: avx2 has no bf16" in chosen(cap="avx2").refused


def test_settings_that_torch_cannot_honour_are_refused_and_not_dropped() -> None:
    told = r"int8-dynamic:activations=token on torch: torch has no int8 with a setting for act"
    with pytest.raises(BadInputError, match=told):
        chosen("int8-dynamic:activations=token", on=("torch",))

    both = chosen("int8-dynamic:activations=token")
    assert {"torch": [], "onnxruntime": ["int8-dynamic:activations=token"]} == both.schemes
    assert 1 == len(both.refused)


def test_a_missing_package_is_left_out_unless_its_runtime_was_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without("onnxruntime", monkeypatch)

    left = chosen()
    assert {"torch"} == set(left.schemes)
    assert ["runtime 'onnxruntime' needs the package onnxruntime: pip install onnxruntime"] == (
        left.refused
    )
    with pytest.raises(BadInputError, match="needs the package onnxruntime"):
        chosen(on=("onnxruntime", "torch"))


@pytest.mark.parametrize(
    ("schemes", "on", "told"),
    [
        (("int4",), (), "unknown scheme 'int4'"),
        (("ptq:ffn-out",), (), "'ffn-out' is no setting"),
        (
            ("fp32",),
            ("tvm",),
            "--runtime 'tvm' is not among those of d: torch, onnxruntime; there",
        ),
        (
            ("ptq",),
            ("torch",),
            "--scheme ptq cannot be had as d: no runtime of it has that scheme",
        ),
        (("ptq", "fp32"), ("torch",), "--scheme ptq cannot be had"),
    ],
)
def test_names_that_mean_nothing_here_are_a_sentence(
    schemes: tuple[str, ...], on: tuple[str, ...], told: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        chosen(*schemes, on=on)

    assert told in str(refused.value)


def test_a_device_that_lists_a_scheme_its_runtime_lacks_is_told_those_there_are() -> None:
    with pytest.raises(
        BadInputError, match="device d: torch has no scheme 'ptq', only fp32, bf16"
    ):
        chosen(listed={"torch": ["ptq"]})


def test_the_shipped_targets_list_only_what_there_is() -> None:
    shipped = load_devices(Path(__file__).parent.parent / "devices.yaml")

    for target in shipped.values():
        for name, schemes in target.runtimes.items():
            known = import_module(runtimes.MODULES[name]).RUNTIME.schemes
            assert schemes == [parse(scheme).name for scheme in schemes]
            assert {parse(scheme).base for scheme in schemes} <= set(known)


def test_nothing_left_is_a_sentence() -> None:
    with pytest.raises(BadInputError, match="nothing can be measured as d: onnxruntime cannot be"):
        chosen(cap="avx2", listed={"onnxruntime": ["fp32"]})

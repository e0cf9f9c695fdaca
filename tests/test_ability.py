"""What the runtimes can do here, and how `bench devices` tells it."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench import ability, devices
from bench.ability import Ability, Report, abilities, reports
from profiler.isolate import WorkerError
from profiler.runtimes.onnxruntime import OnnxRuntime
from profiler.runtimes.runtime import Inputs, Prepared, load_runtime
from results.errors import BadInputError
from tests.exact_sums import CUT


class Half(OnnxRuntime):
    """Lacks some of what it says it has."""

    schemes = ("fp32", "int8-dynamic", "int8-static", "ptq")

    def prepare(
        self, model: Any, inputs: Inputs, threads: int, *, stable: bool, cap: str
    ) -> Prepared:
        name = str(getattr(model, "scheme", ""))
        if name == "int8-dynamic":
            raise NotImplementedError("no kernel for\n  DynamicQuantizeMatMul")
        if name == "int8-static":
            raise BadInputError("install another build")
        return super().prepare(model, inputs, threads, stable=stable, cap=cap)

    def scheme_refusal(self, scheme: str, cap: str) -> str:
        return "held too short" if scheme == "ptq" and cap else ""


def test_what_fails_is_a_line_and_costs_the_others_nothing() -> None:
    fails = "NotImplementedError: no kernel for DynamicQuantizeMatMul"
    first = [
        Ability("fp32"),
        Ability("int8-dynamic", fails),
        Ability("int8-static", "install another build"),
    ]

    sums = "saturates" if CUT else "exact"
    assert [*first, Ability("ptq", sums=sums)] == list(abilities(Half(), ""))
    assert [*first, Ability("ptq", "held too short")] == list(abilities(Half(), "avx2"))


def test_a_runtime_is_tried_in_a_process_of_its_own_in_all_its_schemes() -> None:
    (found,) = reports(["onnxruntime"], [""])

    schemes = load_runtime("onnxruntime").schemes
    assert schemes == tuple(a.scheme for a in found.schemes)
    assert {""} == {a.refused for a in found.schemes}
    assert {"int8-dynamic", "int8-static", "ptq"} == {a.scheme for a in found.schemes if a.sums}
    assert found.version


def test_a_process_that_dies_and_a_package_that_is_missing_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dies(*_: object) -> None:
        raise WorkerError("the worker ended with signal 4")

    monkeypatch.setattr(ability.Worker, "ask", dies)
    monkeypatch.setattr(
        "profiler.runtimes.runtime.find_spec", lambda name: name == "torch" or None
    )

    dead, missing, capped = reports(["torch", "openvino"], ["", "avx2"])[:3]

    assert "torch: the worker ended with signal 4" == dead.refused
    assert "pip install 'subbert[openvino]'" in missing.refused
    assert "avx2" == capped.cap


FOUND = [
    Report("a", "", "1.0", schemes=(Ability("fp32"), Ability("ptq", sums="exact"))),
    Report(
        "b", "", "2.0", schemes=(Ability("x", "no"), Ability("y", "no"), Ability("z", "never"))
    ),
    Report(
        "c", "avx2", "3.0", schemes=(Ability("ptq", sums="saturates"), Ability("q", sums="exact"))
    ),
    Report("d", "", refused="is missing"),
]


def test_the_table_says_what_runs_and_why_the_rest_does_not() -> None:
    console = Console(width=200, file=StringIO(), record=True)
    console.print(devices.runtimes_table(FOUND))

    saturate = "int8 sums saturate here in ptq: use reduce-range=yes, or another runtime"
    assert [
        "a 1.0 fp32, ptq int8 sums are exact",
        "b 2.0 nothing not x, y: no; not z: never",
        f"c 3.0, held to avx2 ptq, q {saturate}",
        "d nothing is missing",
    ] == [" ".join(line.split()) for line in console.export_text().splitlines()[2:]]


def test_json_has_what_each_device_and_runtime_can_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(devices, "tried", lambda _: FOUND)
    path = tmp_path / "devices.yaml"
    path.write_text(
        "version: 1\ndevices:\n  here: {runtimes: {onnxruntime: [fp32, ptq]}}\n"
        "  far: {machine: aarch64, runtimes: {onnxruntime: [fp32]}}\n"
        "  near: {machine: x86_64, runtimes: {onnxruntime: [fp32]}}\n"
        "  wrong: {runtimes: {torch: [ptq]}}\n",
        encoding="utf-8",
    )

    devices.devices(file=path, as_json=True)

    told = json.loads(capsys.readouterr().out)
    assert {"onnxruntime": ["fp32", "ptq"]} == told["devices"]["here"]["possible"]
    assert [] == told["devices"]["here"]["refused"] == told["devices"]["here"]["left_out"]
    assert told["devices"]["far"]["refused"] or told["devices"]["near"]["refused"]
    assert "torch has no scheme 'ptq'" in told["devices"]["wrong"]["refused"][0]
    assert ["a", "b", "c", "d"] == [report["runtime"] for report in told["runtimes"]]
    assert "saturates" == told["runtimes"][2]["schemes"][0]["sums"]

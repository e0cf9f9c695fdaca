"""`bench profile` as a person meets it: real measurements, bad input, interruptions."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import onnx
import psutil
import pytest

from bench.choice import Wanted, choose
from profiler.device import load_devices
from profiler.runtimes.runtime import load_runtime
from results.store import Ledger

ONE = '{"hidden": 24, "layers": [{"heads": 2, "qkv": 24, "ffn": 32}], "vocab": 100}'
SMALL = "".join(
    f'{{"hidden": {24 * n}, "layers": [{{"heads": 2, "qkv": 24, "ffn": 32}}], "vocab": 99}}\n'
    for n in range(1, 37)
)

TWO = ("--scheme", "fp32", "--scheme", "int8-dynamic")


def bench(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def profile(folder: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return bench(folder, "profile", "--device", "cpu-any", "--target-error", 40, *more)


def measured(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert 0 == done.returncode, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "one.json").write_text(ONE, encoding="utf-8")
    (tmp_path / "small.txt").write_text(SMALL, encoding="utf-8")
    return tmp_path


def possible() -> set[tuple[str, str]]:
    """What cpu-any lists and this machine has."""
    device = load_devices(Path(__file__).parent.parent / "devices.yaml")["cpu-any"]
    schemes = choose(device, Wanted(), "").schemes
    return {(runtime, scheme) for runtime, found in schemes.items() for scheme in found}


def test_every_runtime_and_scheme_gives_a_row_with_its_full_origin(small: Path) -> None:
    report = measured(profile(small, "--arch", "one.json", "--json"))

    found = {(r["runtime"], r["scheme"]) for r in report["rows"]}
    assert possible() == found
    assert {(r, s) for r in ("torch", "onnxruntime") for s in ("fp32", "int8-dynamic")} <= found
    for session, row in Ledger(small / "results/data").measurements():
        run = row.runs[0]
        assert run.anchor is not None
        assert len(run.subject.visits) >= 6
        assert run.pid
        assert 1 == len(run.cpus)
        assert run.contention
        assert row.cold.build_ns * row.cold.load_ns * row.cold.first_ns > 0
        assert row.model_bytes > 0
        assert row.peak_rss_bytes > 1 << 20
        assert session.environment.software.packages["torch"]
        assert "1" == session.environment.settings.variables["OMP_NUM_THREADS"]
        assert session.argv[:2] == ("bench", "profile")


def test_the_table_counts_rows_and_compares_with_fp32(small: Path) -> None:
    done = profile(small, "--arch", "one.json", "--runtime", "onnxruntime", "--plot", "c.html")

    assert 0 == done.returncode, done.stderr
    assert "onnxruntime  int8-dynamic     1" in done.stdout
    page = (small / "c.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "h24 1x(a2 q24 f32)" in page
    assert not re.search(r"(src|href)=.?(https?:|//)", page)  # nothing is fetched


def test_a_second_run_measures_anew_unless_told_to_resume(small: Path) -> None:
    def rows(*more: str) -> list[str]:
        done = profile(small, "--arch", "one.json", "--runtime", "onnxruntime", "--json", *more)
        return [row["id"] for row in measured(done)["rows"]]

    first, second = rows(), rows()
    third = rows("--resume")

    assert not set(first) & set(second)
    assert second == third


def test_several_token_lengths_are_measured(small: Path) -> None:
    report = measured(
        profile(
            small, "--arch", "one.json", "--runtime", "onnxruntime", "--scheme", "fp32",
            "--tokens", 8, "--tokens", 64, "--batch", 2, "--json",
        )
    )  # fmt: skip

    assert [(2, 8), (2, 64)] == sorted(
        (r["workload"]["batch"], r["workload"]["tokens"]) for r in report["rows"]
    )


def test_more_processes_give_a_row_as_many_runs(small: Path) -> None:
    measured(
        profile(
            small, "--arch", "one.json", "--runtime", "onnxruntime", "--scheme", "fp32",
            "--processes", 2, "--json",
        )
    )  # fmt: skip

    ((_, row),) = Ledger(small / "results/data").measurements()
    assert 2 == len({run.pid for run in row.runs})


def test_a_deployed_profile_leaves_the_environment_alone(small: Path) -> None:
    measured(
        profile(
            small, "--arch", "one.json", "--runtime", "onnxruntime", "--scheme", "fp32",
            "--deployed", "--json",
        )
    )  # fmt: skip

    ((session, row),) = Ledger(small / "results/data").measurements()
    assert "deployed" == row.procedure.profile
    assert row.runs[0].anchor is None
    assert set(row.runs[0].cpus) == os.sched_getaffinity(0)
    assert "MALLOC_TRIM_THRESHOLD_" not in session.environment.settings.variables


def test_a_time_budget_ends_the_run_in_time_to_go_on_later(small: Path) -> None:
    def run(*more: str) -> dict[str, Any]:
        return measured(
            profile(
                small, "--arch", "small.txt", "--runtime", "onnxruntime", *TWO, "--json", *more
            )
        )

    first = run("--time-budget", "1s")
    second = run()

    assert "budget" == first["status"]
    assert 0 < len(first["rows"]) < 72
    assert ("complete", 72) == (second["status"], len(second["rows"]))
    assert {r["id"] for r in first["rows"]} <= {r["id"] for r in second["rows"]}


def has_more_than_avx2() -> bool:
    import cpuinfo

    flags = set(cpuinfo.get_cpu_info().get("flags", []))
    return "avx2" in flags and bool(flags & {"avx512f", "avx_vnni"})


@pytest.mark.skipif(not has_more_than_avx2(), reason="needs a CPU with more than AVX2")
def test_a_cap_is_applied_and_what_cannot_be_capped_is_left_out(small: Path) -> None:
    done = bench(small, "profile", "--device", "cpu-avx2", "--arch", "one.json",
                 "--target-error", 40, "--json")  # fmt: skip

    assert {"torch"} == {row["runtime"] for row in measured(done)["rows"]}
    assert "left out: onnxruntime cannot be held to avx2" in done.stderr
    for session, row in Ledger(small / "results/data").measurements():
        assert "AVX2" == row.isa
        assert "AVX2" == session.environment.settings.variables["ONEDNN_MAX_CPU_ISA"]


def test_the_worker_runs_on_the_cpu_that_was_announced(small: Path) -> None:
    done = profile(small, "--arch", "one.json", "--runtime", "onnxruntime", "--scheme", "fp32")

    ((_, row),) = Ledger(small / "results/data").measurements()
    assert f"1 rows on CPU {row.runs[0].cpus[0]}\n" in done.stdout


def test_only_rows_of_this_run_are_reported(small: Path) -> None:
    def run(*more: str) -> dict[str, Any]:
        options = ("--runtime", "onnxruntime", "--scheme", "fp32", "--json")
        return measured(profile(small, "--arch", "small.txt", *options, *more))

    everything = {row["id"] for row in run()["rows"]}
    part = run("--no-resume", "--time-budget", "0.4s")

    assert 0 < len(part["rows"]) < 36
    assert not everything & {row["id"] for row in part["rows"]}


def started(folder: Path, *more: object) -> subprocess.Popen[bytes]:
    command = [
        sys.executable, "-m", "bench.cli", "profile", "--device", "cpu-any", "--arch", "small.txt",
        "--target-error", "40", "--runtime", "onnxruntime", *TWO, *map(str, more),
    ]  # fmt: skip
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=folder, stdout=nowhere, stderr=nowhere)


def wait_for_rows(folder: Path, count: int) -> None:
    for _ in range(600):
        rows = list(Ledger(folder / "results/data").measurements())
        if len(rows) >= count:
            return
        time.sleep(0.05)
    pytest.fail("no rows within 30 s")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_run_keeps_its_rows_and_the_same_command_goes_on(small: Path, how: int) -> None:
    running = started(small)
    wait_for_rows(small, 1)
    workers = psutil.Process(running.pid).children()
    running.send_signal(how)
    running.wait(timeout=30)
    assert workers
    assert not psutil.wait_procs(workers, timeout=10)[1]  # none measures on alone
    before = {row.id for _, row in Ledger(small / "results/data").measurements()}

    finished = started(small)

    assert 0 == finished.wait(timeout=120)
    everything = [row for _, row in Ledger(small / "results/data").measurements(current=True)]
    assert 0 < len(before) < 72
    assert 72 == len(everything)
    assert before <= {row.id for row in everything}


def test_two_profilers_at_once_both_finish_and_tear_no_row(small: Path) -> None:
    both = [started(small, "--seed", seed) for seed in (1, 2)]

    assert [0, 0] == [one.wait(timeout=180) for one in both]
    ledger = Ledger(small / "results/data")
    assert 144 == len(list(ledger.measurements(current=True)))
    assert () == ledger.damage


def test_a_full_disk_is_one_sentence_and_keeps_what_was_written(small: Path) -> None:
    bench_command = shlex.join([sys.executable, "-m", "bench.cli", "profile"])
    options = "--device cpu-any --arch small.txt --runtime onnxruntime --target-error 40"
    limited = f"ulimit -f 24; exec {bench_command} {options}"  # files of 24 KiB at the most

    done = subprocess.run(
        ["/bin/bash", "-c", limited], cwd=small, capture_output=True, text=True, check=False
    )

    assert 2 == done.returncode
    assert "everything measured before is kept" in done.stderr
    assert 1 == done.stderr.count("\n")
    ledger = Ledger(small / "results/data")
    assert 0 < len(list(ledger.measurements())) < 72
    assert () == ledger.damage


BAD = [
    (["--device", "cpu-avx1024"], "unknown device 'cpu-avx1024'"),
    (["--device", "cuda"], "this host cannot be cuda"),
    (["--samples", "0"], "--samples 0 is out of range"),
    (["--samples", "-3"], "--samples -3 is out of range"),
    (["--samples", "99999999999"], "--samples 99999999999 is out of range"),
    (["--samples", "5000"], "4785"),
    (["--seed", "-1"], "--seed -1 is out of range"),
    (["--batch", "0"], "--batch 0 is out of range"),
    (["--tokens", "-1"], "--tokens -1 is out of range"),
    (["--tokens", "513"], "513 tokens do not fit the 512 positions"),
    (["--threads", "0"], "--threads 0 is out of range"),
    (["--threads", "999"], "this host cannot be"),
    (["--target-error", "0"], "--target-error 0 is out of range"),
    (["--processes", "0"], "--processes 0 is out of range"),
    (["--time-budget", "10"], "--time-budget '10' is no length of time"),
    (["--time-budget", "0s"], "--time-budget '0s' is no length of time"),
    (["--space", "bert"], "bert"),
    (["--runtime", "tvm"], "--runtime 'tvm' is not among those of cpu-any"),
    (["--scheme", "int4"], "unknown scheme 'int4': choose one of fp32"),
    (["--scheme", "ptq:ffn-out=int4"], "ffn-out is 'int4' and must be one of fp32"),
    (["--scheme", "ptq", "--runtime", "torch"], "--scheme ptq cannot be had as cpu-any"),
    (["--runtime", "torch", "--scheme", "int8-dynamic:activations=token"], "for activations"),
    (["--plot", "chart.gif"], "a chart ends in .png or .html"),
    (["--plot", "no/chart.png"], "there is no folder"),
    (["--arch", "missing.json"], "missing.json"),
    (["--arch", "heads.json"], "not divisible by 5 heads"),
    (["--arch", "huge.json"], "24000000"),
    (["--arch", "one.json", "--space", "minilm"], "is not in the space minilm"),
    (["--model", "missing.onnx"], "neither an .onnx file nor a Hugging Face folder"),
    (["--model", "empty"], "neither an .onnx file nor a Hugging Face folder"),
    (["--model", "liar"], "liar"),
    (["--model", "liar.onnx"], "liar.onnx"),
    (["--devices", "twice.yaml"], "twice.yaml"),
    (["--devices", "broken.yaml"], "broken.yaml"),
    (["--results", "one.json"], "cannot write to the results folder"),
    (["--results", "newer"], "newer subbert"),
    (["--results", "newer", "--no-resume"], "newer subbert"),
    (["--results", "corrupt", "--resume"], "line 2"),
    (["--results", "corrupt", "--no-resume"], "line 2"),
    (["--plot", "empty"], "that is a folder"),
    (["--model", "deep"], "num_hidden_layers is 1000000"),
    (["--model", "short"], "model.safetensors"),
    (["--model", "int32.onnx"], "wants input_ids as int32"),
    (["--model", "short.onnx"], "give --tokens 64"),
    (["--model", "torn.onnx"], "keeps weights in"),
    (["--model", "good.onnx", "--plot", "c.png"], "are unknown"),
    (["--sampels", "3"], "No such option"),
]


@pytest.fixture
def bad(small: Path) -> Path:
    heads = ONE.replace('"heads": 2', '"heads": 5')
    (small / "heads.json").write_text(heads, encoding="utf-8")
    (small / "huge.json").write_text(ONE.replace("24", "24000000"), encoding="utf-8")
    (small / "empty").mkdir()
    (small / "liar").mkdir()
    (small / "liar/config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    (small / "liar/model.safetensors").write_bytes(b"no tensors")
    (small / "liar.onnx").write_bytes(b"not a graph at all")
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 32, "vocab_size": 9, "max_position_embeddings": 512,
             "type_vocab_size": 2}  # fmt: skip
    for name, changes in (("deep", {"num_hidden_layers": 1000000}), ("short", {})):
        (small / name).mkdir()
        config = json.dumps({"model_type": "bert", **sizes, **changes})
        (small / name / "config.json").write_text(config, encoding="utf-8")
        (small / name / "model.safetensors").write_bytes(b"\x00" * 5)
    _graph(small / "int32.onnx", onnx.TensorProto.INT32, ["b", "t"])
    _graph(small / "short.onnx", onnx.TensorProto.INT64, [1, 64])
    _graph(small / "good.onnx", onnx.TensorProto.INT64, ["b", "t"])
    _graph(small / "torn.onnx", onnx.TensorProto.INT64, ["b", "t"], weights="gone.bin")
    twice = "version: 1\ndevices:\n  a: {runtimes: {torch: [fp32]}}\n  a: {}\n"
    (small / "twice.yaml").write_text(twice, encoding="utf-8")
    (small / "broken.yaml").write_text("version: 1\ndevices: [", encoding="utf-8")
    _session(small / "newer", '{"kind": "session", "session": {"schema": 99}}\n')
    return small


def _graph(path: Path, kind: int, shape: list[Any], weights: str = "") -> None:
    """A graph that hands its input on, perhaps with a weight in another file."""
    make = onnx.helper
    one = make.make_tensor_value_info("input_ids", kind, shape)
    out = make.make_tensor_value_info("out", kind, shape)
    held = []
    if weights:
        tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[1])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=weights)
        held = [tensor]
    graph = make.make_graph(
        [make.make_node("Identity", ["input_ids"], ["out"])], "g", [one], [out], held
    )
    opset = [make.make_opsetid("", 20)]
    path.write_bytes(make.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())


def _session(folder: Path, *lines: str) -> None:
    path = folder / "202601/20260101T000000000-abcdef.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize(("arguments", "told"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_gets_one_sentence_and_exit_code_2(
    bad: Path, arguments: list[str], told: str
) -> None:
    if "corrupt" in arguments:
        measured(profile(bad, "--arch", "one.json", "--results", "corrupt", "--json"))
        (path,) = (bad / "corrupt").rglob("*.jsonl")
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join([lines[0], lines[1][:40] + "\n", *lines[2:]]), encoding="utf-8")
    defaults = [] if "--device" in arguments else ["--device", "cpu-any"]

    done = bench(bad, "profile", *defaults, *arguments)

    assert 2 == done.returncode, done.stdout + done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("bench: ")]
    assert 1 == len(said), done.stderr
    assert told in said[0]
    assert "Traceback" not in done.stderr


def test_a_model_named_twice_is_measured_once(bad: Path) -> None:
    twice = ("--model", "good.onnx", "--model", "./good.onnx", "--runtime", "onnxruntime")
    report = measured(profile(bad, *twice, "--json"))

    assert [("onnxruntime", "as-is")] == [(r["runtime"], r["scheme"]) for r in report["rows"]]


def test_an_onnx_file_runs_wherever_graphs_run(bad: Path) -> None:
    report = measured(profile(bad, "--model", "good.onnx", "--json"))

    graphs = {name for name, _ in possible() if load_runtime(name).takes == "graph"}
    assert {(name, "as-is") for name in graphs} == {
        (r["runtime"], r["scheme"]) for r in report["rows"]
    }


def test_a_scheme_with_settings_runs_wherever_its_name_is_known(small: Path) -> None:
    done = profile(small, "--arch", "one.json", "--precision", "ptq:ffn-out=fp32", "--json")

    knowing = {name for name, scheme in possible() if scheme == "ptq"}
    assert {(name, "ptq:ffn-out=fp32") for name in knowing} == {
        (r["runtime"], r["scheme"]) for r in measured(done)["rows"]
    }


def test_bad_input_loses_nothing_that_was_measured(bad: Path) -> None:
    measured(profile(bad, "--arch", "one.json", "--runtime", "onnxruntime", "--json"))
    before = [row for _, row in Ledger(bad / "results/data").measurements()]

    for arguments in (["--model", "liar.onnx"], ["--samples", "0"], ["--tokens", "513"]):
        bench(bad, "profile", "--device", "cpu-any", *arguments)

    assert before == [row for _, row in Ledger(bad / "results/data").measurements()]

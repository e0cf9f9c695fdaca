"""Models of others, quantised by the tools of others: the numbers, the rows and the refusals."""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench import block, subjects
from bench.block import Order, Request, measure_block
from bench.foreign_quantise import Quantised, quantised
from bench.plan import Network, tasks_for
from bench.subjects import Source
from bench.theirs import AS_IS, DYNAMIC, OPTIMUM, anchor_scheme, require_possible, wanted_of
from nas.checkpoint import save
from nas.encoder import Encoder
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.measurement import Procedure, Workload
from tests.exact_sums import eight_bits
from tests.exported_bert import quantised_elsewhere
from tests.written_bert import (
    Arrays,
    batch,
    bert,
    int8_linear,
    lively,
    plain_linear,
    session,
)

A = Architecture(24, (Layer(2, 24, 40),) * 2, vocab=1000, positions=24)
VNNI = {"avx512_vnni"}
PACKAGES = {"optimum-onnx": "0.1.0", "optimum": "2.1.0", "transformers": "4.57.6", "onnx": "1.23"}
NEEDS = [
    "optimum~=2.1.0",
    "transformers<4.58.0,>=4.36",
    "onnx",
    'onnxruntime>=1.18.0; extra == "onnxruntime"',
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One encoder as `bert`, `plain.onnx` and, quantised, `small.onnx`; and files that are not."""
    folder = tmp_path_factory.mktemp("models")
    encoder = Encoder(A, lively(A), pooler=False)
    save(encoder, folder / "bert")
    quantised_elsewhere(encoder, folder)
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32), "W")
    product = helper.make_node("MatMul", ["x", "W"], ["out"])
    write(folder / "bare.onnx", helper.make_node("Identity", ["x"], ["out"]))
    constant = helper.make_node("Constant", [], ["W"], value=weights)
    write(folder / "constant.onnx", constant, product)
    strange = helper.make_node("Frobnicate", ["x"], ["y"], domain="nobody")
    known = helper.make_node("MatMul", ["y", "W"], ["out"])
    write(folder / "strange.onnx", strange, known, weights=[weights])
    return folder


def write(path: Path, *nodes: onnx.NodeProto, weights: list[TensorProto] | None = None) -> None:
    """A graph that looks ids up in a table, x, and then does what the nodes say."""
    table = numpy_helper.from_array(np.ones((1000, 4), np.float32), "E")
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "t"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["b", "t", 4])
    nodes = (helper.make_node("Gather", ["E", "input_ids"], ["x"]), *nodes)
    graph = helper.make_graph(nodes, "g", [ids], [out], [table, *(weights or [])])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("nobody", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(model.SerializeToString())


def operators(made: Quantised) -> Counter[str]:
    model = onnx.load_from_string(made.proto)
    return Counter(node.op_type for node in model.graph.node)


def hidden(made: Quantised, folder: Path, feed: Arrays) -> np.ndarray:
    return session(made.lay_out(folder), {}).run(None, feed)[0]


@eight_bits
def test_a_file_computes_what_the_scheme_says(models: Path, tmp_path: Path) -> None:
    feed = batch(A)
    there = feed["attention_mask"].astype(bool)

    made = quantised(models / "plain.onnx", DYNAMIC)

    found = hidden(made, tmp_path, feed)[there]
    exact, scheme = (bert(A, lively(A), feed, f)[there] for f in (plain_linear, int8_linear))
    assert 6 * A.depth == operators(made)["MatMulInteger"]
    assert np.abs(found - scheme).max() < 0.1 * np.abs(exact - scheme).max()


def test_a_file_is_as_large_as_is_said(models: Path, tmp_path: Path) -> None:
    made = quantised(models / "plain.onnx", DYNAMIC)

    assert made.lay_out(tmp_path).stat().st_size == made.model_bytes


@eight_bits
@pytest.mark.skipif(find_spec("optimum") is None, reason="needs the extra optimum")
def test_a_folder_goes_the_way_of_optimum(models: Path, tmp_path: Path) -> None:
    feed = batch(A)
    there = feed["attention_mask"].astype(bool)

    made = quantised(models / "bert", OPTIMUM)

    found = hidden(made, tmp_path, feed)[there]
    exact = bert(A, lively(A), feed, plain_linear)[there]
    off = np.abs(found - exact).mean()
    assert 0 < off < 4 * np.abs(bert(A, lively(A), feed, int8_linear)[there] - exact).mean()
    assert operators(made)["MatMulInteger"] >= 6 * A.depth


def test_nothing_is_left_on_the_disk_and_nothing_done_twice(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    quantised.cache_clear()

    first, second = (quantised(models / "plain.onnx", DYNAMIC) for _ in range(2))

    assert first is second
    assert [] == list(tmp_path.iterdir())


def test_what_a_tool_says_is_told_on_one_line(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no type of\nMatMul_7")

    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", fails)
    quantised.cache_clear()

    with pytest.raises(
        BadInputError, match=r"cannot quantise .*: RuntimeError: no type of MatMul_7$"
    ):
        quantised(models / "plain.onnx", DYNAMIC)


def test_a_file_that_the_tool_leaves_as_it_is_is_told(models: Path) -> None:
    with pytest.raises(BadInputError, match="nothing to quantise"):
        quantised(models / "constant.onnx", DYNAMIC)


def test_theirs_run_on_onnxruntime_beside_ours() -> None:
    networks = [
        Network(A, Source("bert", "b"), (OPTIMUM,)),
        Network(None, Source("m.onnx", "m"), (DYNAMIC,)),
    ]
    runtimes = {"torch": [DYNAMIC], "onnxruntime": [DYNAMIC]}

    tasks = tasks_for(networks, runtimes, (Workload(),), Procedure())

    found = [(t.subject.source, t.subject.runtime, t.subject.scheme) for t in tasks]
    assert [
        ("b", "torch", DYNAMIC),
        ("b", "onnxruntime", DYNAMIC),
        ("b", "onnxruntime", OPTIMUM),
        ("m", "onnxruntime", AS_IS),
        ("m", "onnxruntime", DYNAMIC),
    ] == found


def test_a_file_stays_as_it_is_unless_int8_is_asked_for(models: Path) -> None:
    assert () == wanted_of(models / "small.onnx", ())
    assert () == wanted_of(models / "bert", (DYNAMIC,))
    assert (DYNAMIC,) == wanted_of(models / "plain.onnx", (DYNAMIC, OPTIMUM))
    assert (OPTIMUM,) == wanted_of(models / "bert", (DYNAMIC, OPTIMUM))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("small.onnx", "is quantised already, it has D"),
        ("bare.onnx", "nothing to quantise"),
        ("constant.onnx", "nothing to quantise"),
    ],
)
def test_a_file_that_cannot_be_quantised_is_refused(models: Path, name: str, told: str) -> None:
    with pytest.raises(BadInputError, match=f"{name}.*{told}"):
        wanted_of(models / name, (DYNAMIC,))


@pytest.mark.parametrize(
    "operator",
    ["QLinearMatMul", "MatMulInteger", "DynamicQuantizeMatMul", "QAttention", "MatMulNBits",
     "DequantizeLinear", "QGemm", "MatMulIntegerToFloat"],
)  # fmt: skip
def test_operators_of_integers_are_known(tmp_path: Path, operator: str) -> None:
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32), "W")
    first, second = (helper.make_node(o, ["x", "W"], ["y"]) for o in ("MatMul", operator))
    write(tmp_path / "m.onnx", first, second, weights=[weights])

    with pytest.raises(BadInputError, match=f"it has {operator}:"):
        wanted_of(tmp_path / "m.onnx", (DYNAMIC,))


def test_floating_operators_with_a_q_are_no_integers(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32), "W")
    first, second = (helper.make_node(o, ["x", "W"], ["y"]) for o in ("MatMul", "QuickGelu"))
    write(tmp_path / "m.onnx", first, second, weights=[weights])

    assert (DYNAMIC,) == wanted_of(tmp_path / "m.onnx", (DYNAMIC,))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions that are said to be installed, to be changed."""
    found = dict(PACKAGES)

    def version(name: str) -> str:
        if name not in found:
            raise metadata.PackageNotFoundError(name)
        return found[name]

    def requires(name: str) -> list[str]:
        version(name)
        return NEEDS

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", requires)
    return found


def ask(runtimes: set[str] | None = None, flags: set[str] | None = None) -> None:
    wanted = [("bert", (OPTIMUM,)), ("", ())]
    require_possible(
        {OPTIMUM}, wanted, runtimes or {"onnxruntime"}, VNNI if flags is None else flags
    )


def test_optimum_with_the_versions_it_wants_is_taken(installed: dict[str, str]) -> None:
    ask()

    assert PACKAGES == installed


@pytest.mark.parametrize(
    ("package", "version", "told"),
    [
        ("optimum-onnx", "", "needs optimum-onnx: pip install 'subbert"),
        ("optimum", "", "needs optimum~=2.1.0, and here is none: pip"),
        ("optimum", "2.3.0", "needs optimum~=2.1.0, and here is 2.3.0: pip"),
        ("transformers", "5.23.0", "transformers<4.58.0,>=4.36, and here is 5.23.0: pip"),
    ],
)
def test_optimum_without_its_versions_is_a_sentence(
    installed: dict[str, str], package: str, version: str, told: str
) -> None:
    del installed[package]
    if version:
        installed[package] = version

    with pytest.raises(BadInputError, match=f"^scheme {OPTIMUM} .*{re.escape(told)}"):
        ask()


def test_optimum_is_refused_where_its_integers_would_saturate(installed: dict[str, str]) -> None:
    with pytest.raises(BadInputError, match="this CPU has no avx512_vnni; use int8-dynamic"):
        ask(flags={"avx2"})

    assert PACKAGES == installed


def test_what_others_make_is_not_left_out_silently() -> None:
    with pytest.raises(BadInputError, match="of bert runs on onnxruntime only"):
        ask(runtimes={"torch"})
    with pytest.raises(BadInputError, match="takes Hugging Face folders: add --model"):
        require_possible({OPTIMUM}, [("", ())], {"onnxruntime"}, VNNI)


def test_a_folder_in_the_scheme_of_others_is_measured_against_an_anchor_of_ours(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = Quantised((models / "small.onnx").read_bytes())
    monkeypatch.setattr(subjects, "quantised", lambda *_: ready)
    built: list[str] = []

    def noted(*given: Any) -> object:
        built.append(given[2])
        return subjects.build(*given)

    monkeypatch.setattr(block, "build", noted)
    orders = (Order(A, OPTIMUM, Source(str(models / "bert"), "b")),)
    procedure = Procedure(target_error=0.4, noisy_error=0.8)

    (found,) = measure_block(Request("onnxruntime", Workload(tokens=8), procedure, orders, 0, 0))

    assert "" == found.failure
    assert [OPTIMUM, DYNAMIC] == built
    assert found.run is not None
    assert found.run.anchor is not None
    assert ready.model_bytes == found.model_bytes
    assert "fp32" == anchor_scheme("fp32")


def profile(folder: Path, *more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.cli", "profile", "--device", "cpu-any", "--tokens",
               "16", "--target-error", "40", *map(str, more)]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_file_in_int8_is_timed_beside_itself_as_it_is(models: Path, tmp_path: Path) -> None:
    done = profile(tmp_path, "--model", models / "plain.onnx", "--precision", "int8",
                   "--runtime", "onnxruntime", "--json")  # fmt: skip

    assert 0 == done.returncode, done.stderr
    summary = json.loads(done.stdout)["summary"]
    assert [("onnxruntime", AS_IS), ("onnxruntime", DYNAMIC)] == [
        (line["runtime"], line["scheme"]) for line in summary
    ]
    assert [False, True] == [bool(line["speed_up"]) for line in summary]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["small.onnx", "--scheme", "int8-dynamic"], "is quantised already"),
        (["bare.onnx", "--precision", "int8"], "nothing to quantise"),
        (["strange.onnx", "--scheme", "int8-dynamic"], "Frobnicate(-1) is not a registered"),
        (["plain.onnx", "--scheme", OPTIMUM], "takes Hugging Face folders"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(
    models: Path, tmp_path: Path, arguments: list[str], told: str
) -> None:
    done = profile(
        models, "--results", tmp_path, "--runtime", "onnxruntime", "--model", *arguments
    )

    assert 2 == done.returncode, done.stdout + done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("bench: ")]
    assert 1 == len(said), done.stderr
    assert told in said[0]
    assert "Traceback" not in done.stderr

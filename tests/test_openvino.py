"""OpenVINO: that what it computes is the graph, in the numbers that were asked for."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.foreign import require_encoder_graph
from bench.subjects import OnnxFile
from profiler.runtimes import openvino as engine
from profiler.runtimes.openvino_graph import IN_MEMORY, with_fixed_sizes, with_free_sizes
from profiler.runtimes.runtime import Inputs, ThreadsError, load_runtime, random_inputs
from quant.graph import Graph, emit, save
from quant.scheme import parse
from quant.weights import RandomWeights
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.measurement import Workload

pytest.importorskip("openvino", reason="needs the extra openvino")

NETWORK = Architecture(48, (Layer(2, 24, 64), Layer(4, 96, 40)), vocab=200, positions=32)
INPUTS = random_inputs(Workload(2, 16), NETWORK.vocab, 3)

OURS = [
    "fp32",
    "int8-static",
    "ptq",
    "ptq-bf16",
    "ptq:ffn-out=fp32",
    "ptq:attention=int8-static",
    "ptq:embeddings=fp32:keep=0+1.qkv",
    "ptq:symmetric=no",
    "ptq:weights=tensor",
    "ptq:reduce-range=yes",
]


def graph(scheme: str) -> Graph:
    return emit(NETWORK, parse(scheme), RandomWeights(3))


def answer(model: object, inputs: Inputs = INPUTS, runtime: str = "openvino") -> Any:
    loaded = load_runtime(runtime).prepare(model, INPUTS, 1, stable=True, cap="")
    return loaded.answer(inputs)


def kernels(scheme: str, shape: tuple[int, int] | None = (2, 16)) -> Counter[str]:
    """Of the linear layers."""
    session = engine.Session(graph(scheme), 1, shape)
    nodes = session.compiled.get_runtime_model().get_ops()
    told = [node.get_rt_info() for node in nodes]
    wanted = [t for t in told if t["layerType"].astype(str) == "FullyConnected"]
    return Counter(t["primitiveType"].astype(str).rpartition("_")[2].lower() for t in wanted)


@pytest.mark.parametrize("scheme", OURS)
def test_every_graph_of_ours_is_written_without_openvinos_reader(scheme: str) -> None:
    made = graph(scheme)

    assert with_fixed_sizes(made.proto, made.initializers, (2, 16)) is not None


@pytest.mark.parametrize("scheme", OURS)
def test_it_computes_what_onnxruntime_computes(scheme: str) -> None:
    of_ours = answer(graph(scheme))
    of_theirs = answer(graph(scheme.replace("-bf16", "")), runtime="onnxruntime")

    rounded = 0.05 if "ptq" in scheme or "int8" in scheme else 1e-5
    np.testing.assert_allclose(of_theirs, of_ours, atol=rounded)
    assert np.abs(of_theirs - of_ours).mean() < rounded / 5


@pytest.mark.parametrize("scheme", ["fp32", "ptq", "int8-weight-only"])
def test_sizes_that_are_fixed_and_free_ones_give_the_same_numbers(scheme: str) -> None:
    longer = random_inputs(Workload(3, 20), NETWORK.vocab, 5)
    fixed = load_runtime("openvino").prepare(graph(scheme), longer, 1, stable=True, cap="")

    np.testing.assert_allclose(fixed.run(), answer(graph(scheme), longer), atol=1e-4)


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("fp32", {"f32": 12}),
        ("int8-weight-only", {"f32": 12}),
        ("ptq", {"i8": 12}),
        ("ptq:ffn-out=fp32", {"i8": 10, "f32": 2}),
        ("bf16", {"bf16": 12}),
        ("ptq-bf16", {"i8": 12}),
    ],
)
def test_linear_layers_are_computed_in_the_numbers_of_the_scheme(
    scheme: str, expected: dict[str, int]
) -> None:
    if why := load_runtime("openvino").scheme_refusal(scheme, ""):
        pytest.skip(why)

    assert expected == kernels(scheme)


def small(operator: str, **attributes: Any) -> bytes:
    """A graph of one Gemm over ids turned into floats, and of one more operator."""
    weight = numpy_helper.from_array(np.eye(16, 4, dtype=np.float32), "w")
    bias = numpy_helper.from_array(np.arange(4, dtype=np.float32), "b")
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Gemm", ["x", "w", "b"], ["y"], **attributes),
        helper.make_node(operator, ["y"], ["z"]),
    ]
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [weight, bias],
    )
    opset = [helper.make_opsetid("", 20)]
    whole = helper.make_model(made, opset_imports=opset, ir_version=9)
    return bytes(whole.SerializeToString())


@pytest.mark.parametrize(
    ("model", "known"),
    [
        (small("Gelu"), True),
        (small("Elu"), False),
        (small("Gelu", alpha=2.0), False),
        (small("Gelu", transA=1), False),
    ],
)
def test_what_is_not_known_is_left_to_openvinos_reader(model: bytes, known: bool) -> None:  # noqa: FBT001
    made = with_fixed_sizes(model, {}, (2, 16))

    assert known == (made is not None)


def test_a_graph_with_an_operator_that_is_not_known_runs_all_the_same(tmp_path: Path) -> None:
    class WithElu(Graph):
        def lay_out(self, folder: Path) -> Path:
            path = super().lay_out(folder)
            proto = onnx.load(path, load_external_data=False)
            proto.graph.node[-1].output[0] = "last"
            last = helper.make_node("Elu", ["last"], ["last_hidden_state"])
            proto.graph.node.append(last)
            path.write_bytes(proto.SerializeToString())
            return path

    plain = graph("fp32")
    made = WithElu(plain.architecture, plain.scheme, plain.proto, plain.initializers, 0)
    content = made.lay_out(tmp_path).read_bytes()

    exact = answer(plain)
    assert with_fixed_sizes(content, made.initializers, (2, 16)) is None
    np.testing.assert_allclose(
        np.where(exact > 0, exact, np.expm1(exact)), answer(made), atol=1e-5
    )


@pytest.mark.parametrize("beside", [False, True], ids=["weights inside", "weights beside"])
def test_a_file_that_others_wrote_runs_as_it_is(tmp_path: Path, beside: bool) -> None:  # noqa: FBT001
    path = tmp_path / "encoder.onnx"
    save(graph("fp32"), path)
    if beside:
        whole = onnx.load(path)
        path = tmp_path / "split.onnx"
        onnx.save(whole, path, save_as_external_data=True, location="w.bin", size_threshold=0)

    np.testing.assert_allclose(answer(graph("fp32")), answer(OnnxFile(path)), atol=1e-5)


def test_weights_are_read_where_they_are_and_not_copied() -> None:
    made = graph("ptq")
    model = with_fixed_sizes(made.proto, made.initializers, (2, 16))
    assert model is not None

    held = {x.data.ctypes.data for x in model.get_ops() if x.get_type_name() == "Constant"}

    large = {n: x for n, x in made.initializers.items() if x.size > 4 and x.dtype != np.int32}
    positions = "embeddings.position_embeddings.weight"  # the first rows of it
    units = {n for n in large if n.endswith(".units")}  # folded into biases
    missing = {n for n, x in large.items() if x.ctypes.data not in held} - units
    assert set() == missing - {positions}
    assert large[positions].ctypes.data in held


def test_free_sizes_read_weights_from_memory_too() -> None:
    made = graph("fp32")
    words = made.initializers["embeddings.word_embeddings.weight"]

    model = with_free_sizes(made.proto, made.initializers)

    stored = {x.get_friendly_name(): x for x in model.get_ops()}
    np.testing.assert_array_equal(words, stored["embeddings.word_embeddings.weight"].data)


def test_more_threads_than_there_are_is_an_error() -> None:
    more = len(os.sched_getaffinity(0)) + 1

    with pytest.raises(ThreadsError, match=rf"not with {more}"):
        load_runtime("openvino").prepare(graph("fp32"), INPUTS, more, stable=True, cap="")


def test_nothing_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    answer(graph("ptq"), random_inputs(Workload(1, 4), NETWORK.vocab, 1))

    assert [] == list(tmp_path.rglob("*"))


def test_a_file_that_points_into_memory_is_refused_before_a_runtime_reads_it(
    tmp_path: Path,
) -> None:
    proto = onnx.ModelProto()
    proto.ParseFromString(small("Gelu"))
    weight = proto.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", IN_MEMORY), ("offset", "4096"), ("length", "256")):
        weight.external_data.add(key=key, value=value)
    path = tmp_path / "sly.onnx"
    path.write_bytes(proto.SerializeToString())

    with pytest.raises(BadInputError, match=r"keeps weights in .*_ORT_MEM_ADDR_"):
        require_encoder_graph(path, None, [])

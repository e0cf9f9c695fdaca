"""Which part of an encoder an operator is told to be, in both runtimes' own profiles."""

from collections import Counter
from dataclasses import replace
from statistics import median

import pytest

from bench.explain_networks import labels
from bench.subjects import Source, build
from profiler.onnx_roles import role_of, roles
from profiler.onnx_trace import OrtTracer
from profiler.onnx_trace import pieces as onnx_pieces
from profiler.parts import GEMMS, PARTS, group_of, part_of
from profiler.runtimes.runtime import load_runtime, random_inputs
from profiler.side_by_side import busy, level
from profiler.timing import Tape
from profiler.torch_trace import TorchTracer
from profiler.trace import Piece, Tracer, middle, total
from quant.graph import Graph, emit
from quant.scheme import parse
from quant.weights import RandomWeights
from results.architecture import Architecture, Layer
from results.measurement import Workload

A = Architecture(24, (Layer(2, 12, 32), Layer(3, 36, 20), Layer(1, 24, 48)), vocab=50)
EACH = {"qkv": 3 * A.depth, "attention-output": A.depth, "ffn-in": A.depth, "ffn-out": A.depth}
SCHEMES = (
    "fp32",
    "int8-dynamic",
    "int8-dynamic:activations=token",
    "int8-static",
    "int8-static:attention=int8-static",
    "int8-static:keep=0+1.ffn-in",
    "int8-weight-only",
    "int8-seed",
    "ptq",
)


def emitted(scheme: str) -> Graph:
    return emit(A, parse(scheme), RandomWeights(0))


def traced(runtime: str, scheme: str) -> list[Piece]:
    workload = Workload(2, 7, 1)
    inputs = random_inputs(workload, A.vocab, 0)
    engine = load_runtime(runtime)
    model = build(engine.takes, A, scheme, Source(), 0, "")
    tracer: Tracer
    if runtime == "torch":
        run = engine.prepare(model, inputs, 1, stable=True, cap="").run
        tracer = TorchTracer(model, labels(model), run)  # type: ignore[arg-type]
    else:
        tracer = OrtTracer(model, inputs, 1)  # type: ignore[arg-type]
    tracer.visit()
    tracer.visit()
    calls = tracer.calls()
    assert len(tracer.tape.wall_ns) == len(calls)
    return middle(calls)


def counts(pieces: list[Piece], *operators: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for piece in pieces:
        if not operators or piece.operator in operators:
            found[piece.part] += piece.count
    return dict(found)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_linear_layer_of_a_graph_has_its_group_whatever_the_scheme(scheme: str) -> None:
    found = Counter(roles(emitted(scheme).proto).values())

    assert EACH == {group: found[group] for group in GEMMS}


def test_the_embeddings_the_mask_and_the_scores_are_told_by_their_place() -> None:
    graph = emitted("fp32")
    known = roles(graph.proto)

    assert "embedding" == known["Gather_5"]
    assert "embedding" == known["Slice_9"]
    assert {"softmax"} == {known[name] for name in ("Cast_1", "Sub_2", "Mul_3", "Unsqueeze_4")}
    assert A.depth == sum(known[n] == "softmax" for n in known if n.startswith("Div_"))


def test_what_quantising_is_written_of_is_not_taken_for_residual_sums() -> None:
    known = roles(emitted("int8-dynamic:activations=token").proto)

    steps = Counter(n.split("_")[0] for n, part in known.items() if part == "quantise")
    assert 4 * A.depth == steps["ReduceMax"]  # q, k and v share theirs
    assert 4 * A.depth + 6 * A.depth == steps["Add"]  # one before each, and a bias


def test_an_optimised_name_leads_back_to_the_node_it_was_made_of() -> None:
    known = {"MatMul_2": "attention", "Gemm_23": "qkv"}

    assert "attention" == role_of("MatMul_2/MatMulScaleFusion/", known)
    assert "qkv" == role_of("Gemm_23", known)
    assert "qkv" == role_of("Gemm_23_quant_1", known)
    assert None is role_of("MatMul_23", known)
    assert None is role_of("", known)


@pytest.mark.parametrize("scheme", ["fp32", "int8-dynamic"])
def test_onnx_runtimes_profile_is_told_apart_completely(scheme: str) -> None:
    seen = traced("onnxruntime", scheme)

    product = {"fp32": "Gemm", "int8-dynamic": "DynamicQuantizeMatMul"}[scheme]
    assert EACH == counts(seen, product)
    assert {"attention": 2 * A.depth} == counts(seen, "MatMul", "FusedMatMul")
    assert {"normalisation": 2 * A.depth + 1} == counts(seen, "LayerNormalization")
    assert {"embedding": 2} == counts(seen, "Gather")
    every = counts(seen)
    assert "other" not in every
    assert A.depth == every["gelu"]
    assert 2 * A.depth == every["residual"]
    assert "quantise" not in every


def test_static_products_and_their_quantising_are_told_apart_after_fusion() -> None:
    inputs = random_inputs(Workload(1, 9, 1), A.vocab, 0)
    tracer = OrtTracer(emitted("int8-static"), inputs, 1)
    tracer.visit()

    seen = middle(tracer.calls())

    assert EACH == counts(seen, "QGemm")
    assert 4 * A.depth == counts(seen, "QuantizeLinear")["quantise"]
    assert {"residual": 2 * A.depth} == {k: v for k, v in counts(seen).items() if k == "residual"}
    assert 1 == next(p.in_bytes for p in seen if p.operator == "QGemm")


@pytest.mark.parametrize("scheme", ["fp32", "int8-dynamic"])
def test_torchs_profile_is_told_apart_completely(scheme: str) -> None:
    seen = traced("torch", scheme)

    product = {"fp32": "aten::addmm", "int8-dynamic": "quantized::linear_dynamic"}[scheme]
    assert EACH == counts(seen, product)
    assert {"normalisation": 2 * A.depth + 1} == counts(seen, "aten::native_layer_norm")
    assert {"attention": A.depth} == counts(seen, "aten::scaled_dot_product_attention")
    assert {"gelu": A.depth} == counts(seen, "aten::gelu")
    assert {"embedding": 2, "residual": 2 * A.depth} == counts(seen, "aten::add")
    assert "other" not in counts(seen)
    assert set(counts(seen)) <= set(PARTS)


def test_hooks_are_gone_after_a_visit() -> None:
    model = build("module", A, "fp32", Source(), 0, "")
    known = labels(model)  # type: ignore[arg-type]
    inputs = random_inputs(Workload(1, 5, 1), A.vocab, 0)
    run = load_runtime("torch").prepare(model, inputs, 1, stable=True, cap="").run

    TorchTracer(model, known, run).visit()  # type: ignore[arg-type]

    assert 6 * A.depth + 1 == len(known)
    for module in model.modules():  # type: ignore[attr-defined]
        assert not module._forward_hooks  # noqa: SLF001
        assert not module._forward_pre_hooks  # noqa: SLF001


def event(name: str, ts: int, dur: int, operator: str = "") -> dict[str, object]:
    shapes = [{"float": [2, 3]}]
    told = {"op_name": operator, "input_type_shape": shapes, "output_type_shape": shapes}
    return {"name": name, "ts": ts, "dur": dur, "args": told}


def test_a_profile_is_cut_into_calls_and_rounded_times_get_their_half_back() -> None:
    events = [
        event("Gemm_1_kernel_time", 12, 5, "Gemm"),
        event("model_run", 10, 30),
        event("SequentialExecutor::Execute", 11, 28),
        event("Gemm_1_kernel_time", 52, 6, "Gemm"),
        event("Gelu_2_kernel_time", 60, 0, "Gelu"),
        event("model_run", 50, 30),
    ]

    first, second = onnx_pieces(events, {"Gemm_1": "ffn-in"})

    assert [Piece("ffn-in", "Gemm", 4, 4, 5.5)] == first
    assert [Piece("ffn-in", "Gemm", 4, 4, 6.5), Piece("gelu", "Gelu", 4, 4, 0.5)] == second


def test_a_neighbour_that_disturbs_every_call_elsewhere_moves_no_sum() -> None:
    quiet = [Piece("ffn-in", "Gemm", 4, 4, 10.0) for _ in range(5)]
    calls = []
    for hit in range(5):
        disturbed = list(quiet)
        disturbed[hit] = replace(quiet[hit], us=4000.0)
        calls.append(disturbed)

    (found,) = middle(calls)

    assert Piece("ffn-in", "Gemm", 4, 4, 50.0, 5) == found
    assert 4040.0 == median(sum(p.us for p in call) for call in calls)


def test_neighbours_that_take_time_are_noticed_and_the_least_can_be_taken() -> None:
    quiet = Tape(wall_ns=[100, 100, 900], cpu_ns=[100, 98, 100])
    disturbed = Tape(wall_ns=[100, 900, 900], cpu_ns=[100, 100, 100])
    assert not busy(quiet)
    assert busy(disturbed)
    calls = [[Piece("gelu", "Gelu", 4, 4, us)] for us in (5.0, 9.0, 7.0)]
    assert (7.0, 5.0) == (middle(calls)[0].us, middle(calls, min)[0].us)
    assert (100.0, 98.0) == (level(quiet, 1), level(quiet, 1, min))
    assert 100.0 == level(quiet, 2, min)


def test_an_operator_seen_in_few_calls_is_not_counted() -> None:
    usual, rare = Piece("gelu", "Gelu", 4, 4, 3.0), Piece("layout", "Reshape", 4, 4, 9.0)

    assert [usual] == middle([[usual], [usual, rare], [usual]])


def test_pieces_of_one_kind_are_added_up_and_others_are_not() -> None:
    one = Piece("qkv", "Gemm", 4, 4, 2.0)

    assert [replace(one, us=4.0, count=2), replace(one, in_bytes=1)] == total(
        [one, replace(one, in_bytes=1), one]
    )


@pytest.mark.parametrize(
    ("weight", "group"),
    [
        ("encoder.layer.3.attention.self.key.weight", "qkv"),
        ("encoder.layer.3.attention.output.dense.weight.int8", "attention-output"),
        ("encoder.layer.11.intermediate.dense.weight", "ffn-in"),
        ("encoder.layer.0.output.dense.weight", "ffn-out"),
        ("encoder.layer.0.output.LayerNorm.weight", None),
        ("embeddings.word_embeddings.weight", None),
    ],
)
def test_a_weights_name_tells_its_group(weight: str, group: str | None) -> None:
    assert group == group_of(weight)


def test_quantising_is_quantising_everywhere_but_in_the_table_of_words() -> None:
    assert "quantise" == part_of("QuantizeLinear", "softmax")
    assert "embedding" == part_of("DequantizeLinear", "embedding")
    assert "quantise" == part_of("aten::round", "ffn-in")
    assert "attention" == part_of("QLinearMatMul", "softmax")
    assert "normalisation" == part_of("aten::layer_norm", "embedding")
    assert "other" == part_of("NonZero", None)

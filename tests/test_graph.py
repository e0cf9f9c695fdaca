"""The emitted graph is BERT: by PyTorch, and by arithmetic written down a second time."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from quant import graph, scheme
from quant.linears import Linears
from quant.nodes import Nodes
from quant.press import WORDS, press
from quant.scheme import FP32, INT8_DYNAMIC
from quant.weights import RandomWeights, TensorWeights, matrices, shapes
from results.errors import BadInputError
from tests.exact_sums import exact
from tests.written_bert import (
    ARCHITECTURES,
    TOKENS,
    Arrays,
    batch,
    bert,
    int8_linear,
    lively,
    plain_linear,
    run,
    session,
)

every_architecture = pytest.mark.parametrize("name", ARCHITECTURES)


@every_architecture
def test_the_graph_computes_what_the_paper_says(name: str) -> None:
    a = ARCHITECTURES[name]
    weights, feed = lively(a), batch(a, min(TOKENS, a.positions))

    made = run(graph.emit(a, FP32, TensorWeights(weights)), feed)

    np.testing.assert_allclose(made, bert(a, weights, feed, plain_linear), atol=1e-4, rtol=0)


@every_architecture
def test_the_graph_computes_what_the_torch_encoder_computes(name: str) -> None:
    import torch

    from nas.encoder import Encoder

    a = ARCHITECTURES[name]
    weights, feed = lively(a), batch(a, min(TOKENS, a.positions))

    made = run(graph.emit(a, FP32, TensorWeights(weights)), feed)

    encoder = Encoder(a, weights, pooler=False).eval()
    with torch.no_grad():
        expected = encoder(**{n: torch.from_numpy(x) for n, x in feed.items()}).numpy()
    np.testing.assert_allclose(made, expected, atol=1e-4, rtol=0)


@every_architecture
def test_the_int8_graph_computes_what_its_scheme_says(name: str) -> None:
    a = ARCHITECTURES[name]
    weights, feed = lively(a), batch(a, min(TOKENS, a.positions))

    made = run(graph.emit(a, exact("int8-dynamic"), TensorWeights(weights)), feed)

    floats = bert(a, weights, feed, plain_linear)
    expected = bert(a, weights, feed, int8_linear)
    assert np.abs(made - expected).mean() <= 0.1 * np.abs(floats - expected).mean() + 1e-5


def test_encoder_and_graph_use_one_vocabulary() -> None:
    from nas.encoder import Encoder

    a = ARCHITECTURES["no two layers alike"]

    named = {n: x.shape for n, x in Encoder(a).weights().items() if not n.startswith("pooler.")}

    assert shapes(a) == named


@pytest.mark.parametrize("kind", [FP32, exact("int8-dynamic")], ids=["fp32", "int8-dynamic"])
def test_what_padding_holds_changes_nothing_in_float32(kind: scheme.Scheme) -> None:
    a = ARCHITECTURES["plain"]
    feed = batch(a)
    there = feed["attention_mask"].astype(bool)
    other = feed | {"input_ids": np.where(there, feed["input_ids"], 0)}
    made = session(*_parts(graph.emit(a, kind, TensorWeights(lively(a)))))

    one, two = (made.run(None, f)[0][there] for f in (feed, other))

    # An int8 tensor has one scale for all its tokens, padding too.
    np.testing.assert_allclose(one, two, atol=1e-5 if kind is FP32 else 0.2, rtol=0)


def test_one_session_takes_any_batch_and_length() -> None:
    a = ARCHITECTURES["no two layers alike"]
    weights = lively(a)
    made = session(*_parts(graph.emit(a, FP32, TensorWeights(weights))))

    for tokens in (1, 7, a.positions):
        feed = batch(a, tokens)
        for first in (1, 3):
            some = {name: x[:first] for name, x in feed.items()}
            expected = bert(a, weights, some, plain_linear)
            np.testing.assert_allclose(made.run(None, some)[0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "kind",
    [
        FP32,
        INT8_DYNAMIC,
        scheme.parse("int8-dynamic:activations=token"),
        scheme.parse("int8-dynamic:weights=tensor:vectors=int8"),
        scheme.parse("ptq:symmetric=no"),
    ],
    ids=str,
)
@every_architecture
def test_a_saved_or_laid_out_model_answers_as_the_graph_does(
    name: str, kind: scheme.Scheme, tmp_path: Path
) -> None:
    a = ARCHITECTURES[name]
    made, feed = graph.emit(a, kind, RandomWeights(1)), batch(a, min(TOKENS, a.positions))
    expected = run(made, feed)

    graph.save(made, tmp_path / "alone.onnx")
    alone = session(tmp_path / "alone.onnx", {})
    shared = session(made.lay_out(tmp_path), made.initializers)

    assert expected.tobytes() == alone.run(None, feed)[0].tobytes()
    assert expected.tobytes() == shared.run(None, feed)[0].tobytes()


@pytest.mark.parametrize("weights", ["channel", "tensor"])
@pytest.mark.parametrize("symmetric", ["yes", "no"])
def test_a_small_table_is_the_floats_its_integers_stand_for(weights: str, symmetric: str) -> None:
    a = ARCHITECTURES["plain"]
    kind = scheme.parse(f"int8-static:embeddings=int8:{weights=!s}:{symmetric=!s}")
    pressed = press(a, kind, TensorWeights(lively(a)))
    found, ids = pressed.integers[WORDS], batch(a)["input_ids"]
    zeros = 0 if found.zeros is None else found.zeros[:, None].astype(np.float64)
    expected = found.scales[:, None] * (found.values - zeros)
    nodes = Nodes("tables")
    linears = Linears(nodes, pressed, {})

    linears.looked_up(WORDS, nodes.input("ids", ("batch", "tokens")))
    nodes.output("rows", ("batch", "tokens", a.hidden))
    linears.table(WORDS)
    nodes.output("table", (a.vocab, a.hidden))

    rows, table = session(nodes.model(), nodes.weights).run(None, {"ids": ids})
    np.testing.assert_allclose(rows, expected[ids], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(table, expected, rtol=1e-5, atol=1e-6)


def test_a_saved_model_passes_onnx_s_own_check(tmp_path: Path) -> None:
    a = ARCHITECTURES["no two layers alike"]

    for kind in scheme.KNOWN.values():
        graph.save(graph.emit(a, kind, RandomWeights(1)), tmp_path / "m.onnx")
        onnx.checker.check_model(tmp_path / "m.onnx", full_check=kind is FP32)


def test_the_float32_graph_needs_no_operator_of_one_runtime() -> None:
    made = graph.emit(ARCHITECTURES["plain"], FP32, RandomWeights(1))

    assert {""} == {node.domain for node in onnx.ModelProto.FromString(made.proto).graph.node}


def test_a_file_beyond_two_gigabytes_is_refused(tmp_path: Path) -> None:
    made = graph.emit(ARCHITECTURES["plain"], FP32, RandomWeights(1))
    endless = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (1 << 29,), (0,))

    with pytest.raises(BadInputError, match=r"big\.onnx would be 2\.1 GB"):
        graph.save(replace(made, initializers={"w": endless}), tmp_path / "big.onnx")

    assert [] == list(tmp_path.iterdir())


def test_float32_weights_weigh_four_bytes_a_parameter() -> None:
    for a in ARCHITECTURES.values():
        pooler = a.hidden * a.hidden + a.hidden

        made = graph.emit(a, FP32, RandomWeights(1))

        assert 4 * (a.parameters - pooler) == made.weight_bytes


def test_int8_saves_three_bytes_a_matrix_element_and_spends_four_a_row() -> None:
    a = ARCHITECTURES["wide attention"]
    saved = sum(3 * out * in_ - 4 * out for out, in_ in matrices(a).values())

    sizes = [graph.emit(a, k, RandomWeights(1)).weight_bytes for k in (FP32, INT8_DYNAMIC)]

    assert saved == sizes[0] - sizes[1]


def test_emitting_loads_neither_torch_nor_a_runtime() -> None:
    probe = (
        "import sys, quant.graph, quant.scheme, quant.weights;"
        "sys.exit(bool({'torch', 'onnxruntime', 'transformers'} & set(sys.modules)))"
    )

    assert 0 == subprocess.run([sys.executable, "-c", probe], check=False).returncode


def _parts(made: graph.Graph) -> tuple[bytes, Arrays]:
    return made.proto, made.initializers


@pytest.mark.weights
def test_on_real_weights_int8_is_as_near_as_onnxruntime_s_own(
    minilm: Path, tmp_path: Path
) -> None:
    """Ours against its tool, on a graph that PyTorch exported; both a scale per channel."""
    from nas.checkpoint import architecture_of, load, load_weights
    from tests.exported_bert import quantised_elsewhere

    a, weights = architecture_of(minilm), TensorWeights(load_weights(minilm))
    feed = real_sentences(minilm)
    there = feed["attention_mask"].astype(bool)
    exact = run(graph.emit(a, FP32, weights), feed)[there]

    ours = run(graph.emit(a, INT8_DYNAMIC, weights), feed)[there]
    small = quantised_elsewhere(
        load(minilm), tmp_path, per_channel=True, op_types_to_quantize=["MatMul"]
    )
    theirs = session(small, {}).run(None, feed)[0][there]

    assert 0.985 < cosine(ours, exact)
    assert abs(cosine(ours, exact) - cosine(theirs, exact)) < 0.002
    assert np.abs(ours - exact).max() < 1.2 * np.abs(theirs - exact).max()


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def real_sentences(folder: Path) -> Arrays:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    read = tokenizer.encode_batch(
        [
            "The river flooded the lower fields.",
            "A cat.",
            "Why measure a mean when noise only adds?",
        ]
    )
    columns = zip(("ids", "attention_mask", "type_ids"), graph.INPUTS, strict=True)
    return {ours: np.array([getattr(r, theirs) for r in read]) for theirs, ours in columns}

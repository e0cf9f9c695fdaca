"""One sub-model, five ways: sliced, extracted, by transformers, by ONNX Runtime, and by hand."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose

from nas import modeling_subbert
from nas.config import is_plain_bert
from nas.elastic import Rule
from nas.extract import onnx_files
from nas.extract.calibration import Text, batches
from nas.extract.extraction import Wish, extract
from nas.extract.folder import origin_of
from nas.extract.model import Model, cut
from nas.extract.names import file_of
from nas.folder import read
from nas.network import Network
from nas.supernet import Supernet
from quant import heads
from quant.calibrate import calibrate, open_session
from quant.graph import emit_pressed
from quant.press import WORDS, press
from quant.scheme import FP32, KNOWN, parse
from quant.weights import TensorWeights
from results.architecture import Architecture, Layer
from tests.exact_sums import exact
from tests.made_networks import (
    ALIKE,
    HEADS,
    TABLES,
    UNLIKE,
    Case,
    answers,
    cases,
    fed,
    folder_of,
    written,
)
from tests.written_bert import Arrays, lively

AUTO = {
    "none": transformers.AutoModel,
    "classes": transformers.AutoModelForSequenceClassification,
    "score": transformers.AutoModelForSequenceClassification,
    "span": transformers.AutoModelForQuestionAnswering,
    "mlm": transformers.AutoModelForMaskedLM,
}
TEXT = Text("made up", ("the cat sees a dog", "who likes the small bird ?") * 30)
every_head = pytest.mark.parametrize("work", HEADS)
SCHEMES = [s for s in KNOWN.values() if s.rest == "fp32"]
every_head_and_scheme = pytest.mark.parametrize(
    ("work", "scheme"),
    [("classes", s) for s in SCHEMES]
    + [(work, KNOWN["ptq"]) for work in HEADS if work != "classes"]
    + [("mlm", KNOWN["int8-seed"]), ("mlm", parse("int8-dynamic:symmetric=no:embeddings=int8"))],
    ids=str,
)
sometimes = settings(
    deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@pytest.fixture(autouse=True, scope="module")
def _quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Modelling files are copied by transformers to a cache of their own."""
    cache = str(tmp_path_factory.mktemp("modules"))
    before = transformers.logging.get_verbosity()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", cache)
        transformers.logging.set_verbosity_error()
        yield
        transformers.logging.set_verbosity(before)


def extracted(source: Path, sub: Architecture | None, output: Path, *schemes: str) -> Model:
    wish = Wish(onnx_files.schemes(schemes), TEXT)
    return extract(read(source), origin_of(source), sub, output, wish)


def tensors(feed: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in feed.items()}


@torch.no_grad()
def by_network(network: Network, work: str, feed: Arrays) -> list[np.ndarray]:
    y = network.eval()(*tensors(feed).values()).numpy()
    if work == "span":
        return [y[..., 0], y[..., 1]]
    return [y[:, None] if work == "score" else y]


def loaded(folder: Path, work: str) -> Any:
    return AUTO[work].from_pretrained(folder, trust_remote_code=True).eval()


@torch.no_grad()
def by_transformers(model: Any, work: str, feed: Arrays) -> list[np.ndarray]:
    y = model(**tensors(feed))
    if work == "none":
        return [y.last_hidden_state.numpy()]
    return [y[name].numpy() for name in heads.OUTPUTS[work]]


def by_onnx(file: Path, feed: Arrays) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def assert_all_close(expected: list[np.ndarray], found: list[np.ndarray], atol: float) -> None:
    for one, other in zip(expected, found, strict=True):
        assert one.shape == other.shape
        assert_allclose(other, one, atol=atol, rtol=atol)


@given(case=cases())
@sometimes
def test_sliced_extracted_transformers_and_onnx_say_the_same(
    case: Case, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source, output = tmp_path_factory.mktemp("super"), tmp_path_factory.mktemp("sub")
    folder_of(source, case.supernet, case.work, case.rule, case.seed)
    feed, saved = fed(case.seed), read(source)

    model = extracted(source, case.sub, output)

    expected = by_network(Supernet(saved.network(), case.rule).at(case.sub), case.work, feed)
    again = read(output)
    assert (case.sub, HEADS[case.work], None) == (again.architecture, again.head, again.rule)
    assert_all_close(expected, by_network(again.network(), case.work, feed), 1e-5)
    theirs = loaded(output, case.work)
    assert is_plain_bert(case.sub) == type(theirs).__name__.startswith("Bert")
    assert_all_close(expected, by_transformers(theirs, case.work, feed), 1e-5)
    assert_all_close(expected, by_onnx(output / "onnx/model.onnx", feed), 1e-4)
    for name, value in written(case, saved.weights).items():
        assert np.array_equal(value, model.plain[name]), name


@given(case=cases())
@settings(sometimes, max_examples=25)
def test_a_sub_model_says_what_its_numbers_say_when_read_one_by_one(
    case: Case, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = folder_of(
        tmp_path_factory.mktemp("super"), case.supernet, case.work, case.rule, case.seed
    )
    feed, saved = fed(case.seed), read(source)

    expected = answers(case.sub, case.work, written(case, saved.weights), feed)

    sliced = Supernet(saved.network(), case.rule).at(case.sub)
    assert_all_close(expected, by_network(sliced, case.work, feed), 1e-4)
    graph = emit_pressed(
        press(case.sub, FP32, TensorWeights(cut(saved, case.sub).plain)),
        head=cut(saved, case.sub).onnx_head,
    )
    session, _kept = open_session(graph)
    assert_all_close(expected, session.run(None, feed), 1e-4)


def test_fewer_heads_and_neurons_are_the_whole_network_with_the_rest_silent(
    tmp_path: Path,
) -> None:
    source = folder_of(tmp_path / "super", UNLIKE, "none", Rule("per-head"))
    sub = replace(UNLIKE, layers=(Layer(2, 8, 11), Layer(3, 12, 5), Layer(1, 5, 16)))
    feed = fed()

    extracted(source, sub, tmp_path / "sub")

    weights = read(source).weights
    for i, layer in enumerate(sub.layers):
        weights[f"encoder.layer.{i}.attention.output.dense.weight"][:, layer.qkv :] = 0
        weights[f"encoder.layer.{i}.output.dense.weight"][:, layer.ffn :] = 0
    expected = answers(UNLIKE, "none", weights, feed)
    assert_all_close(expected, by_onnx(tmp_path / "sub/onnx/model.onnx", feed), 1e-4)


@every_head_and_scheme
def test_a_file_says_what_the_quantiser_and_the_graph_say(
    work: str, scheme: Any, tmp_path: Path
) -> None:
    source, scheme = folder_of(tmp_path / "super", UNLIKE, work), exact(scheme.name)
    sub = Architecture(8, (Layer(2, 8, 16), Layer(2, 6, 9)), **TABLES)
    feed = fed()
    model = extracted(source, sub, tmp_path / "sub", scheme.name)

    weights = TensorWeights(model.plain)
    text = batches(TEXT, source, sub.positions)
    known = calibrate(sub, scheme, weights, text) if scheme.calibrated else None
    pressed = press(sub, scheme, weights, known)
    session, _kept = open_session(emit_pressed(pressed))
    (hidden,) = session.run(None, feed)
    expected = _head_by_torch(model, work, hidden, pressed)
    file = tmp_path / "sub" / file_of(scheme.name)
    found = by_onnx(file, feed)
    assert_all_close(expected, found, 1e-4)
    floats = by_onnx(tmp_path / "sub/onnx/model.onnx", feed)
    for one, other in zip(floats, found, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9


def _head_by_torch(model: Model, work: str, hidden: np.ndarray, pressed: Any) -> list[np.ndarray]:
    """The network's own head on the graph's hidden states; words as they are stored."""
    if work == "none":
        return [hidden]
    network = Network(model.architecture, model.head, model.plain).eval()
    words = model.plain[WORDS]
    if stored := pressed.integers.get(WORDS):
        zeros = 0 if stored.zeros is None else stored.zeros[:, None].astype(np.float32)
        words = (stored.values - zeros) * stored.scales[:, None]
    with torch.no_grad():
        x = torch.from_numpy(hidden)
        x = network.encoder.pool(x) if work in ("classes", "score") else x
        y = network.head(x, torch.from_numpy(words)).numpy()
    return [y[..., 0], y[..., 1]] if work == "span" else [y]


@every_head_and_scheme
def test_a_head_leaves_the_nodes_that_are_timed_as_they_are(work: str, scheme: Any) -> None:
    head = HEADS[work]
    weights = {**_head_tensors(work), **lively(ALIKE)}
    pressed = press(ALIKE, scheme, TensorWeights(weights))

    plain = onnx.ModelProto.FromString(emit_pressed(pressed).proto).graph
    made = emit_pressed(pressed, head=heads.Head(work, weights) if head else None)
    whole = onnx.ModelProto.FromString(made.proto).graph

    assert list(plain.node) == list(whole.node[: len(plain.node)])
    kept = {x.name: x for x in whole.initializer}
    assert all(x == kept[x.name] for x in plain.initializer)


def _head_tensors(work: str) -> Arrays:
    network = Network(ALIKE, HEADS[work])
    return {name.removeprefix("bert."): x for name, x in network.weights().items()}


@every_head
@pytest.mark.parametrize("architecture", [ALIKE, UNLIKE], ids=["alike", "unlike"])
def test_transformers_trains_and_saves_what_was_extracted(
    work: str, architecture: Architecture, tmp_path: Path
) -> None:
    source = folder_of(tmp_path / "super", architecture, work)
    extracted(source, None, tmp_path / "sub")
    feed, ids = tensors(fed()), torch.from_numpy(fed()["input_ids"])
    labels = {
        "none": {},
        "classes": {"labels": torch.tensor([0, 1, 2])},
        "score": {"labels": torch.tensor([0.5, 1.0, -2.0])},
        "span": {"start_positions": torch.tensor([0, 1, 9]), "end_positions": ids[:, 0] * 0 + 2},
        "mlm": {"labels": torch.where(ids % 2 == 0, ids, -100)},
    }[work]
    model = loaded(tmp_path / "sub", work)

    y = model(**feed, **labels)

    (y.last_hidden_state.square().mean() if work == "none" else y.loss).backward()
    for name, value in model.named_parameters():
        assert value.grad is not None or name.startswith("pooler"), name
    model.save_pretrained(tmp_path / "again")
    again = loaded(tmp_path / "again", work)
    before = by_transformers(model, work, fed())
    assert_all_close(before, by_transformers(again, work, fed()), 0)
    ours = read(tmp_path / "again")
    assert (architecture, HEADS[work]) == (ours.architecture, ours.head)
    assert_all_close(before, by_network(ours.network(), work, fed()), 1e-5)


@every_head
def test_the_loss_is_that_of_transformers_own_bert(work: str, tmp_path: Path) -> None:
    if work == "none":
        return
    source = folder_of(tmp_path / "super", ALIKE, work)
    extracted(source, None, tmp_path / "plain")
    config = json.loads((tmp_path / "plain/config.json").read_text())
    ids = torch.from_numpy(fed()["input_ids"])
    labels = {
        "classes": {"labels": torch.tensor([0, 1, 2])},
        "score": {"labels": torch.tensor([0.5, 1.0, -2.0])},
        "span": {
            "start_positions": torch.tensor([0, 1, 9]),
            "end_positions": torch.tensor([2] * 3),
        },
        "mlm": {"labels": torch.where(ids % 2 == 0, ids, -100)},
    }[work]
    theirs = loaded(tmp_path / "plain", work)
    settings_ = modeling_subbert.SubBertConfig.from_dict(
        {**config, "model_type": "subbert", "layers": [{"heads": 3, "qkv": 12, "ffn": 20}] * 3}
    )
    ours = getattr(modeling_subbert, f"Sub{type(theirs).__name__}")(settings_).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)

    with torch.no_grad():
        expected, found = (m(**tensors(fed()), **labels) for m in (theirs, ours))

    torch.testing.assert_close(found.loss, expected.loss)
    for name in ("hidden_states", "attentions"):
        with torch.no_grad():
            a, b = (m(**tensors(fed()), **{f"output_{name}": True})[name] for m in (theirs, ours))
        torch.testing.assert_close(b, a, atol=1e-5, rtol=1e-5)


@pytest.mark.weights
def test_real_weights_say_the_same_five_ways(minilm: Path, tmp_path: Path) -> None:
    whole = read(minilm).architecture
    unlike = replace(whole, hidden=192, layers=(Layer(6, 192, 600), Layer(4, 96, 768)))
    feed = fed()
    for sub in (replace(whole, layers=whole.layers[:2]), unlike):
        saved = read(minilm)
        sliced = Supernet(saved.network(), Rule()).at(sub)
        expected = by_network(sliced, "none", feed)

        extracted(minilm, sub, tmp_path / str(sub.hidden))

        folder = tmp_path / str(sub.hidden)
        assert_all_close(expected, by_transformers(loaded(folder, "none"), "none", feed), 1e-5)
        assert_all_close(expected, by_network(read(folder).network(), "none", feed), 1e-5)
        assert_all_close(expected, by_onnx(folder / "onnx/model.onnx", feed), 1e-4)

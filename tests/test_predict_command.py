"""`nas predict`: what the network says, by either runtime, or one sentence why it cannot."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from nas.commands import predict as command
from nas.data.tokens import tokenizer_of
from nas.elastic import Rule
from nas.extract import onnx_files
from nas.extract.calibration import Text
from nas.extract.extraction import Wish, extract
from nas.extract.folder import origin_of
from nas.folder import read
from nas.predict import Predictor, Runner
from results.errors import BadInputError
from tests.made_networks import ALIKE, HEADS, LABELS, folder_of

TEXT = Text("made up", ("the cat sees a dog", "who likes the small bird ?") * 30)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An extracted model for every head."""
    made, root = {}, tmp_path_factory.mktemp("made")
    for work in HEADS:
        source = folder_of(root / f"super-{work}", ALIKE, work, Rule())
        wish = Wish(onnx_files.schemes(["ptq,int8-dynamic"]), TEXT)
        extract(read(source), origin_of(source), ALIKE, root / work, wish)
        made[work], made[f"super-{work}"] = root / work, source
    return made


def said(capsys: pytest.CaptureFixture[str], folder: Path, *texts: str, **options: Any) -> str:
    command.predict(folder, list(texts), **options)
    return capsys.readouterr().out


def told(
    capsys: pytest.CaptureFixture[str], folder: Path, *texts: str, **options: Any
) -> list[dict[str, Any]]:
    return [
        json.loads(x) for x in said(capsys, folder, *texts, as_json=True, **options).splitlines()
    ]


def refused(folder: Path, *texts: str, **options: Any) -> str:
    with pytest.raises(BadInputError) as caught:
        command.predict(folder, list(texts), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@torch.no_grad()
def by_hand(folder: Path, text: str, pair: str | None = None) -> np.ndarray:
    encoding = tokenizer_of(folder).encode(text, pair)
    ids, types = (torch.tensor([x]) for x in (encoding.ids, encoding.type_ids))
    return read(folder).network().eval()(ids, torch.ones_like(ids), types)[0].numpy()


def _feed(folder: Path, text: str) -> dict[str, np.ndarray]:
    ids = np.array([tokenizer_of(folder).encode(text).ids])
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", None])
def test_classes_have_probabilities_and_names(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str], runtime: str | None
) -> None:
    texts = ("who sees the cat ?", "how far is it to the cat")

    found = told(capsys, folders["classes"], *texts, runtime=runtime, pair=["a dog"])

    for text, one in zip(texts, found, strict=True):
        logits = by_hand(folders["classes"], text, "a dog")
        expected = np.exp(logits) / np.exp(logits).sum()
        assert (text, "a dog") == (one["text"], one["pair"])
        assert list(LABELS) == list(one["probabilities"])
        np.testing.assert_allclose(list(one["probabilities"].values()), expected, atol=1e-4)
        assert LABELS[int(expected.argmax())] == one["label"]


def test_a_person_sees_the_likeliest_class_first(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    text, *lines = said(capsys, folders["classes"], "the cat").splitlines()

    shares = [float(line.split()[1]) for line in lines]
    assert "the cat" == text
    assert sorted(LABELS) == sorted(line.split()[0] for line in lines)
    assert sorted(shares, reverse=True) == shares
    assert 1 == pytest.approx(sum(shares), abs=2e-3)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_a_score_is_the_number_of_the_network(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str], runtime: str
) -> None:
    (found,) = told(capsys, folders["score"], "the cat", runtime=runtime)

    assert float(by_hand(folders["score"], "the cat")) == pytest.approx(found["score"], abs=1e-4)
    assert f"  {found['score']:.4f}" in said(capsys, folders["score"], "the cat", runtime=runtime)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_an_answer_is_the_likeliest_stretch_of_the_context(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str], runtime: str
) -> None:
    question, folder = "who sees ?", folders["span"]
    contexts = ["the big dog sees a small bird .", "red cat likes the old dog", "is it far ?"]

    for context in contexts:
        (found,) = told(capsys, folder, question, context=[context], runtime=runtime)

        logits = by_hand(folder, question, context)
        first = tokenizer_of(folder).encode(question, context).sequence_ids.index(1)
        words = context.split()
        sums = {
            " ".join(words[i : j + 1]): logits[first + i, 0] + logits[first + j, 1]
            for i in range(len(words))
            for j in range(i, len(words))
        }
        assert max(sums, key=lambda x: sums[x]) == found["answer"]
        assert found["answer"] in said(capsys, folder, question, context=[context])


def test_an_answer_starts_where_the_first_logits_say_and_ends_where_the_second_do(
    folders: dict[str, Path],
) -> None:
    tokenizer = tokenizer_of(folders["span"])
    cat, dog = (tokenizer.token_to_id(word) for word in ("cat", "dog"))

    def run(ids: np.ndarray, _types: np.ndarray) -> tuple[np.ndarray, ...]:
        return (ids == cat).astype(np.float32), (ids == dog).astype(np.float32)

    predictor = Predictor(ALIKE, tokenizer, Runner("span", (), run))

    assert "cat sees a dog" == predictor.answer("who", "the cat sees a dog or the red bird")


def test_by_torch_no_file_for_onnx_runtime_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = folder_of(tmp_path / "net", ALIKE)
    (source / "onnx").mkdir()
    (source / "onnx/model.onnx").write_bytes(b"nothing")

    assert told(capsys, source, "a", runtime="torch")


def test_long_contexts_and_texts_are_read(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    long = "the cat sees a dog " * 30

    assert told(capsys, folders["span"], "who", context=[long])[0]["answer"] in long
    assert 1 == pytest.approx(
        sum(told(capsys, folders["classes"], long)[0]["probabilities"].values())
    )
    assert told(capsys, folders["classes"], "")


@pytest.mark.parametrize("logits", [[900.0, 0, -900], [-9e4, -9e4, -9e4], [0.5, 0.25, 3]])
def test_any_logits_make_probabilities(folders: dict[str, Path], logits: list[float]) -> None:
    said = Runner("classes", LABELS, lambda *_: (np.array([logits], np.float32),))
    predictor = Predictor(ALIKE, tokenizer_of(folders["classes"]), said)

    found = predictor.probabilities("the cat")

    expected = torch.tensor(logits, dtype=torch.float64).softmax(0)
    assert list(LABELS) == list(found)
    np.testing.assert_allclose(list(found.values()), expected, atol=1e-12)


@pytest.mark.parametrize(("positions", "longest", "question"), [(24, 24, 6), (512, 384, 64)])
def test_a_long_context_is_read_in_windows_that_overlap_and_a_long_question_is_cut(
    folders: dict[str, Path], positions: int, longest: int, question: int
) -> None:
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def run(ids: np.ndarray, types: np.ndarray) -> tuple[np.ndarray, ...]:
        seen.append((ids[0], types[0]))
        return tuple(np.zeros(ids.shape, np.float32) for _ in range(2))

    tokenizer = tokenizer_of(folders["span"])
    predictor = Predictor(replace(ALIKE, positions=positions), tokenizer, Runner("span", (), run))
    predictor.answer("who " * 500, "cat dog " * 500)

    cat, dog, who = (tokenizer.token_to_id(word) for word in ("cat", "dog", "who"))
    assert longest == max(len(ids) for ids, _ in seen)
    assert {question} == {int((ids == who).sum()) for ids, _ in seen}
    read = [int(((ids == cat) | (ids == dog)).sum()) for ids, _ in seen]
    assert 1000 == sum(read) - question * (len(read) - 1)  # neighbours share as many
    assert all((types[ids == cat] == 1).all() for ids, types in seen)
    assert all((types[ids == who] == 0).all() for ids, types in seen)


@pytest.mark.parametrize("scheme", ["ptq", "int8-dynamic"])
def test_a_scheme_names_its_file(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str], scheme: str
) -> None:
    (exact,) = told(capsys, folders["score"], "the cat")
    (found,) = told(capsys, folders["score"], "the cat", scheme=scheme)

    assert exact["score"] != found["score"]
    assert exact["score"] == pytest.approx(found["score"], abs=0.2)
    file = folders["score"] / f"onnx/model-{scheme}.onnx"
    feed = _feed(folders["score"], "the cat")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert scheme == session.get_modelmeta().custom_metadata_map["scheme"]
    assert float(session.run(None, feed)[0].item()) == pytest.approx(found["score"], abs=1e-6)


def test_a_supernet_without_files_answers_by_torch(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (a,) = told(capsys, folders["super-classes"], "the cat")
    (b,) = told(capsys, folders["classes"], "the cat")

    assert a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-4)


def test_a_file_that_is_not_ours_is_passed_over_unless_asked_for(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnx

    source = folder_of(tmp_path / "net", ALIKE)
    (source / "onnx").mkdir()
    foreign = onnx.load(folders["classes"] / "onnx/model.onnx")
    del foreign.metadata_props[:]
    onnx.save(foreign, source / "onnx/model.onnx")

    assert told(capsys, source, "the cat")
    assert "was not written by `nas extract`" in refused(source, "a", runtime="onnxruntime")


def test_texts_come_from_standard_input(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def feed(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    feed("the cat\n\na dög\n".encode())
    found = told(capsys, folders["classes"], "-", "last")
    assert ["the cat", "a dög", "last"] == [x["text"] for x in found]

    feed(b"\xff\n")
    assert "is not UTF-8" in refused(folders["classes"], "-")
    feed(b"\n")
    assert "there is no text" in refused(folders["classes"], "-")


@pytest.mark.parametrize(
    ("work", "options", "expected"),
    [
        ("none", {}, "has no head, so it predicts no label"),
        ("super-none", {}, "has no head, so it predicts no label"),
        ("mlm", {}, "has a head for 'mlm', so it predicts no label"),
        ("super-mlm", {}, "has a head for 'mlm'"),
        ("classes", {"context": ["a"]}, "--context is for answers"),
        ("span", {}, "give --context, a text to read"),
        ("span", {"pair": ["a"]}, "give --context, not --pair"),
        ("classes", {"pair": ["a", "b", "c"]}, "3 --pair for 1 texts: give one for all"),
        ("classes", {"scheme": "int9"}, "unknown scheme"),
        ("classes", {"runtime": "tvm"}, "unknown runtime 'tvm': choose one of onnxruntime"),
        ("classes", {"scheme": "ptq", "runtime": "torch"}, "leave --runtime torch out"),
        ("classes", {"scheme": "int8-static"}, "only model-int8-dynamic.onnx, model-ptq.onnx"),
        ("super-classes", {"runtime": "onnxruntime"}, "only no ONNX file: extract it"),
    ],
)
def test_what_cannot_be_said_is_refused(
    folders: dict[str, Path], work: str, options: dict[str, Any], expected: str
) -> None:
    assert expected in refused(folders[work], "the cat", **options)


def test_no_text_and_no_folder_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    assert "there is no text: give one in quotes" in refused(folders["classes"])
    assert "has no config.json" in refused(tmp_path, "a")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "net", ALIKE)
    (source / "onnx").mkdir()
    (source / "onnx/model.onnx").write_bytes(b"nothing")

    assert "model.onnx is damaged (" in refused(source, "a")


def test_a_tokeniser_of_another_network_is_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "net", ALIKE)
    with (source / "vocab.txt").open("a") as file:
        file.write("zebra\n")

    assert "word number 28, and the network has 28 words" in refused(source, "zebra")


def test_a_file_is_asked_without_torch_and_transformers(folders: dict[str, Path]) -> None:
    probe = (
        "import sys; from pathlib import Path; from nas.commands.predict import predict;"
        "predict(Path(sys.argv[1]), ['the cat']);"
        "sys.exit(bool({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", probe, str(folders["classes"])], check=False)

    assert 0 == done.returncode

"""`nas extract`: folders that are whole or not there, and one sentence for what cannot be."""

import hashlib
import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from nas.commands import extract as command
from nas.config import is_plain_bert
from nas.data import tasks
from nas.data.task import TRAIN, Split, Task
from nas.elastic import Rule
from nas.extract import asked, calibration, folder
from nas.extract.extraction import Wish, extract
from nas.extract.folder import origin_of
from nas.extract.model import cut
from nas.extract.names import file_of
from nas.extract.onnx_files import schemes
from nas.folder import read
from quant.scheme import parse
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.notation import format_architecture
from tests.made_networks import ALIKE, LABELS, TABLES, UNLIKE, VOCABULARY, folder_of

SMALL = Architecture(8, (Layer(2, 8, 10),) * 2, **TABLES)
ODD = Architecture(8, (Layer(2, 6, 10), Layer(1, 4, 7)), **TABLES)


@pytest.fixture
def supernet(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "super", ALIKE, "classes", Rule())


def run(supernet: Path, output: Path, arch: object = None, **options: Any) -> None:
    given = None if arch is None else str(arch)
    command.extract(supernet=supernet, output=output, arch=given, **options)


def refused(supernet: Path, output: Path, arch: object = None, **options: Any) -> str:
    with pytest.raises(BadInputError) as caught:
        run(supernet, output, arch, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def files_in(where: Path) -> list[str]:
    return sorted(str(p.relative_to(where)) for p in where.rglob("*") if p.is_file())


def test_a_folder_has_all_that_a_model_needs(supernet: Path, tmp_path: Path) -> None:
    run(supernet, tmp_path / "plain", SMALL)
    run(supernet, tmp_path / "odd", ODD, no_onnx=True)

    common = ["config.json", "extracted.json", "model.safetensors"]
    onnx = ["onnx/model-int8-dynamic.onnx", "onnx/model.onnx"]
    assert [*common, *onnx, "vocab.txt"] == files_in(tmp_path / "plain")
    more = ["modeling_subbert.py", "tokenizer_config.json", "vocab.txt"]
    assert sorted([*common, *more]) == files_in(tmp_path / "odd")


def test_transformers_finds_the_tokeniser_of_a_network_that_is_not_its_own(
    supernet: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    run(supernet, tmp_path / "odd", ODD, no_onnx=True)

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "odd")
    expected = [VOCABULARY.index(word) for word in ("[CLS]", "a", "cat", "[SEP]")]
    assert expected == tokenizer("a cat").input_ids
    assert TABLES["positions"] == tokenizer.model_max_length


def test_settings_are_those_bert_is_trained_with(supernet: Path, tmp_path: Path) -> None:
    run(supernet, tmp_path / "odd", ODD, no_onnx=True)

    config = json.loads((tmp_path / "odd/config.json").read_text())
    assert 0.1 == config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"]
    assert list(LABELS) == list(config["id2label"].values())
    assert (2, 2, 10) == tuple(
        config[name] for name in ("num_hidden_layers", "num_attention_heads", "intermediate_size")
    )


def test_the_record_says_where_every_number_comes_from(supernet: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    long = "the cat sees a dog " * 9  # more tokens than the network has positions
    text.write_text("the cat sees a dog\n" * 40 + long, encoding="utf-8")

    run(supernet, tmp_path / "sub", SMALL, scheme=["ptq"], calibration=text)

    found = json.loads((tmp_path / "sub/extracted.json").read_text())
    digest = hashlib.sha256((supernet / "model.safetensors").read_bytes()).hexdigest()
    assert digest == found["source_sha256"]
    assert json.loads(format_architecture(SMALL)) == found["architecture"]
    assert [0, 1] == found["layers"]
    assert {"heads": "per-head", "depth": "first"} == found["rule"]
    file = (tmp_path / "sub/onnx/model-ptq.onnx").read_bytes()
    ptq = found["files"]["onnx/model-ptq.onnx"]
    assert hashlib.sha256(file).hexdigest() == ptq["sha256"]
    assert ptq["calibration"].startswith("text.txt@sha256:")
    assert {"subbert", "onnx", "numpy"} <= set(found["packages"])
    assert {"git", "python"} <= set(found)
    assert (str(supernet), str(SMALL)) == (found["source"], found["short"])
    assert ("classes", list(LABELS)) == (found["head"], found["labels"])
    assert {"scheme", "sha256"} == set(found["files"]["onnx/model.onnx"])


def test_a_model_knows_which_layers_it_has(tmp_path: Path) -> None:
    spread = folder_of(tmp_path / "super", ALIKE, "classes", Rule(depth="spread"))

    assert (0, 2) == cut(read(spread), SMALL).layers
    assert Rule(depth="spread") == cut(read(spread), SMALL).rule


def test_weights_are_in_memory_of_their_own(supernet: Path) -> None:
    saved = read(supernet)

    for sub in (SMALL, None):
        for name, value in cut(saved, sub).plain.items():
            assert value.base is None or value.base.nbytes == value.nbytes, name
            assert not any(np.shares_memory(value, x) for x in saved.weights.values()), name


def test_an_earlier_extract_of_the_same_is_replaced_and_nothing_else(
    supernet: Path, tmp_path: Path
) -> None:
    output = tmp_path / "sub"
    run(supernet, output, SMALL, scheme=["int8-weight-only"])
    run(supernet, output, SMALL, no_onnx=True)
    assert "onnx/model.onnx" not in files_in(output)

    said = "is there and holds something else: name another or remove it"
    assert said in refused(supernet, output, ODD)
    other = folder_of(tmp_path / "other", ALIKE, "classes", Rule(), seed=1)
    assert said in refused(other, output, SMALL)
    assert said in refused(supernet, supernet, SMALL)
    (tmp_path / "file").touch()
    assert "is no folder: name another" in refused(supernet, tmp_path / "file", SMALL)
    (tmp_path / "empty").mkdir()
    run(supernet, tmp_path / "empty", SMALL, no_onnx=True)
    assert read(tmp_path / "empty").architecture == SMALL
    assert [] == [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_what_fails_half_way_leaves_what_was_there(
    supernet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "sub"
    run(supernet, output, SMALL, no_onnx=True)
    before = {p: (output / p).read_bytes() for p in files_in(output)}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "write_json", full)
    said = refused(supernet, output, SMALL, no_onnx=True)

    assert f"{output} cannot be written (No space left on device): make room" in said
    assert before == {p: (output / p).read_bytes() for p in files_in(output)}
    assert {"super", "sub"} == {p.name for p in tmp_path.iterdir()}


def test_a_full_disk_is_one_sentence(supernet: Path, tmp_path: Path) -> None:
    options = ["--supernet", supernet, "--output", tmp_path / "sub", "--arch", str(SMALL)]
    small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # noqa: E731

    done = subprocess.run(
        [sys.executable, "-m", "nas.cli", "extract", *map(str, options)],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=small,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )

    assert 2 == done.returncode
    assert done.stderr.startswith("nas: ")
    assert "cannot be written" in done.stderr
    assert 1 == done.stderr.count("\n")
    assert ["super"] == [p.name for p in tmp_path.iterdir()]


def test_every_architecture_of_a_file_gets_a_folder(supernet: Path, tmp_path: Path) -> None:
    file = tmp_path / "archs.jsonl"
    file.write_text("\n".join(map(format_architecture, (SMALL, ODD))), encoding="utf-8")

    run(supernet, tmp_path / "all", file, no_onnx=True)
    run(supernet, tmp_path / "second", file, no_onnx=True, index=2)

    assert ["1-h8-l2", "2-h8-l2"] == sorted(p.name for p in (tmp_path / "all").iterdir())
    assert SMALL == read(tmp_path / "all/1-h8-l2").architecture
    assert ODD == read(tmp_path / "second").architecture
    assert "give a number from 1 to 2" in refused(supernet, tmp_path / "x", file, index=3)
    assert "from 1 to 2" in refused(supernet, tmp_path / "x", file, index=0)


@given(
    st.integers(1, 999),
    st.lists(st.tuples(*[st.integers(1, 99)] * 3), min_size=1, max_size=6),
)
def test_the_short_text_of_an_architecture_is_read_back(
    hidden: int, sizes: list[tuple[int, int, int]]
) -> None:
    layers = tuple(Layer(heads, heads * width, ffn) for heads, width, ffn in sizes)
    a = Architecture(hidden, layers, **TABLES)

    assert (a,) == asked.architectures(str(a), ALIKE)
    assert (a,) == asked.architectures(format_architecture(a), ALIKE)


def test_tables_that_were_not_named_are_the_supernets() -> None:
    text = '{"hidden": 8, "layers": [{"heads": 2, "qkv": 8, "ffn": 10}]}'
    seed = (
        "{'sample_layer_num': 1, 'sample_num_attention_heads': [2], 'sample_hidden_size': 8,"
        " 'sample_intermediate_sizes': [10], 'sample_qkv_sizes': [8]}"
    )

    expected = replace(SMALL, layers=SMALL.layers[:1])
    assert (expected,) == asked.architectures(text, ALIKE) == asked.architectures(seed, ALIKE)


def test_tables_that_were_named_are_kept() -> None:
    for other in ({"vocab": 99}, {"positions": 9}, {"types": 1}):
        a = replace(SMALL, **other)
        assert (a,) == asked.architectures(format_architecture(a), ALIKE)


def test_a_text_too_long_for_a_file_is_a_sentence() -> None:
    with pytest.raises(BadInputError, match="is no file and no architecture"):
        asked.architectures("x" * 5000, ALIKE)


@given(st.text(max_size=40))
def test_any_text_is_architectures_or_a_sentence(text: str) -> None:
    try:
        told: object = asked.architectures(text, ALIKE)
    except BadInputError as error:
        told = str(error)

    assert told
    assert isinstance(told, tuple) or "\n" not in str(told)


@pytest.mark.parametrize(
    ("arch", "said"),
    [
        ("h13 2x(a3 q12 f20)", "hidden 13 is larger than the supernet's, 12"),
        ("h12 4x(a3 q12 f20)", "depth 4 is larger than the supernet's, 3"),
        ("h12 1x(a3 q12 f21)", "ffn 21 is larger than layer 0 of the supernet has, 20"),
        ("h12 1x(a4 q12 f20)", "4 heads of width 3 are not in layer 0"),
        ("h12 1x(a5 q12 f20)", "qkv 12 is not divisible by 5 heads"),
        ("h12 9999x(a3 q12 f20)", "an encoder has 1 to 1024 layers"),
        ("12 3 20", "is no file and no architecture: name a file or write one as 'h12 3x("),
        ('{"hidden": 1', "is neither JSON"),
    ],
)
def test_what_is_not_in_the_supernet_is_said(
    supernet: Path, tmp_path: Path, arch: str, said: str
) -> None:
    assert said in refused(supernet, tmp_path / "sub", arch)
    assert not (tmp_path / "sub").exists()


def test_a_supernet_needs_an_architecture_and_others_do_not(
    supernet: Path, tmp_path: Path
) -> None:
    teacher = folder_of(tmp_path / "teacher", UNLIKE)

    assert "say with --arch which sub-model" in refused(supernet, tmp_path / "sub")
    assert "give that too" in refused(teacher, tmp_path / "sub", index=1)
    run(teacher, tmp_path / "whole", no_onnx=True)

    again = read(tmp_path / "whole")
    assert (UNLIKE, LABELS) == (again.architecture, again.labels)
    for name, value in read(teacher).weights.items():
        assert np.array_equal(value, again.weights[name])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("bert.encoder.layer.2.output.dense.bias"), "lack encoder.layer.2.output"),
        (lambda w: w.pop("bert.pooler.dense.bias"), "the weights lack pooler.dense.bias"),
        (lambda w: w.update({"classifier.bias": np.zeros(4, "f")}), "classifier.bias has shape"),
        (lambda w: w["bert.embeddings.LayerNorm.bias"].fill(np.nan), "embeddings.LayerNorm.bias"),
    ],
    ids=["layer", "pooler", "shape", "nan"],
)
def test_a_foreign_or_damaged_checkpoint_says_which_tensor(
    supernet: Path, tmp_path: Path, change: Any, said: str
) -> None:
    file = supernet / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file)

    message = refused(supernet, tmp_path / "sub", SMALL)

    assert said in message
    assert str(file) in message


def test_a_truncated_checkpoint_is_refused(supernet: Path, tmp_path: Path) -> None:
    file = supernet / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])

    assert "is damaged, fetch it again" in refused(supernet, tmp_path / "sub", SMALL)


def test_a_head_for_teaching_only_is_left_out(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "super", ALIKE, "none", Rule())
    weights = {f"bert.{n}": x for n, x in load_file(source / "model.safetensors").items()}
    fit = {"fit_dense.weight": np.ones((5, 12), "f"), "fit_dense.bias": np.ones(5, "f")}
    save_file(weights | fit, source / "model.safetensors")

    run(source, tmp_path / "sub", SMALL)

    again = read(tmp_path / "sub")
    assert again.head is None
    assert {"embeddings", "encoder"} == {name.partition(".")[0] for name in again.weights}


def test_schemes_are_a_list_with_float32_first_and_each_once() -> None:
    found = schemes(["ptq, int8-dynamic", "fp32", "ptq"])

    assert ["fp32", "ptq", "int8-dynamic"] == [x.name for x in found]
    assert "onnx/model-ptq_ffn-out=fp32.onnx" == file_of(parse("ptq:ffn-out=fp32").name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scheme": ["int9"]}, "unknown scheme 'int9': choose one of fp32"),
        ({"scheme": ["bf16"]}, "a file says nothing of bfloat16"),
        ({"scheme": ["ptq"]}, "scheme ptq needs text to be calibrated on: give --calibration"),
        ({"scheme": ["ptq"], "calibration": Path("nowhere")}, "there is no such file"),
        ({"scheme": ["ptq"], "task": "nothing"}, "there is no task 'nothing'"),
        ({"scheme": ["ptq"], "task": "a", "calibration": Path("b")}, "not both"),
        ({"scheme": ["ptq"], "no_onnx": True}, "leave one of them out"),
    ],
)
def test_schemes_that_cannot_be_had_are_refused_before_anything_is_written(
    supernet: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    assert said in refused(supernet, tmp_path / "sub", SMALL, **options)
    assert not (tmp_path / "sub").exists()


def test_a_calibrated_scheme_learns_from_the_train_texts_of_the_supernets_task(
    supernet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tuple(f"the {word} sees a dog" for word in ("cat", "bird", "dog") * 20)
    split = Split(texts, labels=(0,) * len(texts))
    task = Task("made", "classes", ("a",), ("accuracy",), {TRAIN: split}, "made up")
    wanted: list[str] = []

    def load(name: str, **_: object) -> Task:
        wanted.append(name)
        return task

    monkeypatch.setattr(tasks, "load", load)
    (supernet / "train.json").write_text('{"task": "made"}', encoding="utf-8")

    run(supernet, tmp_path / "a", SMALL, scheme=["ptq"])
    run(supernet, tmp_path / "b", SMALL, scheme=["ptq"], task="other")

    assert ["made", "other"] == wanted
    found = json.loads((tmp_path / "a/extracted.json").read_text())
    label = f"made train@sha256:{split.digest[:16]}"
    assert label == found["files"]["onnx/model-ptq.onnx"]["calibration"]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=90))
def test_calibration_batches_hold_every_text_once_and_no_padding(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int]
) -> None:
    words = tmp_path_factory.getbasetemp() / "words"
    if not words.exists():
        folder_of(words)
    texts = tuple(" ".join(["cat"] * n) for n in lengths)

    found = calibration.batches(calibration.Text("x", texts, texts), words, 24)

    assert all(batch["attention_mask"].all() for batch in found)
    assert all(len(batch["input_ids"]) <= calibration.BATCH for batch in found)
    rows = [row for batch in found for row in batch["input_ids"]]
    assert sorted(min(2 * n + 3, 24) for n in lengths) == sorted(len(row) for row in rows)
    types = [row for batch in found for row in batch["token_type_ids"]]
    assert all({0, 1} == set(row.tolist()) for row in types)


def test_a_text_for_calibration_has_lines(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("\n\none\n", encoding="utf-8")

    with pytest.raises(BadInputError, match="has 1 lines of text"):
        calibration.of_file(tmp_path / "one.txt")


@pytest.mark.parametrize("layers", [[], [1], "x", [{"heads": 2, "qkv": 5, "ffn": 1}], None])
def test_layers_that_are_none_are_refused_when_read_back(
    supernet: Path, tmp_path: Path, layers: object
) -> None:
    run(supernet, tmp_path / "odd", ODD, no_onnx=True)
    path = tmp_path / "odd/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layers": layers}))

    with pytest.raises(BadInputError, match=r"config\.json: "):
        read(tmp_path / "odd")


def test_what_bert_expresses_is_alike_and_as_wide_as_the_network() -> None:
    assert is_plain_bert(SMALL)
    assert not is_plain_bert(ODD)
    assert not is_plain_bert(replace(SMALL, hidden=9))


def test_a_wish_without_schemes_needs_no_text(supernet: Path, tmp_path: Path) -> None:
    model = extract(read(supernet), origin_of(supernet), SMALL, tmp_path / "sub", Wish())

    assert SMALL == model.architecture
    assert not (tmp_path / "sub/onnx").exists()

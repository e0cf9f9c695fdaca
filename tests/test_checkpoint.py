"""Folders of Hugging Face go in and come out; what is wrong with one is said in a sentence."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
)

from nas import checkpoint
from nas.encoder import Encoder
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from tests.written_bert import ARCHITECTURES, batch

PLAIN = ARCHITECTURES["plain"]
IDS = torch.from_numpy(batch(PLAIN)["input_ids"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoint.save(Encoder(PLAIN), tmp_path)
    return tmp_path


def rewrite(folder: Path, **changes: object) -> None:
    """Set settings; `None` deletes one."""
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def refused(folder: Path) -> str:
    with pytest.raises(BadInputError) as caught:
        checkpoint.load(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_was_saved_comes_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    a = ARCHITECTURES[name]
    encoder = Encoder(a)

    checkpoint.save(encoder, tmp_path / "new")
    again = checkpoint.load(tmp_path / "new")

    assert a == again.architecture == checkpoint.architecture_of(tmp_path / "new")
    for part, values in encoder.weights().items():
        assert np.array_equal(values, again.weights()[part])


@torch.no_grad()
def test_stock_transformers_loads_what_was_saved(folder: Path) -> None:
    theirs, report = BertModel.from_pretrained(folder, output_loading_info=True)

    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    expected = theirs.eval()(IDS).last_hidden_state
    assert_close(checkpoint.load(folder)(IDS), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_head_and_its_prefix_are_left_out(tmp_path: Path) -> None:
    config = BertConfig(50, 24, 2, 4, 48, max_position_embeddings=24)
    theirs = BertForMaskedLM(config).eval()
    theirs.save_pretrained(tmp_path)

    ours = checkpoint.load(tmp_path)

    assert ours.pooler is None
    assert not ours.training
    assert_close(ours(IDS), theirs.bert(IDS).last_hidden_state, atol=1e-5, rtol=0)
    assert ours.weights().keys() == checkpoint.load_weights(tmp_path).keys()


@torch.no_grad()
def test_a_classifier_says_what_transformers_says(tmp_path: Path) -> None:
    config = BertConfig(50, 24, 2, 4, 48, max_position_embeddings=24, num_labels=5)
    theirs = BertForSequenceClassification(config).eval()
    for value in theirs.parameters():
        value.normal_(std=0.3, generator=torch.Generator().manual_seed(value.numel()))
    theirs.save_pretrained(tmp_path)

    classifier = checkpoint.load_classifier(tmp_path)

    assert classifier is not None
    found = classifier(checkpoint.load(tmp_path)(IDS).numpy())
    assert np.float32 == found.dtype
    assert_close(torch.from_numpy(found), theirs(IDS).logits, atol=1e-5, rtol=1e-5)


def test_where_there_are_no_labels_there_is_no_classifier(folder: Path) -> None:
    path = folder / "model.safetensors"
    save_file({f"bert.{name}": x for name, x in load_file(path).items()}, path)

    assert checkpoint.load_classifier(folder) is None


@pytest.mark.parametrize(
    "layers", [(Layer(3, 24, 5), Layer(2, 8, 5)), (Layer(3, 12, 5), Layer(2, 12, 7))], ids=str
)
def test_only_some_sizes_may_differ(layers: tuple[Layer, ...], tmp_path: Path) -> None:
    a = Architecture(24, layers, vocab=9, positions=7)

    checkpoint.save(Encoder(a), tmp_path)

    assert a == checkpoint.load(tmp_path).architecture


def test_the_qkv_size_of_autotinybert_is_honoured(folder: Path) -> None:
    rewrite(folder, qkv_size=12)

    assert Architecture(24, (type(PLAIN.layers[0])(4, 12, 48),) * 2, 50, 24) == (
        checkpoint.architecture_of(folder)
    )


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_other_precisions_are_read_as_float32(folder: Path, kind: torch.dtype) -> None:
    path = folder / "model.safetensors"
    whole = {name: x.to(kind) for name, x in load_file(path).items()}
    save_file(whole, path)

    for name, values in checkpoint.load_weights(folder).items():
        assert np.float32 == values.dtype
        assert np.array_equal(whole[name].float(), values)


def test_a_kind_of_number_that_numpy_cannot_read_is_refused(folder: Path) -> None:
    save_file({"x": torch.zeros(2, dtype=torch.float8_e5m2)}, folder / "model.safetensors")

    assert refused(folder).endswith("save it again as float32")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta', and only 'bert' is supported"),
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new', and only 'gelu'"),
        ({"position_embedding_type": "relative_key"}, "only 'absolute' is supported"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps is 1e-05, and only 1e-12"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"num_attention_heads": 5}, "qkv 24 is not divisible by 5 heads"),
        ({"hidden_size": None}, "hidden_size must be a whole number from 1 to 1048576, not None"),
        ({"hidden_size": "24"}, "hidden_size must be a whole number"),
        ({"num_hidden_layers": 10**12}, "num_hidden_layers must be a whole number from 1 to"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be a whole number from 1 to"),
        (
            {"intermediate_size": [48]},
            "intermediate_size must be one whole number, or a list of 2",
        ),
        ({"intermediate_size": [48, "48"]}, "one whole number, or a list of 2"),
        ({"num_hidden_layers": 3}, r"lack encoder.layer.2.attention.self.query.weight; give"),
        (
            {"vocab_size": 51},
            r"word_embeddings.weight has shape (50, 24) where (51, 24) is needed",
        ),
        ({"qkv_size": 4}, r"query.weight has shape (24, 24) where (4, 24) is needed"),
    ],
)
def test_a_config_that_is_not_this_bert_is_refused(
    folder: Path, changes: dict[str, object], said: str
) -> None:
    rewrite(folder, **changes)

    assert said in refused(folder)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", '{"hidden_size": 1} x', "\0\1", "[" * 99999]
)
def test_a_config_that_is_no_json_object_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)

    assert "config.json" in refused(folder)


def test_a_config_that_is_not_text_is_refused(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe{}")

    assert "cannot be read as JSON" in refused(folder)


def test_a_folder_without_config_or_tensors_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "has no model.safetensors: give a Hugging Face folder" in refused(folder)

    (folder / "config.json").unlink()
    assert "has no config.json" in refused(folder)
    assert "has no config.json" in refused(folder / "nowhere")


def test_a_config_and_tensors_that_cannot_be_read_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("safetensors.numpy.load_file", broken)
    assert "is damaged, fetch it again" in refused(folder)
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    assert "cannot be read as JSON" in refused(folder)


def test_layers_of_every_size_are_read_from_a_config_of_ours(folder: Path) -> None:
    layers = [{"heads": 4, "qkv": 8, "ffn": 3}, {"heads": 1, "qkv": 30, "ffn": 7}]

    rewrite(folder, model_type="subbert", layers=layers)

    expected = Architecture(24, (Layer(4, 8, 3), Layer(1, 30, 7)), vocab=50, positions=24)
    assert expected == checkpoint.architecture_of(folder)
    rewrite(folder, layers=layers * 600)
    assert "layers has 1200 entries; at most 1024 are read" in refused(folder)
    for wrong in ([], [1], {"heads": 4}, None, "x"):
        rewrite(folder, layers=wrong)
        assert str(folder / "config.json") in refused(folder)


def test_a_pickle_is_never_opened(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"anything")

    assert "safe_serialization=True" in refused(folder)


def test_tensors_in_several_files_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}")

    assert "save it again as one model.safetensors" in refused(folder)


@given(keep=st.floats(0, 0.999))
@settings(deadline=None, max_examples=30)
def test_a_truncated_file_is_refused_wherever_it_ends(
    keep: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    checkpoint.save(Encoder(PLAIN), folder)
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])

    assert "is damaged, fetch it again" in refused(folder)


json_values = st.none() | st.booleans() | st.integers(-5, 99) | st.floats() | st.text(max_size=5)
BERT_SETTINGS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "qkv_size",
    "max_position_embeddings",
    "type_vocab_size",
    "model_type",
    "hidden_act",
)
settings_of_bert = st.sampled_from(BERT_SETTINGS)


@given(st.dictionaries(settings_of_bert, json_values | st.lists(json_values, max_size=3)))
@settings(deadline=None)
def test_any_config_gives_an_architecture_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    plain = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
    plain |= {"intermediate_size": 5, "vocab_size": 9, "type_vocab_size": 2}
    text = json.dumps(plain | {"max_position_embeddings": 7} | changes)
    (folder / "config.json").write_text(text)

    try:
        made = checkpoint.architecture_of(folder)
    except BadInputError as error:
        told: object = str(error)
    else:
        told = made

    assert isinstance(told, Architecture) or str(folder) in str(told)


def test_sizes_and_weights_are_read_without_torch(folder: Path) -> None:
    path = folder / "model.safetensors"
    save_file({name: x.bfloat16() for name, x in load_file(path).items()}, path)
    probe = (
        "import sys, pathlib; from nas import checkpoint; f = pathlib.Path(sys.argv[1]);"
        "checkpoint.architecture_of(f); checkpoint.load_weights(f);"
        "sys.exit('torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", probe, str(folder)], check=False)

    assert 0 == done.returncode


@pytest.mark.weights
def test_a_real_folder_says_its_sizes(minilm: Path) -> None:
    assert Architecture.uniform(6, 384, 12, 384, 1536) == checkpoint.architecture_of(minilm)

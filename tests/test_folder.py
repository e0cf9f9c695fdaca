"""What a folder was given comes back out of it, and what was there before survives a failure."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas import folder as module
from nas.config import write_json
from nas.elastic import Rule
from nas.network import Head, Network
from nas.space import SearchSpace, builtin_spaces, load_space, space_of
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from tests.small_spaces import small_spaces

SPACE = load_space("minilm")
UNEVEN = Architecture(10, (Layer(3, 12, 7), Layer(2, 10, 12)), vocab=30, positions=12)
ALIKE = Architecture(12, (Layer(3, 12, 7),) * 2, vocab=30, positions=12)
HEADS = [
    None, Head("classes", 3), Head("score", 1), Head("span", 2), Head("mlm", 30), Head("fit", 9),
]  # fmt: skip
KEPT = st.dictionaries(st.integers(1, 4), st.none(), max_size=3).map(
    lambda found: {depth: tuple(range(1, depth + 1)) for depth in found}
)
RULES = st.builds(
    Rule, st.sampled_from(["prefix", "per-head"]), st.sampled_from(["first", "spread"]), KEPT
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    module.write(Network(UNEVEN, HEADS[1]), tmp_path, tokenizer=tmp_path, rule=Rule(), space=SPACE)
    return tmp_path


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_a_network_comes_back_with_its_head_bit_for_bit(head: Head | None, tmp_path: Path) -> None:
    network = Network(UNEVEN, head)

    module.write(network, tmp_path, tokenizer=tmp_path)
    saved = module.read(tmp_path)

    assert (UNEVEN, head, None, None) == (saved.architecture, saved.head, saved.rule, saved.space)
    again = saved.network().weights()
    for name, value in network.weights().items():
        assert np.array_equal(value, again[name]), name


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    labels=st.tuples(*[st.text(max_size=9)] * 3).filter(lambda x: len(set(x)) == 3),
    rule=RULES,
    space=st.sampled_from([None, *map(load_space, builtin_spaces())]),
)
def test_labels_rule_and_space_come_back(
    tmp_path: Path, labels: tuple[str, ...], rule: Rule, space: SearchSpace | None
) -> None:
    network = Network(UNEVEN, HEADS[1])

    module.write(network, tmp_path, tokenizer=tmp_path, labels=labels, rule=rule, space=space)
    saved = module.read(tmp_path)

    assert (labels, rule, space) == (saved.labels, saved.rule, saved.space)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"heads": "prefix", "depth": "first", "kept": {}, "space": {"name": "x"}}',
     '{"heads": "no", "depth": "first", "kept": {}, "space": null}',
     '{"heads": "prefix", "depth": "first", "kept": {"x": [1]}, "space": null}',
     '{"heads": "prefix", "depth": "first", "kept": {"1": ["a"]}, "space": null}',
     '{"heads": "prefix", "depth": "first", "kept": {"1": 3}, "space": null}'],
)  # fmt: skip
def test_a_damaged_rule_is_refused(written: Path, text: str) -> None:
    (written / "supernet.json").write_text(text)

    with pytest.raises(BadInputError):
        module.read(written)


def test_truncated_tensors_are_refused_by_their_file(written: Path) -> None:
    path = written / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])

    with pytest.raises(BadInputError, match=r"model\.safetensors is damaged"):
        module.read(written)


def test_when_the_disk_is_full_the_previous_network_survives(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = module.read(written).weights

    def full(_weights: object, path: Path, **_more: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        module.write(Network(UNEVEN, HEADS[1]), written, tokenizer=written)

    after = module.read(written).weights
    assert all(np.array_equal(value, after[name]) for name, value in before.items())


def test_the_tokenizer_goes_along(written: Path, tmp_path: Path) -> None:
    (written / "vocab.txt").write_text("[PAD]\n")

    module.write(Network(UNEVEN), tmp_path / "new", tokenizer=written)

    assert "[PAD]\n" == (tmp_path / "new" / "vocab.txt").read_text()


def test_all_files_of_a_tokeniser_go_along(tmp_path: Path) -> None:
    names = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")
    for name in names:
        (tmp_path / name).write_text(f'{{"of": "{name}"}}')

    module.write(Network(ALIKE), tmp_path / "new", tokenizer=tmp_path)

    for name in names:
        assert f'{{"of": "{name}"}}' == (tmp_path / "new" / name).read_text()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, {"tokenizer_class": "BertTokenizer", "model_max_length": 12}),
        (
            {"do_lower_case": False, "model_max_length": 7},
            {"do_lower_case": False, "model_max_length": 7, "tokenizer_class": "BertTokenizer"},
        ),
        ({"tokenizer_class": "Größe"}, {"tokenizer_class": "Größe"}),
    ],
)
def test_settings_of_a_tokeniser_stay_and_its_class_is_added(
    tmp_path: Path, given: dict[str, object] | None, wanted: dict[str, object]
) -> None:
    if given is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(given), encoding="utf-8")

    module.write(Network(UNEVEN), tmp_path / "new", tokenizer=tmp_path)

    found = (tmp_path / "new" / "tokenizer_config.json").read_text(encoding="utf-8")
    assert wanted == json.loads(found)


def test_another_head_is_new_and_a_missing_tensor_is_named_with_the_file(written: Path) -> None:
    saved = module.read(written)
    assert Head("span", 2) == saved.network(Head("span", 2)).head_kind
    del saved.weights["bert.encoder.layer.0.output.dense.bias"]

    with pytest.raises(BadInputError, match=r"model\.safetensors: the weights lack bert\.encoder"):
        saved.network()


def test_what_transformers_reads_is_in_the_config(written: Path) -> None:
    config = json.loads((written / "config.json").read_text())

    assert ["SubBertForSequenceClassification"] == config["architectures"]
    assert {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"} == config["id2label"]
    assert {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2} == config["label2id"]
    assert "single_label_classification" == config["problem_type"]
    assert (3, 12) == (config["num_attention_heads"], config["intermediate_size"])
    assert "qkv_size" not in config
    assert 0.02 == config["initializer_range"]


@pytest.mark.parametrize(("head", "pooled"), [(None, False), (HEADS[1], True), (HEADS[3], False)])
def test_a_pooler_is_said_where_there_is_one(
    tmp_path: Path, head: Head | None, *, pooled: bool
) -> None:
    module.write(Network(UNEVEN, head), tmp_path, tokenizer=tmp_path)

    assert pooled is json.loads((tmp_path / "config.json").read_text())["pooler"]


def test_a_score_has_a_name_of_its_own(tmp_path: Path) -> None:
    module.write(Network(ALIKE, HEADS[2]), tmp_path, tokenizer=tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())

    assert ({"0": "score"}, {"score": 0}) == (config["id2label"], config["label2id"])


@settings(deadline=None, max_examples=12)
@given(space=small_spaces(), tables=st.tuples(*[st.integers(1, 99)] * 3), text=st.text(max_size=9))
def test_a_space_is_read_back_from_its_fields(
    space: SearchSpace, tables: tuple[int, int, int], text: str
) -> None:
    vocab, positions, types = tables
    given = replace(space, vocab=vocab, positions=positions, types=types, description=text)

    found = space_of(json.loads(json.dumps(given.fields)), "here")

    assert given == found
    assert text == found.description


def test_a_space_that_is_empty_says_where_it_is_from() -> None:
    fields = SPACE.fields | {"heads": [5], "qkv": [12]}

    with pytest.raises(BadInputError, match=r"^here: no qkv can be divided"):
        space_of(fields, "here")


def test_settings_are_the_old_ones_until_the_new_ones_are_whole(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("config.json", "supernet.json")
    before = [(written / name).read_bytes() for name in names]

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    for name in names:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", full)
            with pytest.raises(OSError, match="No space left"):
                write_json(written / name, {})

    assert before == [(written / name).read_bytes() for name in names]


def test_a_head_is_new_where_the_labels_are_others(tmp_path: Path) -> None:
    module.write(Network(UNEVEN, HEADS[1]), tmp_path, tokenizer=tmp_path, labels=("a", "b", "c"))
    saved, three = module.read(tmp_path), Head("classes", 3)
    kept = saved.weights["classifier.weight"]

    assert np.array_equal(kept, saved.network().weights()["classifier.weight"])
    same = saved.network(three, ("a", "b", "c"))
    assert np.array_equal(kept, same.weights()["classifier.weight"])
    other = saved.network(three, ("a", "c", "b")).weights()
    assert not np.array_equal(kept, other["classifier.weight"])
    assert np.array_equal(
        saved.weights["bert.pooler.dense.weight"], other["bert.pooler.dense.weight"]
    )
    del saved.weights["classifier.weight"]
    with pytest.raises(BadInputError, match="the weights lack classifier"):
        saved.network(three, ("a", "b", "c"))


def test_there_is_no_model_before_all_its_files_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        module.write(Network(UNEVEN, HEADS[1]), tmp_path / "new", tokenizer=tmp_path)

    assert not (tmp_path / "new" / "config.json").exists()


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_transformers_loads_what_its_bert_cannot_express(
    head: Head | None, tmp_path: Path
) -> None:
    from transformers import AutoModel

    (tmp_path / "vocab.txt").write_text("\n".join(map(str, range(30))) + "\n")
    network = Network(UNEVEN, head).eval()
    module.write(network, tmp_path / "new", tokenizer=tmp_path)

    theirs = AutoModel.from_pretrained(tmp_path / "new", trust_remote_code=True).eval()

    ids = torch.arange(1, 21).reshape(2, 10)
    with torch.no_grad():
        found = theirs(ids).last_hidden_state
        torch.testing.assert_close(network.encoder(ids), found, rtol=1e-5, atol=1e-5)

"""What a folder tells transformers: config.json, and a modelling file where BERT's will not do."""

import json
import shutil
from pathlib import Path
from typing import Any

from nas.checkpoint import FREE, described
from nas.network import Head, Work
from results.architecture import Architecture

MODELING = "modeling_subbert"
"""The Python file that goes with what transformers' BERT cannot express."""

SETTINGS = "tokenizer_config.json"

_CLASSES: dict[Work, str] = {
    "classes": "BertForSequenceClassification",
    "score": "BertForSequenceClassification",
    "span": "BertForQuestionAnswering",
    "mlm": "BertForMaskedLM",
}

_AUTO = {
    "AutoModel": "SubBertModel",
    "AutoModelForSequenceClassification": "SubBertForSequenceClassification",
    "AutoModelForQuestionAnswering": "SubBertForQuestionAnswering",
    "AutoModelForMaskedLM": "SubBertForMaskedLM",
}

_TRAINING: dict[str, Any] = {
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "classifier_dropout": None,
    "initializer_range": 0.02,
}
"""BERT's own, for those who train it further."""


def is_plain_bert(a: Architecture) -> bool:
    """Can transformers' BERT express it: all layers alike, q, k and v as wide as the network?"""
    return len(set(a.layers)) == 1 and a.layers[0].qkv == a.hidden


def config_of(
    a: Architecture, head: Head | None, labels: tuple[str, ...] = (), *, pooler: bool
) -> dict[str, Any]:
    """The settings of a network, for `from_pretrained`.

    Args:
        a: of the encoder.
        head: what it is for; one that only teaches is not spoken of.
        labels: names of the classes; transformers' own where there are none.
        pooler: is BERT's pooler among the weights?
    """
    name = (_CLASSES.get(head.work) if head else None) or "BertModel"
    config: dict[str, Any] = {**described(a), **_TRAINING, "architectures": [name]}
    if head is not None and head.work == "score":
        config |= {
            "problem_type": "regression",
            "id2label": {"0": "score"},
            "label2id": {"score": 0},
        }
    if head is not None and head.work == "classes":
        names = labels or tuple(f"LABEL_{i}" for i in range(head.outputs))
        config["problem_type"] = "single_label_classification"
        config["id2label"] = {str(i): name for i, name in enumerate(names)}
        config["label2id"] = {name: i for i, name in enumerate(names)}
    if is_plain_bert(a):
        return config
    config.pop("qkv_size", None)
    return config | {
        "architectures": [f"Sub{name}"],
        "model_type": FREE,
        "auto_map": {
            "AutoConfig": f"{MODELING}.SubBertConfig",
            **{auto: f"{MODELING}.{own}" for auto, own in _AUTO.items()},
        },
        "layers": [{"heads": x.heads, "qkv": x.qkv, "ffn": x.ffn} for x in a.layers],
        "num_attention_heads": max(x.heads for x in a.layers),
        "intermediate_size": max(x.ffn for x in a.layers),
        "pooler": pooler,
    }


def add_modeling(folder: Path, positions: int) -> None:
    """Put the modelling file into a folder, and say whose its tokeniser is.

    transformers knows a tokeniser by the model's type, which is not BERT's here.
    """
    name = f"{MODELING}.py"
    shutil.copyfile(Path(__file__).with_name(name), folder / name)
    path, settings = folder / SETTINGS, dict[str, Any]()
    if path.is_file():
        settings = json.loads(path.read_text("utf-8"))
    if "tokenizer_class" not in settings:
        settings |= {"tokenizer_class": "BertTokenizer"}
        settings.setdefault("model_max_length", positions)
        write_json(path, settings)


def write_json(path: Path, content: object) -> None:
    """Write a file that is the old one or the new one, never half of it."""
    scratch = path.with_name(path.name + ".new")
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)

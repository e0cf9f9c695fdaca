"""The config.json of a model that leaves, for transformers' BERT or for ours. Knows no weights."""

import shutil
from pathlib import Path
from typing import Any

from nas.extract.model import POOLER, Model
from nas.folder import config_of
from results.architecture import Architecture

MODELING = "modeling_subbert"
"""The Python file that goes with what transformers' BERT cannot express."""

CLASSES = {
    "AutoModel": "SubBertModel",
    "AutoModelForSequenceClassification": "SubBertForSequenceClassification",
    "AutoModelForQuestionAnswering": "SubBertForQuestionAnswering",
    "AutoModelForMaskedLM": "SubBertForMaskedLM",
}

TRAINING: dict[str, Any] = {
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "classifier_dropout": None,
    "initializer_range": 0.02,
}
"""BERT's own, for those who train it further."""


def is_plain_bert(a: Architecture) -> bool:
    """Can transformers' BERT express it: all layers alike, q, k and v as wide as the network?"""
    return len(set(a.layers)) == 1 and a.layers[0].qkv == a.hidden


def described(model: Model) -> dict[str, Any]:
    """The settings of a model, for `from_pretrained`."""
    a = model.architecture
    config = config_of(a, model.head, model.labels) | TRAINING
    if model.head is not None and model.head.work == "score":
        config["label2id"] = {"score": 0}
    if is_plain_bert(a):
        return config
    config.pop("qkv_size", None)
    (name,) = config["architectures"]
    return config | {
        "architectures": [f"Sub{name}"],
        "model_type": "subbert",
        "auto_map": {
            "AutoConfig": f"{MODELING}.SubBertConfig",
            **{auto: f"{MODELING}.{own}" for auto, own in CLASSES.items()},
        },
        "layers": [{"heads": x.heads, "qkv": x.qkv, "ffn": x.ffn} for x in a.layers],
        "num_attention_heads": max(x.heads for x in a.layers),
        "intermediate_size": max(x.ffn for x in a.layers),
        "pooler": f"{POOLER}.weight" in model.plain,
    }


def copy_modeling(folder: Path) -> None:
    """Put the modelling file into a folder."""
    name = f"{MODELING}.py"
    shutil.copyfile(Path(__file__).with_name(name), folder / name)

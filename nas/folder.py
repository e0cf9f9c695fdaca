"""A network with all that goes with it, in one folder: sizes, head, labels, tokeniser, rule.

The folder is Hugging Face's: config.json, model.safetensors and the tokeniser's files. A supernet
has a supernet.json beside them, which says how sub-models are cut.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.checkpoint import CONFIG, TENSORS, architecture_of, described, tensors
from nas.elastic import Rule
from nas.network import PREFIX, Head, Network, Work
from results.architecture import Architecture
from results.errors import BadInputError

SUPERNET = "supernet.json"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")

_CLASSES: dict[Work, str] = {
    "classes": "BertForSequenceClassification",
    "score": "BertForSequenceClassification",
    "span": "BertForQuestionAnswering",
    "mlm": "BertForMaskedLM",
}


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """What a folder holds, read but not built."""

    folder: Path
    architecture: Architecture
    head: Head | None
    labels: tuple[str, ...]
    """Names of the classes."""
    weights: dict[str, NDArray[np.float32]]
    """As in the file, by Hugging Face's names, float32."""
    rule: Rule | None
    """How sub-models are cut; None where it is no supernet."""
    space: str
    """The search space of a supernet: a built-in name or the text of its YAML file."""

    def network(self, head: Head | None = None, *, dropout: float = 0.0) -> Network:
        """Build it, with its own head or with another, which is new where the file lacks it."""
        try:
            return Network(
                self.architecture,
                head or self.head,
                self.weights,
                dropout=dropout,
                new_head=head is not None,
            )
        except BadInputError as error:
            raise BadInputError(f"{self.folder / TENSORS}: {error}") from None


def read(folder: Path) -> Saved:
    """Read a folder of ours or of transformers.

    Raises:
        BadInputError: what is missing, damaged or of another family.
    """
    config = json.loads((folder / CONFIG).read_text("utf-8")) if _readable(folder) else {}
    architecture = architecture_of(folder)
    weights = {
        name: value.astype(np.float32, copy=False) for name, value in tensors(folder).items()
    }
    head, labels = _head(config, weights)
    rule, space = _supernet(folder)
    return Saved(folder, architecture, head, labels, weights, rule, space)


def write(
    network: Network,
    folder: Path,
    *,
    tokenizer: Path,
    labels: tuple[str, ...] = (),
    rule: Rule | None = None,
    space: str = "",
) -> None:
    """Write a folder that `read` reads, and transformers where its config can say the sizes.

    Args:
        network: with its head.
        folder: made if it is not there; files in it are replaced.
        tokenizer: folder whose tokeniser files are copied.
        labels: names of the classes.
        rule: how sub-models are cut, for a supernet.
        space: its search space.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(network.architecture, network.head_kind, labels)
    _write_json(folder / CONFIG, config)
    weights = {name: np.ascontiguousarray(value) for name, value in network.weights().items()}
    scratch = folder / f"{TENSORS}.new"
    save_file(weights, scratch, metadata={"format": "pt"})
    scratch.replace(folder / TENSORS)
    if folder.resolve() != tokenizer.resolve():
        for name in TOKENIZER:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, folder / name)
    if rule is not None:
        kept = {str(depth): list(layers) for depth, layers in rule.kept.items()}
        content = {"heads": rule.heads, "depth": rule.depth, "kept": kept, "space": space}
        _write_json(folder / SUPERNET, content)


def config_of(
    architecture: Architecture, head: Head | None, labels: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The config.json of a network, as transformers writes BERT's."""
    config = dict(described(architecture))
    if head is None or head.work not in _CLASSES:
        return config
    config["architectures"] = [_CLASSES[head.work]]
    if head.work == "score":
        config |= {"problem_type": "regression", "id2label": {"0": "score"}}
    if head.work == "classes":
        names = labels or tuple(f"LABEL_{i}" for i in range(head.outputs))
        config["problem_type"] = "single_label_classification"
        config["id2label"] = {str(i): name for i, name in enumerate(names)}
        config["label2id"] = {name: i for i, name in enumerate(names)}
    return config


def _readable(folder: Path) -> bool:
    architecture_of(folder)  # says what is wrong with it
    return True


def _head(
    config: dict[str, Any], weights: dict[str, NDArray[np.float32]]
) -> tuple[Head | None, tuple[str, ...]]:
    if "qa_outputs.weight" in weights:
        return Head("span", 2), ()
    if "cls.predictions.bias" in weights:
        return Head("mlm", len(weights["cls.predictions.bias"])), ()
    if "fit_dense.weight" in weights:
        return Head("fit", len(weights["fit_dense.weight"])), ()
    if "classifier.weight" not in weights or PREFIX + "pooler.dense.weight" not in weights:
        return None, ()
    outputs = len(weights["classifier.weight"])
    if config.get("problem_type") == "regression":
        return Head("score", 1), ()
    names = config.get("id2label") or {}
    labels = tuple(str(names.get(str(i), f"LABEL_{i}")) for i in range(outputs))
    return Head("classes", outputs), labels


def _supernet(folder: Path) -> tuple[Rule | None, str]:
    path = folder / SUPERNET
    if not path.exists():
        return None, ""
    try:
        found = json.loads(path.read_text("utf-8"))
        kept = {int(depth): tuple(layers) for depth, layers in found["kept"].items()}
        return Rule(found["heads"], found["depth"], kept), str(found["space"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(f"{path} is damaged ({error}): train the supernet again") from None


def _write_json(path: Path, content: object) -> None:
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    scratch.replace(path)

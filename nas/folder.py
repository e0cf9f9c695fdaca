"""A network with all that goes with it, in one folder: sizes, head, labels, tokeniser, rule.

The folder is Hugging Face's: config.json, model.safetensors and the tokeniser's files. A supernet
has a supernet.json beside them, which says how sub-models are cut.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.checkpoint import CONFIG, FREE, TENSORS, architecture_of, tensors
from nas.config import add_modeling, config_of, write_json
from nas.elastic import Rule
from nas.network import PREFIX, Head, Network
from nas.space import SearchSpace, space_of
from results.architecture import Architecture
from results.errors import BadInputError

SUPERNET = "supernet.json"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


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
    space: SearchSpace | None
    """The sub-models that a supernet was trained for, where it says."""

    def network(
        self, head: Head | None = None, labels: tuple[str, ...] = (), *, dropout: float = 0.0
    ) -> Network:
        """Build it, with its own head or with one for these labels, new where it has no such one.

        Raises:
            BadInputError: a tensor is missing, or of another shape.
        """
        known = head is None or (head, labels) == (self.head, self.labels)
        weights = self.weights
        if not known:  # a classifier of as many classes is one of other classes
            weights = {n: x for n, x in weights.items() if not n.startswith("classifier.")}
        try:
            return Network(
                self.architecture,
                self.head if known else head,
                weights,
                dropout=dropout,
                new_head=not known,
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
    _require_no_more_layers(folder, architecture, weights)
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
    space: SearchSpace | None = None,
) -> None:
    """Write a folder that `read` reads, and transformers.

    Args:
        network: with its head.
        folder: made if it is not there; files in it are replaced.
        tokenizer: folder whose tokeniser files are copied.
        labels: names of the classes.
        rule: how sub-models are cut, for a supernet.
        space: the sub-models it was trained for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if rule is not None:
        kept = {str(depth): list(layers) for depth, layers in rule.kept.items()}
        fields = None if space is None else space.fields
        content = {"heads": rule.heads, "depth": rule.depth, "kept": kept, "space": fields}
        write_json(folder / SUPERNET, content)
    head = network.head_kind
    config = config_of(network.architecture, head, labels, pooler=head is not None and head.pooled)
    put(folder, network.weights(), config, tokenizer)


def put(
    folder: Path,
    weights: Mapping[str, NDArray[np.float32]],
    config: Mapping[str, Any],
    tokenizer: Path,
) -> None:
    """Write the files of a model; the settings last, so that there is no model before all is.

    Args:
        folder: is there already.
        weights: by the names that transformers expects.
        config: from `nas.config.config_of`.
        tokenizer: folder whose tokeniser files are copied.
    """
    from safetensors.numpy import save_file

    scratch = folder / f"{TENSORS}.new"
    whole = {name: np.ascontiguousarray(value) for name, value in weights.items()}
    save_file(whole, scratch, metadata={"format": "pt"})
    scratch.replace(folder / TENSORS)
    if folder.resolve() != tokenizer.resolve():
        for name in TOKENIZER:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, folder / name)
    if config["model_type"] == FREE:
        add_modeling(folder, config["max_position_embeddings"])
    write_json(folder / CONFIG, config)


def _readable(folder: Path) -> bool:
    architecture_of(folder)  # says what is wrong with it
    return True


def _require_no_more_layers(
    folder: Path, architecture: Architecture, weights: Mapping[str, object]
) -> None:
    """A config of fewer layers would cut the network without a word."""
    first = f"encoder.layer.{architecture.depth}."
    if any(name.removeprefix(PREFIX).startswith(first) for name in weights):
        message = (
            f"{folder / TENSORS} has {first}*, and {CONFIG} says {architecture.depth} layers: "
            "put the two files together that belong together"
        )
        raise BadInputError(message)


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
    found = config.get("id2label")
    names = found if isinstance(found, dict) else {}
    labels = tuple(str(names.get(str(i), f"LABEL_{i}")) for i in range(outputs))
    return Head("classes", outputs), labels


def _supernet(folder: Path) -> tuple[Rule | None, SearchSpace | None]:
    path = folder / SUPERNET
    if not path.exists():
        return None, None
    try:
        found = json.loads(path.read_text("utf-8"))
        kept = {int(depth): tuple(layers) for depth, layers in found["kept"].items()}
        space = None if found["space"] is None else space_of(found["space"], str(path))
        return Rule(found["heads"], found["depth"], kept), space
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(f"{path} is damaged ({error}): train the supernet again") from None

"""Hugging Face folders of the BERT family, in and out. Knows safetensors only: no pickle is read.

Only `load` needs torch; the sizes and the weights alone come without it.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from results.architecture import LARGEST, MOST_LAYERS, Architecture, Layer
from results.errors import BadInputError

if TYPE_CHECKING:
    from nas.encoder import Encoder

CONFIG = "config.json"
TENSORS = "model.safetensors"

FREE = "subbert"
"""Model type of BERTs that transformers' own cannot express; `layers` has the sizes of each."""

# What this encoder is; a folder that says otherwise is refused, one that says nothing is believed.
_ONLY = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "layer_norm_eps": 1e-12,
    "is_decoder": False,
}


def architecture_of(folder: Path) -> Architecture:
    """The sizes in a folder's config.json.

    `qkv_size` (AutoTinyBERT) sets the width of q, k and v apart from the network's. It, the heads
    and the intermediate size may be lists with one number per layer. Of the model type `subbert`,
    `layers` has the sizes of each, as in our own notation of architectures.
    """
    config = _config(folder)
    free = config.get("model_type") == FREE
    if free:
        config = {**config, "model_type": "bert"}
    for key, only in _ONLY.items():
        if config.get(key, only) != only:
            raise BadInputError(
                f"{folder / CONFIG}: {key} is {config[key]!r}, and only {only!r} is supported"
            )
    try:
        return _free(config) if free else _architecture(config)
    except ValueError as error:
        raise BadInputError(f"{folder / CONFIG}: {error}") from None


def load(folder: Path) -> "Encoder":
    """The encoder in a folder, heads on top of it left out; without a pooler if it has none."""
    from nas.encoder import Encoder

    architecture = architecture_of(folder)
    tensors = load_weights(folder)
    try:
        return Encoder(architecture, tensors, pooler="pooler.dense.weight" in tensors).eval()
    except BadInputError as error:
        raise BadInputError(f"{folder / TENSORS}: {error}") from None


def load_weights(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors in a folder by the names of `BertModel`, float32; heads are left out."""
    given = tensors(folder)
    prefix = "bert." if any(name.startswith("bert.") for name in given) else ""
    return {
        name.removeprefix(prefix): tensor.astype(np.float32, copy=False)
        for name, tensor in given.items()
        if name.startswith(prefix)
    }


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """The pooler and the layer of labels of a `BertForSequenceClassification`."""

    pooler: tuple[NDArray[np.float32], NDArray[np.float32]]
    """Weight [hidden, hidden] and bias."""
    labels: tuple[NDArray[np.float32], NDArray[np.float32]]
    """Weight [labels, hidden] and bias."""

    def __call__(self, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits, (batch, labels), of hidden states, (batch, tokens, hidden)."""
        pooled = np.tanh(hidden[:, 0] @ self.pooler[0].T + self.pooler[1])
        return np.asarray(pooled @ self.labels[0].T + self.labels[1], np.float32)


def load_classifier(folder: Path) -> Classifier | None:
    """The classifier in a folder; None where there is none."""
    given = tensors(folder)
    names = [f"bert.pooler.dense.{x}" for x in ("weight", "bias")]
    names += ["classifier.weight", "classifier.bias"]
    if not all(name in given for name in names):
        return None
    pooler, pooler_bias, labels, bias = (given[n].astype(np.float32, copy=False) for n in names)
    return Classifier((pooler, pooler_bias), (labels, bias))


def save(encoder: "Encoder", folder: Path) -> None:
    """Write a folder that `load` reads.

    Stock transformers reads it too if all layers are alike, with q, k and v of the width `hidden`.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(described(encoder.architecture), indent=2) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")
    save_file(encoder.weights(), folder / TENSORS, metadata={"format": "pt"})


def tensors(folder: Path) -> dict[str, NDArray[np.generic]]:
    """All that is in a folder's file, as it is, under the names of today.

    Raises:
        BadInputError: the file is missing, damaged, or of a kind that is not read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / TENSORS
    if not path.is_file():
        raise BadInputError(_what_to_do(folder))
    with suppress(ImportError):
        import ml_dtypes  # noqa: F401 (teaches NumPy bfloat16)
    try:
        found: dict[str, NDArray[np.generic]] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadInputError(f"{path} is damaged, fetch it again: {error}") from None
    except (TypeError, AttributeError, KeyError) as error:  # a kind of number NumPy has not
        raise BadInputError(f"{path}: {error}; save it again as float32") from None
    return {_named_now(name): value for name, value in found.items()}


def _named_now(name: str) -> str:
    """Checkpoints that come from TensorFlow have its names for the parts of a LayerNorm."""
    before, _, last = name.rpartition("LayerNorm.")
    now = {"gamma": "weight", "beta": "bias"}.get(last)
    return name if now is None else f"{before}LayerNorm.{now}"


def _config(folder: Path) -> dict[str, object]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInputError(f"{folder} has no {CONFIG}: give a Hugging Face folder") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInputError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(config, dict):
        raise BadInputError(f"{path} holds a {type(config).__name__}, not an object of settings")
    return config


def _architecture(config: dict[str, object]) -> Architecture:
    hidden, depth = _size(config, "hidden_size"), _size(config, "num_hidden_layers")
    if depth > MOST_LAYERS:
        raise ValueError(f"num_hidden_layers is {depth}; at most {MOST_LAYERS} are read")
    heads = _per_layer(config, "num_attention_heads", depth)
    qkv = _per_layer({"qkv_size": hidden, **config}, "qkv_size", depth)
    ffn = _per_layer(config, "intermediate_size", depth)
    return Architecture(
        hidden=hidden,
        layers=tuple(Layer(*sizes) for sizes in zip(heads, qkv, ffn, strict=True)),
        vocab=_size(config, "vocab_size"),
        positions=_size(config, "max_position_embeddings"),
        types=_size(config, "type_vocab_size"),
    )


def _free(config: dict[str, object]) -> Architecture:
    """`layers` with the heads, qkv and ffn of each, as `nas extract` writes them."""
    given = config.get("layers")
    if not isinstance(given, list) or not all(isinstance(x, dict) for x in given):
        message = "layers must be a list with the heads, qkv and ffn of each layer"
        raise ValueError(message)
    if len(given) > MOST_LAYERS:
        raise ValueError(f"layers has {len(given)} entries; at most {MOST_LAYERS} are read")
    names = ("heads", "qkv", "ffn")
    layers = tuple(Layer(*(_size(layer, name) for name in names)) for layer in given)
    return Architecture(
        hidden=_size(config, "hidden_size"),
        layers=layers,
        vocab=_size(config, "vocab_size"),
        positions=_size(config, "max_position_embeddings"),
        types=_size(config, "type_vocab_size"),
    )


def _size(config: dict[str, object], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        message = f"{key} must be a whole number from 1 to {LARGEST}, not {value!r}"
        raise ValueError(message)
    return value


def _per_layer(config: dict[str, object], key: str, depth: int) -> list[int]:
    value = config.get(key)
    if not isinstance(value, list):
        return [_size(config, key)] * depth
    if len(value) != depth or not all(isinstance(x, int) for x in value):
        raise ValueError(f"{key} must be one whole number, or a list of {depth}, not {value!r}")
    return value


def _what_to_do(folder: Path) -> str:
    if (folder / "pytorch_model.bin").exists():
        return (
            f"{folder} has only pytorch_model.bin, a pickle that could run any code: convert it "
            "with transformers' save_pretrained(..., safe_serialization=True) where you trust it"
        )
    if (folder / f"{TENSORS}.index.json").exists():
        return f"{folder} keeps its tensors in several files: save it again as one {TENSORS}"
    return f"{folder} has no {TENSORS}: give a Hugging Face folder"


def described(a: Architecture) -> dict[str, object]:
    """The config.json of an encoder of these sizes."""
    heads, qkv, ffn = ([getattr(x, name) for x in a.layers] for name in ("heads", "qkv", "ffn"))
    config: dict[str, object] = {
        "architectures": ["BertModel"],
        **_ONLY,
        "hidden_size": a.hidden,
        "num_hidden_layers": a.depth,
        "num_attention_heads": _short(heads),
        "intermediate_size": _short(ffn),
        "vocab_size": a.vocab,
        "max_position_embeddings": a.positions,
        "type_vocab_size": a.types,
        "pad_token_id": 0,
    }
    if _short(qkv) != a.hidden:
        config["qkv_size"] = _short(qkv)
    return config


def _short(sizes: list[int]) -> int | list[int]:
    return sizes[0] if len(set(sizes)) == 1 else sizes

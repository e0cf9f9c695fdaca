"""BERT written down a second time, float64, index by index; shares nothing with the emitter."""

from collections.abc import Callable
from math import erf, sqrt
from pathlib import Path

import numpy as np
import onnxruntime

from quant.graph import Graph
from quant.weights import shapes
from results.architecture import Architecture, Layer
from tests.exact_sums import LARGEST

SMALL = {"vocab": 50, "positions": 24}
ARCHITECTURES = {
    "plain": Architecture(24, (Layer(4, 24, 48),) * 2, **SMALL),
    "wide attention": Architecture(12, (Layer(3, 36, 20),), **SMALL),
    "narrow attention": Architecture(40, (Layer(2, 6, 100),) * 3, **SMALL),
    "no two layers alike": Architecture(
        20, (Layer(1, 7, 33), Layer(5, 40, 8), Layer(2, 20, 64)), types=3, **SMALL
    ),
    "as small as can be": Architecture(1, (Layer(1, 1, 1),), vocab=2, positions=4, types=1),
}
TOKENS = 11
LENGTHS = np.array([[TOKENS], [6], [1]])

Arrays = dict[str, np.ndarray]
Linear = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def session(model: bytes | Path, weights: Arrays) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(x) for x in weights.values()]
    if isinstance(model, bytes):
        options.add_external_initializers(list(weights), values)
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for name, value in zip(weights, values, strict=True):
        options.add_initializer(name, value)
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def run(made: Graph, feed: Arrays) -> np.ndarray:
    return session(made.proto, made.initializers).run(None, feed)[0]


def batch(a: Architecture, tokens: int = TOKENS) -> Arrays:
    rng = np.random.default_rng(5)
    shape = (len(LENGTHS), tokens)
    return {
        "input_ids": rng.integers(0, a.vocab, shape),
        "attention_mask": (np.arange(tokens) < LENGTHS).astype(np.int64),
        "token_type_ids": rng.integers(0, a.types, shape),
    }


def lively(a: Architecture) -> Arrays:
    """Weights of which no two tensors agree, LayerNorm included, large enough to matter."""
    rng = np.random.default_rng(7)
    made = {n: rng.normal(0, 0.3, s).astype(np.float32) for n, s in shapes(a).items()}
    return {n: x + 1 if n.endswith("LayerNorm.weight") else x for n, x in made.items()}


def plain_linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.einsum("bti,oi->bto", x, weight) + bias


def int8_linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Weights rounded to 1/127 of their row's largest, x to 1/255 of its range, 0 included.

    (1/64 where a CPU cannot add products of more, and schemes are told so.)
    """
    row = np.abs(weight).max(axis=1, keepdims=True) / LARGEST
    low, high = min(x.min(), 0), max(x.max(), 0)
    step = (high - low) / 255
    zero = np.rint(-low / step)
    x = (np.clip(np.rint(x / step) + zero, 0, 255) - zero) * step
    return plain_linear(x, np.rint(weight / row) * row, bias)


def bert(a: Architecture, weights: Arrays, feed: Arrays, linear: Linear) -> np.ndarray:
    w = {name: x.astype(np.float64) for name, x in weights.items()}

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=2, keepdims=True)
        unit = centred / np.sqrt((centred**2).mean(axis=2, keepdims=True) + 1e-12)
        return unit * w[f"{name}.weight"] + w[f"{name}.bias"]

    e = "embeddings"
    x = w[f"{e}.word_embeddings.weight"][feed["input_ids"]]
    x = x + w[f"{e}.token_type_embeddings.weight"][feed["token_type_ids"]]
    x = norm(x + w[f"{e}.position_embeddings.weight"][np.arange(x.shape[1])], f"{e}.LayerNorm")
    for i, layer in enumerate(a.layers):
        name = f"encoder.layer.{i}"
        q, k, v = (dense(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        seen = attention(q, k, v, feed["attention_mask"], layer.heads)
        y = dense(seen, f"{name}.attention.output.dense")
        x = norm(x + y, f"{name}.attention.output.LayerNorm")
        y = dense(x, f"{name}.intermediate.dense")
        y = dense(y * (1 + np.vectorize(erf)(y / sqrt(2))) / 2, f"{name}.output.dense")
        x = norm(x + y, f"{name}.output.LayerNorm")
    return x


def attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray, heads: int
) -> np.ndarray:
    """One example, one head and the tokens that are there at a time."""
    out, width = np.zeros_like(q), q.shape[2] // heads
    for b in range(len(q)):
        there = mask[b].astype(bool)
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            weight = np.exp(q[b, :, part] @ k[b, there, part].T / sqrt(width))
            weight /= weight.sum(axis=1, keepdims=True)
            out[b, :, part] = weight @ v[b, there, part]
    return out

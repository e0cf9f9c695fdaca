"""Random supernets in folders, and the sub-models of them written down a second time.

`written` reads every number of a sub-model by itself, from a description of the rule that shares
nothing with `nas.elastic`; `answers` is BERT with its heads in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import erf, sqrt
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from nas.elastic import Rule
from nas.folder import write
from nas.network import Head, Network
from results.architecture import Architecture, Layer
from tests.written_bert import Arrays, bert, plain_linear

WORDS = "the a cat dog bird sees likes who where how many far is it to from small big red old"
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split(), "##s", "?", ".")
TABLES = {"vocab": len(VOCABULARY), "positions": 24, "types": 2}
HEADS = {
    "none": None,
    "classes": Head("classes", 3),
    "score": Head("score", 1),
    "span": Head("span", 2),
    "mlm": Head("mlm", len(VOCABULARY)),
}
LABELS = ("animal", "place", "größe")

Place = Callable[[int], int]

UNLIKE = Architecture(12, (Layer(3, 12, 20), Layer(4, 16, 9), Layer(2, 10, 17)), **TABLES)
"""No two layers alike."""
ALIKE = Architecture(12, (Layer(3, 12, 20),) * 3, **TABLES)


def folder_of(
    folder: Path,
    architecture: Architecture = ALIKE,
    work: str = "classes",
    rule: Rule | None = None,
    seed: int = 0,
) -> Path:
    """A network in a folder, no two of its tensors alike, LayerNorm included; with a tokeniser."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    network, rng = Network(architecture, HEADS[work]), np.random.default_rng(seed)
    for name, value in network.weights().items():
        centre = float(name.endswith("LayerNorm.weight"))
        np.copyto(value, rng.normal(centre, 0.3, value.shape).astype(np.float32))
    labels = LABELS if work == "classes" else ()
    write(network, folder, tokenizer=folder, labels=labels, rule=rule)
    return folder


def fed(seed: int = 0, batch: int = 3, tokens: int = 7) -> Arrays:
    """Random ids and types, and padding behind all but the first."""
    rng = np.random.default_rng(seed)
    there = np.concatenate([[tokens], rng.integers(1, tokens + 1, batch - 1)])
    return {
        "input_ids": rng.integers(0, TABLES["vocab"], (batch, tokens)),
        "attention_mask": (np.arange(tokens) < there[:, None]).astype(np.int64),
        "token_type_ids": rng.integers(0, TABLES["types"], (batch, tokens)),
    }


@dataclass(frozen=True)
class Case:
    supernet: Architecture
    sub: Architecture
    rule: Rule
    work: str
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A supernet, a sub-model in it, a rule and a head."""
    number = st.integers
    prefix, alike = draw(st.booleans()), draw(st.booleans())
    depth, hidden = draw(number(1, 4)), draw(number(2, 10))

    def layer() -> Layer:
        heads = draw(number(1, 3))
        return Layer(heads, heads * draw(number(1, 4)), draw(number(1, 9)))

    layers = (layer(),) * depth if alike else tuple(layer() for _ in range(depth))
    small_depth = draw(number(1, depth))
    kept = tuple(sorted(draw(st.permutations(range(depth)))[:small_depth]))
    rule = Rule(
        "prefix" if prefix else "per-head",
        draw(st.sampled_from(["first", "spread"])),
        {small_depth: kept} if draw(st.booleans()) else {},
    )

    def inside(whole: Layer) -> Layer:
        if prefix:
            heads = draw(number(1, whole.qkv))
            qkv = heads * draw(number(1, whole.qkv // heads))
        else:
            heads = draw(number(1, whole.heads))
            qkv = heads * draw(number(1, whole.head_width))
        return Layer(heads, qkv, draw(number(1, whole.ffn)))

    places = written_layers(rule, small_depth, depth)
    small = tuple(inside(layers[i]) for i in places)
    if alike and draw(st.booleans()):
        small = (small[0],) * small_depth
    width = draw(number(1, hidden))
    if alike and small[0].qkv <= hidden and draw(st.booleans()):
        width = small[0].qkv  # what transformers' BERT can express, if all layers are alike
    return Case(
        Architecture(hidden, layers, **TABLES),
        Architecture(width, small, **TABLES),
        rule,
        draw(st.sampled_from(sorted(HEADS))),
        draw(number(0, 99)),
    )


def written_layers(rule: Rule, depth: int, of: int) -> list[int]:
    """Which layers of the supernet a sub-model has."""
    if depth in rule.kept:
        return list(rule.kept[depth])
    if rule.depth == "first":
        return list(range(depth))
    if depth == 1 and of > 1:
        return [of - 1]
    return [int(x) for x in np.rint(np.linspace(0, of - 1, depth))]


def written(case: Case, weights: Arrays) -> Arrays:
    """Every tensor of the sub-model, number by number."""
    plain = {name.removeprefix("bert."): value for name, value in weights.items()}
    made: Arrays = {}
    for name, w in plain.items():
        if ".layer." not in name:
            square = name.startswith(("pooler", "cls.predictions.transform"))
            rows = case.sub.hidden if square or "LayerNorm" in name else len(w)
            made[name] = _read(w, rows, case.sub.hidden)
    layers = written_layers(case.rule, case.sub.depth, case.supernet.depth)
    for mine, theirs in enumerate(layers):
        for end, value in _written_layer(case, plain, mine, theirs).items():
            made[f"encoder.layer.{mine}.{end}"] = value
    return made


def _written_layer(case: Case, plain: Arrays, mine: int, theirs: int) -> Arrays:
    hidden, layer, whole = case.sub.hidden, case.sub.layers[mine], case.supernet.layers[theirs]

    def of_head(i: int) -> int:
        if case.rule.heads == "prefix":
            return i
        head, inside = divmod(i, layer.qkv // layer.heads)
        return head * (whole.qkv // whole.heads) + inside

    sizes: dict[str, tuple[int, int, Place, Place]] = {
        "attention.self.query": (layer.qkv, hidden, of_head, _same),
        "attention.self.key": (layer.qkv, hidden, of_head, _same),
        "attention.self.value": (layer.qkv, hidden, of_head, _same),
        "attention.output.dense": (hidden, layer.qkv, _same, of_head),
        "attention.output.LayerNorm": (hidden, hidden, _same, _same),
        "intermediate.dense": (layer.ffn, hidden, _same, _same),
        "output.dense": (hidden, layer.ffn, _same, _same),
        "output.LayerNorm": (hidden, hidden, _same, _same),
    }
    return {
        f"{part}.{end}": _read(plain[f"encoder.layer.{theirs}.{part}.{end}"], *size)
        for part, size in sizes.items()
        for end in ("weight", "bias")
    }


def _same(i: int) -> int:
    return i


def _read(
    w: np.ndarray, rows: int, columns: int, row: Place = _same, column: Place = _same
) -> np.ndarray:
    if w.ndim == 1:
        return np.array([w[row(i)] for i in range(rows)])
    return np.array([[w[row(i), column(j)] for j in range(columns)] for i in range(rows)])


def answers(a: Architecture, work: str, weights: Arrays, feed: Arrays) -> list[np.ndarray]:
    """What a network with a head says, by its paper."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = bert(a, weights, feed, plain_linear)

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return np.einsum("...i,oi->...o", x, w[f"{name}.weight"]) + w[f"{name}.bias"]

    if work == "none":
        return [x]
    if work == "span":
        both = dense(x, "qa_outputs")
        return [both[..., 0], both[..., 1]]
    if work == "mlm":
        name = "cls.predictions"
        y = dense(x, f"{name}.transform.dense")
        y = y * (1 + np.vectorize(erf)(y / sqrt(2))) / 2
        y = y - y.mean(axis=-1, keepdims=True)
        y = y / np.sqrt((y**2).mean(axis=-1, keepdims=True) + 1e-12)
        norm = f"{name}.transform.LayerNorm"
        y = y * w[f"{norm}.weight"] + w[f"{norm}.bias"]
        return [y @ w["embeddings.word_embeddings.weight"].T + w[f"{name}.bias"]]
    return [dense(np.tanh(dense(x[:, 0], "pooler.dense")), "classifier")]

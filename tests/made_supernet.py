"""A supernet small enough for a test, in a folder, and tasks of made-up sentences for it."""

from pathlib import Path

import numpy as np

from nas.data.task import Answer, Kind, Split, Task
from nas.elastic import Rule
from nas.folder import write
from nas.network import Head, Network
from results.architecture import Architecture, Layer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TEXT = """red green blue the a cat dog bird sees eats likes big small old new house tree river
stone and or not where is what who"""
WORDS = tuple(TEXT.split())
TABLES = {"vocab": len(SPECIAL) + len(WORDS), "positions": 64, "types": 2}
LARGEST = Architecture(24, (Layer(4, 24, 40), Layer(4, 24, 48), Layer(4, 24, 40)), **TABLES)
SUBS = (
    LARGEST,
    Architecture(16, (Layer(2, 12, 20), Layer(2, 12, 20)), **TABLES),
    Architecture(24, (Layer(4, 8, 40),), **TABLES),
    Architecture(7, (Layer(3, 9, 33), Layer(1, 6, 5), Layer(4, 24, 3)), **TABLES),
)
RULE = Rule()
LABELS = ("colour", "animal", "place")
HEADS = {"classes": Head("classes", 3), "score": Head("score", 1), "span": Head("span", 2)}
METRICS: dict[Kind, tuple[str, ...]] = {
    "classes": ("accuracy", "f1-macro"),
    "score": ("pearson", "spearman"),
    "span": ("span-f1", "exact"),
}


def made_folder(
    folder: Path,
    kind: Kind = "classes",
    *,
    seed: int = 0,
    labels: tuple[str, ...] = LABELS,
    rule: Rule | None = RULE,
) -> Path:
    """A network whose tensors differ from each other, and the tokeniser."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join((*SPECIAL, *WORDS)) + "\n", encoding="utf-8")
    network = Network(LARGEST, HEADS[kind])
    rng = np.random.default_rng(seed)
    for name, value in network.weights().items():
        centre = float("LayerNorm.weight" in name)
        spread = 0.1 if name.endswith("bias") else 0.5 if value.ndim > 1 else 0.3
        np.copyto(value, rng.normal(centre, spread, value.shape).astype(np.float32))
    write(network, folder, tokenizer=folder, labels=labels, rule=rule)
    return folder


def made_task(kind: Kind = "classes", seed: int = 0, **sizes: int) -> Task:
    """Sentences of one to twelve words; right answers are drawn."""
    rng = np.random.default_rng(seed)
    counts = {"train": 60, "dev": 40, "test": 10} | sizes
    splits = {name: _split(kind, rng, count) for name, count in counts.items()}
    labels = LABELS if kind == "classes" else ()
    return Task(f"made-{kind}", kind, labels, METRICS[kind], splits, "made up")


def _split(kind: Kind, rng: np.random.Generator, count: int) -> Split:
    texts = tuple(_sentence(rng, 12) for _ in range(count))
    if kind == "classes":
        return Split(texts, labels=tuple(rng.integers(0, 3, count).tolist()))
    if kind == "score":
        return Split(texts, labels=tuple(rng.normal(size=count).round(3).tolist()))
    contexts = tuple(_sentence(rng, 60, least=5) for _ in range(count))
    return Split(texts, contexts, answers=tuple((_answer(rng, c),) for c in contexts))


def _sentence(rng: np.random.Generator, most: int, least: int = 1) -> str:
    return " ".join(rng.choice(WORDS, int(rng.integers(least, most + 1))))


def _answer(rng: np.random.Generator, context: str) -> Answer:
    words = context.split()
    first = int(rng.integers(0, len(words) - 1))
    start = len(" ".join(words[:first])) + (first > 0)
    return Answer(" ".join(words[first : first + 2]), start)

"""A text that can be learned, as pretraining data, and networks small enough to learn it."""

from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from nas.cli import app
from nas.elastic import Rule
from nas.folder import write
from nas.network import Head, Network
from nas.space import SearchSpace, load_space
from results.architecture import Architecture, Layer

MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = tuple(f"{a}{b}" for a in "bcdfg" for b in "aeiouyw")
TABLES = {"vocab": len(MARKS) + len(WORDS), "positions": 24, "types": 2}
LARGEST = Architecture(16, (Layer(2, 16, 32),) * 2, **TABLES)
SPACE = """name: tiny
depth: [1, 2]
hidden: {from: 8, to: 16, step: 4}
heads: [2]
qkv: {per_head: 8}
ffn: {from: 8, to: 32, step: 8}
"""


def words_in(folder: Path, words: tuple[str, ...] = WORDS) -> Path:
    """A tokeniser of 40 tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{x}\n" for x in (*MARKS, *words)), "utf-8")
    return folder


def text_in(folder: Path, documents: int = 120) -> Path:
    """Documents that count through the words, each from another one on."""
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(documents):
        start = int(rng.integers(len(WORDS)))
        sentences = int(rng.integers(2, 7))
        for n in range(sentences):
            at = [(start + 5 * n + i) % len(WORDS) for i in range(5)]
            lines.append(" ".join(WORDS[i] for i in at))
        lines.append("")
    path = folder / "text.txt"
    path.write_text("\n".join(lines), "utf-8")
    return path


def data_in(folder: Path, words: Path, *more: str, documents: int = 120) -> Path:
    """Pretraining data of that text."""
    text, output = text_in(folder, documents), folder / "data"
    command = ["data", "generate", "--corpus", text, "--tokenizer", words, "--output", output]
    if "--tokens" not in more:
        more = (*more, "--tokens", "16")
    done = CliRunner().invoke(app, [*map(str, command), *more])
    assert 0 == done.exit_code, (done.output, done.exception)
    return output


def members_in(folder: Path) -> SearchSpace:
    """The space of that file."""
    return load_space(space_in(folder))


def space_in(folder: Path) -> str:
    """A space of 24 architectures."""
    path = folder / "tiny.yaml"
    path.write_text(SPACE, "utf-8")
    return str(path)


def model_in(
    folder: Path,
    head: Head | None = None,
    *,
    architecture: Architecture = LARGEST,
    seed: int = 0,
    words: tuple[str, ...] = WORDS,
    rule: Rule | None = None,
) -> Path:
    """A network whose tensors differ from each other, and the tokeniser."""
    words_in(folder, words)
    write(unlike(Network(architecture, head), seed), folder, tokenizer=folder, rule=rule)
    return folder


def unlike(network: Network, seed: int = 0) -> Network:
    """The network, no two of its tensors alike; LayerNorm included."""
    rng = np.random.default_rng(seed)
    for name, value in network.weights().items():
        centre = float(name.endswith("LayerNorm.weight"))
        np.copyto(value, rng.normal(centre, 0.3, value.shape).astype(np.float32))
    return network


class Silent:
    """A journal that keeps what it is told."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []

    def step(self, _step, _steps, _rate, losses, _tokens) -> None:
        self.losses.append(losses)

    def scores(self, _step, _scores) -> None: ...
    def resume(self, _step) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...

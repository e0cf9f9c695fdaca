"""Trainings of seconds: a network of 16, a task in which one word decides, a space, a command."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from nas.folder import write
from nas.network import Head, Network
from nas.supernet import backward
from nas.train.journal import Journal
from nas.train.loop import Loop
from nas.train.moment import Moment
from nas.train.recipe import Recipe
from nas.train.world import World
from results.architecture import Architecture, Layer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
KEYS = {"animal": ("cat", "dog", "bird"), "colour": ("red", "green"), "place": ("house", "river")}
"""Which words decide."""
BESIDE = """the a sees eats likes big small old new stone
and or not where is what who"""
OTHERS = tuple(BESIDE.split())
WORDS = (*SPECIAL, *(word for words in KEYS.values() for word in words), *OTHERS)
SIZES = Architecture(16, (Layer(2, 16, 24),) * 2, vocab=len(WORDS), positions=32, types=2)
SPACE = f"""
name: tiny
depth: [1, 2]
hidden: [8, 12, 16]
heads: [1, 2]
qkv: {{per_head: 8}}
ffn: [8, 16, 24]
vocab: {len(WORDS)}
positions: 32
types: 2
"""
ROOT = Path(__file__).parent.parent


def made_model(folder: Path, head: Head | None = None, labels: tuple[str, ...] = ()) -> Path:
    """A network with random weights, and its tokeniser."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    network, rng = Network(SIZES, head), np.random.default_rng(0)
    for name, value in network.weights().items():
        centre = float("LayerNorm.weight" in name)
        np.copyto(value, rng.normal(centre, 0.2, value.shape).astype(np.float32))
    write(network, folder, tokenizer=folder, labels=labels)
    return folder


def made_table(path: Path, lines: int = 60, *, scores: bool = False, seed: int = 0) -> Path:
    """Sentences, each with a word that decides its label; or their scores, -1 to 1."""
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("text", "label"))
        for i in range(lines):
            label = sorted(KEYS)[i % len(KEYS)]
            words = list(rng.choice(OTHERS, int(rng.integers(2, 9))))
            words.insert(int(rng.integers(0, len(words))), rng.choice(KEYS[label]))
            value = f"{(sorted(KEYS).index(label) - 1) * 0.75}" if scores else label
            table.writerow((" ".join(words), value))
    return path


def made_teacher(folder: Path) -> Path:
    """A model with a head for the table, which has learned nothing."""
    return made_model(folder, Head("classes", len(KEYS)), tuple(sorted(KEYS)))


def made_space(path: Path, text: str = SPACE) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def asked(*words: object, prelude: str = "", processes: int = 1) -> list[str]:
    """The command that runs `nas` with these words, in a process of its own or in several."""
    script = (
        "import sys, nas.train.loop, nas.train.journal\n"
        "nas.train.loop.SAVE_S = nas.train.journal.EVERY_S = 0.0\n"
        f"{prelude}\n"
        "from nas.cli import main\nmain()\n"
    )
    texts = [str(word) for word in words]
    if processes == 1:
        return [sys.executable, "-c", script, *texts]
    path = Path(texts[texts.index("--output") + 1]).with_suffix(".py")
    path.write_text(script, encoding="utf-8")
    several = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
    return [sys.executable, *several, str(path), *texts]


def called(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment(), timeout=300
    )


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """What was said of each step."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]


def outcome(folder: Path) -> tuple[bytes, list[dict[str, Any]], dict[str, Any]]:
    """All of a training but the time it took: weights, lines and result."""
    result = json.loads((folder / "result.json").read_text("utf-8"))
    del result["seconds"]
    return (folder / "model.safetensors").read_bytes(), lines_of(folder), result


class Toy:
    """Numbers that are learned from numbers; it counts what it is asked, and may die of it."""

    def __init__(self, examples: int = 22, *, dropout: float = 0.3, dies_at: int = -1) -> None:
        rng = np.random.default_rng(1)
        self.network = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 1))
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.copy_(torch.from_numpy(rng.normal(0.5, 0.5, parameter.shape)))
        self.x = torch.from_numpy(rng.normal(size=(examples, 5)).astype(np.float32))
        self.y = self.x.sum(1).sin()
        self.lengths = rng.integers(1, 9, examples).astype(np.int32)
        self.scores: list[float] = []
        """Of the evaluations in order; the loss where there are none."""
        self.seen: list[Moment] = []
        self.spoilt: dict[int, str] = {}
        """Steps in which the `loss` or a `gradient` is no number."""
        self._dropout, self._dies_at, self._events = dropout, dies_at, 0

    def learn(self, examples: NDArray[np.int64], moment: Moment, share: float) -> dict[str, float]:
        self._event()
        self.seen.append(moment)
        found = F.dropout(self.network(self.x[examples])[:, 0], self._dropout)
        loss = F.mse_loss(found, self.y[examples])
        backward(loss * share)
        wrong = self.spoilt.get(moment.step)
        if wrong == "gradient":
            self.network[0].weight.grad[0, 0] = torch.nan
        return {"loss": float("nan") if wrong == "loss" else loss.item()}

    def evaluate(self) -> dict[str, float]:
        self._event()
        if self.scores:
            step = self.seen[-1].step
            return {"score": self.scores[min(step, len(self.scores) - 1)]}
        with torch.no_grad():
            return {"score": -F.mse_loss(self.network(self.x)[:, 0], self.y).item()}

    def keep(self, folder: Path) -> None:
        self._event()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("half.bin", "model.safetensors"):
            (folder / name).write_bytes(weights_of(self))
            self._event()

    def _event(self) -> None:
        self._events += 1
        if self._events == self._dies_at:
            raise Killed


class Killed(BaseException):
    """What no handler of errors may catch."""


def weights_of(toy: Toy) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in toy.network.parameters())


ALONE = World(0, 1, torch.device("cpu"), "fp32")


def loop_of(toy: Toy, recipe: Recipe, folder: Path) -> Loop:
    folder.mkdir(exist_ok=True)
    return Loop(toy, recipe, folder, ALONE, Journal(folder, say=lambda _: None))


def files_of(folder: Path) -> dict[str, Any]:
    """All that a training left, the time it took apart."""
    found: dict[str, Any] = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    found["result.json"] = json.loads(found["result.json"])
    del found["result.json"]["seconds"]
    return found

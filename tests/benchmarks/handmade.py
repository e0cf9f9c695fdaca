"""Are winners of a search better than networks that people make by hand for the same budget?

    python -m tests.benchmarks.handmade --task mr --device cpu-avx2 --teacher T --output DIR \
        --seeds 0,1,2 --minilm FOLDER --paraphrase FOLDER

DIR is that of `quantised_search`, which comes first. Made by hand are the first k layers of
MiniLM and paraphrase-MiniLM-L3 (both trained with the same teacher), and networks of six layers
whose widths are all cut by the same factor (with the weights of the supernet). Each is compared
with the slowest winner that is no slower, both files measured, both judged in int8 on the test
split. Killed, the same command goes on.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.search.measure import How, ModelFile, measure_files
from nas.data import tasks
from nas.data.task import TEST, Task
from nas.extract.names import file_of
from nas.folder import read
from nas.score.scorer import Scorer
from results.architecture import Architecture
from tests.benchmarks.quantised_search import (
    INT8,
    Case,
    Judged,
    accuracy,
    labels_of,
    mcnemar,
    nas,
    right,
    searched,
)

TOKENS = 128
RECIPE = ("--rate", "1e-4", "--epochs", "3", "--trust", "0.5")
LAYERS = range(1, 4)
HEADS = range(2, 10)


@dataclass(frozen=True, slots=True)
class Made:
    """A network that somebody made by hand, as it ships."""

    kind: str
    seed: int
    folder: Path
    """With its int8 file."""
    weights: Path
    """Folder that is scored: a network, or the supernet that it is cut from."""

    @property
    def architecture(self) -> Architecture:
        return read(self.folder).architecture

    def file(self, scheme: str) -> ModelFile:
        return ModelFile(self.folder / file_of(scheme), self.architecture, scheme)


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("--task", "--device", "--teacher", "--minilm"):
        parser.add_argument(name, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--paraphrase", type=Path)
    parser.add_argument("--scheme", default="ptq", help="what int8 means")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--train-only", action="store_true")
    return parser.parse_args()


def trained(given: argparse.Namespace, seed: int, name: str, begin: Path) -> Path:
    """A network after training with the teacher, its int8 file beside."""
    folder = given.output / "handmade" / f"{name}-{seed}"
    if not (folder / "trained" / "result.json").is_file():
        nas("train", "further", "--model", begin, "--task", given.task, "--teacher", given.teacher,
            *RECIPE, "--seed", seed, "--threads", given.threads,
            "--output", folder / "trained")  # fmt: skip
    if not (folder / "shipped").is_dir():
        nas("extract", "--supernet", folder / "trained", "--task", given.task, "--scheme",
            given.scheme, "--output", folder / "shipped")  # fmt: skip
    return folder


def cut(given: argparse.Namespace, name: str, source: Path, sub: str, *more: object) -> Path:
    folder: Path = given.output / "handmade" / name
    if not folder.is_dir():
        nas("extract", "--supernet", source, "--arch", sub, "--output", folder, *more)
    return folder


def made(given: argparse.Namespace, seed: int) -> Iterator[Made]:
    for k in LAYERS:
        sub = f"h384 {k}x(a12 q384 f1536)"
        begin = cut(given, f"minilm-{k}", given.minilm, sub, "--no-onnx")
        folder = trained(given, seed, f"first-{k}", begin)
        yield Made("first layers", seed, folder / "shipped", folder / "trained")
    if given.paraphrase:
        folder = trained(given, seed, "paraphrase", given.paraphrase)
        yield Made("paraphrase-L3", seed, folder / "shipped", folder / "trained")
    supernet = given.output / f"supernet-{seed}"
    if given.train_only or not (supernet / "result.json").is_file():
        return
    for m in HEADS:
        sub = f"h{32 * m} 6x(a{m} q{32 * m} f{128 * m})"
        folder = cut(given, f"uniform-{m}-{seed}", supernet, sub, "--task", given.task,
                     "--scheme", given.scheme)  # fmt: skip
        yield Made("uniform widths", seed, folder, supernet)


def measured(given: argparse.Namespace, files: list[ModelFile]) -> list[float]:
    """Milliseconds, all in one session: only then are they comparable to a per cent."""
    how = How(device=given.device, tokens=(TOKENS,), results=given.output / "side-by-side")
    return [one.measured[0].ms for one in measure_files(files, how)]


def answers(given: argparse.Namespace, task: Task, one: Made) -> tuple[float, list[bool]]:
    with Scorer(read(one.weights), task, TEST, results=given.output / "data") as scorer:
        (score,) = scorer.score([one.architecture], given.scheme)
    return accuracy(score), right(score, labels_of(task)).tolist()


def winners(given: argparse.Namespace) -> list[Judged]:
    """Those of the searches in int8, as `quantised_search` judged them."""
    lines = (given.output / "judged.jsonl").read_text().splitlines()
    found = [Judged(**x | {"case": Case(**x["case"])}) for x in map(json.loads, lines)]
    return [one for one in found if one.way == INT8]


def file_of_winner(given: argparse.Namespace, one: Judged) -> ModelFile:
    run = searched(given, one.case, INT8)
    if run.outcome is None:
        raise SystemExit(f"{run.folder} has not ended")
    (winner,) = run.outcome.winners
    return ModelFile(run.folder / winner.folder / winner.file, winner.architecture, winner.scheme)


def compare(one: Made, ms: float, found: tuple[float, list[bool]], ours: list[Judged]) -> None:
    """With the slowest winner on the same supernet that is no slower."""
    test, correct = found
    print(f"{one.kind:14}  seed {one.seed}  {ms:5.2f} ms  test {test:.4f}  {one.architecture}")
    no_slower = [x for x in ours if x.case.seed == one.seed and x.ms is not None and x.ms <= ms]
    if not no_slower:
        print("    no winner is as fast")
        return
    best = max(no_slower, key=lambda x: x.ms or 0.0)
    only, other, p = mcnemar(best, replace(best, right=tuple(correct)))
    print(
        f"    search: {best.ms:.2f} ms  test {best.test:.4f}"
        f"  {100 * (best.test - test):+.1f} points  {only}:{other}  p {p:.4f}"
    )


def main() -> None:
    given = asked()
    seeds = [int(x) for x in given.seeds.split(",")]
    several = [one for seed in seeds for one in made(given, seed)]
    if given.train_only:
        return
    task = tasks.load(given.task, say=print)
    ours = [one for one in winners(given) if one.case.seed in seeds]
    files = [file_of_winner(given, one) for one in ours]
    times = measured(given, [*files, *(one.file(given.scheme) for one in several)])
    ours = [replace(one, ms=ms) for one, ms in zip(ours, times, strict=False)]
    for one, ms in zip(several, times[len(ours) :], strict=True):
        compare(one, ms, answers(given, task, one), ours)


if __name__ == "__main__":
    main()

"""Is a search in int8 better than one in float32 whose winner is quantised afterwards?

    python -m tests.benchmarks.quantised_search --task mr --device cpu-avx2 --teacher T \
        --budgets 1,2,3,4,6,8,12 --seeds 0,1,2 --output DIR

For every seed a supernet is trained, and searched twice at every budget: in int8, and in float32.
Both winners were measured and keep the budget in their own numbers. The float32 winner is then
quantised as it is, and the two are compared in int8 on the test split, example by example. Beside
them: what stage one of the search in int8 would have chosen by its float32 scores alone.
Killed, the same command goes on.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, permutation_test

from bench.search.stages import FULL, first_metric
from nas.data import tasks
from nas.data.task import TEST, Task
from nas.folder import read
from nas.score.scorer import Options, Scorer
from results.architecture import Architecture
from results.choice import Measured
from results.notation import format_architecture
from results.score import Score
from results.searches import SEARCHES, Run

INT8, FP32, STAGE_ONE = "int8", "fp32", "stage one"
"""Ways to choose: what is searched in, or what a search in int8 would take by float32 scores."""


@dataclass(frozen=True, slots=True)
class Case:
    """One budget on one supernet."""

    seed: int
    budget: float
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A network that was chosen for a case, as it ships."""

    case: Case
    way: str
    architecture: str
    ms: float | None
    """Measured in the scheme that it was searched in."""
    dev: float
    test: float
    test_full: float
    right: tuple[bool, ...]
    """Of each example of the test split, in int8."""


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("--task", "--device", "--teacher"):
        parser.add_argument(name, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--budgets", default="1,2,3,4,6,8,12")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--evaluations", type=int, default=40)
    parser.add_argument("--refinements", type=int, default=16)
    parser.add_argument("--scheme", default="ptq", help="what int8 means")
    parser.add_argument("--supernet", default="", help="options of nas train supernet")
    return parser.parse_args()


def nas(*arguments: object) -> None:
    command = [sys.executable, "-m", "bench.nas_cli", *map(str, arguments)]
    done = subprocess.run(command, check=False, stdout=sys.stderr)
    if done.returncode not in (0, 1):  # 1: nothing kept the budget
        raise SystemExit(done.returncode)


def supernet(given: argparse.Namespace, seed: int) -> Path:
    folder: Path = given.output / f"supernet-{seed}"
    if not (folder / "result.json").is_file():
        nas("train", "supernet", "--task", given.task, "--teacher", given.teacher,
            "--seed", seed, "--output", folder, *given.supernet.split())  # fmt: skip
    return folder


def searched(given: argparse.Namespace, case: Case, way: str) -> Run:
    name = f"{case.seed}-{way}-{case.budget:g}ms"
    run = Run(given.output / SEARCHES / name)
    more = 0 if way == INT8 else given.refinements  # there is no second stage in float32
    if not run.exists or run.outcome is None:
        nas("search", "--task", given.task, "--device", given.device,
            "--quant", given.scheme if way == INT8 else FP32,
            "--latency", case.budget, "--seed", case.seed, "--name", name, "--winners", 1,
            "--supernet", supernet(given, case.seed), "--teacher", given.teacher,
            "--results", given.output / "data", "--evaluations", given.evaluations + more,
            "--refinements", given.refinements, "--auto")  # fmt: skip
    return run


@dataclass(frozen=True, slots=True)
class Judge:
    """Reads the test split, in int8 as it ships and in float32."""

    scorer: Scorer
    scheme: str
    labels: NDArray[np.int64]

    def judge(
        self, case: Case, way: str, sub: Architecture, dev: float, ms: float | None
    ) -> Judged:
        quantised, full = (self.scorer.score([sub], scheme)[0] for scheme in (self.scheme, FP32))
        return Judged(
            case, way, format_architecture(sub), ms, dev,
            accuracy(quantised), accuracy(full), tuple(right(quantised, self.labels).tolist()),
        )  # fmt: skip


def accuracy(score: Score) -> float:
    return next(iter(score.metrics.values()))


def right(score: Score, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.array(score.predictions) == labels


def labels_of(task: Task) -> NDArray[np.int64]:
    return np.array(task.splits[TEST].labels, np.int64)


def ms_of(measured: Sequence[Measured]) -> float:
    return measured[0].ms


def judged(given: argparse.Namespace, task: Task, seed: int, budgets: list[float]) -> list[Judged]:
    cases = [Case(seed, budget) for budget in budgets]
    runs = {(c, q): searched(given, c, q) for c in cases for q in (INT8, FP32)}
    options = Options(seed=seed)  # calibrated on the text that the search used
    saved = read(supernet(given, seed))
    with Scorer(saved, task, TEST, results=given.output / "data", options=options) as scorer:
        judge = Judge(scorer, given.scheme, labels_of(task))
        return [one for case in cases for one in _of_case(judge, case, runs)]


def _of_case(judge: Judge, case: Case, runs: dict[tuple[Case, str], Run]) -> Iterator[Judged]:
    for way in (INT8, FP32):
        outcome = runs[case, way].outcome
        if outcome is None or not outcome.winners:
            print(f"nothing stands at {case.budget:g} ms in {way}, seed {case.seed}")
            continue
        best = outcome.winners[0]
        dev = next(iter(best.metrics.values()))
        yield judge.judge(case, way, best.architecture, dev, ms_of(best.measured))
    full = [t for t in runs[case, INT8].trials() if t.stage == FULL and t.cost <= 1]
    blind = max(full, key=lambda t: (first_metric(t), -t.loss))
    yield judge.judge(case, STAGE_ONE, blind.architecture, first_metric(blind), None)


def mcnemar(a: Judged, b: Judged) -> tuple[int, int, float]:
    """Examples that only one of them has right, and the exact one-sided p that a is no better."""
    x, y = np.array(a.right), np.array(b.right)
    only, other = int((x & ~y).sum()), int((y & ~x).sum())
    p = binomtest(only, only + other, alternative="greater").pvalue if only + other else 1.0
    return only, other, float(p)


def together(
    ours: Sequence[Sequence[bool]], theirs: Sequence[Sequence[bool]]
) -> tuple[float, float]:
    """Mean difference over seeds, and the one-sided p of swapping the two, example by example."""
    a, b = (np.mean(side, axis=0) for side in (ours, theirs))
    found = permutation_test(
        (a, b), lambda x, y, axis=-1: np.mean(x - y, axis=axis), vectorized=True,
        permutation_type="samples", n_resamples=20_000, alternative="greater",
        rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(found.statistic), float(found.pvalue)


def compare(found: list[Judged], budget: float, way: str) -> None:
    """The search in int8 against another way to choose, at one budget."""
    pairs = [
        (a, b)
        for a in found
        for b in found
        if (a.way, b.way) == (INT8, way) and a.case == b.case and a.case.budget == budget
    ]
    if not pairs:
        return
    for a, b in pairs:
        only, other, p = mcnemar(a, b)
        print(
            f"{budget:5g} ms  seed {a.case.seed}  {INT8} {a.test:.4f}  {way} {b.test:.4f}"
            f"  ({b.test_full:.4f} in fp32)  {only}:{other}  p {p:.3f}"
        )
    gain, p = together([a.right for a, _ in pairs], [b.right for _, b in pairs])
    print(f"{budget:5g} ms  all     {100 * gain:+.2f} points over {way}, p {p:.4f}")


def main() -> None:
    given = asked()
    budgets = [float(x) for x in given.budgets.split(",")]
    seeds = [int(x) for x in given.seeds.split(",")]
    task = tasks.load(given.task, say=print)
    found = [one for seed in seeds for one in judged(given, task, seed, budgets)]
    text = "".join(json.dumps(asdict(one)) + "\n" for one in found)
    (given.output / "judged.jsonl").write_text(text)
    for one in found:
        ms = "" if one.ms is None else f"{one.ms:.2f} ms"
        print(f"{one.case.budget:5g} ms  seed {one.case.seed}  {one.way:9}  {ms:9}"
              f"  dev {one.dev:.4f}  test {one.test:.4f}  {one.architecture}")  # fmt: skip
    for way in (FP32, STAGE_ONE):
        for budget in budgets:
            compare(found, budget, way)


if __name__ == "__main__":
    main()

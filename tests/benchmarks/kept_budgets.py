"""Do winners keep their budgets when their files are measured again, in another run?

    python -m tests.benchmarks.kept_budgets --task mr --device cpu-avx2 --supernet S --teacher T \
        --quants fp32,ptq --budgets 4,5,6,7,8,9,10,11,12,14 --output DIR

A search in each scheme at each budget; when all have ended, the winners' files are measured in a
ledger of their own. Killed, the same command goes on.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.search.measure import How, ModelFile, Timed, measure_files
from results.searches import SEARCHES, Run
from tests.benchmarks.quantised_search import nas


@dataclass(frozen=True, slots=True)
class Kept:
    """A winner's budget, and what was measured of its file."""

    quant: str
    budget: float
    """Milliseconds, as all that follow."""
    then: float
    """By the search."""
    ms: float
    """In the other run."""
    lower: float
    upper: float


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("--task", "--device", "--supernet", "--teacher"):
        parser.add_argument(name, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--quants", default="fp32,ptq")
    parser.add_argument("--budgets", default="4,5,6,7,8,9,10,11,12,14")
    parser.add_argument("--evaluations", type=int, default=64)
    parser.add_argument("--refinements", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=128)
    return parser.parse_args()


def searched(given: argparse.Namespace, quant: str, budget: float) -> Run:
    name = f"{quant.partition(':')[0]}-{budget:g}ms"
    run = Run(given.output / SEARCHES / name)
    if not run.exists or run.outcome is None:
        nas("search", "--task", given.task, "--device", given.device, "--quant", quant,
            "--latency", budget, "--name", name, "--winners", 1, "--tokens", given.tokens,
            "--supernet", given.supernet, "--teacher", given.teacher, "--auto",
            "--results", given.output / "data", "--evaluations", given.evaluations,
            "--refinements", given.refinements)  # fmt: skip
    return run


def again(given: argparse.Namespace, files: list[ModelFile]) -> list[Timed]:
    results = given.output / "again"
    return measure_files(files, How(device=given.device, tokens=(given.tokens,), results=results))


def kept(given: argparse.Namespace) -> list[Kept]:
    cases, files = [], []
    for budget in map(float, given.budgets.split(",")):
        for quant in given.quants.split(","):
            run = searched(given, quant, budget)
            if run.outcome is None or not run.outcome.winners:
                print(f"nothing stands at {budget:g} ms in {quant}")
                continue
            (best,) = run.outcome.winners
            files.append(ModelFile(run.folder / best.folder / best.file,
                                   best.architecture, best.scheme))  # fmt: skip
            cases.append((quant, budget, best.measured[0].ms))
    return [
        Kept(*case, one.measured[0].ms, one.measured[0].lower, one.measured[0].upper)
        for case, one in zip(cases, again(given, files), strict=True)
    ]


def main() -> None:
    given = asked()
    found = kept(given)
    (given.output / "kept.json").write_text(json.dumps([asdict(x) for x in found], indent=1))
    for x in found:
        print(f"{x.quant:20} {x.budget:5g} ms  then {x.then:6.3f}  again {x.ms:6.3f} "
              f"({x.lower:.3f}-{x.upper:.3f})  {x.ms / x.budget:6.1%}")  # fmt: skip
    over = sum(x.ms > x.budget for x in found)
    slack = median(1 - x.ms / x.budget for x in found)
    print(f"{over} of {len(found)} over budget; median slack {slack:.2%}")


if __name__ == "__main__":
    main()

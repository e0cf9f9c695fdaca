"""Do winners keep their budgets when their files are measured again, in another run?

    python -m tests.benchmarks.kept_budgets --task mr --device cpu-avx2 --supernet S --teacher T \
        --quants fp32,ptq --budgets 4,5,6,7,8,9,10,11,12,14 --output DIR

A search in each scheme at each budget; when all have ended, the winners' files are measured in a
ledger of their own; with another name for `--again`, another time. On a machine whose speed swings
that time matters: so it is told too what the files took on the scale of the searches' ledger.
Killed, the same command goes on.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.search.measure import How, ModelFile, Timed, measure_files
from results.searches import SEARCHES, Run
from results.session import Places
from results.stats import label, references
from results.store import Ledger
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
    on_scale: float
    """In the other run, beside the anchors, on the scale of all sessions of the searches."""


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
    parser.add_argument("--again", default="again", help="name of the other run")
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
    results = given.output / given.again
    return measure_files(files, How(device=given.device, tokens=(given.tokens,), results=results))


def on_scale(given: argparse.Namespace) -> dict[str, float]:
    """Milliseconds by row of the other run, with the levels of anchors that the searches know."""
    places = Places()
    there = [(places[s], row) for s, row in Ledger(given.output / "data").measurements()]
    known = references(there)
    rows = [(places[s], row) for s, row in Ledger(given.output / given.again).measurements()]
    return {row.id: label(row, known, here).latency_ms for here, row in rows}


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
    measured = [one.measured[0] for one in again(given, files)]
    scale = on_scale(given)
    return [
        Kept(*case, one.ms, one.lower, one.upper, scale[one.rows[-1]])
        for case, one in zip(cases, measured, strict=True)
    ]


def main() -> None:
    given = asked()
    found = kept(given)
    (given.output / f"kept-{given.again}.json").write_text(
        json.dumps([asdict(x) for x in found], indent=1)
    )
    for x in found:
        print(f"{x.quant:20} {x.budget:5g} ms  then {x.then:6.3f}  again {x.ms:6.3f} "
              f"({x.lower:.3f}-{x.upper:.3f})  on the scale {x.on_scale:6.3f}")  # fmt: skip
    for what, ms in (
        ("by the searches", [x.then for x in found]),
        ("again", [x.ms for x in found]),
        ("again, on the scale", [x.on_scale for x in found]),
    ):
        parts = [a / x.budget for a, x in zip(ms, found, strict=True)]
        over = sum(x > 1 for x in parts)
        print(f"{what}: {over} of {len(found)} over budget, median slack {1 - median(parts):.2%}")


if __name__ == "__main__":
    main()

"""Our int8 beside every int8 that others make, and the floats, in one run: who is faster?

`pytest tests/benchmarks/test_quantisers.py --benchmark-enable -s` prints a table for each network.
SUBBERT_COMPILED=1 adds torch.compile, which takes minutes. No time is asserted.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pytest

from nas.checkpoint import save
from nas.encoder import Encoder
from profiler.cpus import reserved_cpus
from profiler.isolate import stable_variables
from quant.weights import RandomWeights
from results.architecture import Architecture, Layer

ROOT = Path(__file__).parents[2]
VISITS = 15
SMALL = Architecture(24, (Layer(2, 24, 32),), vocab=99)
QUICK = ["torch fp32", "onnxruntime ptq", "onnxruntime export fp32"]
"""What is tried where nothing is timed."""


def bert(folder: Path, architecture: Architecture) -> Path:
    save(Encoder(architecture, RandomWeights(0).tensors(architecture), pooler=False), folder)
    return folder


def networks(request: pytest.FixtureRequest, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Name and folder: real weights for 6x384, random ones for the others."""
    yield "4x312", bert(scratch / "4x312", Architecture.uniform(4, 312, 12, 312, 1200))
    yield "all-MiniLM-L6-v2, 6x384", request.getfixturevalue("minilm")
    yield "12x768", bert(scratch / "12x768", Architecture.uniform(12, 768, 12, 768, 3072))


def test_int8_side_by_side(request: pytest.FixtureRequest, benchmark: Any, tmp_path: Path) -> None:
    def measured() -> None:
        for name, folder in networks(request, tmp_path):
            found = answered(folder, tmp_path / "answer.json")
            levels = {called(row): median(row["visits_ms"]) for row in found["rows"]}
            benchmark.extra_info[name] = {"ms": levels, "failures": found["failures"]}
            sys.stdout.write(f"\n\n{name}, batch 1 of 128 tokens, 1 thread\n{table(found)}\n")

    def tried() -> None:
        folder = bert(tmp_path / "small", SMALL)
        found = answered(folder, tmp_path / "answer.json", visits=2, names=QUICK)
        assert sorted(QUICK) == sorted(map(called, found["rows"])), found["failures"]
        assert all(name in table(found) for name in ("ptq", "export fp32"))

    benchmark.pedantic(tried if benchmark.disabled else measured, rounds=1)


def answered(
    folder: Path, answer: Path, visits: int = VISITS, names: Sequence[str] = ()
) -> dict[str, Any]:
    """What `quantisers.py` says of the network in this folder."""
    asked = {
        "folder": str(folder),
        "answer": str(answer),
        "visits": visits,
        "names": names,
        "compiled": bool(os.environ.get("SUBBERT_COMPILED")),
    }
    variables = stable_variables(os.environ, 1, {}) | {"NNCF_CI": "1"}  # no telemetry
    with reserved_cpus(1) as (cpu,):
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.quantisers", str(cpu)],
            cwd=ROOT,
            env=variables,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
        )
    assert 0 == done.returncode, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return found


def called(row: dict[str, Any]) -> str:
    return f"{row['engine']} {row['name']}"


def table(found: dict[str, Any]) -> str:
    """A line for each, the fastest first: ms, ± half the 95 % interval of the median, ratios."""
    rows = sorted(found["rows"], key=lambda row: median(row["visits_ms"]))
    floats = least(rows, "fp32")
    foreign = least(rows, "theirs")
    lines = [f"{'engine':12} {'':36} {'ms':>7} {'±':>5}  {'x fp32':>6}  {'their int8 /':>12}"]
    for row in rows:
        ms = median(row["visits_ms"])
        mark = "*" if row["kind"] == "ours" else " "
        lines.append(
            f"{row['engine']:12}{mark}{row['name']:36} {ms:7.2f} {half_width(row):5.1%}"
            f"  {floats / ms:6.2f}  {foreign / ms:12.3f}"
        )
    lines.append("* ours; others of int8 are theirs. x fp32: how often faster than the best fp32")
    lines += [f"left out: {name}: {why}" for name, why in found["failures"].items()]
    return "\n".join(lines)


def least(rows: list[dict[str, Any]], kind: str) -> float:
    return min((median(r["visits_ms"]) for r in rows if r["kind"] == kind), default=float("nan"))


def half_width(row: dict[str, Any]) -> float:
    """As in a notched box plot (McGill et al., 1978): 1.57 interquartile ranges over root n."""
    visits: list[float] = row["visits_ms"]
    low, _, high = quantiles(visits, n=4)
    return 1.57 * (high - low) / len(visits) ** 0.5 / median(visits)

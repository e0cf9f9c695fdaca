"""How many candidates a second are predicted with bounds, and in how much memory.

Figures are reported (`pytest tests/benchmarks --benchmark-enable -s`), never asserted.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.numerics import numerics_of
from nas.columns import sizes
from nas.space import load_space
from predictors.calibrated import Calibrated
from predictors.columns import Columns, Numerics
from predictors.families import Predictor
from predictors.physics import Physics
from predictors.rows import Rows
from predictors.setting import Setting
from results.measurement import Workload
from tests.law_cards import law_card, law_rows, made_of

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

CANDIDATES = 1 << 18

COMMAND = """
import resource, sys, time
from bench.cli import app
app(sys.argv[1:], standalone_mode=False)
print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def physics(rows: Rows, setting: Setting) -> Predictor:
    return Physics.fit(rows, setting)


def hybrid(rows: Rows, setting: Setting) -> Predictor:
    """With its correction, whether or not the rows want one."""
    from predictors.hybrid import Correction, Hybrid

    plain = Physics.fit(rows, setting)
    return Hybrid(plain, Correction.fit(rows, plain, setting.seed))


@pytest.mark.parametrize("fit", [physics, hybrid])
@pytest.mark.parametrize("scheme", ["fp32", "ptq"])
def test_candidates_a_second_on_one_core(
    fit: Callable[[Rows, Setting], Predictor], scheme: str, benchmark: "BenchmarkFixture"
) -> None:
    numerics, known = numerics_of(scheme), made_of([scheme])
    rows, setting = law_rows([scheme])
    predictor = fit(rows, setting)
    made = Calibrated(predictor, known.intervals, known.domain, known.error)
    n = 1000 if benchmark.disabled else CANDIDATES

    forecast = benchmark(_forecast, made, numerics, n)

    assert n == len(forecast)
    if not benchmark.disabled:
        began = time.process_time()
        _forecast(made, numerics, n)
        rate = n / (time.process_time() - began)
        benchmark.extra_info["candidates a CPU second"] = round(rate)
        sys.stdout.write(f"\n{predictor.family} {scheme}: {rate:,.0f} candidates a CPU second\n")


def _forecast(made: Calibrated, numerics: Numerics, n: int) -> list[float]:
    """From numbers of members to bounds."""
    from bench.candidates import SIZES

    found = sizes(load_space("autotinybert"), 0, n)
    columns = Columns.of_sizes({s: getattr(found, s) for s in SIZES}, Workload(), numerics)
    return made.forecast(columns).upper.tolist()


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_whole_space_from_the_command_to_the_file(
    suffix: str, benchmark: "BenchmarkFixture", tmp_path: Path
) -> None:
    card, file = law_card(tmp_path), tmp_path / f"x.{suffix}"
    space = "minilm" if benchmark.disabled else "autotinybert"

    def command() -> None:
        line = [
            sys.executable, "-c", COMMAND, "predict", "--card", str(card), "--space", space,
            "--all", "--runtime", "onnxruntime", "--scheme", "fp32", "--export", str(file),
        ]  # fmt: skip
        began = time.monotonic()
        done = subprocess.run(line, check=True, capture_output=True, text=True)
        cpu, peak = done.stderr.split()[-2:]
        found = {
            "wall s": round(time.monotonic() - began, 2),
            "CPU s": round(float(cpu), 2),
            "peak MiB": int(peak) >> 10,
        }
        benchmark.extra_info.update(found)
        if not benchmark.disabled:
            sys.stdout.write(f"\n{space} to {suffix}: {json.dumps(found)}\n")

    benchmark.pedantic(command, rounds=1 if benchmark.disabled else 3)

"""How far two measurements of the same network lie apart: ours and the seeds', side by side.

`make bench` measures 30 networks twice in each way, on the machine as it is and with two busy
processes beside it, and prints the differences. No time is asserted.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import pytest

from nas.space import load_space
from results.notation import format_architecture

HERE = Path(__file__).parent

MULTIPLY = """
import os
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy as np
a = np.random.rand(1500, 1500)
while True: a @ a
"""

BUSY = ("while True: pass", MULTIPLY)


@contextmanager
def neighbours(wanted: bool) -> Iterator[None]:  # noqa: FBT001
    """Two processes that never rest: one computes, one multiplies matrices."""
    programs = BUSY if wanted else ()
    running = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def ours(folder: Path, networks: int) -> dict[str, float]:
    command = [
        sys.executable, "-m", "bench.cli", "profile", "--device", "cpu-any", "--no-resume",
        "--space", "bigger-faster", "--samples", str(networks), "--runtime", "onnxruntime",
        "--results", str(folder), "--json",
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {
        json.dumps(row["architecture"]) + row["scheme"]: row["latency_ms"]
        for row in json.loads(done.stdout)["rows"]
    }


def seeds(networks: int) -> dict[str, float]:
    space = load_space("bigger-faster")
    drawn = space.sample_unique(np.random.default_rng(0), networks)
    lines = "\n".join(map(format_architecture, drawn))
    command = [sys.executable, str(HERE / "seeds_protocol.py")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, input=lines)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def differences(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    """Relative difference of two measurements over networks and schemes, in percent."""
    apart = sorted(100 * abs(np.log(first[name] / second[name])) for name in first)
    return {"median": float(median(apart)), "p90": float(quantiles(apart, n=10)[-1])}


@pytest.mark.parametrize("busy", [False, True], ids=["as-it-is", "two-busy-neighbours"])
def test_retest(benchmark: Any, tmp_path: Path, busy: bool) -> None:  # noqa: FBT001
    networks = 2 if benchmark.disabled else 30

    def twice() -> None:
        with neighbours(busy):
            first, first_seeds = ours(tmp_path / "1", networks), seeds(networks)
            second, second_seeds = ours(tmp_path / "2", networks), seeds(networks)
        found = {
            "ours, % apart": differences(first, second),
            "seeds' protocol, % apart": differences(first_seeds, second_seeds),
        }
        benchmark.extra_info.update(networks=networks, **found)
        if not benchmark.disabled:
            sys.stdout.write(f"\nretest, {networks} networks x 2 schemes: {json.dumps(found)}\n")

    benchmark.pedantic(twice, rounds=1)

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
from statistics import fmean, median, quantiles
from typing import Any

import numpy as np
import pytest

from nas.space import load_space
from results.notation import format_architecture
from results.session import place
from results.stats import label, references
from results.store import Ledger

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


def ours(folder: Path, networks: int) -> None:
    command = [
        sys.executable, "-m", "bench.cli", "profile", "--device", "cpu-any", "--no-resume",
        "--space", "bigger-faster", "--samples", str(networks), "--runtime", "onnxruntime",
        "--results", str(folder), "--json",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


def labels(folder: Path, *, common: bool) -> list[dict[str, float]]:
    """Latency by network and scheme in each session, on the common scale or on its own."""
    found = list(Ledger(folder).measurements(current=True))
    scales = {s.id: place(s) if common else s.id for s, _ in found}
    levels = references((scales[s.id], row) for s, row in found)
    sessions: dict[str, dict[str, float]] = {}
    for session, row in found:
        name = f"{row.subject.architecture} {row.subject.scheme}"
        latency_ms = label(row, levels, scales[session.id]).latency_ms
        sessions.setdefault(session.id, {})[name] = latency_ms
    return list(sessions.values())


STATISTICS = {
    "wall, mean of samples 2-5": lambda s: fmean(s.wall_ns[1:5]),
    "wall, median": lambda s: median(s.wall_ns),
    "wall, minimum": lambda s: min(s.wall_ns),
    "CPU, median": lambda s: median(s.cpu_ns),
    "CPU, minimum": lambda s: min(s.cpu_ns),
}
"""What else could be made of the very same samples, without an anchor."""


def other_statistics(folder: Path) -> dict[str, dict[str, float]]:
    """How far two sessions lie apart by each statistic."""
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in STATISTICS}
    for session, row in Ledger(folder).measurements(current=True):
        subject = f"{row.subject.architecture} {row.subject.scheme}"
        for name, statistic in STATISTICS.items():
            found[name].setdefault(session.id, {})[subject] = statistic(row.runs[0].subject)
    return {name: differences(*sessions.values()) for name, sessions in found.items()}


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
    return {"median": round(median(apart), 2), "p90": round(quantiles(apart, n=10)[-1], 2)}


@pytest.mark.parametrize("busy", [False, True], ids=["as-it-is", "two-busy-neighbours"])
def test_retest(benchmark: Any, tmp_path: Path, busy: bool) -> None:  # noqa: FBT001
    networks = 2 if benchmark.disabled else 30

    def twice() -> None:
        with neighbours(busy):
            ours(tmp_path, networks)
            first_seeds = seeds(networks)
            ours(tmp_path, networks)
            second_seeds = seeds(networks)
        found = {
            "ours": differences(*labels(tmp_path, common=True)),
            "ours, each session on its own scale": differences(*labels(tmp_path, common=False)),
            "seeds' protocol": differences(first_seeds, second_seeds),
            **other_statistics(tmp_path),
        }
        benchmark.extra_info.update(networks=networks, **found)
        if not benchmark.disabled:
            sys.stdout.write(f"\nretest, % apart, {networks} x 2 schemes: {json.dumps(found)}\n")

    benchmark.pedantic(twice, rounds=1)

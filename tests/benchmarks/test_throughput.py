"""How many sub-encoders a minute, and in how much memory: `make bench` prints the figures."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from results.store import Ledger


@pytest.mark.parametrize("space", ["bigger-faster", "autotinybert"])
def test_sub_encoders_a_minute_in_both_onnxruntime_precisions(
    benchmark: Any, tmp_path: Path, space: str
) -> None:
    networks = 2 if benchmark.disabled else 100

    def sweep() -> None:
        command = [
            sys.executable, "-m", "bench.cli", "profile", "--device", "cpu-any", "--json",
            "--space", space, "--samples", str(networks), "--runtime", "onnxruntime",
            "--results", str(tmp_path / "data"),
        ]  # fmt: skip
        start = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        minutes = (time.monotonic() - start) / 60
        rows = [row for _, row in Ledger(tmp_path / "data").measurements()]
        found = {
            "networks a minute": round(networks / minutes, 1),
            "worker peak MiB": max(row.peak_rss_bytes for row in rows) >> 20,
            "noisy rows": sum(row.noisy for row in rows),
        }
        benchmark.extra_info.update(found)
        if not benchmark.disabled:
            sys.stdout.write(f"\n{space}, {networks} networks: {json.dumps(found)}\n")

    benchmark.pedantic(sweep, rounds=1)

"""What a training step of a sub-model costs beside one of a dense network of its shape."""

import json
import statistics
import subprocess
import sys
from typing import Any

import pytest

CASES = [(16, 0.1, False), (16, 0.0, False), (32, 0.1, False), (16, 0.1, True)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("tokens", "dropout", "optimiser"), CASES)
def test_a_step_of_a_sub_model_beside_a_dense_one(
    benchmark: Any, threads: int, tokens: int, dropout: float, *, optimiser: bool
) -> None:
    off = benchmark.disabled
    asked = {
        "threads": threads, "rounds": 1 if off else 9, "each": 1 if off else 4,
        "batch": 2 if off else 32, "tokens": tokens, "dropout": dropout, "optimiser": optimiser,
    }  # fmt: skip
    if off and (threads, tokens, dropout, optimiser) != (1, 16, 0.1, False):
        pytest.skip("one case is enough to see that it runs")

    def ask() -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "tests.benchmarks.training_step"]
        done = subprocess.run(
            command, input=json.dumps(asked), check=True, capture_output=True, text=True
        )
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    rows = benchmark.pedantic(ask, rounds=1)
    benchmark.extra_info.update({"asked": asked, "rows": rows})
    for row in rows:
        pairs = zip(row["view_ms"], row["dense_ms"], strict=True)
        ratio = statistics.median(view / alone for view, alone in pairs)
        best = f"{min(row['view_ms']):8.1f} {min(row['dense_ms']):8.1f} ms"
        if not off:
            sys.stdout.write(f"\n{row['name']:28} {row['whose']:13} {best} {ratio:5.2f}x")

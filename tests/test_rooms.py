"""What the import linter cannot see: what a fresh interpreter really loads."""

import ast
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

HEAVY = {
    "torch", "torchao", "onnxruntime", "openvino", "transformers", "pandas", "onnx", "matplotlib"
}  # fmt: skip

LIGHT = [
    "bench.cli",
    "bench.nas_cli",
    "nas.cli",
    "bench.plan",
    "bench.summary",
    "nas.checkpoint",
    "nas.pareto",
    "nas.search.surrogate",
    "nas.space",
    "predictors.boosted",
    "predictors.calibrated",
    "predictors.hybrid",
    "predictors.mlp",
    "predictors.physics",
    "profiler.device",
    "profiler.environment",
    "profiler.isolate",
    "profiler.rounds",
    "profiler.runtimes.onnxruntime",
    "profiler.runtimes.openvino",
    "profiler.runtimes.torch_eager",
    "profiler.runtimes.torchao_eager",
    "profiler.timing",
    "quant.drift",
    "quant.observers",
    "quant.press",
    "quant.scheme",
    "quant.sizes",
]

LEDGER = [
    "architecture",
    "environment",
    "measurement",
    "notation",
    "session",
    "stats",
    "store",
]


def loaded_by(module: str) -> set[str]:
    probe = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", probe]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_no_engine(module: str) -> None:
    assert set() == HEAVY & loaded_by(module)


@pytest.mark.parametrize("module", LEDGER)
def test_the_ledger_loads_no_numpy_either(module: str) -> None:
    assert set() == (HEAVY | {"numpy"}) & loaded_by(f"results.{module}")


def test_the_onnx_worker_needs_no_torch() -> None:
    probe = "import sys, quant.graph, quant.weights, bench.block; sys.exit('torch' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", probe], check=False).returncode


@pytest.mark.parametrize("room", ["bench", "nas", "predictors", "profiler", "quant", "results"])
def test_package_inits_hold_a_docstring_and_nothing_else(room: str) -> None:
    source = Path(str(files(room).joinpath("__init__.py"))).read_text(encoding="utf-8")

    (only,) = ast.parse(source).body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value, ast.Constant)

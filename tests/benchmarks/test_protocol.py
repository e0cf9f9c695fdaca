"""The experiments behind the measurement protocol (docs/measurement.md), to be run again."""

import json
import sys
import time
from typing import Any

from profiler.cpus import allowed_cpus
from profiler.runtimes.runtime import load_runtime, random_inputs
from quant.graph import emit
from quant.scheme import parse
from quant.weights import RandomWeights
from results.architecture import Architecture
from results.measurement import Workload

NETWORKS = {
    "1x144": Architecture.uniform(1, 144, 12, 144, 128),
    "3x144": Architecture.uniform(3, 144, 12, 144, 512),
    "2x528": Architecture.uniform(2, 528, 12, 528, 512),
    "4x312": Architecture.uniform(4, 312, 12, 312, 1200),
    "6x384": Architecture.uniform(6, 384, 12, 384, 1536),
}


def cpu_ms(run: Any) -> float:
    start = time.process_time_ns()
    run()
    return (time.process_time_ns() - start) / 1e6


def test_what_interleaving_sample_by_sample_does_to_small_models(benchmark: Any) -> None:
    """Fastest call of each network: called in a row, and in turn with nine other models."""
    networks = dict([*NETWORKS.items()][:2]) if benchmark.disabled else NETWORKS
    rounds = 2 if benchmark.disabled else 25
    runtime, weights = load_runtime("onnxruntime"), RandomWeights(0)

    def experiment() -> None:
        runs = {}
        for name, architecture in networks.items():
            for scheme in ("fp32", "int8-dynamic"):
                graph = emit(architecture, parse(scheme), weights)
                inputs = random_inputs(Workload(), architecture.vocab, 0)
                prepared = runtime.prepare(graph, inputs, 1, stable=True, cap="")
                runs[f"{name} {scheme}"] = prepared.run
        alone = {n: min([cpu_ms(r) for _ in range(rounds + 5)][5:]) for n, r in runs.items()}
        turns = [{n: cpu_ms(r) for n, r in runs.items()} for _ in range(rounds)]
        slower = {n: min(t[n] for t in turns) / alone[n] for n in runs}
        benchmark.extra_info.update(alone_ms=alone, interleaved_over_alone=slower)
        if not benchmark.disabled:
            shown = {n: (round(alone[n], 3), round(slower[n], 2)) for n in runs}
            sys.stdout.write(f"\nalone ms, interleaved over alone: {json.dumps(shown)}\n")

    assert allowed_cpus()
    benchmark.pedantic(experiment, rounds=1)

"""The seeds' way of timing, for comparison only: 5 calls, the first dropped, the mean of 4.

Single thread, `time.time()`, no pinning, no warm-up, no control of the allocator (AutoTinyBERT and
Bigger&Faster, inference_time_evaluation.py). Sessions are built outside the timer, which the
seeds' ONNX variant does not even do. Reads architectures a line from standard input.
"""

import json
import sys
import time

import onnxruntime as ort

from profiler.runtimes.runtime import random_inputs
from quant.graph import emit
from quant.scheme import parse
from quant.weights import RandomWeights
from results.measurement import Workload
from results.notation import parse_architecture


def main() -> None:
    weights = RandomWeights(0)
    found = {}
    for line in sys.stdin:
        architecture = parse_architecture(line)
        inputs = random_inputs(Workload(), architecture.vocab, 0)
        feed = {n: getattr(inputs, n) for n in inputs.__slots__}
        for scheme in ("fp32", "int8-dynamic"):
            graph = emit(architecture, parse(scheme), weights)
            options = ort.SessionOptions()
            options.intra_op_num_threads = 1
            values = [ort.OrtValue.ortvalue_from_numpy(a) for a in graph.initializers.values()]
            options.add_external_initializers(list(graph.initializers), values)
            session = ort.InferenceSession(
                graph.proto, options, providers=["CPUExecutionProvider"]
            )
            seconds = []
            for _ in range(5):
                start = time.time()
                session.run(None, feed)
                seconds.append(time.time() - start)
            found[f"{architecture} {scheme}"] = 1000 * sum(seconds[1:]) / 4
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()

"""The process a file's memory is read in: `python -P -m bench.search.measure_worker CPUS`."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from profiler.serving import Serve, serve_requests

ANSWERS = 3


def main() -> None:
    """Serve requests from standard input until it ends."""
    serve_requests(_load)


def _load() -> Serve:
    return serve


def serve(request: dict[str, object], answer: Callable[[dict[str, object]], None]) -> None:
    """Load a file in a runtime, let it answer, and say by how many bytes the process grew."""
    from bench.subjects import OnnxFile
    from profiler.runtimes.runtime import load_runtime, random_inputs
    from results.measurement import Workload

    runtime = load_runtime(str(request["runtime"]))
    import_module(runtime.package)
    inputs = random_inputs(Workload(tokens=int(str(request["tokens"]))), vocab=1, seed=0)
    before = _resident("VmRSS")
    model = OnnxFile(Path(str(request["path"])))
    prepared = runtime.prepare(model, inputs, 1, stable=True, cap="")
    for _ in range(ANSWERS):
        prepared.run()
    answer({"bytes": max(_resident("VmHWM") - before, 0)})


def _resident(which: str) -> int:
    """Bytes that this process has now (`VmRSS`), or had at the most (`VmHWM`).

    Not getrusage's maximum, which on Linux begins with that of the process it was started by.
    """
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    found = next(line for line in lines if line.startswith(f"{which}:"))
    return int(found.split()[1]) * 1024


if __name__ == "__main__":
    main()

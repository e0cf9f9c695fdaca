"""ONNX Runtime on the CPU. Weights lie beside the graph, shared by all sessions, not copied."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from profiler.runtimes.runtime import INPUTS, Graph, Inputs, Prepared, Runtime, ThreadsError


class OnnxRuntime:
    """One session per model, CPU provider only."""

    takes = "graph"
    package = "onnxruntime"
    schemes = ("fp32", "int8-dynamic")

    def cap_refusal(self, cap: str) -> str:
        return (
            f"onnxruntime cannot be held to {cap}: its kernels (MLAS) choose by the CPU itself "
            "and listen to no setting"
        )

    def prepare(
        self, model: object, inputs: Inputs, threads: int, *, stable: bool, cap: str
    ) -> Prepared:
        import onnxruntime as ort

        del cap  # refused before, by `cap_refusal`
        graph = cast("Graph", model)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if stable:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        values = {n: ort.OrtValue.ortvalue_from_numpy(a) for n, a in graph.initializers.items()}
        for name, value in values.items():
            options.add_initializer(name, value)
        before = _own_threads()
        with TemporaryDirectory() as folder:
            path = graph.lay_out(Path(folder))
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        _require_threads(before, _own_threads(), threads)
        feed = {i.name: getattr(inputs, i.name) for i in session.get_inputs() if i.name in INPUTS}

        def run(_kept_alive: object = (graph, values)) -> object:
            return session.run(None, feed)[0]

        return Prepared(run, model_bytes=graph.model_bytes)


def _own_threads() -> int | None:
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return None


def _require_threads(before: int | None, after: int | None, threads: int) -> None:
    """The calling thread works too, so a session of n threads starts n - 1."""
    if before is not None and after is not None and after - before != threads - 1:
        message = f"onnxruntime started {after - before} threads, not {threads - 1}"
        raise ThreadsError(message)


RUNTIME: Runtime = OnnxRuntime()

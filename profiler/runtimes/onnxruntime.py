"""ONNX Runtime on the CPU. Weights lie beside the graph, shared by all sessions, not copied."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import numpy as np

from profiler.runtimes.runtime import (
    INPUTS,
    Graph,
    Inputs,
    Prepared,
    Runtime,
    ThreadsError,
    usual_refusal,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from onnxruntime import InferenceSession as Session
    from onnxruntime import SessionOptions

ATTEMPTS = 3
"""Times a session is loaded before its number of threads is believed to be wrong."""


class OnnxRuntime:
    """One session per model, CPU provider only."""

    takes = "graph"
    package = "onnxruntime"
    schemes = ("fp32", "int8-dynamic", "int8-static", "int8-weight-only", "int8-seed", "ptq")

    def scheme_refusal(self, scheme: str, cap: str) -> str:
        return usual_refusal(self, scheme, cap)

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
        options = _options(threads, stable=stable)
        values = {n: ort.OrtValue.ortvalue_from_numpy(a) for n, a in graph.initializers.items()}
        for name, value in values.items():
            options.add_initializer(name, value)
        with TemporaryDirectory() as folder:
            path = str(graph.lay_out(Path(folder)))

            def load() -> "Session":
                return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

            session = _with_threads(load, threads)
        names = [i.name for i in session.get_inputs() if i.name in INPUTS]
        feed = {name: getattr(inputs, name) for name in names}

        weights = graph, values  # the session reads them where they are

        def run(_kept_alive: object = weights) -> object:
            return session.run(None, feed)[0]

        def answer(given: Inputs, _kept_alive: object = weights) -> "NDArray[np.float32]":
            found = session.run(None, {name: getattr(given, name) for name in names})[0]
            return np.asarray(found, np.float32)

        return Prepared(run, answer, model_bytes=graph.model_bytes)


def _options(threads: int, *, stable: bool) -> "SessionOptions":
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if stable:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _with_threads(load: "Callable[[], Session]", threads: int) -> "Session":
    """Load a session and see that it starts the threads it should.

    The calling thread works too, so a session of n threads starts n - 1. The library starts
    some of its own now and then, mostly when it is new; so a wrong count is taken again.

    Raises:
        ThreadsError: the count is wrong every time.
    """
    started = 0
    for _ in range(ATTEMPTS):
        before = _settled_threads()
        session = load()
        after = _settled_threads()
        if before is None or after is None or after - before == threads - 1:
            return session
        started = after - before
        del session
    message = f"onnxruntime started {started} threads, not {threads - 1}"
    raise ThreadsError(message)


def _settled_threads() -> int | None:
    """How many threads this process has, once two readings a millisecond apart agree."""
    seen = _own_threads()
    for _ in range(1000):
        time.sleep(0.001)
        now = _own_threads()
        if now == seen:
            break
        seen = now
    return seen


def _own_threads() -> int | None:
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return None


RUNTIME: Runtime = OnnxRuntime()

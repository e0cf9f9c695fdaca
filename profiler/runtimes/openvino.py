"""OpenVINO on the CPU. Keeps no cache of models and sends nothing anywhere."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import numpy as np

from profiler.runtimes.openvino_graph import with_fixed_sizes, with_free_sizes
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
    from numpy.typing import NDArray
    from openvino import CompiledModel, Core, InferRequest, Model

HINTS = {"fp32": "f32", "bf16": "bf16"}
"""Left alone, OpenVINO computes in bf16 wherever the CPU can."""


class OpenVino:
    """One compiled model for the batch and the tokens it was prepared with.

    With sizes fixed an int8 encoder is a quarter faster than with free ones. So other sizes are
    answered by a second compiled model, with the same numbers.
    """

    takes = "graph"
    package = "openvino"
    schemes = ("fp32", "bf16", "int8-static", "int8-weight-only", "int8-seed", "ptq", "ptq-bf16")

    def scheme_refusal(self, scheme: str, cap: str) -> str:
        return usual_refusal(self, scheme, cap)

    def cap_refusal(self, cap: str) -> str:
        return (
            f"openvino cannot be held to {cap}: its float32 products (MLAS) and normalisation use "
            "AVX-512 wherever the CPU has it, whatever ONEDNN_MAX_CPU_ISA says"
        )

    def prepare(
        self, model: object, inputs: Inputs, threads: int, *, stable: bool, cap: str
    ) -> Prepared:
        del stable, cap  # a thread that works alone spins for nobody; caps are refused before
        graph = cast("Graph", model)
        fixed = inputs.input_ids.shape
        session = Session(graph, threads, (fixed[0], fixed[1]))
        request = session.request(inputs)

        def run(_kept_alive: object = session) -> object:
            return request.infer(share_outputs=True)[0]

        free: list[Session] = []

        def answer(given: Inputs) -> "NDArray[np.float32]":
            if given.input_ids.shape == fixed:
                return session.answer(given)
            if not free:
                free.append(Session(graph, threads, None))
            return free[0].answer(given)

        return Prepared(run, answer, model_bytes=graph.model_bytes)


class Session:
    """A compiled model, for one batch and number of tokens or for all.

    Raises:
        ThreadsError: it would run with other threads than it was told to.
    """

    def __init__(self, graph: Graph, threads: int, shape: tuple[int, int] | None) -> None:
        wanted = {
            "INFERENCE_PRECISION_HINT": HINTS[graph.floats],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # whoever wants it pinned has pinned the process
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,  # or int8-weight-only would multiply integers
        }
        self.compiled: CompiledModel = _core().compile_model(_read(graph, shape), "CPU", wanted)
        taken = self.compiled.get_property("INFERENCE_NUM_THREADS")
        if taken != threads:
            raise ThreadsError(f"openvino runs with {taken} threads, not with {threads}")

    def request(self, inputs: Inputs) -> "InferRequest":
        """What computes over these inputs, again and again."""
        from openvino import Tensor

        request = self.compiled.create_infer_request()
        for port in self.compiled.inputs:
            (name,) = port.names & set(INPUTS)
            request.set_tensor(port, Tensor(getattr(inputs, name)))
        return request

    def answer(self, inputs: Inputs) -> "NDArray[np.float32]":
        return np.array(self.request(inputs).infer()[0], np.float32)


def _read(graph: Graph, shape: tuple[int, int] | None) -> "Model":
    """The model, with its sizes fixed or free."""
    with TemporaryDirectory() as folder:
        path = graph.lay_out(Path(folder))
        if not graph.initializers:
            model = _core().read_model(path)
            _fix(model, shape)
            return model
        content = path.read_bytes()
    if shape is not None and (model := with_fixed_sizes(content, graph.initializers, shape)):
        return model
    model = with_free_sizes(content, graph.initializers)
    _fix(model, shape)
    return model


def _fix(model: "Model", shape: tuple[int, int] | None) -> None:
    if shape is not None:
        model.reshape({port: list(shape) for port in model.inputs})


@cache
def _core() -> "Core":
    from openvino import Core

    return Core()


RUNTIME: Runtime = OpenVino()

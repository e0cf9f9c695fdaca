"""What every runtime looks like from outside, and how to find one by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from results.errors import BadInputError
from results.measurement import Workload

MODULES = {
    "torch": "profiler.runtimes.torch_eager",
    "onnxruntime": "profiler.runtimes.onnxruntime",
}
"""Where each runtime lives. A new one is a new file with a `RUNTIME`, and a line here."""


INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What the graph of a BERT-like encoder may ask for."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """One batch: int64 arrays of shape ``(batch, tokens)``."""

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]


def random_inputs(workload: Workload, vocab: int, seed: int) -> Inputs:
    """Token ids drawn uniformly from the vocabulary, a full attention mask, one segment."""
    shape = (workload.batch, workload.tokens)
    ids = np.random.default_rng(seed).integers(0, vocab, shape, dtype=np.int64)
    return Inputs(ids, np.ones(shape, np.int64), np.zeros(shape, np.int64))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that is loaded and waits for its first call."""

    run: Callable[[], object]
    """One forward pass over the inputs it was prepared with; returns the last hidden state."""
    model_bytes: int
    isa: str = ""
    """The instruction set the runtime says it uses, where it says so."""


class Runtime(Protocol):
    """An engine. `prepare` is called in a worker whose environment was set for it."""

    @property
    def takes(self) -> str:
        """`graph`: ONNX with its weights beside it; `module`: a torch module in eval mode."""

    @property
    def package(self) -> str:
        """The import name of the engine."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """The numeric schemes it can run."""

    def cap_refusal(self, cap: str) -> str:
        """Why it cannot be held to an instruction set the host exceeds; empty when it can."""

    def prepare(
        self, model: object, inputs: Inputs, threads: int, *, stable: bool, cap: str
    ) -> Prepared:
        """Load `model`; `stable` switches spinning off.

        Raises:
            ThreadsError: the runtime did not take the number of threads.
        """


class ThreadsError(RuntimeError):
    """A runtime runs with other threads than it was told to."""


class Graph(Protocol):
    """The `graph` kind of model: what `quant.graph` emits, or a file's bytes."""

    @property
    def initializers(self) -> Mapping[str, NDArray[Any]]:
        """Weights that are not in the file; empty when all are."""

    @property
    def model_bytes(self) -> int: ...

    def lay_out(self, folder: Path) -> Path:
        """The path of a model file, in `folder` if it must be written first."""


def refusal(name: str, cap: str) -> str:
    """Why this runtime cannot be used here under this cap; empty when it can."""
    try:
        runtime = load_runtime(name)
    except BadInputError as error:
        return str(error)
    return runtime.cap_refusal(cap) if cap else ""


def load_runtime(name: str) -> Runtime:
    """The runtime called `name`.

    Raises:
        BadInputError: there is none, or its package is not installed.
    """
    if name not in MODULES:
        message = f"unknown runtime {name!r}: this version has {', '.join(MODULES)}"
        raise BadInputError(message)
    runtime: Runtime = import_module(MODULES[name]).RUNTIME
    if find_spec(runtime.package) is None:
        message = f"runtime {name!r} needs the package {runtime.package}: pip install it"
        raise BadInputError(message)
    return runtime

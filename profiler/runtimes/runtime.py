"""What every runtime looks like from outside, and how to find one by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
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
    "onednn": "profiler.runtimes.onednn",
    "openvino": "profiler.runtimes.openvino",
    "torchao": "profiler.runtimes.torchao_eager",
}
"""Where each runtime lives. A new one is a new file with a `RUNTIME`, and a line here."""

EXTRAS = ("openvino", "torchao")
"""Runtimes whose package comes with the extra of the same name."""

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""CPU flags: with any of them products of bfloat16 are no emulation. The last is Arm's."""

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
    """One forward pass over the inputs it was prepared with; returns the last hidden state, which
    the next call may overwrite."""
    answer: Callable[[Inputs], NDArray[np.float32]]
    """The last hidden state, (batch, tokens, hidden), for any other inputs: by the very model that
    `run` runs, unless the runtime's file says otherwise. Not to be timed."""
    model_bytes: int
    isa: str = ""
    """The instruction set the runtime says it uses, where it says so."""


class Runtime(Protocol):
    """An engine. `prepare` is called in a worker whose environment was set for it."""

    @property
    def takes(self) -> str:
        """`graph`: ONNX with its weights beside it; `module`: a torch module in eval mode.

        `torchao`: such a module whose linear layers torchao quantised. `integer`: one that
        multiplies the pressed integers itself.
        """

    @property
    def package(self) -> str:
        """The import name of the engine."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """The numeric schemes it can run, by the name before their settings."""

    def scheme_refusal(self, scheme: str, cap: str) -> str:
        """Why it cannot run a scheme on this machine under this cap; empty when it can.

        Of settings only the word bf16 is looked at: whoever builds the model knows the others.
        """

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

    @property
    def floats(self) -> str:
        """What is computed in floating point: `fp32` or `bf16`."""

    def lay_out(self, folder: Path) -> Path:
        """The path of a model file, in `folder` if it must be written first."""


def refusal(name: str, cap: str) -> str:
    """Why this runtime cannot be used here under this cap; empty when it can."""
    try:
        runtime = load_runtime(name)
    except BadInputError as error:
        return str(error)
    return runtime.cap_refusal(cap) if cap else ""


def usual_refusal(runtime: Runtime, scheme: str, cap: str) -> str:
    """What most runtimes refuse: schemes that are not theirs, and bf16 where it is emulated."""
    base = scheme.partition(":")[0]
    if base not in runtime.schemes:
        return f"it has no scheme {base!r}, only {', '.join(runtime.schemes)}"
    if "bf16" not in scheme:
        return ""
    if not any("bf16" in known for known in runtime.schemes):
        return "it does not compute in bf16"
    if cap:
        return f"{cap} has no bf16"
    if not BF16_FLAGS & cpu_flags():
        return "this CPU has neither avx512_bf16 nor amx_bf16, and would emulate bf16"
    return ""


@cache
def cpu_flags() -> frozenset[str]:
    """What this CPU can do, as the kernel spells it."""
    from profiler.environment import read_hardware

    return frozenset(read_hardware().isa)


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
        wanted = f"'subbert[{name}]'" if name in EXTRAS else runtime.package
        raise BadInputError(
            f"runtime {name!r} needs the package {runtime.package}: pip install {wanted}"
        )
    return runtime

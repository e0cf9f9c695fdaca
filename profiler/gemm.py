"""Single matrix products, in the engine a network runs in. Knows no network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from profiler.timing import Call

FP32 = "fp32"
INT8 = "int8"
"""The product a network in int8 runs: floats out; where `QUANTISES`, floats in, too."""

MODULES = {"onnxruntime": "profiler.gemm_onnx", "torch": "profiler.gemm_torch"}

QUANTISES = {"onnxruntime": False, "torch": True}
"""Does the engine's `int8` product turn floats into integers itself?"""


@dataclass(frozen=True, slots=True)
class Shape:
    """(rows, taken) x (taken, given)."""

    rows: int
    taken: int
    given: int

    @property
    def ops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.rows * self.taken * self.given


Maker = Callable[[Shape, int, int], Call]
"""`(shape, count, threads)`: a call that multiplies one x with `count` matrices in turn, all of
random numbers."""


def makers(engine: str) -> Mapping[str, Maker]:
    """The products this engine can make, by name.

    `fp32`, `int8`, and others beginning with `int8-` that answer something else than a network
    wants, but may be faster.
    """
    found: Mapping[str, Maker] = import_module(MODULES[engine]).MAKERS
    return found


def quantiser(engine: str, rows: int, taken: int, threads: int) -> Call:
    """A call that finds the range of (rows, taken) floats and turns them into uint8."""
    made: Call = import_module(MODULES[engine]).quantiser(rows, taken, threads)
    return made

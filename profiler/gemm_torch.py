"""Matrix products by torch's own operators. Knows no network."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from profiler.gemm import FP32, INT8, Shape
from profiler.timing import Call

if TYPE_CHECKING:
    import torch

STEP = 0.02
"""The scale of all made-up integers."""


def _fp32(shape: Shape, count: int, threads: int) -> Call:
    import torch

    x = torch.randn(shape.rows, shape.taken)
    matrices = [torch.randn(shape.given, shape.taken) for _ in range(count)]
    return _call([partial(torch.nn.functional.linear, x, m) for m in matrices], threads)


def _int8(shape: Shape, count: int, threads: int) -> Call:
    """As torch.ao's dynamic linear layers, with the kernels that are chosen now."""
    import torch

    run = torch.ops.quantized.linear_dynamic
    x = torch.randn(shape.rows, shape.taken)
    packed = [_packed(shape) for _ in range(count)]
    return _call([partial(run, x, p, reduce_range=True) for p in packed], threads)


def _static(shape: Shape, count: int, threads: int) -> Call:
    """Integers in, integers out, by oneDNN: it uses AMX where there is any."""
    import torch

    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = "onednn"
    try:
        packed = [_packed(shape) for _ in range(count)]
    finally:
        torch.backends.quantized.engine = before
    run = torch.ops.quantized.linear
    floats = torch.randn(shape.rows, shape.taken)
    with _unwarned():
        x = torch.quantize_per_tensor(floats, STEP, 64, torch.quint8)
    return _call([partial(run, x, p, STEP, 64) for p in packed], threads)


def _sums(shape: Shape, count: int, threads: int) -> Call:
    import torch

    x = torch.randint(-127, 128, (shape.rows, shape.taken), dtype=torch.int8)
    size = (shape.given, shape.taken)
    matrices = [torch.randint(-127, 128, size, dtype=torch.int8).t() for _ in range(count)]
    return _call([partial(torch._int_mm, x, m) for m in matrices], threads)  # noqa: SLF001


MAKERS = {FP32: _fp32, INT8: _int8, "int8-static": _static, "int8-sums": _sums}


def quantiser(rows: int, taken: int, threads: int) -> Call:
    """Range, scale, zero point and integers of (rows, taken) floats."""
    import torch

    x = torch.randn(rows, taken)

    def quantise() -> object:
        return torch.quantize_per_tensor_dynamic(x, torch.quint8, reduce_range=True)

    with _unwarned():
        quantise()
    return _call([quantise], threads)


def _packed(shape: Shape) -> "torch.ScriptObject":
    import torch

    scales, zeros = torch.full((shape.given,), STEP), torch.zeros(shape.given, dtype=torch.long)
    floats = torch.randn(shape.given, shape.taken)
    with _unwarned():
        matrix = torch.quantize_per_channel(floats, scales, zeros, 0, torch.qint8)
    found: torch.ScriptObject = torch.ops.quantized.linear_prepack(
        matrix, torch.zeros(shape.given)
    )
    return found


def _call(parts: Sequence[Call], threads: int) -> Call:
    import torch

    torch.set_num_threads(threads)

    def run() -> None:
        with torch.inference_mode():
            for part in parts:
                part()

    return run


@contextmanager
def _unwarned() -> Iterator[None]:
    """Without torch's announcement, once a process, that its quantised tensors will go."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

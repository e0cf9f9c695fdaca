"""The exact product of two 8-bit matrices by torch's integer kernels. Knows no scale."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def int32_matmul(x: "torch.Tensor", weight: "torch.Tensor") -> "torch.Tensor":
    """`x @ weight.T` in int32, the same on every CPU.

    `x`: uint8 or int8, (rows, in). `weight`: int8, (out, in), with `in` below 2**16, for
    2**16 * 255 * 128 no longer fits 32 bits.
    """
    import torch
    from torch.nn.functional import pad

    if x.shape[1] == 1:  # torch 2.13 returns memory that nobody wrote
        x, weight = pad(x, (0, 1)), pad(weight, (0, 1))
    if is_exact(x.dtype):
        return torch._int_mm(x, weight.t())  # noqa: SLF001
    if x.dtype == torch.uint8 and is_exact(torch.int8):
        less = torch._int_mm((x ^ 128).view(torch.int8), weight.t())  # noqa: SLF001
        return less.add_(128 * weight.sum(dim=1, dtype=torch.int32))
    return (x.double() @ weight.double().t()).to(torch.int32)


@cache
def is_exact(kind: "torch.dtype") -> bool:
    """Does torch's kernel take this kind of x, and never cut a sum of two products to 16 bits?

    Torch knows uint8 since 2.10 (pytorch/pytorch#168226). oneDNN cuts where ONEDNN_MAX_CPU_ISA
    forbids it VNNI; where a CPU has none, torch does without oneDNN (pytorch/pytorch#136942).
    """
    import torch

    most, rows = torch.iinfo(kind).max, 16
    x = torch.full((rows, 64), most, dtype=kind)
    weight = torch.full((rows, 64), 127, dtype=torch.int8)
    try:
        found = torch._int_mm(x, weight.t())  # noqa: SLF001
    except RuntimeError:
        return False
    return bool((found == 64 * most * 127).all())

"""The hardware a training runs on: one process or several (torchrun), device and precision."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal, NoReturn

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from nas.train.recipe import Precision
from results.errors import BadInputError

Number = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class World:
    """Where this process stands among those that train together."""

    rank: int
    size: int
    device: torch.device
    number: Number
    """What matrix products are computed in."""

    @property
    def leads(self) -> bool:
        """Is this the process that writes files and speaks?"""
        return self.rank == 0

    def products(self) -> AbstractContextManager[object]:
        """Inside, matrix products are computed in `number`; weights and sums stay float32."""
        if self.number == "fp32":
            return nullcontext()
        if self.device.type == "cpu":
            return _cpu_bf16()
        kind = torch.bfloat16 if self.number == "bf16" else torch.float16
        return torch.autocast(self.device.type, kind)

    def sum_gradients(self, module: nn.Module) -> None:
        """Add up the gradients of all processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        with self._together():
            dist.all_reduce(flat)
        parts = torch.split(flat, [g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def totals(self, values: Sequence[float]) -> list[float]:
        """The sum of each number over all processes."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        with self._together():
            dist.all_reduce(tensor)
        found: list[float] = tensor.tolist()
        return found

    def from_leader(self, value: float) -> float:
        """The first process's number, in every process."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        with self._together():
            dist.broadcast(tensor, 0)
        return float(tensor)

    @torch.no_grad()
    def same_weights(self, module: nn.Module) -> None:
        """Give all processes those of the first one."""
        if self.size == 1:
            return
        with self._together():
            for parameter in module.parameters():
                dist.broadcast(parameter, 0)

    def refuse(self, message: str) -> NoReturn:
        """Stop all processes, which know the same; the first one says why.

        Raises:
            BadInputError: in the first process.
            SystemExit: in the others.
        """
        if self.leads:
            raise BadInputError(message)
        raise SystemExit(2)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Inside, the processes wait for each other; one may be gone."""
        try:
            yield
        except RuntimeError:
            self.refuse("another process of this training stopped: see what it said")


@contextmanager
def world(precision: Precision = "auto") -> Iterator[World]:
    """Take part in what torchrun started, or be alone.

    Raises:
        BadInputError: the hardware cannot compute in this precision.
    """
    rank, local = (int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK"))
    size = int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if size > 1:
        dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield World(rank, size, device, number_of(precision, device))
    finally:
        if size > 1:
            dist.destroy_process_group()


def number_of(precision: Precision, device: torch.device) -> Number:
    """What `precision` means on a device."""
    if precision == "fp16" and device.type == "cpu":
        message = "fp16 is for GPUs: choose --precision bf16, fp32 or auto on a CPU"
        raise BadInputError(message)
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return "bf16" if torch.cpu._is_amx_tile_supported() else "fp32"  # noqa: SLF001


@contextmanager
def _cpu_bf16() -> Iterator[None]:
    """OneDNN may round the factors of float32 products to bfloat16.

    Attention is written in products of all heads at once then: torch's flash kernel for CPUs asks
    oneDNN for a product a head and block, which takes ten times as long for short texts.
    """
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        settings.fp32_precision = before

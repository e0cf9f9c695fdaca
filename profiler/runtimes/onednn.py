"""oneDNN through PyTorch's operators: an encoder that multiplies integers itself."""

import os
import platform
from dataclasses import replace

from profiler.runtimes.runtime import Inputs, Prepared, Runtime, cpu_flags, usual_refusal
from profiler.runtimes.torch_eager import TorchEager
from results.errors import BadInputError

VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""CPU flags: without all of them oneDNN multiplies by an instruction that cuts sums at 16 bits."""


class OneDnn(TorchEager):
    """As `torch`, for the encoder of `quant.integer`."""

    takes = "integer"
    package = "torch"
    schemes = ("int8-dynamic", "int8-static", "ptq", "ptq-bf16")

    def scheme_refusal(self, scheme: str, cap: str) -> str:
        if why := usual_refusal(self, scheme, cap):
            return why
        if platform.machine().lower() not in ("x86_64", "amd64"):
            return "torch has oneDNN's own int8 kernels on x86-64 alone"
        if "attention=int8-static" in scheme:
            return "torch has no integer product inside attention"
        if "reduce-range=yes" not in scheme and (cap or not VNNI & cpu_flags()):
            return "oneDNN cuts sums of int8 products where it has no VNNI: add reduce-range=yes"
        return ""

    def prepare(
        self, model: object, inputs: Inputs, threads: int, *, stable: bool, cap: str
    ) -> Prepared:
        _require_operators()
        found = super().prepare(model, inputs, threads, stable=stable, cap=cap)
        return replace(found, isa=f"{found.isa}{_beyond(cap)}")


def _require_operators() -> None:
    import torch

    built = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (built and hasattr(torch.ops.onednn, "qlinear_pointwise")):
        raise BadInputError(
            f"torch {torch.__version__} was built without oneDNN's int8 operators: install "
            "another build of torch, or use ONNX Runtime"
        )


def _beyond(cap: str) -> str:
    """What oneDNN may use that torch's name of the instruction set does not tell."""
    if cap or "ONEDNN_MAX_CPU_ISA" in os.environ:
        return ""
    if "amx_int8" in cpu_flags():
        return "+AMX"
    return "+VNNI" if VNNI & cpu_flags() else ""


RUNTIME: Runtime = OneDnn()

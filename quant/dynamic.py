"""int8-dynamic for PyTorch modules, by torch.ao. Knows no architecture and no ONNX."""

import copy
import platform
import warnings
from typing import TYPE_CHECKING

from results.errors import BadInputError

if TYPE_CHECKING:
    from torch import nn

# Which of torch's integer kernels to prefer. On x86 `qnnpack` is slower than float32, and `x86`
# picks the better of fbgemm and oneDNN for each layer.
_ENGINES = {"x86": ("x86", "fbgemm", "onednn"), "other": ("qnnpack", "onednn")}


def engine() -> str:
    """The kernels `quantise_dynamic` uses on this machine."""
    import torch

    machine = platform.machine().lower()
    wanted = _ENGINES["x86" if machine in ("x86_64", "amd64", "i686") else "other"]
    supported = torch.backends.quantized.supported_engines
    for name in wanted:
        if name in supported:
            return name
    raise BadInputError(_none(*wanted))


def quantise_dynamic(
    module: "nn.Module", kernels: str = "", *, in_place: bool = False
) -> "nn.Module":
    """A copy of the module, in eval mode, whose linear layers are int8; the rest stays float32.

    `kernels`: which of torch's to use; those of `engine()` where none are named. `in_place`
    changes the module itself, for a caller who has no more use for it.

    Weights: int8, symmetric, one scale per output channel. Activations: uint8 per tensor, found
    anew in every call; but for qnnpack torch uses seven of the eight bits, so that no kernel
    overflows, and is less exact than ONNX Runtime for it.
    """
    import torch
    from torch import nn

    chosen, before = kernels or engine(), torch.backends.quantized.engine
    if chosen not in torch.backends.quantized.supported_engines:
        raise BadInputError(_none(chosen))
    torch.backends.quantized.engine = chosen
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.ao announces its end in every call
            from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

            twin = (module if in_place else copy.deepcopy(module)).eval()
            rule = {nn.Linear: per_channel_dynamic_qconfig}
            quantize_dynamic(twin, rule, inplace=True)  # type: ignore[no-untyped-call]
            return twin.eval()  # the swapped-in layers say they are training
    except (ImportError, NotImplementedError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise BadInputError(
            f"torch {torch.__version__} cannot quantise linear layers with {chosen} ({first}): "
            "use ONNX Runtime, or install another build of torch"
        ) from None
    finally:
        torch.backends.quantized.engine = before


def _none(*wanted: str) -> str:
    import torch

    return (
        f"torch {torch.__version__} was built without the int8 kernels {' or '.join(wanted)}: use "
        "ONNX Runtime, or install another build of torch"
    )

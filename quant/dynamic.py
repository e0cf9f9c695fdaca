"""int8-dynamic for PyTorch modules, by torch.ao or torchao. Knows no architecture and no ONNX."""

import copy
import logging
import platform
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from results.errors import BadInputError

if TYPE_CHECKING:
    from torch import nn

MAKERS = ("torch.ao", "torchao")
"""Who can quantise: the first is in torch and announces its end, the second is its successor."""

# Which of torch's integer kernels to prefer. On x86 `qnnpack` is slower than float32, and `x86`
# picks the better of fbgemm and oneDNN for each layer.
_ENGINES = {"x86": ("x86", "fbgemm", "onednn"), "other": ("qnnpack", "onednn")}


def engine() -> str:
    """The kernels that torch.ao uses on this machine."""
    import torch

    machine = platform.machine().lower()
    wanted = _ENGINES["x86" if machine in ("x86_64", "amd64", "i686") else "other"]
    supported = torch.backends.quantized.supported_engines
    for name in wanted:
        if name in supported:
            return name
    raise BadInputError(_none(*wanted))


def maker() -> str:
    """torch.ao while it exists, else torchao.

    Raises:
        BadInputError: there is neither.
    """
    import torch

    for name, module in zip(MAKERS, ("torch.ao.quantization", "torchao"), strict=True):
        if _exists(module):
            return name
    raise BadInputError(
        f"torch {torch.__version__} has no torch.ao.quantization any more: pip install "
        "'subbert[torchao]', or use ONNX Runtime"
    )


def quantise_dynamic(
    module: "nn.Module",
    kernels: str = "",
    *,
    by: str = "",
    keep: Collection[str] = (),
    in_place: bool = False,
) -> "nn.Module":
    """A copy of the module, in eval mode, whose linear layers are int8; the rest stays float32.

    `by`: one of MAKERS; `maker()` where none is named. `kernels`: which of torch's integer kernels
    torch.ao shall use; those of `engine()` where none are named. `keep`: dotted names of linear
    layers that stay float32. `in_place` changes the module itself, for a caller who has no more
    use for it.

    Weights: int8, symmetric, one scale per output channel. Activations: found anew in every call;
    with torch.ao uint8 per tensor, but for qnnpack in seven of the eight bits, so that no kernel
    overflows; with torchao int8, symmetric, one scale for each token.

    Raises:
        BadInputError: torch was built without the kernels, or has no quantiser.
    """
    import torch

    quantise = {"torch.ao": _torch_ao, "torchao": _torchao}[by or maker()]
    twin = (module if in_place else copy.deepcopy(module)).eval()
    linear = {n for n, m in twin.named_modules() if isinstance(m, torch.nn.Linear)}
    try:
        with _quiet():
            quantise(twin, kernels, linear - set(keep))
    except (ImportError, NotImplementedError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise BadInputError(
            f"torch {torch.__version__} cannot quantise linear layers with "
            f"{kernels or by or maker()} ({first}): use ONNX Runtime, or install another build of "
            "torch"
        ) from None
    return twin.eval()  # the swapped-in layers say they are training


def _torch_ao(module: "nn.Module", kernels: str, layers: Collection[str]) -> None:
    import torch

    chosen, before = kernels or engine(), torch.backends.quantized.engine
    if chosen not in torch.backends.quantized.supported_engines:
        raise BadInputError(_none(chosen))
    torch.backends.quantized.engine = chosen
    try:
        from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

        rules = dict.fromkeys(layers, per_channel_dynamic_qconfig)
        quantize_dynamic(module, rules, inplace=True)  # type: ignore[no-untyped-call]
    finally:
        torch.backends.quantized.engine = before


def _torchao(module: "nn.Module", kernels: str, layers: Collection[str]) -> None:
    del kernels  # it has but one kind
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    quantize_(
        module, Int8DynamicActivationInt8WeightConfig(), filter_fn=lambda _, name: name in layers
    )


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch.ao's announcements of its end in every call, and torchao's at its import."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _none(*wanted: str) -> str:
    import torch

    return (
        f"torch {torch.__version__} was built without the int8 kernels {' or '.join(wanted)}: use "
        "ONNX Runtime, or install another build of torch"
    )

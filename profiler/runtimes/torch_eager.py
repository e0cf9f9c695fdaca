"""PyTorch, eager, on the CPU: the module as it is, in inference mode."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from profiler.runtimes.runtime import Inputs, Prepared, Runtime, ThreadsError, usual_refusal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn


class TorchEager:
    """Forward passes of a module that was built and quantised before."""

    takes = "module"
    package = "torch"
    schemes: tuple[str, ...] = ("fp32", "bf16", "int8-dynamic")

    def scheme_refusal(self, scheme: str, cap: str) -> str:
        return usual_refusal(self, scheme, cap)

    def cap_refusal(self, cap: str) -> str:
        """ATen, oneDNN and MKL listen; fbgemm does not, so a cap moves int8 to oneDNN."""
        return "" if cap == "avx2" else f"torch cannot be held to {cap}"

    def prepare(
        self, model: object, inputs: Inputs, threads: int, *, stable: bool, cap: str
    ) -> Prepared:
        import torch

        del stable  # spinning is OMP_WAIT_POLICY, set before this process began
        module = cast("nn.Module", model)
        torch.set_num_threads(threads)
        _require_threads(threads)
        isa = torch.backends.cpu.get_cpu_capability()
        if cap and isa.lower() != cap:
            message = f"torch uses {isa} although it was held to {cap}"
            raise ThreadsError(message)
        if any(part.training for part in module.modules()):
            raise ValueError("a module in training mode would be timed with dropout: call eval()")
        given = _tensors(inputs)

        def run() -> object:
            with torch.inference_mode():
                return module(*given).float()

        def answer(other: Inputs) -> "NDArray[np.float32]":
            with torch.inference_mode():
                found: NDArray[np.float32] = module(*_tensors(other)).float().numpy()
            return found

        return Prepared(run, answer, model_bytes=_bytes(module.state_dict()), isa=isa)


def _tensors(inputs: Inputs) -> "tuple[Tensor, ...]":
    import torch

    arrays = (inputs.input_ids, inputs.attention_mask, inputs.token_type_ids)
    return tuple(torch.from_numpy(array) for array in arrays)


def _require_threads(threads: int) -> None:
    import torch
    from threadpoolctl import threadpool_info

    home = str(Path(torch.__file__).parent)  # other libraries bring OpenMP pools of their own
    own = [p["num_threads"] for p in threadpool_info() if p["filepath"].startswith(home)]
    if {torch.get_num_threads(), *own} != {threads}:
        message = f"torch runs with {torch.get_num_threads()} threads, its pools with {own}"
        raise ThreadsError(f"{message}: not with {threads}")


def _bytes(tree: object) -> int:
    """Bytes of every tensor in a state dict; packed int8 weights sit there in tuples."""
    import torch

    if isinstance(tree, torch.Tensor):
        return tree.numel() * tree.element_size()
    if isinstance(tree, dict):
        return sum(_bytes(value) for value in tree.values())
    if isinstance(tree, tuple | list):
        return sum(_bytes(value) for value in tree)
    return 0


RUNTIME: Runtime = TorchEager()

"""PyTorch, eager, with the linear layers of torchao: what its users get who compile nothing."""

from profiler.runtimes.runtime import Runtime
from profiler.runtimes.torch_eager import TorchEager


class TorchAo(TorchEager):
    """As `torch`, but for who quantised the module."""

    takes = "torchao"
    package = "torchao"
    schemes = ("fp32", "int8-dynamic")


RUNTIME: Runtime = TorchAo()

"""ONNX encoders as OpenVINO models, ready to be compiled. Knows no scheme and no setting.

OpenVINO's own reader copies every weight and writes three nodes where one would do, and a hundred
passes then look at each of them. So a graph of fixed sizes is written here instead, node by node;
the reader remains for sizes left free, and for operators that are not known here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto
    from openvino import Model

SMALL = 4
"""Numbers in a constant of which one is enough for all who ask for it."""

Array = NDArray[Any]
Node = Any
"""OpenVINO's; it comes without types."""

IN_MEMORY = "*/_ORT_MEM_ADDR_/*"
"""As the file that holds a tensor: this process's memory, and the offset is an address. A sign of
ONNX Runtime's, which OpenVINO has known since 2025.4 (openvinotoolkit/openvino#31632)."""


def with_free_sizes(model: bytes, weights: Mapping[str, Array]) -> "Model":
    """What OpenVINO's reader makes of `model`, and of `weights` where they lie.

    They must live as long as what is compiled of it.
    """
    from onnx import TensorProto
    from openvino import Core

    proto = _parsed(model)
    for tensor in proto.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            values = weights[tensor.name]
            place = {"offset": values.ctypes.data, "length": values.nbytes, "location": IN_MEMORY}
            del tensor.external_data[:]
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
    return Core().read_model(proto.SerializeToString())


def with_fixed_sizes(
    model: bytes, weights: Mapping[str, Array], shape: tuple[int, int]
) -> "Model | None":
    """`model` for inputs of this shape; None where something in it is not known here.

    `weights` are not copied, and live as long as what is compiled of it.
    """
    from openvino import Model

    graph, writer = _parsed(model).graph, _Writer(weights, shape)
    for tensor in graph.initializer:
        writer.hold(tensor)
    given = [writer.input(value.name) for value in graph.input]
    try:
        for node in graph.node:
            writer.write(node)
        return Model([writer.node(value.name) for value in graph.output], given)
    except _UnknownError:
        return None


def _parsed(model: bytes) -> "ModelProto":
    from onnx import ModelProto

    proto = ModelProto()
    proto.ParseFromString(model)
    return proto


class _UnknownError(Exception):
    """An operator, or a use of one, that cannot be written here."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where QuantizeLinear puts `x`; written when it comes back as floats."""

    x: str
    scale: str
    zero: str


class _Lent:
    """The memory of an array, said to be writable: OpenVINO asks for that, and never writes."""

    def __init__(self, values: Array) -> None:
        self.kept_alive = values
        self.__array_interface__ = values.__array_interface__ | {
            "data": (values.ctypes.data, False)
        }


class _Writer:
    """Nodes by the name of what they compute. What is known beforehand stays an array."""

    def __init__(self, weights: Mapping[str, Array], shape: tuple[int, int]) -> None:
        from openvino import opset13

        self.ops = opset13
        self.shape = shape
        self._found: dict[str, Array | Node | _Grid] = dict(weights)
        self._constants: dict[object, Node] = {}

    def hold(self, tensor: "TensorProto") -> None:
        """A tensor that is in the graph."""
        from onnx import TensorProto, numpy_helper

        if tensor.data_location != TensorProto.EXTERNAL:
            self._found[tensor.name] = numpy_helper.to_array(tensor)

    def input(self, name: str) -> Node:
        node = self._found[name] = self.ops.parameter(self.shape, np.int64, name=name)
        node.output(0).set_names({name})
        return node

    def write(self, node: "NodeProto") -> None:
        from onnx import helper

        how = None if node.domain or len(node.output) > 1 else _WRITERS.get(node.op_type)
        if how is None:
            raise _UnknownError
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        try:
            self._found[node.output[0]] = how(self, *node.input, **attributes)
        except TypeError:  # an input or an attribute more than is known
            raise _UnknownError from None

    def found(self, name: str) -> Array | Node | _Grid:
        """What stands for this name."""
        return self._found[name]

    def array(self, name: str) -> Array:
        """What is known beforehand."""
        found = self._found[name]
        if not isinstance(found, np.ndarray):
            raise _UnknownError
        return found

    def node(self, name: str) -> Node:
        """What is computed, or stored."""
        found = self._found[name]
        if isinstance(found, _Grid):
            raise _UnknownError
        if not isinstance(found, np.ndarray):
            return found
        if name not in self._constants:
            self._constants[name] = self.constant(found)
        return self._constants[name]

    def constant(self, values: Array) -> Node:
        """A new one; but small ones that are alike are one."""
        if values.size <= SMALL:
            content = (values.dtype.str, values.shape, values.tobytes())
            if content not in self._constants:
                self._constants[content] = self.ops.constant(values)
            return self._constants[content]
        lent = values if values.flags.writeable else np.asarray(_Lent(values))
        return self.ops.constant(lent, shared_memory=True)


def _plain(operator: str) -> Callable[[_Writer, str, str], Node]:
    """Two operands and no attribute."""

    def write(w: _Writer, left: str, right: str) -> Node:
        return getattr(w.ops, operator)(w.node(left), w.node(right))

    return write


def _gemm(w: _Writer, x: str, weight: str, bias: str) -> Node:
    return w.ops.add(_matmul(w, x, weight), w.node(bias))


def _matmul(w: _Writer, left: str, right: str) -> Node:
    return w.ops.matmul(w.node(left), w.node(right), False, False)  # noqa: FBT003


def _normalise(w: _Writer, x: str, weight: str, bias: str, *, axis: int, epsilon: float) -> Node:
    ops, axes = w.ops, w.constant(np.array([axis]))
    steady = ops.mvn(w.node(x), axes, True, epsilon, "inside_sqrt")  # noqa: FBT003
    return ops.add(ops.multiply(steady, w.node(weight)), w.node(bias))


def _quantise(w: _Writer, x: str, scale: str, zero: str) -> _Grid:
    del w
    return _Grid(x, scale, zero)


def _dequantise(w: _Writer, x: str, scale: str, zero: str = "", *, axis: int = 1) -> Array | Node:
    found, scales = w.found(x), w.array(scale)
    if isinstance(found, _Grid):
        if (found.scale, found.zero) != (scale, zero) or scales.ndim:
            raise _UnknownError
        return _rounded(w, found)
    if isinstance(found, np.ndarray):
        if scales.ndim and axis % found.ndim != found.ndim - 1:
            raise _UnknownError
        if found.dtype == np.int32 and not zero:
            return found.astype(np.float32) * scales
    floats = w.ops.convert(w.node(x), np.float32)
    if zero and w.array(zero).any():
        floats = w.ops.subtract(floats, w.constant(w.array(zero).astype(np.float32)))
    return w.ops.multiply(floats, w.node(scale))


def _rounded(w: _Writer, grid: _Grid) -> Node:
    """To the grid and back."""
    scale, zero = w.array(grid.scale), w.array(grid.zero)
    whole = np.iinfo(zero.dtype)
    low, high = (
        w.constant(np.array((end - int(zero)) * scale, np.float32))
        for end in (whole.min, whole.max)
    )
    return w.ops.fake_quantize(w.node(grid.x), low, high, low, high, whole.max - whole.min + 1)


def _gelu(w: _Writer, x: str) -> Node:
    return w.ops.gelu(w.node(x), "erf")


def _softmax(w: _Writer, x: str, *, axis: int) -> Node:
    return w.ops.softmax(w.node(x), axis)


def _cast(w: _Writer, x: str, *, to: int) -> Node:
    from onnx import helper

    return w.ops.convert(w.node(x), helper.tensor_dtype_to_np_dtype(to))


def _gather(w: _Writer, table: str, ids: str) -> Node:
    return w.ops.gather(w.node(table), w.node(ids), w.constant(np.array(0)))


def _reshape(w: _Writer, x: str, sizes: str) -> Node:
    return w.ops.reshape(w.node(x), w.node(sizes), special_zero=True)


def _transpose(w: _Writer, x: str, *, perm: list[int]) -> Node:
    return w.ops.transpose(w.node(x), w.constant(np.array(perm)))


def _sizes(w: _Writer, ids: str, *, start: int = 0, end: int = 2) -> Array:
    del ids  # all that is asked for its sizes is what is fed
    return np.array(w.shape[start:end])


def _concat(w: _Writer, *parts: str, axis: int) -> Array:
    return np.concatenate([w.array(part) for part in parts], axis)


def _slice(w: _Writer, table: str, start: str, end: str) -> Array:
    """Rows of a stored table."""
    return w.array(table)[int(w.array(start)[0]) : int(w.array(end)[0])]


def _unsqueeze(w: _Writer, x: str, axes: str) -> Node:
    return w.ops.unsqueeze(w.node(x), w.node(axes))


_WRITERS: Mapping[str, Callable[..., Array | Node | _Grid]] = {
    "Add": _plain("add"),
    "Cast": _cast,
    "Concat": _concat,
    "DequantizeLinear": _dequantise,
    "Div": _plain("divide"),
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "LayerNormalization": _normalise,
    "MatMul": _matmul,
    "Mul": _plain("multiply"),
    "QuantizeLinear": _quantise,
    "Reshape": _reshape,
    "Shape": _sizes,
    "Slice": _slice,
    "Softmax": _softmax,
    "Sub": _plain("subtract"),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}

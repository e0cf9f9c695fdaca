"""Do the sums of a runtime's int8 products overflow here? Knows no scheme and no encoder.

x86 CPUs without VNNI multiply by vpmaddubsw, which cuts the sum of two products to 16 bits: of
2 * 255 * 127 it leaves 32767, about half. So a runtime is asked for a product of such numbers.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from profiler.runtimes.runtime import Inputs, Runtime

if TYPE_CHECKING:
    from onnx import NodeProto

Kind = Literal["int8-static", "int8-dynamic"]

ROWS, DEPTH, COLUMNS = 16, 64, 32
LARGEST = 255
"""Of what is multiplied. With weights of 127 every sum below 2**24 is exact in float32, too."""

TOLERANCE = 0.05
"""A runtime may choose scales of its own, and be wrong by a step of them. Cut sums lose half."""


def inputs() -> Inputs:
    """What the product is asked for: "token ids" that are all LARGEST."""
    ids = np.full((ROWS, DEPTH), LARGEST, np.int64)
    return Inputs(ids, np.ones_like(ids), np.zeros_like(ids))


def matrix() -> NDArray[np.int8]:
    """(DEPTH, COLUMNS): columns of 127, of -127, and of both in turn, which never overflow."""
    weight = np.full((DEPTH, COLUMNS), 127, np.int8)
    weight[:, 1::3] = -127
    weight[1::2, 2::3] = -127
    return weight


def verdict(runtime: Runtime, model: object, cap: str = "") -> Literal["exact", "saturates"]:
    """Whether `model`, which multiplies its token ids by `matrix()`, comes to what is right.

    `model`: `graph(kind)`, or the like in another form that the runtime takes.
    """
    asked = inputs()
    found = runtime.prepare(model, asked, 1, stable=True, cap=cap).answer(asked)
    right = asked.input_ids @ matrix().astype(np.int64)
    close = np.abs(found - right) <= TOLERANCE * LARGEST * 127 * DEPTH
    return "exact" if close.all() else "saturates"


@dataclass(frozen=True, slots=True)
class ProductGraph:
    """ONNX with its weights inside."""

    proto: bytes
    initializers: dict[str, NDArray[Any]] = field(default_factory=dict)
    floats: str = "fp32"

    @property
    def model_bytes(self) -> int:
        return len(self.proto)

    def lay_out(self, folder: Path) -> Path:
        path = folder / "product.onnx"
        path.write_bytes(self.proto)
        return path


def graph(kind: Kind) -> ProductGraph:
    """The product as ONNX, in the operators that linear layers are written in."""
    from onnx import TensorProto, helper, numpy_helper

    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", COLUMNS])
    nodes = [helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT)]
    nodes += _static() if kind == "int8-static" else _dynamic()
    stored: dict[str, NDArray[Any]] = {
        "weight": matrix(),
        "scales": np.ones(COLUMNS, np.float32),
        "one": np.array(1, np.float32),
        "zero": np.array(0, np.uint8),
        "zeros": np.zeros(COLUMNS, np.int8),
        "none": np.zeros(COLUMNS, np.int32),
    }
    read = {name for node in nodes for name in node.input}
    held = [numpy_helper.from_array(stored[name], name) for name in stored if name in read]
    made = helper.make_graph(nodes, "product", [ids], [y], held)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=9)
    return ProductGraph(bytes(model.SerializeToString()))


def _static() -> "list[NodeProto]":
    """Without the zeros of its weights ONNX Runtime would multiply floats."""
    from onnx import helper

    make = helper.make_node
    return [
        make("QuantizeLinear", ["x", "one", "zero"], ["levels"]),
        make("DequantizeLinear", ["levels", "one", "zero"], ["rounded"]),
        make("DequantizeLinear", ["weight", "scales", "zeros"], ["matrix"], axis=1),
        make("DequantizeLinear", ["none", "scales"], ["bias"], axis=0),
        make("Gemm", ["rounded", "matrix", "bias"], ["y"]),
    ]


def _dynamic() -> "list[NodeProto]":
    from onnx import helper

    name, given = "DynamicQuantizeMatMul", ["x", "weight", "scales"]
    return [helper.make_node(name, given, ["y"], domain="com.microsoft")]

"""The nodes of one ONNX graph, written straight into its protobuf. Knows no encoder.

`onnx.helper` checks each attribute and costs five times as long; ONNX Runtime checks the whole.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, helper

IR_VERSION = 9
OPSET = 20
"""The first with Gelu; ONNX Runtime has known it since 1.17."""

CONTRIB = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""

OUTSIDE = "outside"
"""The file in which weights claim to be; they are handed over by name instead."""

Attribute = int | float | list[int]
Small = NDArray[np.int8] | NDArray[np.uint8]
Weight = NDArray[np.float32] | NDArray[np.int32] | Small
Values = Weight | NDArray[np.int64]


class Nodes:
    """A graph under construction: every method returns the name of what it added."""

    def __init__(self, name: str) -> None:
        self._graph = GraphProto(name=name)
        self.weights: dict[str, Weight] = {}
        """Contiguous, to be handed to the runtime beside the graph."""
        self.weight_bytes = 0
        """Of all weights, of those inside the graph too."""
        self._constants: set[str] = set()

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Attribute) -> str:
        """A node with one output; an empty input name is an input left out."""
        output = f"{operator}_{len(self._graph.node)}"
        node = self._graph.node.add(op_type=operator, domain=domain, name=output)
        node.input.extend(inputs)
        node.output.append(output)
        node.attribute.extend(_attribute(name, value) for name, value in attributes.items())
        return output

    def constant(self, name: str, values: Values) -> str:
        """A small tensor inside the graph; a second one of the same name is the first."""
        if name not in self._constants:
            self._constants.add(name)
            self._graph.initializer.append(_tensor(name, values, values.tobytes()))
        return name

    def weight(self, name: str, values: Weight) -> str:
        """A tensor that stays outside the graph; a second one of the same name is the first.

        A single number is inside: the optimiser of ONNX Runtime looks for it in the file.
        """
        if name in self.weights or name in self._constants:
            return name
        self.weight_bytes += values.nbytes
        if values.size == 1:
            return self.constant(name, values)
        self._graph.initializer.append(_tensor(name, values, None))
        self.weights[name] = values if values.flags.c_contiguous else values.copy(order="C")
        return name

    def input(self, name: str, axes: Sequence[str | int]) -> str:
        """A tensor of int64 that the caller feeds."""
        self._graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, axes))
        return name

    def tap(self, name: str) -> None:
        """Make what is computed under this name one more output."""
        self._graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))

    def named(self, name: str) -> str:
        """What the last node computes gets this name."""
        self._graph.node[-1].output[0] = name
        return name

    def output(self, name: str, axes: Sequence[str | int]) -> None:
        """What the last node computes, float32, becomes an answer and gets this name."""
        self.named(name)
        self._graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, axes))

    def model(self, **properties: str) -> bytes:
        """The finished model, with what is known of it as metadata."""
        model = ModelProto(ir_version=IR_VERSION, producer_name="subbert")
        model.graph.MergeFrom(self._graph)
        model.opset_import.add(domain="", version=OPSET)
        model.opset_import.add(domain=CONTRIB, version=1)
        helper.set_model_props(model, properties)
        return bytes(model.SerializeToString(deterministic=True))


def with_weights(model: bytes, weights: dict[str, Weight]) -> ModelProto:
    """The model with every outside tensor moved in."""
    complete = ModelProto()
    complete.ParseFromString(model)
    for tensor in complete.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            values = weights[tensor.name]
            tensor.CopyFrom(_tensor(tensor.name, values, values.tobytes()))
    return complete


def _attribute(name: str, value: Attribute) -> AttributeProto:
    if isinstance(value, float):
        return AttributeProto(name=name, type=AttributeProto.FLOAT, f=value)
    if isinstance(value, int):
        return AttributeProto(name=name, type=AttributeProto.INT, i=value)
    return AttributeProto(name=name, type=AttributeProto.INTS, ints=value)


def _tensor(name: str, values: Values, content: bytes | None) -> TensorProto:
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    tensor = TensorProto(name=name, data_type=kind, dims=values.shape)
    if content is not None:
        tensor.raw_data = content
    else:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=OUTSIDE)
    return tensor

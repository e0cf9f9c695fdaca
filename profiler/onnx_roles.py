"""What the nodes of an encoder's ONNX graph are for, from where they stand. Runs nothing."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from profiler.parts import PRODUCTS, group_of

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

_STEPS = frozenset(
    (
        "Abs", "Add", "Cast", "Clip", "DequantizeLinear", "Div", "Max", "Mul", "QuantizeLinear",
        "ReduceMax", "ReduceMin", "Round", "Sub",
    )
)  # fmt: skip
"""Of what quantising is written, in plain operators."""


def roles(model: bytes) -> dict[str, str]:
    """By node name, the part that a node belongs to by its place.

    Left out are nodes whose operator says it all (LayerNormalization, Transpose, ...). `model` is
    a serialised onnx.ModelProto, its weights inside or not, its nodes in the order of execution,
    as ONNX asks.
    """
    from onnx import ModelProto

    graph = ModelProto.FromString(model).graph
    makers = {output: node for node in graph.node for output in node.output}
    stored = _stored(graph)
    found: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Softmax":
            found |= dict.fromkeys(
                _back(node, makers, lambda n: n.op_type not in PRODUCTS), "softmax"
            )
        elif node.op_type in PRODUCTS:
            groups = [
                group for name in _weights(node, makers, stored) if (group := group_of(name))
            ]
            if groups:
                steps = _back(node, makers, lambda n: n.op_type in _STEPS)
                found |= dict.fromkeys([*steps, *_after(node, graph)], "quantise")
                found[node.name] = groups[0]
    return found | dict.fromkeys(_before_first_norm(graph, makers), "embedding")


def role_of(name: str, known: Mapping[str, str]) -> str | None:
    """The role of the node as it was written that an optimised node's name begins with.

    ONNX Runtime calls what it makes of `MatMul_7` names such as `MatMul_7/MatMulScaleFusion/`
    and `MatMul_7_q`.
    """
    while name and name not in known:
        name = name[: max(name.rfind("/"), name.rfind("_"), 0)]
    return known.get(name)


def _back(
    end: "NodeProto", makers: Mapping[str, "NodeProto"], among: "Callable[[NodeProto], bool]"
) -> set[str]:
    """The nodes an end is computed from, as far back as they are `among` what is looked for."""
    found: set[str] = set()
    waiting = list(end.input)
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in found and among(node):
            found.add(node.name)
            waiting += node.input
    return found


def _after(product: "NodeProto", graph: "GraphProto") -> Iterator[str]:
    """What turns the integers of a product into floats and adds the stored bias."""
    if product.op_type != "MatMulInteger":
        return
    made = {node_output for node in graph.node for node_output in node.output}
    output = product.output[0]
    for node in graph.node:
        scaled = node.op_type in ("Cast", "Mul")
        biased = node.op_type == "Add" and not set(node.input) - {output} <= made
        if output in node.input and (scaled or biased):
            yield node.name
            output = node.output[0]


def _stored(graph: "GraphProto") -> set[str]:
    """Tensors that are in the file, and all that follows from them alone."""
    found = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.input and found.issuperset(name for name in node.input if name):
            found |= set(node.output)
    return found


def _weights(
    product: "NodeProto", makers: Mapping[str, "NodeProto"], stored: set[str]
) -> Iterator[str]:
    """The names of the stored tensors a product multiplies with, dequantised or not."""
    for name in product.input:
        node = makers.get(name)
        if node is None:
            yield name
        elif name in stored:
            yield from _weights(node, makers, stored)


def _before_first_norm(graph: "GraphProto", makers: Mapping[str, "NodeProto"]) -> set[str]:
    """Nodes that only the embeddings need: all that the first norm is computed from."""
    norm = next((n for n in graph.node if "LayerNormalization" in n.op_type), None)
    return _back(norm, makers, lambda _: True) if norm else set()

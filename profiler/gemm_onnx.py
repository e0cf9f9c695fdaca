"""Matrix products as small ONNX graphs in ONNX Runtime. Knows no network."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from profiler.gemm import FP32, INT8, Shape
from profiler.timing import Call

if TYPE_CHECKING:
    from onnx import NodeProto

Array = NDArray[Any]
CONTRIB = "com.microsoft"
SCALE = np.array(0.01, np.float32)
ZERO = np.array(128, np.uint8)


def _fp32(shape: Shape, count: int, threads: int) -> Call:
    return _products("MatMul", shape, count, threads, {})


def _int8(shape: Shape, count: int, threads: int) -> Call:
    scales = np.full(shape.given, SCALE)
    constants = {"x_scale": SCALE, "scales": scales, "zero": ZERO}
    return _products("MatMulIntegerToFloat", shape, count, threads, constants)


def _sums(shape: Shape, count: int, threads: int) -> Call:
    return _products("MatMulInteger", shape, count, threads, {"zero": ZERO})


MAKERS = {FP32: _fp32, INT8: _int8, "int8-sums": _sums}


def quantiser(rows: int, taken: int, threads: int) -> Call:
    """DynamicQuantizeLinear: range, scale, zero point and integers of (rows, taken) floats."""
    from onnx import helper

    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["y0", "scale", "zero"])
    return _call([node], _floats(rows, taken), {}, np.uint8, threads)


def _products(
    operator: str,
    shape: Shape,
    count: int,
    threads: int,
    constants: Mapping[str, Array],
) -> Call:
    """`count` nodes that share x and have a matrix each, of integers where constants follow."""
    from onnx import helper

    known = dict(constants)
    integers = bool(constants)
    numbers = _integers if integers else _floats
    domain = CONTRIB if operator == "MatMulIntegerToFloat" else ""
    answer = np.int32 if operator == "MatMulInteger" else np.float32
    nodes = []
    for index in range(count):
        matrix = f"matrix{index}"
        inputs = ["x", matrix, *constants]
        nodes.append(helper.make_node(operator, inputs, [f"y{index}"], domain=domain))
        values = numbers(shape.taken, shape.given)
        known[matrix] = (values ^ 128).view(np.int8) if integers else values
    return _call(nodes, numbers(shape.rows, shape.taken), known, answer, threads)


def _call(
    nodes: "Sequence[NodeProto]",
    x: Array,
    constants: Mapping[str, Array],
    answer: "type[np.generic]",
    threads: int,
) -> Call:
    """A session's run, its outputs written to the same memory each time."""
    import onnxruntime as ort
    from onnx import helper, numpy_helper

    kind = helper.np_dtype_to_tensor_dtype
    names = [node.output[0] for node in nodes]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", kind(x.dtype), x.shape)],
        [helper.make_tensor_value_info(n, kind(np.dtype(answer)), None) for n in names],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    domains = [helper.make_opsetid("", 20), helper.make_opsetid(CONTRIB, 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    binding.bind_cpu_input("x", x)
    for name in names:
        binding.bind_output(name)
    return lambda: session.run_with_iobinding(binding)


def _floats(rows: int, columns: int) -> Array:
    return np.random.default_rng(0).standard_normal((rows, columns), np.float32)


def _integers(rows: int, columns: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, (rows, columns), np.uint8)

"""What an encoder's time goes to, by the names of operators and weights. Knows no runtime."""

import re
from collections.abc import Mapping
from types import MappingProxyType

GEMMS = ("qkv", "attention-output", "ffn-in", "ffn-out")
"""The linear layers of a transformer layer, by what they do."""

PARTS = (
    *GEMMS,
    "attention",
    "softmax",
    "normalisation",
    "gelu",
    "residual",
    "embedding",
    "quantise",
    "layout",
    "other",
)
"""Every operator is in one of them; `overhead` is what no operator accounts for."""

OVERHEAD = "overhead"

_GROUPS = (
    (re.compile(r"attention\.self\."), "qkv"),
    (re.compile(r"attention\.output\.dense\b"), "attention-output"),
    (re.compile(r"intermediate\.dense\b"), "ffn-in"),
    (re.compile(r"output\.dense\b"), "ffn-out"),
)

PRODUCTS: Mapping[str, str] = MappingProxyType(
    {
        "Gemm": "fp32",
        "FusedGemm": "fp32",
        "MatMul": "fp32",
        "FusedMatMul": "fp32",
        "DynamicQuantizeMatMul": "int8",
        "MatMulInteger": "int8",
        "MatMulIntegerToFloat": "int8",
        "QGemm": "int8",
        "QLinearMatMul": "int8",
        "Attention": "fp32",
        "MultiHeadAttention": "fp32",
        "QAttention": "int8",
        "aten::addmm": "fp32",
        "aten::mm": "fp32",
        "aten::bmm": "fp32",
        "aten::matmul": "fp32",
        "aten::linear": "fp32",
        "mkldnn::_linear_pointwise": "fp32",
        "aten::_int_mm": "int8",
        "onednn::qlinear_pointwise": "int8",
        "quantized::linear": "int8",
        "quantized::linear_dynamic": "int8",
    }
)
"""Operators that multiply matrices, ONNX Runtime's and torch's, and the arithmetic they use."""

QUANTISING_PRODUCTS = frozenset({"DynamicQuantizeMatMul", "quantized::linear_dynamic"})
"""Products that are given floats and turn them into integers themselves."""

_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "Softmax": "softmax",
        "QLinearSoftmax": "softmax",
        "LayerNormalization": "normalisation",
        "SkipLayerNormalization": "normalisation",
        "Gelu": "gelu",
        "FastGelu": "gelu",
        "BiasGelu": "gelu",
        "QuickGelu": "gelu",
        "Erf": "gelu",
        "Add": "residual",
        "QLinearAdd": "residual",
        "Gather": "embedding",
        "EmbedLayerNormalization": "embedding",
        "QuantizeLinear": "quantise",
        "DequantizeLinear": "quantise",
        "DynamicQuantizeLinear": "quantise",
        "Concat": "layout",
        "Expand": "layout",
        "Identity": "layout",
        "Reshape": "layout",
        "Shape": "layout",
        "Slice": "layout",
        "Split": "layout",
        "Squeeze": "layout",
        "Transpose": "layout",
        "Unsqueeze": "layout",
        "aten::scaled_dot_product_attention": "attention",
        "aten::softmax": "softmax",
        "aten::layer_norm": "normalisation",
        "aten::gelu": "gelu",
        "aten::add": "residual",
        "aten::add_": "residual",
        "aten::embedding": "embedding",
        "aten::quantize_per_tensor": "quantise",
        "aten::quantize_per_tensor_dynamic": "quantise",
        "aten::dequantize": "quantise",
        "aten::rsub": "softmax",
        "aten::mul": "softmax",
        "aten::unsqueeze": "softmax",
        "aten::to": "softmax",
        "aten::contiguous": "layout",
        "aten::flatten": "layout",
        "aten::permute": "layout",
        "aten::reshape": "layout",
        "aten::slice": "layout",
        "aten::transpose": "layout",
        "aten::unbind": "layout",
        "aten::view": "layout",
    }
)
"""Of operators that say by themselves what they do. In torch the mask is made of the last four
of `softmax`."""


_STEPS = frozenset(
    f"aten::{name}"
    for name in (
        "abs", "add", "add_", "amax", "amin", "aminmax", "bitwise_xor", "clamp", "clamp_", "div",
        "div_", "mul", "mul_", "reciprocal", "round", "round_", "sub", "sub_", "sum", "to",
    )
)  # fmt: skip
"""What a linear layer in torch does beside its product: scales, rounds, takes scales off again."""


def group_of(weight: str) -> str | None:
    """The group of the linear layer that this weight of Hugging Face's `BertModel` belongs to."""
    return next((group for pattern, group in _GROUPS if pattern.search(weight)), None)


def part_of(operator: str, role: str | None) -> str:
    """The part of an operator; `role` is what its place in the network says, where it says it.

    Quantising is told apart wherever it happens, but for the table of words; a product outside
    every linear layer is attention's; a norm is a norm, in the embeddings too.
    """
    kind = "quantise" if role in GEMMS and operator in _STEPS else _KINDS.get(operator)
    if kind == "normalisation" or (kind == "quantise" and role != "embedding"):
        return kind
    if operator in PRODUCTS and role not in GEMMS:
        return "attention"
    return role or kind or "other"

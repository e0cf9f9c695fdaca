"""The blocks of a BERT encoder as ONNX nodes. Knows no protobuf and no runtime.

Between blocks the batch is flat, (batch * tokens, hidden), so that a linear layer is one Gemm with
its bias. x is always such a tensor.

Nearly all operators are plain ones, on purpose: at 128 tokens and one thread ONNX Runtime was
fastest with what its own optimiser makes of them. Its SkipLayerNormalization, which an
EmbedLayerNormalization anywhere in the graph makes it choose, costs 15-30 % of a whole encoder;
Attention and MultiHeadAttention 1-7 %; q, k and v as one product 3-6 %.
"""

from math import sqrt

import numpy as np

from quant.linears import Linears
from quant.nodes import Nodes
from quant.press import WORDS
from results.architecture import Layer

EPSILON = 1e-12
"""Of every LayerNorm, as in BERT."""

LOWEST = np.finfo(np.float32).min
"""Added to the score of padding, as transformers does; softmax makes it 0."""


class Blocks:
    """Writes the blocks of one encoder."""

    def __init__(self, nodes: Nodes, linears: Linears) -> None:
        self._nodes = nodes
        self._linears = linears
        self._shape = nodes.add("Shape", "input_ids")  # (batch, tokens)
        self._head_shapes: dict[tuple[int, int], str] = {}

    def mask(self) -> str:
        """What to add to attention scores: 0 or LOWEST, (batch, 1, 1, tokens)."""
        n = self._nodes
        seen = n.add("Cast", "attention_mask", to=1)
        padding = n.add("Sub", n.constant("one", np.array([1], np.float32)), seen)
        scores = n.add("Mul", padding, n.constant("lowest", np.array([LOWEST], np.float32)))
        return n.add("Unsqueeze", scores, n.constant("axes_1_2", np.array([1, 2], np.int64)))

    def embeddings(self, width: int) -> str:
        """Word + type + position, normalised: (batch * tokens, width)."""
        n = self._nodes
        words = self._linears.looked_up(WORDS, "input_ids")
        table = self._linears.stored("embeddings.token_type_embeddings.weight")
        types = n.add("Gather", table, "token_type_ids")
        x = n.add("Add", n.add("Add", words, types), self._positions())  # (batch, tokens, hidden)
        x = n.add("Reshape", x, n.constant(f"flat_{width}", np.array([-1, width], np.int64)))
        return self._normalised(x, "embeddings.LayerNorm")

    def layer(self, x: str, mask: str, layer: Layer, index: int) -> str:
        """One transformer layer."""
        name, linear = f"encoder.layer.{index}", self._linears.linear
        x = self._attention(x, mask, layer, index)
        wide = self._nodes.add("Gelu", linear(x, index, "ffn-in", f"{name}.intermediate.dense"))
        y = linear(wide, index, "ffn-out", f"{name}.output.dense")
        return self._normalised(self._nodes.add("Add", y, x), f"{name}.output.LayerNorm")

    def unflattened(self, x: str, hidden: int) -> str:
        """(batch * tokens, hidden) -> (batch, tokens, hidden)."""
        n = self._nodes
        width = n.constant(f"width_{hidden}", np.array([hidden], np.int64))
        return n.add("Reshape", x, n.add("Concat", self._shape, width, axis=0))

    def _attention(self, x: str, mask: str, layer: Layer, index: int) -> str:
        n, linears = self._nodes, self._linears
        name = f"encoder.layer.{index}.attention"

        def operand(part: str, order: list[int]) -> str:
            flat = linears.linear(x, index, "qkv", f"{name}.self.{part}")
            return linears.activation(self._heads(flat, layer, order), index, part)

        q, k = operand("query", [0, 2, 1, 3]), operand("key", [0, 2, 3, 1])
        v = operand("value", [0, 2, 1, 3])
        root = n.constant(
            f"root_{layer.head_width}", np.array([sqrt(layer.head_width)], np.float32)
        )
        scores = n.add("Add", n.add("Div", n.add("MatMul", q, k), root), mask)
        seen = linears.probabilities(n.add("Softmax", scores, axis=-1), index)
        y = n.add("MatMul", seen, v)  # (batch, heads, tokens, width)
        y = n.add("Transpose", y, perm=[0, 2, 1, 3])
        y = n.add(
            "Reshape", y, n.constant(f"flat_{layer.qkv}", np.array([-1, layer.qkv], np.int64))
        )
        y = linears.linear(y, index, "attention-output", f"{name}.output.dense")
        return self._normalised(n.add("Add", y, x), f"{name}.output.LayerNorm")

    def _heads(self, x: str, layer: Layer, order: list[int]) -> str:
        """(batch * tokens, qkv) -> (batch, tokens, heads, width), its axes then in `order`."""
        n = self._nodes
        sizes = (layer.heads, layer.head_width)
        if sizes not in self._head_shapes:
            tail = n.constant("heads_{}_{}".format(*sizes), np.array(sizes, np.int64))
            self._head_shapes[sizes] = n.add("Concat", self._shape, tail, axis=0)
        return n.add("Transpose", n.add("Reshape", x, self._head_shapes[sizes]), perm=order)

    def _normalised(self, x: str, name: str) -> str:
        weight, bias = (self._linears.stored(f"{name}.{part}") for part in ("weight", "bias"))
        return self._nodes.add("LayerNormalization", x, weight, bias, axis=-1, epsilon=EPSILON)

    def _positions(self) -> str:
        n = self._nodes
        table = self._linears.stored("embeddings.position_embeddings.weight")
        tokens = n.add("Shape", "input_ids", start=1, end=2)
        return n.add(
            "Slice", table, n.constant("zero", np.array([0], np.int64)), tokens
        )  # (tokens, hidden)

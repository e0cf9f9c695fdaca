"""What stands on an encoder, as float32 ONNX nodes after its last one. Knows no scheme's ranges.

The heads are those of transformers' `BertForSequenceClassification`, `BertForQuestionAnswering`
and `BertForMaskedLM`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quant.linears import Linears
from quant.nodes import Nodes
from quant.press import WORDS
from quant.weights import Floats
from results.errors import BadInputError

Work = Literal["classes", "score", "span", "mlm"]

OUTPUTS: Mapping[Work, tuple[str, ...]] = {
    "classes": ("logits",),
    "score": ("logits",),
    "span": ("start_logits", "end_logits"),
    "mlm": ("logits",),
}
"""(batch, outputs) of classes and scores, (batch, tokens) of each end of a span, (batch, tokens,
vocabulary) of hidden words; all float32."""

TRANSFORM = "cls.predictions.transform"
BIAS = "cls.predictions.bias"
EPSILON = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A head and its numbers, which no scheme makes small."""

    work: Work
    tensors: Mapping[str, Floats]
    """By Hugging Face's names, `bert.` left out; those of the encoder are not looked at."""
    labels: tuple[str, ...] = ()
    """Names of the classes."""

    def properties(self) -> dict[str, str]:
        """What a file says of its head: `work`, and `labels` as a JSON list."""
        labels = json.dumps(self.labels, ensure_ascii=False)
        return {"work": self.work, "labels": labels}


def write(nodes: Nodes, linears: Linears, head: Head, x: str) -> None:
    """Add the head and its outputs to a graph; `x` is (batch, tokens, hidden).

    Raises:
        BadInputError: a tensor of the head is missing.
    """
    written = _Head(nodes, head)
    if head.work == "mlm":
        written.words(linears, x)
    elif head.work == "span":
        written.span(x)
    else:
        written.pooled(x)


class _Head:
    def __init__(self, nodes: Nodes, head: Head) -> None:
        self._nodes = nodes
        self._head = head

    def pooled(self, x: str) -> None:
        n = self._nodes
        first = n.add("Gather", x, self._number(0), axis=1)  # (batch, hidden)
        pooled = n.add("Tanh", self._gemm(first, "pooler.dense"))
        self._gemm(pooled, "classifier")
        n.output("logits", ("batch", len(self._find("classifier.bias"))))

    def span(self, x: str) -> None:
        n = self._nodes
        both = self._unflattened(self._gemm(self._flat(x, "qa_outputs"), "qa_outputs"), 2)
        for place, name in enumerate(OUTPUTS["span"]):
            n.add("Gather", both, self._number(place), axis=2)
            n.output(name, ("batch", "tokens"))

    def words(self, linears: Linears, x: str) -> None:
        n, dense = self._nodes, f"{TRANSFORM}.dense"
        norm = [self._stored(f"{TRANSFORM}.LayerNorm.{part}") for part in ("weight", "bias")]
        y = n.add("Gelu", self._gemm(self._flat(x, dense), dense))
        y = n.add("LayerNormalization", y, *norm, axis=-1, epsilon=EPSILON)
        y = n.add("Gemm", y, linears.table(WORDS), self._stored(BIAS), transB=1)
        size = len(self._find(BIAS))
        self._unflattened(y, size)
        n.output("logits", ("batch", "tokens", size))

    def _flat(self, x: str, name: str) -> str:
        """(batch, tokens, in) -> (batch * tokens, in), for the linear layer of that name."""
        n, width = self._nodes, self._find(f"{name}.weight").shape[1]
        shape = n.constant(f"flat_{width}", np.array([-1, width], np.int64))
        return n.add("Reshape", x, shape)

    def _unflattened(self, x: str, size: int) -> str:
        n = self._nodes
        last = n.constant(f"size_{size}", np.array([size], np.int64))
        return n.add("Reshape", x, n.add("Concat", n.add("Shape", "input_ids"), last, axis=0))

    def _gemm(self, x: str, name: str) -> str:  # (rows, in) -> (rows, out)
        return self._nodes.add("Gemm", x, self._matrix(name), self._stored(f"{name}.bias"))

    def _matrix(self, name: str) -> str:
        """[in, out]."""
        return self._nodes.weight(f"{name}.weight", self._find(f"{name}.weight").T)

    def _stored(self, name: str) -> str:
        return self._nodes.weight(name, self._find(name))

    def _number(self, value: int) -> str:
        return self._nodes.constant(f"number_{value}", np.array(value, np.int64))

    def _find(self, name: str) -> Floats:
        if name not in self._head.tensors:
            raise BadInputError(f"the weights lack {name}, which a head for {self._head.work} has")
        return self._head.tensors[name]

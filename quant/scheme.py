"""How numbers are stored and multiplied, by name. Knows no graph, no tensor and no runtime."""

from dataclasses import dataclass

from results.errors import BadInputError


@dataclass(frozen=True, slots=True, order=True)
class Scheme:
    """One way to store and to multiply the numbers of an encoder.

    A scheme speaks of the six linear layers of a transformer layer alone. Embeddings, LayerNorm,
    softmax, GELU and the two products inside attention are float32 in every scheme.
    """

    name: str
    weight_bits: int
    """Of a weight of a linear layer; 32 means float32."""
    activation_bits: int
    """Of what a linear layer multiplies its weights with; 32 means float32."""

    def __str__(self) -> str:
        return self.name


FP32 = Scheme("fp32", weight_bits=32, activation_bits=32)

INT8_DYNAMIC = Scheme("int8-dynamic", weight_bits=8, activation_bits=8)
"""Weights: int8, symmetric, one scale per output channel. Activations: uint8, one scale and one
zero point per tensor, found anew in every call. Biases stay float32.

One scale per tensor, the default of onnxruntime.quantization and of torch.ao, is 2-3 % faster, but
moves the output of all-MiniLM-L6-v2 to a cosine of 0.957 with float32, where this stays at 0.991.
"""

KNOWN = {scheme.name: scheme for scheme in (FP32, INT8_DYNAMIC)}


def parse(text: str) -> Scheme:
    """The scheme of that name."""
    if text not in KNOWN:
        raise BadInputError(f"unknown scheme {text!r}: choose one of {', '.join(KNOWN)}")
    return KNOWN[text]

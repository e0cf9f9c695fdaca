"""The shape of one encoder: the word every room uses for "which network". Knows no weights."""

from dataclasses import dataclass
from itertools import groupby

LARGEST = 1 << 20
"""No size of an encoder is larger; a typing error such as 3120000 is."""


MOST_LAYERS = 1024
"""No encoder is deeper, and a typing error would fill the memory."""


def _require_size(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        message = f"{name} must be a whole number from 1 to {LARGEST}, not {value!r}"
        raise ValueError(message)


@dataclass(frozen=True, slots=True, order=True)
class Layer:
    """Sizes of one transformer layer.

    `qkv` is the total width of the query (and key, and value) projection. It is searched
    apart from the width of the network, as in AutoTinyBERT (Yin et al., ACL 2021).
    """

    heads: int
    qkv: int
    ffn: int

    def __post_init__(self) -> None:
        for name in ("heads", "qkv", "ffn"):
            _require_size(name, getattr(self, name))
        if self.qkv % self.heads:
            message = f"qkv {self.qkv} is not divisible by {self.heads} heads"
            raise ValueError(message)

    @property
    def head_width(self) -> int:
        """Columns of one attention head."""
        return self.qkv // self.heads


@dataclass(frozen=True, slots=True, order=True)
class Architecture:
    """A BERT-like encoder: one width that every layer shares, the layers, and the tables below."""

    hidden: int
    layers: tuple[Layer, ...]
    vocab: int = 30522
    positions: int = 512
    types: int = 2

    def __post_init__(self) -> None:
        for name in ("hidden", "vocab", "positions", "types"):
            _require_size(name, getattr(self, name))
        if not 1 <= len(self.layers) <= MOST_LAYERS:
            message = f"an encoder has 1 to {MOST_LAYERS} layers, not {len(self.layers)}"
            raise ValueError(message)

    @classmethod
    def uniform(cls, depth: int, hidden: int, heads: int, qkv: int, ffn: int) -> "Architecture":
        """Every layer alike, with BERT's vocabulary and positions."""
        if not 1 <= depth <= MOST_LAYERS:
            message = f"depth must be from 1 to {MOST_LAYERS}, not {depth}"
            raise ValueError(message)
        return cls(hidden, (Layer(heads, qkv, ffn),) * depth)

    @property
    def depth(self) -> int:
        """Number of transformer layers."""
        return len(self.layers)

    @property
    def encoder_parameters(self) -> int:
        """Weights and biases of the layers alone."""
        h = self.hidden
        return sum(
            3 * (h * x.qkv + x.qkv) + x.qkv * h + h + h * x.ffn + x.ffn + x.ffn * h + h + 4 * h
            for x in self.layers
        )

    @property
    def parameters(self) -> int:
        """Weights and biases as in `BertModel`: embeddings and their norm, layers, pooler."""
        h = self.hidden
        embeddings = (self.vocab + self.positions + self.types) * h + 2 * h
        return embeddings + self.encoder_parameters + h * h + h

    def macs(self, tokens: int, batch: int = 1) -> int:
        """Multiply-accumulates of the matrix products of one forward pass, pooler left out."""
        h, s = self.hidden, tokens
        per_example = sum(
            4 * s * h * x.qkv + 2 * s * s * x.qkv + 2 * s * h * x.ffn for x in self.layers
        )
        return batch * per_example

    def __str__(self) -> str:
        """Short and unambiguous, e.g. `h312 4x(a12 q312 f1200)`."""
        runs = ((layer, sum(1 for _ in run)) for layer, run in groupby(self.layers))
        body = " ".join(f"{n}x(a{x.heads} q{x.qkv} f{x.ffn})" for x, n in runs)
        return f"h{self.hidden} {body}"

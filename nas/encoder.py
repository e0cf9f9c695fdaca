"""The BERT-like encoder in PyTorch. Knows no file, no scheme and no training.

After google-research/bert `modeling.py` and transformers' `BertModel`; as in AutoTinyBERT (Yin et
al., ACL 2021) the width of q, k and v is free of the width of the network. Dropout, where asked
for, is on the embeddings and on what each half of a layer adds; not on the attention itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from results.architecture import Architecture, Layer
from results.errors import BadInputError

EPSILON = 1e-12
"""Of every LayerNorm, as in BERT."""

SPREAD = 0.02
"""Standard deviation of the matrices of a fresh encoder, as in BERT."""

Floats = NDArray[np.float32]

# Ours on the left, Hugging Face's on the right, piece by piece of a dotted name. The one map.
_CANONICAL = {
    "embeddings.words": "embeddings.word_embeddings",
    "embeddings.positions": "embeddings.position_embeddings",
    "embeddings.types": "embeddings.token_type_embeddings",
    "embeddings.norm": "embeddings.LayerNorm",
    "blocks": "encoder.layer",
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "ffn.up": "intermediate.dense",
    "ffn.down": "output.dense",
    "ffn_norm": "output.LayerNorm",
    "pooler": "pooler.dense",
}


@dataclass(frozen=True, slots=True)
class Trace:
    """What a teacher shows, or a student is compared by; filled by a forward pass."""

    attention: bool = True
    """Are the scores wanted? They are a product that the pass does not need itself."""
    hidden: list[Tensor] = field(default_factory=list)
    """(B, T, hidden) of the embeddings and of every layer."""
    scores: list[Tensor] = field(default_factory=list)
    """(B, heads, T, T) of every layer: attention before the softmax and without the mask."""


class Linear(nn.Linear):
    """A linear layer whose weight may be a view of a larger one, with an axis split into heads."""

    def forward(self, x: Tensor) -> Tensor:  # (..., in) -> (..., out)
        weight = self.weight.reshape(self.out_features, self.in_features)
        return F.linear(x, weight, self.bias.reshape(self.out_features))

    def reset_parameters(self) -> None:
        """Draw nothing: who builds it fills it, and without memory a draw loads all of torch."""


class Table(nn.Embedding):
    """A vector for each word, or whatever else is counted."""

    reset_parameters = Linear.reset_parameters


class Embeddings(nn.Module):
    """What a token is, where it stands and which sentence it belongs to, in one vector."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.words = Table(a.vocab, a.hidden)
        self.positions = Table(a.positions, a.hidden)
        self.types = Table(a.types, a.hidden)
        self.norm = nn.LayerNorm(a.hidden, EPSILON)

    def forward(self, ids: Tensor, types: Tensor) -> Tensor:  # (B, T), (B, T) -> (B, T, hidden)
        positions = self.positions.weight[: ids.shape[1]]  # (T, hidden)
        x: Tensor = self.norm(self.words(ids) + self.types(types) + positions)
        return x


class Attention(nn.Module):
    """Every token looks at every token that is not padding."""

    def __init__(self, hidden: int, layer: Layer) -> None:
        super().__init__()
        self.heads = layer.heads
        self.query = Linear(hidden, layer.qkv)
        self.key = Linear(hidden, layer.qkv)
        self.value = Linear(hidden, layer.qkv)
        self.out = Linear(layer.qkv, hidden)

    def forward(  # -> (B, T, hidden)
        self, x: Tensor, mask: Tensor | None, trace: Trace | None = None
    ) -> Tensor:
        q = self._split(self.query(x))
        k = self._split(self.key(x))
        v = self._split(self.value(x))
        if trace is not None and trace.attention:
            trace.scores.append(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, heads, T, width)
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape  # batch, tokens, qkv
        return x.view(b, t, self.heads, -1).transpose(1, 2)  # (B, heads, T, width)


class FeedForward(nn.Module):
    """Every token by itself: wide, bent, narrow."""

    def __init__(self, hidden: int, layer: Layer) -> None:
        super().__init__()
        self.up = Linear(hidden, layer.ffn)
        self.down = Linear(layer.ffn, hidden)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, hidden) -> (B, T, hidden)
        y: Tensor = self.down(F.gelu(self.up(x)))
        return y


class Block(nn.Module):
    """One transformer layer, normalised after each half as BERT is."""

    def __init__(self, hidden: int, layer: Layer) -> None:
        super().__init__()
        self.attention = Attention(hidden, layer)
        self.attention_norm = nn.LayerNorm(hidden, EPSILON)
        self.ffn = FeedForward(hidden, layer)
        self.ffn_norm = nn.LayerNorm(hidden, EPSILON)

    def forward(  # -> (B, T, hidden)
        self, x: Tensor, mask: Tensor | None, dropout: float = 0.0, trace: Trace | None = None
    ) -> Tensor:
        x = self.attention_norm(x + _dropped(self.attention(x, mask, trace), dropout))
        y: Tensor = self.ffn_norm(x + _dropped(self.ffn(x), dropout))
        return y


class Encoder(nn.Module):
    """Token ids in, one vector per token out. Without weights it is as random as BERT once was."""

    def __init__(
        self,
        architecture: Architecture,
        weights: Mapping[str, Floats] | None = None,
        *,
        pooler: bool = True,
        dropout: float = 0.0,
        hollow: bool = False,
    ) -> None:
        """Build it.

        Args:
            architecture: the sizes.
            weights: under the names of Hugging Face's `BertModel`; random where None.
            pooler: with BERT's pooler.
            dropout: share of entries left out in training.
            hollow: without memory for the weights; who calls puts tensors in their place.
        """
        super().__init__()
        a = self.architecture = architecture
        self.dropout = dropout
        with torch.device("meta" if hollow else "cpu"):
            self.embeddings = Embeddings(a)
            self.blocks = nn.ModuleList(Block(a.hidden, layer) for layer in a.layers)
            self.pooler = Linear(a.hidden, a.hidden) if pooler else None
        if weights is not None:
            self._check(weights)
        if not hollow:
            as_torchs_own(self)
            self._fill(weights)

    def _fill(self, weights: Mapping[str, Floats] | None) -> None:
        if weights is None:
            randomise(self)
        else:
            for name, value in self.weights().items():
                np.copyto(value, weights[name])

    def forward(
        self,
        input_ids: Tensor,  # (B, T)
        attention_mask: Tensor | None = None,  # (B, T): 1 token, 0 padding
        token_type_ids: Tensor | None = None,  # (B, T)
        trace: Trace | None = None,
    ) -> Tensor:  # (B, T, hidden)
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        dropout = self.dropout if self.training else 0.0
        x: Tensor = _dropped(self.embeddings(input_ids, types), dropout)
        mask = None if attention_mask is None else _additive(attention_mask, x.dtype)
        for block in self.blocks:
            if trace is not None:
                trace.hidden.append(x)
            x = block(x, mask, dropout, trace)
        if trace is not None:
            trace.hidden.append(x)
        return x

    def pool(self, hidden: Tensor) -> Tensor:  # (B, T, hidden) -> (B, hidden)
        """One vector per example: BERT's reading of its first token."""
        if self.pooler is None:
            raise BadInputError("this encoder has no pooler: give one that was saved with it")
        return torch.tanh(self.pooler(hidden[:, 0]))

    def weights(self) -> dict[str, Floats]:
        """Views of all parameters, under the names of Hugging Face's `BertModel`."""
        return {canonical(name): value.detach().numpy() for name, value in flat(self)}

    def _check(self, weights: Mapping[str, Floats]) -> None:
        for ours, value in self.named_parameters():
            name, shape = canonical(ours), tuple(value.shape)
            if name not in weights:
                raise BadInputError(f"the weights lack {name}; give a tensor of shape {shape}")
            if weights[name].shape != shape:
                raise BadInputError(
                    f"{name} has shape {weights[name].shape} where {shape} is needed"
                )


def as_torchs_own(module: nn.Module) -> None:
    """Make layers with memory of their own torch's: no view to join, and quantisers know them."""
    for part in module.modules():
        if type(part) is Linear:
            part.__class__ = nn.Linear  # type: ignore[assignment]
        elif type(part) is Table:
            part.__class__ = nn.Embedding  # type: ignore[assignment]


@torch.no_grad()
def randomise(module: nn.Module, generator: torch.Generator | None = None) -> None:
    """Give a module weights as BERT had them before its training."""
    for name, value in module.named_parameters():
        if "norm" in name:
            value.fill_(name.endswith("weight"))
        elif name.endswith("bias"):
            value.zero_()
        else:
            value.normal_(std=SPREAD, generator=generator)


def flat(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The parameters by name, axes that are split into heads joined again."""
    for path, part in module.named_modules():
        for name, value in part.named_parameters(path, recurse=False):
            joined = value
            if isinstance(part, Linear):
                shape = (part.out_features, part.in_features)
                joined = value.reshape(shape[: 1 if name.endswith(".bias") else 2])
            yield name, joined


def canonical(name: str) -> str:
    """A parameter's name in Hugging Face's words, e.g. `pooler.dense.bias` for `pooler.bias`."""
    head, middle, tail = _parts(name)
    return f"{head}{_CANONICAL[middle]}.{tail}"


def _additive(mask: Tensor, kind: torch.dtype) -> Tensor:
    """(B, T) of 1 and 0 -> (B, 1, 1, T) of 0 and the lowest number."""
    padding = 1 - mask[:, None, None, :].to(kind)
    return padding * torch.finfo(kind).min


def _dropped(x: Tensor, dropout: float) -> Tensor:
    return F.dropout(x, dropout) if dropout else x


def _parts(name: str) -> tuple[str, str, str]:
    path, tail = name.rsplit(".", 1)
    if not path.startswith("blocks."):
        return "", path, tail
    _, index, rest = path.split(".", 2)
    return f"{_CANONICAL['blocks']}.{index}.", rest, tail

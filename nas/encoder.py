"""The BERT-like encoder in PyTorch. Knows no file, no scheme and no training.

After google-research/bert `modeling.py` and transformers' `BertModel`; as in AutoTinyBERT (Yin et
al., ACL 2021) the width of q, k and v is free of the width of the network. No dropout: who trains
adds it.
"""

from collections.abc import Mapping

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


class Embeddings(nn.Module):
    """What a token is, where it stands and which sentence it belongs to, in one vector."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.words = nn.Embedding(a.vocab, a.hidden)
        self.positions = nn.Embedding(a.positions, a.hidden)
        self.types = nn.Embedding(a.types, a.hidden)
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
        self.query = nn.Linear(hidden, layer.qkv)
        self.key = nn.Linear(hidden, layer.qkv)
        self.value = nn.Linear(hidden, layer.qkv)
        self.out = nn.Linear(layer.qkv, hidden)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:  # -> (B, T, hidden)
        q = self._split(self.query(x))
        k = self._split(self.key(x))
        v = self._split(self.value(x))
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
        self.up = nn.Linear(hidden, layer.ffn)
        self.down = nn.Linear(layer.ffn, hidden)

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

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:  # -> (B, T, hidden)
        x = self.attention_norm(x + self.attention(x, mask))
        y: Tensor = self.ffn_norm(x + self.ffn(x))
        return y


class Encoder(nn.Module):
    """Token ids in, one vector per token out. Without weights it is as random as BERT once was."""

    def __init__(
        self,
        architecture: Architecture,
        weights: Mapping[str, Floats] | None = None,
        *,
        pooler: bool = True,
    ) -> None:
        super().__init__()
        a = self.architecture = architecture
        with torch.device("meta"):  # so that no number is drawn only to be overwritten
            self.embeddings = Embeddings(a)
            self.blocks = nn.ModuleList(Block(a.hidden, layer) for layer in a.layers)
            self.pooler = nn.Linear(a.hidden, a.hidden) if pooler else None
        if weights is not None:
            self._check(weights)
        self.to_empty(device="cpu")
        if weights is None:
            self._randomise()
        else:
            for name, value in self.weights().items():
                np.copyto(value, weights[name])

    def forward(
        self,
        input_ids: Tensor,  # (B, T)
        attention_mask: Tensor | None = None,  # (B, T): 1 token, 0 padding
        token_type_ids: Tensor | None = None,  # (B, T)
    ) -> Tensor:  # (B, T, hidden)
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        x: Tensor = self.embeddings(input_ids, types)
        mask = None if attention_mask is None else _additive(attention_mask, x.dtype)
        for block in self.blocks:
            x = block(x, mask)
        return x

    def pool(self, hidden: Tensor) -> Tensor:  # (B, T, hidden) -> (B, hidden)
        """One vector per example: BERT's reading of its first token."""
        if self.pooler is None:
            raise BadInputError("this encoder has no pooler: give one that was saved with it")
        return torch.tanh(self.pooler(hidden[:, 0]))

    def weights(self) -> dict[str, Floats]:
        """Views of all parameters, under the names of Hugging Face's `BertModel`."""
        named = self.named_parameters()
        return {canonical(name): value.detach().numpy() for name, value in named}

    def _check(self, weights: Mapping[str, Floats]) -> None:
        for ours, value in self.named_parameters():
            name, shape = canonical(ours), tuple(value.shape)
            if name not in weights:
                raise BadInputError(f"the weights lack {name}; give a tensor of shape {shape}")
            if weights[name].shape != shape:
                raise BadInputError(
                    f"{name} has shape {weights[name].shape} where {shape} is needed"
                )

    @torch.no_grad()
    def _randomise(self) -> None:
        for name, value in self.named_parameters():
            if "norm" in name:
                value.fill_(name.endswith("weight"))
            elif name.endswith("bias"):
                value.zero_()
            else:
                value.normal_(std=SPREAD)


def canonical(name: str) -> str:
    """A parameter's name in Hugging Face's words, e.g. `pooler.dense.bias` for `pooler.bias`."""
    head, middle, tail = _parts(name)
    return f"{head}{_CANONICAL[middle]}.{tail}"


def _additive(mask: Tensor, kind: torch.dtype) -> Tensor:
    """(B, T) of 1 and 0 -> (B, 1, 1, T) of 0 and the lowest number."""
    padding = 1 - mask[:, None, None, :].to(kind)
    return padding * torch.finfo(kind).min


def _parts(name: str) -> tuple[str, str, str]:
    path, tail = name.rsplit(".", 1)
    if not path.startswith("blocks."):
        return "", path, tail
    _, index, rest = path.split(".", 2)
    return f"{_CANONICAL['blocks']}.{index}.", rest, tail

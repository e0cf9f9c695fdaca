"""Torch modules in the schemes that torch's own tools can make. Knows no runtime and no clock."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

from quant.scheme import GROUPS, KNOWN, Scheme, parse
from results.architecture import Architecture
from results.errors import BadInputError

if TYPE_CHECKING:
    from torch import nn

    from nas.encoder import Encoder
    from quant.weights import Floats

MAKERS = {"module": "", "torchao": "torchao"}
"""Who quantises what a runtime takes; the best there is where none is named."""

_HONOURED = {"name", "keep", *(group.replace("-", "_") for group in GROUPS)}


def module_refusal(text: str) -> str:
    """Why torch's tools cannot make a module in this scheme; empty when they can."""
    scheme = parse(text)
    base = KNOWN[scheme.base]
    for setting in fields(Scheme):
        name = setting.name
        if name not in _HONOURED and getattr(scheme, name) != getattr(base, name):
            return f"torch has no int8 with a setting for {name.replace('_', '-')}"
    kinds = scheme.arithmetics - {"fp32"}
    if kinds - {"int8-dynamic"} or (kinds and scheme.rest == "bf16"):
        return "torch has no layers of that kind beside others"
    return ""


def module(
    architecture: Architecture, text: str, weights: Mapping[str, "Floats"], maker: str, cap: str
) -> "nn.Module":
    """The encoder in eval mode, in a scheme of torch's; its table of words is that of `weights`.

    Raises:
        BadInputError: torch has no such scheme, or not the kernels for it.
    """
    from nas.encoder import Encoder
    from quant.dynamic import quantise_dynamic

    if why := module_refusal(text):
        raise BadInputError(f"scheme {text!r}: {why}; use onnxruntime")
    scheme = parse(text)
    encoder = Encoder(architecture, weights, pooler=False).eval()
    _share_words(encoder, weights["embeddings.word_embeddings.weight"])
    if scheme.rest == "bf16":
        import torch

        return encoder.to(torch.bfloat16)
    if scheme.arithmetics == {"fp32"}:
        return encoder
    kept = _kept(encoder, scheme)
    # fbgemm listens to no cap, oneDNN does
    kernels = "onednn" if cap else ""
    return quantise_dynamic(encoder, kernels, by=maker, keep=kept, in_place=True)


def _kept(encoder: "Encoder", scheme: Scheme) -> set[str]:
    """Names inside the encoder of the linear layers that stay float32."""
    from torch import nn

    from nas.encoder import canonical
    from quant.press import linear_layers

    floats = {
        f"{name}.weight"
        for name, layer, group in linear_layers(encoder.architecture)
        if scheme.arithmetic(layer, group) == "fp32"
    }
    linear = [name for name, part in encoder.named_modules() if isinstance(part, nn.Linear)]
    return {name for name in linear if canonical(f"{name}.weight") in floats}


def _share_words(encoder: "Encoder", words: "Floats") -> None:
    """Look words up where all sub-models keep them: a copy each is up to 94 MB, mostly unread."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the view is read-only, and so are lookups
        shared = torch.from_numpy(words)
    encoder.embeddings.words.weight = torch.nn.Parameter(shared, requires_grad=False)

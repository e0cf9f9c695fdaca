"""A scheme as predictors see it: which words for arithmetic cost the same. Predicts nothing."""

from predictors.columns import FP32, GROUPS, Numerics
from quant.scheme import KNOWN, Scheme, parse

BYTES = {
    "fp32": 4.0,
    "bf16": 2.0,
    "int8-weight-only": 4.0,
    "int8-dynamic": 1.0,
    "int8-static": 1.0,
}
"""Of a weight as a product reads it; weights that are only stored in int8 are floats by then."""


def numerics_of(name: str) -> Numerics:
    """The kinds of arithmetic of a scheme of ours, or of one that a tool of others makes.

    What of a scheme's settings changes the operators is part of the word.
    """
    if name.partition(":")[0] not in KNOWN:
        return Numerics({**dict.fromkeys(GROUPS, name), "attention": FP32}, {}, FP32, _bytes(name))
    scheme = parse(name)
    floats = "bf16" if scheme.rest == "bf16" else FP32
    words = {a: _word(scheme, a, floats) for a in BYTES}
    groups = [g for g in GROUPS if g != "attention"]
    kinds = {g: words[scheme.arithmetic(-1, g)] for g in groups}
    kinds["attention"] = words[scheme.attention]
    kept = {g: _kept(scheme, g) for g in groups}
    return Numerics(
        kinds,
        {g: layers for g, layers in kept.items() if layers},
        floats,
        {words[a]: size for a, size in BYTES.items()} | {FP32: 4.0, "bf16": 2.0},
    )


def _bytes(name: str) -> dict[str, float]:
    return {name: 1.0, FP32: 4.0}


def _word(scheme: Scheme, arithmetic: str, floats: str) -> str:
    """The arithmetic, and after it what else decides which operators are run."""
    if arithmetic in ("fp32", "bf16"):
        return floats if arithmetic == "fp32" else arithmetic
    settings = {
        "token": scheme.activations == "token" and arithmetic == "int8-dynamic",
        "middle": scheme.zero_point == "middle" and arithmetic == "int8-static",
        "smooth": scheme.smooth > 0 and arithmetic == "int8-static",
        "tensor": scheme.weights == "tensor",
        "asymmetric": not scheme.symmetric,
        "bf16": floats == "bf16",
    }
    return "/".join([arithmetic, *(name for name, is_so in settings.items() if is_so)])


def _kept(scheme: Scheme, group: str) -> tuple[int, ...]:
    layers = (entry.partition(".") for entry in scheme.keep)
    return tuple(sorted({int(layer) for layer, _, only in layers if only in ("", group)}))

"""The conclusion of `bench explain` in words, from its numbers alone."""

from collections.abc import Iterator

from bench.explain_figures import Breakdown, Machine
from profiler.parts import GEMMS, OVERHEAD, PARTS

_JOINED = (*GEMMS, "attention", "softmax")

NAMES = {
    "qkv": "GEMM q, k, v",
    "attention-output": "GEMM attention output",
    "ffn-in": "GEMM ffn in",
    "ffn-out": "GEMM ffn out",
    "attention": "attention products",
    "softmax": "softmax and mask",
    "normalisation": "normalisation",
    "gelu": "GELU",
    "residual": "residual sums",
    "embedding": "embedding",
    "quantise": "quantising",
    "layout": "layout",
    "other": "other operators",
    "overhead": "fixed overhead",
}
"""Of every part, for a person."""

LEFT = {
    "the GEMMs": GEMMS,
    "attention with its softmax": ("attention", "softmax"),
    **{NAMES[part]: (part,) for part in (*PARTS, OVERHEAD) if part not in _JOINED},
}
"""What the last sentence chooses from."""

SAME = 0.05
"""Two times closer than this are called the same."""

WORTH_SAYING = 0.02
"""A share of the call below this is not mentioned."""


def conclusion(floats: Breakdown, integers: Breakdown, scheme: str, machine: Machine) -> list[str]:
    """One to four sentences: how much faster, by what, what is left, and what limits the GEMMs."""
    return [
        _verdict(floats, integers, scheme),
        _split(floats, integers),
        *_limit(integers, machine),
        _left(integers),
    ]


def _verdict(floats: Breakdown, integers: Breakdown, scheme: str) -> str:
    ratio = floats.whole_ms / integers.whole_ms
    times = f"({floats.whole_ms:.2f} ms, then {integers.whole_ms:.2f} ms)"
    if ratio > 1 + SAME:
        return f"{scheme} is {ratio:.1f} x faster than fp32 here {times}."
    if ratio < 1 - SAME:
        return f"{scheme} is {1 / ratio:.1f} x slower than fp32 here {times}."
    return f"{scheme} is as fast as fp32 here {times}."


def _split(floats: Breakdown, integers: Breakdown) -> str:
    gain = floats.gemm_ms / integers.gemm_ms if integers.gemm_ms else 0.0
    quantising = integers.parts["quantise"] / integers.whole_ms
    before, rest = _rest(floats), _rest(integers)
    change = before / rest if rest else 1.0
    said = (
        f"Its GEMMs are {_times(gain)} ({floats.gemm_ms / floats.whole_ms:.0%} of the fp32 time), "
        f"the rest, {rest / integers.whole_ms:.0%} of its time, is {_times(change)}"
    )
    cost = f", and quantising costs {quantising:.0%}." if quantising >= WORTH_SAYING else "."
    return said + cost


def _rest(found: Breakdown) -> float:
    """What is neither a GEMM nor quantising."""
    return found.whole_ms - found.gemm_ms - found.parts["quantise"]


def _times(ratio: float) -> str:
    if abs(ratio - 1) <= 2 * SAME:
        return "as fast as before"
    return f"{ratio:.1f} x faster" if ratio > 1 else f"{1 / max(ratio, 1e-9):.1f} x slower"


def _limit(integers: Breakdown, machine: Machine) -> Iterator[str]:
    """How near the integer products come to the roof, and what they would reach in the cache."""
    own = [r for r in integers.rates if r.group in GEMMS and r.arithmetic == "int8"]
    if not own:
        return
    spent_ms = sum(r.ms for r in own)
    share = sum(r.ops for r in own) / spent_ms / 1e6 / machine.peaks["int8"]
    alone_ms = sum(r.ops / machine.alone[r.group]["int8"] / 1e6 for r in own)
    reading_ms = machine.weights["int8"] / machine.bandwidths["int8"] / 1e6
    yield (
        f"The int8 GEMMs run at {share:.0%} of this machine's {machine.peaks['int8'] / 1e3:.1f} "
        f"TOP/s: by themselves, their weights in the cache, they take {alone_ms:.2f} of those "
        f"{spent_ms:.2f} ms, and reading {machine.weights['int8'] / 1e6:.0f} MB of weights at "
        f"{machine.bandwidths['int8']:.0f} GB/s takes {reading_ms:.2f}."
    )


def _left(integers: Breakdown) -> str:
    """What to look at next: the largest group of parts, and the one after it."""
    sums = {
        name: sum(integers.parts[part] for part in parts) / integers.whole_ms
        for name, parts in LEFT.items()
    }
    first, second = sorted(sums, key=lambda name: -sums[name])[:2]
    return (
        f"The largest part left is {first} ({sums[first]:.0%}), then {second} "
        f"({sums[second]:.0%})."
    )

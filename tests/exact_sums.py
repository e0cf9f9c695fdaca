"""Integers whose products no CPU cuts: eight bits, or seven on x86 without VNNI.

There pairs of products are added in 16 bits (see `profiler.saturation`), which is no fault of what
is tested. Weights in seven bits never overflow, so that the same promises hold there.
"""

import platform

import pytest

from profiler.runtimes.runtime import cpu_flags
from quant.scheme import Scheme, parse

VNNI = frozenset({"avx512_vnni", "avx_vnni"})
CUT = platform.machine() == "x86_64" and not VNNI & cpu_flags()
"""Does this CPU cut sums?"""

LARGEST = 64 if CUT else 127
"""Of the integers that stand for weights."""


def exact(text: str) -> Scheme:
    """The scheme, in as many bits as can be added here."""
    scheme = parse(text)
    whole = "int8-static" in scheme.arithmetics or "int8-dynamic" in scheme.arithmetics
    cut = CUT and whole and scheme.symmetric and not scheme.reduce_range
    return parse(f"{text}:reduce-range=yes") if cut else scheme


eight_bits = pytest.mark.skipif(CUT, reason="this CPU cuts sums of products of eight bits")

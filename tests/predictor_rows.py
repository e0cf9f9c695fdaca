"""Networks and rows for the predictors' tests: drawn at random, timed by given prices."""

from collections.abc import Sequence
from random import Random

import numpy as np
from hypothesis import strategies as st

from predictors.columns import FP32, GROUPS, Columns, Floats, Numerics
from predictors.rows import Rows
from predictors.terms import Terms
from results.architecture import Architecture, Layer
from results.measurement import Workload

WORDS = {FP32: 4.0, "bf16": 2.0, "int8": 1.0, "int8/token": 1.0}

PLAIN = Numerics()
INT8 = Numerics({**dict.fromkeys(GROUPS, "int8"), "attention": FP32}, weight_bytes=WORDS)
MIXED = Numerics(
    {**INT8.kinds, "ffn-out": FP32}, {"qkv": (0, 2), "ffn-in": (1,)}, weight_bytes=WORDS
)


@st.composite
def numerics(draw: st.DrawFn) -> Numerics:
    """Any kind for any group, and layers kept in floats, some of them deeper than any network."""
    words = st.sampled_from(sorted(WORDS))
    kept = st.sets(st.integers(0, 6), max_size=3).map(lambda layers: tuple(sorted(layers)))
    return Numerics(
        {group: draw(words) for group in GROUPS},
        draw(st.dictionaries(st.sampled_from(GROUPS), kept)),
        draw(st.sampled_from([FP32, "bf16"])),
        WORDS,
    )


layers = st.builds(
    lambda heads, width, ffn: Layer(heads, heads * width, ffn),
    st.integers(1, 16),
    st.integers(1, 96),
    st.integers(1, 4096),
)
architectures = st.builds(
    Architecture, st.integers(1, 1024), st.lists(layers, min_size=1, max_size=5).map(tuple)
)
workloads = st.builds(Workload, st.integers(1, 64), st.integers(1, 512), st.integers(1, 8))


def network(draw: Random, times: int = 1) -> Architecture:
    """Layers unlike one another; `times` as deep and as wide as usual."""
    stack = []
    for _ in range(times * draw.randint(1, 8)):
        heads = draw.randint(1, 12)
        stack.append(
            Layer(heads, heads * times * draw.randint(8, 64), times * draw.randint(9, 3000))
        )
    return Architecture(times * draw.randint(32, 768), tuple(stack))


def networks(count: int, seed: int, times: int = 1) -> list[Architecture]:
    """So many of them."""
    draw = Random(seed)
    return [network(draw, times) for _ in range(count)]


def columns(
    found: Sequence[Architecture],
    numerics: Sequence[Numerics] = (PLAIN,),
    workloads: Sequence[Workload] = (Workload(),),
) -> Columns:
    """Each with the numerics and the workload whose turn it is."""
    turns = range(len(found))
    return Columns.of(
        found,
        [workloads[i % len(workloads)] for i in turns],
        [numerics[i % len(numerics)] for i in turns],
    )


def prices(terms: Terms, c: Columns, seed: int = 0) -> Floats:
    """Such that no term is most of the latency, and every third costs nothing."""
    drawn = np.random.default_rng(seed).uniform(0.5, 2.0, len(terms.names))
    drawn[seed % 3 :: 3] = 0.0
    typical = np.median(terms.matrix(c), axis=0)
    return np.divide(drawn, typical, out=np.zeros_like(drawn), where=typical > 0)


def timed(found: Sequence[Architecture], noise: float = 0.0, seed: int = 0) -> Rows:
    """Rows of float32 networks; relative errors of so large a standard deviation."""
    c = columns(found)
    terms = Terms(c.kinds)
    ms = terms.matrix(c) @ prices(terms, columns(networks(50, 0)))
    errors = np.random.default_rng(seed).normal(0.0, noise, len(c)) if noise else 0.0
    return Rows(c, ms * np.exp(errors), tuple(found))

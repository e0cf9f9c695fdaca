"""Bytes by sizes alone are the bytes of the graph."""

import numpy as np
import pytest

from quant.footprint import of_architecture, of_sizes
from quant.graph import emit
from quant.scheme import parse
from quant.weights import RandomWeights
from results.architecture import Architecture, Layer

TABLES = {"vocab": 500, "positions": 40, "types": 2}
UNEVEN = Architecture(48, (Layer(2, 32, 96), Layer(4, 64, 160)), **TABLES)
EVEN = Architecture(64, (Layer(4, 32, 128),) * 3, **TABLES)
WEIGHTS = RandomWeights(0)
EXACT = ("fp32", "int8-dynamic", "int8-weight-only")
NEARLY = ("ptq", "int8-static", "ptq:ffn-out=fp32", "ptq:keep=0", "int8-dynamic:weights=tensor")


@pytest.mark.parametrize("a", [UNEVEN, EVEN], ids=str)
@pytest.mark.parametrize("scheme", EXACT)
def test_bytes_are_those_of_the_graph(a: Architecture, scheme: str) -> None:
    assert emit(a, parse(scheme), WEIGHTS).weight_bytes == of_architecture(a, parse(scheme))


@pytest.mark.parametrize("a", [UNEVEN, EVEN], ids=str)
@pytest.mark.parametrize("scheme", NEARLY)
def test_small_vectors_that_a_graph_keeps_twice_are_left_out(a: Architecture, scheme: str) -> None:
    graph = emit(a, parse(scheme), WEIGHTS).weight_bytes
    channels = sum(5 * a.hidden + 3 * x.qkv + x.ffn for x in a.layers)

    assert 0 <= graph - of_architecture(a, parse(scheme)) <= 8 * channels


@pytest.mark.parametrize("scheme", [*EXACT, *NEARLY, "int8-seed", "ptq:keep=1.ffn-out"])
def test_many_at_once_have_the_bytes_of_each(scheme: str) -> None:
    several = [Architecture(h, (Layer(4, 32, f),) * d, **TABLES)
               for h in (32, 48) for f in (64, 96) for d in (1, 2, 3)]  # fmt: skip
    columns = [np.array(x) for x in zip(
        *((a.depth, a.hidden, a.layers[0].qkv, a.layers[0].ffn) for a in several), strict=True
    )]  # fmt: skip

    found = of_sizes(*columns, tuple(TABLES.values()), parse(scheme))

    assert [of_architecture(a, parse(scheme)) for a in several] == found.tolist()

"""What follows from the measurements of `bench explain`: arithmetic, widths and words."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.explain_figures import (
    Breakdown,
    Machine,
    Question,
    Rate,
    Rung,
    Seen,
    breakdown,
    products,
)
from bench.explain_widths import pays_from, preferred
from bench.explain_words import conclusion
from bench.subjects import Source
from profiler.parts import GEMMS, OVERHEAD, PARTS
from profiler.trace import Piece
from results.architecture import Architecture, Layer
from results.measurement import Workload

A = Architecture(24, (Layer(2, 12, 32), Layer(3, 36, 20)), vocab=50)
ASKED = Question(A, Source(), "onnxruntime", "int8-dynamic", Workload(2, 7, 1))

PIECES = st.lists(
    st.builds(
        Piece,
        st.sampled_from(PARTS),
        st.sampled_from(["Gemm", "QGemm", "DynamicQuantizeMatMul", "Softmax"]),
        st.sampled_from([1, 4]),
        st.just(4),
        st.floats(0.5, 1e5),
        st.integers(1, 40),
    ),
    max_size=12,
)
TIMES = st.floats(0.001, 1000)


def seen(*pieces: Piece, whole: float, nothing: Sequence[Piece] = (), fixed: float = 0.0) -> Seen:
    return Seen(
        whole, whole + 0.5, pieces, 9, busy=False, fixed_ms=fixed, fixed_pieces=tuple(nothing)
    )


@given(PIECES, PIECES, TIMES, TIMES, TIMES)
def test_the_parts_add_up_to_the_whole_and_none_is_negative(
    pieces: list[Piece], nothing: list[Piece], whole: float, profiled: float, fixed: float
) -> None:
    quantise = {str(width): 3.0 for width in (12, 20, 24, 32, 36)}
    measured = Seen(
        whole, profiled, tuple(pieces), 5, busy=True, fixed_ms=fixed, fixed_pieces=tuple(nothing)
    )
    found = breakdown(measured, ASKED, quantise)

    assert pytest.approx(whole) == sum(found.parts.values())
    assert min(found.parts.values()) >= 0
    assert found.parts[OVERHEAD] >= min(fixed, whole) * (1 - 1e-9)
    assert 0 <= found.scale <= 1
    assert (*PARTS, OVERHEAD) == tuple(found.parts)


def test_a_part_is_what_its_operators_take_beyond_next_to_nothing() -> None:
    gemm, gelu = Piece("ffn-in", "Gemm", 4, 4, 6000, 2), Piece("gelu", "Gelu", 4, 4, 1000, 2)
    least = [Piece("ffn-in", "Gemm", 4, 4, 12.0, 4), Piece("gelu", "Gelu", 4, 4, 50.0, 1)]

    found = breakdown(seen(gemm, gelu, whole=10.0, nothing=least, fixed=1.0), ASKED, {})

    assert pytest.approx((5.994, 0.9)) == (found.parts["ffn-in"], found.parts["gelu"])
    assert pytest.approx((10 - 5.994 - 0.9, 1.0)) == (found.parts[OVERHEAD], found.scale)
    assert pytest.approx(0.5) == found.profiler_ms


def test_operators_that_come_to_more_than_the_whole_are_scaled_down_alike() -> None:
    gemm, gelu = Piece("ffn-in", "Gemm", 4, 4, 9000, 50), Piece("gelu", "Gelu", 4, 4, 3000, 50)

    found = breakdown(seen(gemm, gelu, whole=7.0, fixed=1.0), ASKED, {})

    assert pytest.approx((4.5, 1.5, 1.0)) == (
        found.parts["ffn-in"], found.parts["gelu"], found.parts[OVERHEAD]
    )  # fmt: skip
    assert 0.5 == found.scale


def test_an_operator_faster_than_on_next_to_nothing_takes_no_time() -> None:
    shape, least = Piece("layout", "Shape", 8, 8, 10, 10), Piece("layout", "Shape", 8, 8, 30, 10)

    found = breakdown(seen(shape, whole=4.0, nothing=[least]), ASKED, {})

    assert (0.0, 4.0) == (found.parts["layout"], found.parts[OVERHEAD])


def test_quantising_inside_a_product_is_told_apart_from_it() -> None:
    fused = Piece("ffn-out", "DynamicQuantizeMatMul", 4, 4, 900, 2)  # of widths 32 and 20

    found = breakdown(seen(fused, whole=1.0), ASKED, {"32": 100.0, "20": 60.0})

    assert pytest.approx((0.74, 0.16)) == (found.parts["ffn-out"], found.parts["quantise"])


def test_quantising_is_counted_for_the_products_that_do_it_alone() -> None:
    fused = Piece("ffn-out", "DynamicQuantizeMatMul", 4, 4, 400, 1)
    floats = Piece("ffn-out", "Gemm", 4, 4, 900, 1)

    found = breakdown(seen(fused, floats, whole=2.0), ASKED, {"32": 100.0, "20": 60.0})

    assert pytest.approx(0.08) == found.parts["quantise"]


def test_products_are_those_of_the_architecture() -> None:
    rows, tokens = 14, 7
    linear = sum(s.ops for own in products(A, rows).values() for s in own)

    attention = sum(2 * 2 * tokens * tokens * layer.qkv for layer in A.layers) * 2
    assert 2 * A.macs(tokens, batch=2) == linear + attention


def test_a_rate_counts_operations_and_bytes_once() -> None:
    gemm = Piece("ffn-in", "QGemm", 1, 4, 1000, 2)
    scores = Piece("attention", "MatMul", 4, 4, 500, 4)

    found = breakdown(seen(gemm, scores, whole=1.5), ASKED, {})

    ffn, attention = found.rates
    assert ("ffn-in", "int8") == (ffn.group, ffn.arithmetic)
    assert 2 * 14 * 24 * (32 + 20) == ffn.ops
    assert 24 * (32 + 20) + 14 * (24 + 24) + 4 * 14 * (32 + 20) == ffn.bytes
    assert pytest.approx(ffn.ops / 1e6) == ffn.gops
    assert 4 * 7 * 14 * (12 + 36) == attention.ops
    assert "fp32" == attention.arithmetic
    squares = (2 + 3) * 2 * 7 * 7
    assert 4 * (3 * 14 * 48 + squares) + 4 * (squares + 14 * 48) == attention.bytes


def test_a_group_of_two_kinds_has_the_arithmetic_of_the_longer() -> None:
    whole, floats = Piece("qkv", "QGemm", 1, 4, 300, 3), Piece("qkv", "Gemm", 4, 4, 700, 3)

    (found,) = breakdown(seen(whole, floats, whole=1.0), ASKED, {}).rates

    assert "fp32" == found.arithmetic


def rungs(**faster: bool) -> list[Rung]:
    return [Rung(int(w[1:]), 2.0, 1.0 if gain else 3.0) for w, gain in faster.items()]


def test_int8_pays_from_the_width_after_the_last_at_which_it_does_not() -> None:
    assert 64 == pays_from(rungs(w32=False, w64=True, w128=True))
    assert 128 == pays_from(rungs(w32=True, w64=False, w128=True))
    assert 32 == pays_from(rungs(w32=True, w64=True))
    assert None is pays_from(rungs(w32=True, w64=False))
    assert None is pays_from([Rung(32, 2.0, 1.99)])


WIDTHS = range(256, 513, 8)


@given(st.sampled_from([16, 32, 64]), st.floats(-0.2, 0.2))
def test_a_kernel_that_pads_to_a_multiple_is_found_out(multiple: int, trend: float) -> None:
    padded = {w: float(ceil(w / multiple) * multiple) ** 2 * w**trend for w in WIDTHS}

    found = preferred(padded)

    assert found is not None
    assert multiple == found.multiple


def test_the_largest_multiple_with_a_step_is_told_and_how_high_it_is() -> None:
    both = {w: float(ceil(w / 64) * 64) ** 2 * (1.1 if w % 16 else 1.0) for w in WIDTHS}

    found = preferred(both)

    assert found is not None
    assert 64 == found.multiple
    steps = [(above / w) ** 2 - 1 for w, above in ((352, 384), (416, 448))]
    assert pytest.approx(sum(steps) / 2) == found.excess  # the median of four


@given(st.floats(1.5, 2.5), st.floats(0.1, 100), st.randoms(use_true_random=False))
def test_no_step_is_seen_where_there_is_none(power: float, scale: float, rng: object) -> None:
    noisy = {
        w: scale * w**power * (1 + 0.03 * (rng.random() - 0.5))  # type: ignore[attr-defined]
        for w in WIDTHS
    }

    assert None is preferred(noisy)


def found(whole: float, gemm: float, quantise: float = 0.0, **parts: float) -> Breakdown:
    each = dict.fromkeys((*PARTS, OVERHEAD), 0.0) | dict.fromkeys(GEMMS, gemm / 4)
    each |= {"quantise": quantise, **parts}
    each[OVERHEAD] = whole - sum(each.values())
    rates = tuple(Rate(group, "int8", gemm / 4, 500_000_000, 1_000_000) for group in GEMMS)
    return Breakdown(whole, each, 0.1, busy=False, scale=1.0, rates=rates)


ROOFS = Machine(
    {"fp32": 200.0, "int8": 2500.0},
    {"fp32": 16.0, "int8": 32.0},
    {"fp32": 64_000_000, "int8": 16_000_000},
    {group: {"fp32": 180.0, "int8": 2000.0} for group in GEMMS},
)


def test_the_conclusion_says_by_what_int8_is_faster_and_what_is_left() -> None:
    floats, integers = found(21.0, 17.0, attention=3.0), found(8.0, 4.0, 0.8, attention=3.0)

    said = conclusion(floats, integers, "int8-dynamic", ROOFS)

    assert [
        "int8-dynamic is 2.6 x faster than fp32 here (21.00 ms, then 8.00 ms).",
        (
            "Its GEMMs are 4.2 x faster (81% of the fp32 time), the rest, 40% of its time, is "
            "1.2 x faster, and quantising costs 10%."
        ),
        (
            "The int8 GEMMs run at 20% of this machine's 2.5 TOP/s: by themselves, their weights "
            "in the cache, they take 1.00 of those 4.00 ms, and reading 16 MB of weights at "
            "32 GB/s takes 0.50."
        ),
        "The largest part left is the GEMMs (50%), then attention with its softmax (38%).",
    ] == said


def test_the_conclusion_says_so_where_int8_is_not_faster() -> None:
    floats, slower = found(2.0, 1.0, gelu=0.5), found(4.0, 2.0, 1.2, gelu=0.5)

    verdict, split, _, left = conclusion(floats, slower, "ptq", ROOFS)

    assert verdict.startswith("ptq is 2.0 x slower than fp32 here")
    assert "GEMMs are 2.0 x slower" in split
    assert "quantising costs 30%" in split
    assert "the GEMMs (50%), then quantising (30%)" in left
    verdict, split, *_ = conclusion(floats, found(2.05, 1.0), "ptq", ROOFS)
    assert verdict.startswith("ptq is as fast as fp32 here")
    assert "GEMMs are as fast as before" in split


def test_without_integer_products_nothing_is_said_of_their_roof() -> None:
    floats = found(2.0, 1.0)
    stored = replace(floats, rates=tuple(replace(r, arithmetic="fp32") for r in floats.rates))

    said = conclusion(floats, stored, "int8-weight-only", ROOFS)

    assert 3 == len(said)
    assert not any("TOP/s" in sentence for sentence in said)

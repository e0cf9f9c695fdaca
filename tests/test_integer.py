"""The integer path multiplies exactly, and is the graph that is written of the same."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.device import CAPS
from profiler.runtimes import onednn, runtime
from quant.calibrate import calibrate
from quant.graph import INPUTS, emit_pressed
from quant.int8 import UINT8, affine, quantise
from quant.integer import IntegerEncoder
from quant.integer_grids import FixedGrid, Levels, found_grid, token_grid
from quant.integer_linears import Fused, Unfused, fused_is_exact
from quant.press import Pressed, Step, press
from quant.scheme import parse
from quant.weights import Integers, TensorWeights
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from tests.exact_sums import exact
from tests.written_bert import (
    ARCHITECTURES,
    TOKENS,
    Arrays,
    batch,
    bert,
    lively,
    plain_linear,
    run,
)

A = ARCHITECTURES["no two layers alike"]
LAYERS = list(enumerate(A.layers))
EXTREME = st.sampled_from([-127, 127, 0, 1, -64])
SIZES = st.tuples(*[st.integers(1, 70)] * 3)

fused = pytest.mark.skipif(not fused_is_exact(127), reason="torch has no exact fused product here")


@st.composite
def products(draw: st.DrawFn) -> tuple[Levels, np.ndarray]:
    """Levels (rows, in) with a zero point and weights (out, in); random, or at the ends."""
    rows, in_, out = draw(SIZES)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x, weight = rng.integers(0, 256, (rows, in_)), rng.integers(-127, 128, (out, in_))
    if draw(st.booleans()):
        x, weight = np.where(x > 99, 255, 0), np.full_like(weight, draw(EXTREME))
    zero = draw(st.sampled_from([0, 1, 128, 255]))
    return Levels(torch.from_numpy(x.astype(np.uint8)), 1.0, zero), weight.astype(np.int8)


def sums(x: Levels, weight: np.ndarray, zeros: np.ndarray | int = 0) -> np.ndarray:
    """The oracle: NumPy's int64, (rows, out)."""
    signed = weight.astype(np.int64) - np.reshape(zeros, (-1, 1))
    return (x.values.numpy().astype(np.int64) - x.zero) @ signed.T


def units(weight: np.ndarray, zeros: np.ndarray | None = None) -> Integers:
    """Scales of 1: what comes out is the sum itself."""
    return Integers(weight, np.ones(len(weight), np.float32), zeros)


@fused
@settings(deadline=None)
@given(products())
def test_fused_sums_of_integers_are_numpy_s_to_the_last_bit(given: tuple) -> None:
    x, weight = given
    bias = np.arange(len(weight), dtype=np.float32) - 3
    y = np.arange(len(x.values) * len(weight), dtype=np.float32).reshape(-1, len(weight))
    made = Fused(units(weight), bias)

    expected = sums(x, weight) + bias
    np.testing.assert_array_equal(expected, made.plain(x, torch.float32))
    np.testing.assert_array_equal(expected + y, made.onto(x, torch.from_numpy(y.copy())))


@settings(deadline=None)
@given(products(), st.integers(0, 255))
def test_unfused_sums_are_numpy_s_with_any_zero_point_of_the_weights(
    given: tuple, zero: int
) -> None:
    x, weight = given
    shifted = (weight.astype(np.int16) + 128).astype(np.uint8)
    zeros = np.arange(zero, zero + len(weight)).astype(np.uint8)
    none = np.zeros(len(weight), np.float32)

    signed = Unfused(units(weight), none).accumulated(x)
    unsigned = Unfused(units(shifted, zeros), none).accumulated(x)

    assert torch.int32 == signed.dtype == unsigned.dtype
    np.testing.assert_array_equal(sums(x, weight), signed)
    np.testing.assert_array_equal(sums(x, shifted, zeros), unsigned)


@fused
def test_one_kernel_adds_as_many_products_as_the_widest_layer_has() -> None:
    x = Levels(torch.full((3, 4096), 255, dtype=torch.uint8), 1 / 2**10, 0)
    weight = np.full((5, 4096), 127, np.int8)

    made = Fused(units(weight), np.zeros(5, np.float32)).plain(x, torch.float32)

    np.testing.assert_array_equal(np.full((3, 5), 255 * 127 * 4), made)


@given(st.integers(0, 99), st.floats(1e-3, 10), st.integers(0, 255), st.floats(0.01, 100))
def test_a_level_is_quantize_linear_s_but_for_halves(
    seed: int, scale: float, zero: int, spread: float
) -> None:
    x = np.random.default_rng(seed).normal(0, spread, (7, 31)).astype(np.float32)
    x[0, :3] = [0, 1e30, -1e30]
    divisor = np.linspace(0.1, 3, 31, dtype=np.float32)
    step = Step(np.float32(scale), zero)

    for smooth, seen in ((None, x), (divisor, x / divisor)):
        found = FixedGrid(step, smooth)(torch.from_numpy(x))
        assert (step.scale, zero) == (found.scale, found.zero)
        require_levels(found.values.numpy(), seen, step)


def require_levels(found: np.ndarray, x: np.ndarray, step: Step) -> None:
    expected = quantise(x, step.scale, step.zero, UINT8).astype(int)
    place = np.abs(x.astype(np.float64) / np.float64(step.scale))
    from_half = np.abs(place % 1 - 0.5)
    other = found != expected
    assert (from_half[other] < 1e-6 * (1 + place[other])).all()
    assert np.abs(found - expected).max(initial=0) <= 1


@pytest.mark.parametrize("other", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_still_becomes_levels(other: float) -> None:
    x = torch.tensor([[1.0, other]])

    assert torch.uint8 == found_grid(x).values.dtype
    assert torch.uint8 == FixedGrid(Step(np.float32(0.1), 3), None)(x).values.dtype


@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=9),
    st.booleans(),
)
def test_a_range_found_in_the_call_is_dynamic_quantize_linear_s(
    values: list[float],
    overwritten: bool,  # noqa: FBT001
) -> None:
    x = np.array([values], np.float32)
    scale, zero = affine(x.min(), x.max(), UINT8)
    spare = torch.from_numpy(x.copy())

    found = found_grid(spare, spare if overwritten else None)

    assert (float(scale), int(zero)) == (found.scale, found.zero)
    require_levels(found.values.numpy(), x, Step(np.float32(scale), int(zero)))
    assert overwritten or x.tobytes() == spare.numpy().tobytes()


def test_each_token_has_its_own_scale() -> None:
    x = np.array([[1, -2, 0.5], [0, 0, 0], [-300, 1, 150]], np.float32)

    found = token_grid(torch.from_numpy(x))

    np.testing.assert_allclose(found.scale.squeeze()[[0, 2]], [2 / 127, 300 / 127])
    assert 128 == found.zero
    assert [[192, 1, 160], [128, 128, 128], [1, 128, 192]] == found.values.tolist()


@fused
def test_gelu_goes_straight_to_the_grid_of_the_next_layer() -> None:
    rng = np.random.default_rng(3)
    weight = Integers(rng.integers(-127, 128, (40, 64), np.int8), np.full(40, 1e-3, np.float32))
    x = Levels(torch.from_numpy(rng.integers(0, 256, (50, 64), np.uint8)), 0.01, 100)
    bias, step = rng.normal(0, 1, 40).astype(np.float32), Step(np.float32(0.01), 17)

    found = Fused(weight, bias).gelu_levels(x, FixedGrid(step, None))

    floats = (sums(x, weight.values) * 1e-5 + bias).astype(np.float32)
    expected = quantise(torch.nn.functional.gelu(torch.from_numpy(floats)).numpy(), *astuple(step))
    off = np.abs(found.values.numpy().astype(int) - expected)
    assert (step.scale, 17) == (found.scale, found.zero)
    assert off.max() <= 1
    assert off.mean() < 1e-3


def astuple(step: Step) -> tuple:
    return step.scale, step.zero, UINT8


EVERYWHERE = ["int8-static", "int8-dynamic", "ptq", "int8-dynamic:activations=token"]
ONCE = [
    "int8-static:weights=tensor",
    "int8-static:symmetric=no:embeddings=int8",
    "int8-dynamic:symmetric=no:weights=tensor",
    "int8-static:ffn-out=fp32:qkv=int8-dynamic:embeddings=int8",
    "int8-dynamic:ffn-out=int8-static",
    "int8-static:smooth=0.5:ffn-in=fp32",
    "ptq:reduce-range=yes",
    "ptq:keep=1+0.ffn-out",
]
FLOATS = ["fp32", "int8-weight-only", "int8-seed"]
CASES = [(n, s) for n in ARCHITECTURES for s in EVERYWHERE]
CASES += [("no two layers alike", s) for s in ONCE]


def pressed_of(a: Architecture, text: str, feed: Arrays) -> Pressed:
    scheme, weights = parse(text), TensorWeights(lively(a))
    whole = feed | {"attention_mask": np.ones_like(feed["attention_mask"])}
    return press(
        a,
        scheme,
        weights,
        calibrate(a, scheme, weights, [whole] * 8) if scheme.calibrated else None,
    )


def answer(encoder: IntegerEncoder, feed: Arrays) -> np.ndarray:
    with torch.inference_mode():
        return encoder(*(torch.from_numpy(feed[name]) for name in INPUTS)).numpy()


@pytest.mark.parametrize(("name", "text"), CASES)
def test_the_integer_encoder_is_the_graph_of_the_same(name: str, text: str) -> None:
    a = ARCHITECTURES[name]
    feed = batch(a, min(TOKENS, a.positions))
    pressed = pressed_of(a, exact(text).name, feed)

    made = answer(IntegerEncoder(pressed), feed)

    expected = run(emit_pressed(pressed), feed)
    floats = bert(a, lively(a), feed, plain_linear)
    assert np.abs(made - expected).mean() <= 0.01 * np.abs(floats - expected).mean() + 1e-6
    assert np.float32 == made.dtype


def test_a_divisor_behind_gelu_is_no_reason_to_be_wrong() -> None:
    scheme, weights, feed = exact("int8-static"), TensorWeights(lively(A)), batch(A)
    known = calibrate(A, scheme, weights, [feed] * 3)
    divisors = {f"{i}.ffn-out": np.linspace(1, 2, x.ffn, dtype=np.float32) for i, x in LAYERS}
    pressed = press(A, scheme, weights, replace(known, divisors=divisors))

    made = answer(IntegerEncoder(pressed), feed)

    np.testing.assert_allclose(made, run(emit_pressed(pressed), feed), atol=1e-5, rtol=0)


@pytest.mark.parametrize("text", FLOATS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_computed_in_floats_is_the_graph_of_the_same(name: str, text: str) -> None:
    a = ARCHITECTURES[name]
    feed = batch(a, min(TOKENS, a.positions))
    pressed = pressed_of(a, text, feed)

    made = answer(IntegerEncoder(pressed), feed)

    np.testing.assert_allclose(made, run(emit_pressed(pressed), feed), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("text", "stored"), [("bf16", 12), ("ptq-bf16", 0), ("int8-dynamic:rest=bf16:ffn-in=fp32", 3)]
)
def test_bfloat16_is_near_float32_but_is_not_it(text: str, stored: int) -> None:
    feed = batch(A)
    pressed = pressed_of(A, text, feed)

    encoder = IntegerEncoder(pressed)
    made = answer(encoder, feed)

    kept = encoder.state_dict().values()
    assert stored == sum(part.dtype == torch.bfloat16 and part.ndim == 2 for part in kept)
    plain = replace(pressed, scheme=replace(pressed.scheme, rest="fp32"))
    expected = answer(IntegerEncoder(plain), feed)
    assert 1e-4 < np.abs(made - expected).mean() < 0.01 * np.abs(expected).mean()
    assert np.float32 == made.dtype


@pytest.mark.parametrize("text", ["ptq", "int8-dynamic", "int8-dynamic:activations=token", "fp32"])
def test_a_call_leaves_inputs_and_the_next_call_alone(text: str) -> None:
    feed = batch(A)
    before = {name: x.copy() for name, x in feed.items()}
    encoder = IntegerEncoder(pressed_of(A, text, feed))

    one, two = answer(encoder, feed).copy(), answer(encoder, feed)

    assert one.tobytes() == two.tobytes()
    for name, x in before.items():
        np.testing.assert_array_equal(x, feed[name])


def test_what_padding_holds_changes_nothing() -> None:
    feed = batch(A)
    there = feed["attention_mask"].astype(bool)
    encoder = IntegerEncoder(pressed_of(A, "ptq", feed))
    other = feed | {"input_ids": np.where(there, feed["input_ids"], 0)}

    np.testing.assert_allclose(
        answer(encoder, feed)[there], answer(encoder, other)[there], atol=1e-5, rtol=0
    )


def test_integers_inside_attention_are_refused() -> None:
    pressed = pressed_of(A, "int8-static:attention=int8-static", batch(A))

    with pytest.raises(BadInputError, match="no integer product inside attention; leave out"):
        IntegerEncoder(pressed)


def test_what_it_holds_weighs_what_was_pressed() -> None:
    wide = Architecture(256, (Layer(4, 256, 512),), vocab=50, positions=24)
    pressed = press(wide, parse("ptq"), TensorWeights(lively(wide)))

    inputs = runtime.random_inputs(runtime.Workload(1, 4), wide.vocab, 0)
    found = onednn.RUNTIME.prepare(IntegerEncoder(pressed), inputs, 1, stable=True, cap="")

    assert emit_pressed(pressed).weight_bytes == pytest.approx(found.model_bytes, rel=0.02)


@fused
def test_without_vnni_the_answers_are_the_same() -> None:
    code = (
        "import sys, numpy as np\n"
        "from quant.integer import IntegerEncoder\n"
        "from quant.integer_linears import fused_is_exact\n"
        "from tests.test_integer import A, answer, pressed_of\n"
        "from tests.written_bert import batch\n"
        "assert (False, True) == (fused_is_exact(127), fused_is_exact(64))\n"
        "for text in sys.argv[1:]:\n"
        "    made = answer(IntegerEncoder(pressed_of(A, text, batch(A))), batch(A))\n"
        "    sys.stdout.buffer.write(made.tobytes())\n"
    )
    texts = ["ptq", "ptq:reduce-range=yes"]

    there = subprocess.run(
        [sys.executable, "-c", code, *texts], env=os.environ | CAPS["avx2"], check=True,
        capture_output=True,
    )  # fmt: skip

    here = [answer(IntegerEncoder(pressed_of(A, text, batch(A))), batch(A)) for text in texts]
    found = np.frombuffer(there.stdout, np.float32).reshape(2, *here[0].shape)
    np.testing.assert_allclose(found, here, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("scheme", "cap", "why"),
    [
        ("ptq", "", ""),
        ("fp32", "", "no scheme 'fp32'"),
        ("ptq", "avx2", "cuts sums of int8 products where it has no VNNI: add reduce-range"),
        ("ptq:reduce-range=yes", "avx2", ""),
        ("ptq-bf16", "avx2", "avx2 has no bf16"),
        ("int8-static:attention=int8-static", "", "no integer product inside attention"),
    ],
)
def test_the_runtime_says_what_it_cannot_do(
    scheme: str, cap: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(onednn, "cpu_flags", lambda: frozenset({"avx512_vnni"}))

    found = onednn.RUNTIME.scheme_refusal(scheme, cap)

    assert why in found
    assert bool(why) == bool(found)


def test_machines_without_the_kernels_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(onednn, "cpu_flags", lambda: frozenset({"avx2"}))
    assert "no VNNI" in onednn.RUNTIME.scheme_refusal("ptq", "")

    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert "x86-64 alone" in onednn.RUNTIME.scheme_refusal("ptq", "")

    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    encoder = IntegerEncoder(pressed_of(A, "ptq", batch(A)))
    inputs = runtime.random_inputs(runtime.Workload(1, 4), A.vocab, 0)
    with pytest.raises(BadInputError, match="built without oneDNN's int8 operators: install"):
        onednn.RUNTIME.prepare(encoder, inputs, 1, stable=True, cap="")

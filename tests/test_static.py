"""Static graphs compute what their calibration and scheme say; calibration sees the text."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest

from quant import graph
from quant.calibrate import LEAST_TOKENS, calibrate
from quant.calibration import Calibration, MadeUp, place
from quant.press import press
from quant.scheme import FP32, parse
from quant.weights import RandomWeights, TensorWeights
from results.architecture import Architecture
from results.errors import BadInputError
from tests.exact_sums import LARGEST, exact
from tests.written_bert import ARCHITECTURES, Arrays, Linear, bert, lively, plain_linear, run

A = ARCHITECTURES["no two layers alike"]
ORDER = ["qkv", "qkv", "qkv", "attention-output", "ffn-in", "ffn-out"]
TEXT = [
    {
        "input_ids": np.random.default_rng(seed).integers(0, A.vocab, (3, 9)),
        "attention_mask": np.ones((3, 9), np.int64),
        "token_type_ids": np.random.default_rng(seed).integers(0, A.types, (3, 9)),
    }
    for seed in range(4)
]
FEED = TEXT[0]


def each_linear(found: Callable[[str, np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Linear:
    """A linear layer that knows its place: `bert` calls them in this order, layer after layer."""
    calls = 0

    def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        nonlocal calls
        layer, group = divmod(calls, len(ORDER))
        calls += 1
        return found(place(layer, ORDER[group]), x, weight, bias)

    return linear


def static_linear(known: Calibration, *, steps: int = LARGEST) -> Linear:
    """int8-static written a second time: x on 256 levels, int32 biases, and weights on 255 a row.

    (129 where a CPU cuts the sums of more.)
    """

    def found(where: str, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        s = known.divisors.get(where, np.ones(1)).astype(np.float64)
        low, high = (min(known.ranges[where][0], 0), max(known.ranges[where][1], 0))
        step = (high - low) / 255
        zero = np.rint(-low / step)
        x = (np.clip(np.rint(x / s / step) + zero, 0, 255) - zero) * step
        row = np.abs(weight * s).max(axis=1) / steps
        integers = np.rint(weight * s / row[:, None])
        return plain_linear(x, integers * row[:, None], np.rint(bias / row / step) * row * step)

    return each_linear(found)


def ranges_of(a: Architecture, weights: Arrays, text: list[Arrays]) -> dict[str, tuple]:
    """Smallest and largest input of every linear layer, from the second writing of BERT."""
    seen: dict[str, list[float]] = {}

    def watch(where: str, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        seen.setdefault(where, []).extend((x.min(), x.max()))
        return plain_linear(x, weight, bias)

    for feed in text:
        bert(a, weights, feed, each_linear(watch))
    return {where: (min(values), max(values)) for where, values in seen.items()}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_static_graph_computes_what_its_scheme_says(name: str) -> None:
    a = ARCHITECTURES[name]
    weights, tokens = lively(a), min(9, a.positions)
    feed = {n: x[:, :tokens] % (a.vocab if n == "input_ids" else a.types) for n, x in FEED.items()}
    feed["attention_mask"] = np.ones_like(feed["input_ids"])
    known = Calibration(ranges_of(a, weights, [feed]))

    made = run(graph.emit(a, exact("int8-static"), TensorWeights(weights), known), feed)

    floats = bert(a, weights, feed, plain_linear)
    expected = bert(a, weights, feed, static_linear(known))
    assert np.abs(made - expected).mean() <= 0.2 * np.abs(floats - expected).mean() + 1e-5


def test_calibration_sees_the_ranges_of_the_text() -> None:
    weights = lively(A)

    known = calibrate(A, parse("int8-static"), TensorWeights(weights), TEXT, "t")

    expected = ranges_of(A, weights, TEXT)
    assert expected.keys() == known.ranges.keys()
    for where, found in known.ranges.items():
        np.testing.assert_allclose(found, expected[where], atol=1e-4)
    assert "t" == known.text


def test_a_zero_point_in_the_middle_leaves_nothing_of_the_range_out() -> None:
    weights = TensorWeights(lively(A))
    scheme = parse("int8-static:zero-point=middle:attention=int8-static")
    known = calibrate(A, scheme, weights, TEXT)

    steps = press(A, scheme, weights, known).steps

    behind_gelu = {where for where in steps if where.endswith("ffn-out")}
    assert 3 == len(behind_gelu)
    assert {128} == {steps[where].zero for where in steps.keys() - behind_gelu}
    assert all(steps[where].zero < 128 for where in behind_gelu)
    for where, step in steps.items():
        low, high = known.ranges[where]
        assert step.scale * (0 - step.zero - 0.5) <= low
        assert high <= step.scale * (255 - step.zero + 0.5)
        assert step.scale <= 1.01 * max(-low / 128, high / 127)


def test_smoothing_follows_the_paper_and_changes_nothing_in_floats() -> None:
    weights = TensorWeights(lively(A))

    known = calibrate(A, parse("int8-static:smooth=0.5"), weights, TEXT)

    assert {place(i, g) for i in range(3) for g in set(ORDER) - {"ffn-out"}} == set(known.divisors)
    assert max(np.ptp(s) for s in known.divisors.values()) > 0.1
    made = run(graph.emit(A, exact("int8-static:smooth=0.5"), weights, known), FEED)
    expected = bert(A, lively(A), FEED, static_linear(known))
    floats = bert(A, lively(A), FEED, plain_linear)
    assert np.abs(made - expected).mean() <= 0.2 * np.abs(floats - expected).mean()


def test_the_divisor_of_a_channel_is_the_paper_s() -> None:
    weights = lively(A)
    largest: dict[str, np.ndarray] = {}

    def watch(where: str, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        found = np.abs(x).max(axis=(0, 1))
        largest[where] = np.maximum(largest.get(where, found), found)
        return plain_linear(x, weight, bias)

    for feed in TEXT:
        bert(A, weights, feed, each_linear(watch))

    known = calibrate(A, parse("int8-static:smooth=0.7"), TensorWeights(weights), TEXT)

    parts = ("query", "key", "value")
    columns = [weights[f"encoder.layer.1.attention.self.{p}.weight"] for p in parts]
    heaviest = np.abs(np.concatenate(columns)).max(axis=0)
    expected = largest["1.qkv"] ** 0.7 / heaviest**0.3
    np.testing.assert_allclose(known.divisors["1.qkv"], expected, rtol=1e-4)


def test_bias_correction_takes_away_the_mean_error_of_a_layer() -> None:
    scheme = parse("int8-static:weights=tensor:bias-correction=yes")
    weights = lively(A)

    known = calibrate(A, scheme, TensorWeights(weights), TEXT)

    name = "encoder.layer.0.intermediate.dense"
    seen: list[np.ndarray] = []

    def watch(where: str, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
        if where == "0.ffn-in":
            seen.append(x.reshape(-1, x.shape[2]))
        return plain_linear(x, weight, bias)

    for feed in TEXT:
        bert(A, weights, feed, each_linear(watch))
    x, weight = np.concatenate(seen), weights[f"{name}.weight"].astype(np.float64)
    low, high = known.ranges["0.ffn-in"]
    step = (high - low) / 255
    rough = (
        np.clip(np.rint(x / step) + np.rint(-low / step), 0, 255) - np.rint(-low / step)
    ) * step
    row = np.abs(weight).max() / 127
    error = (x @ weight.T - rough @ (np.rint(weight / row) * row).T).mean(axis=0)
    np.testing.assert_allclose(known.shifts[f"{name}.weight"], error, atol=1e-3)
    pressed = press(A, scheme, TensorWeights(weights), known)
    np.testing.assert_allclose(
        pressed.floats[f"{name}.bias"] - weights[f"{name}.bias"], error, atol=1e-3
    )


SCHEMES = [
    "int8-weight-only",
    "int8-seed",
    "int8-static:attention=int8-static",
    "int8-static:weights=tensor",
    "int8-static:symmetric=no",
    "int8-dynamic:activations=token",
    "int8-dynamic:symmetric=no:weights=tensor",
    "int8-static:ffn-out=fp32:qkv=int8-dynamic:embeddings=int8",
    "ptq",
    "ptq:reduce-range=yes",
    "ptq:keep=1+0.ffn-out",
]


@pytest.mark.parametrize("text", SCHEMES)
def test_every_scheme_stays_near_the_float_network_but_is_not_it(text: str) -> None:
    scheme, weights = exact(text), TensorWeights(lively(A))
    known = calibrate(A, scheme, weights, TEXT) if scheme.calibrated else None

    made = run(graph.emit(A, scheme, weights, known), FEED)

    floats = bert(A, lively(A), FEED, plain_linear)
    cosine = (made * floats).sum() / np.sqrt((made**2).sum() * (floats**2).sum())
    assert 0.995 < cosine
    assert np.abs(made - floats).max() > 1e-3


def test_a_scale_for_each_channel_is_nearer_than_one_for_all() -> None:
    uneven = lively(A)
    for name, x in uneven.items():
        if name.endswith("dense.weight"):
            x[0] *= 30
    weights, exact = TensorWeights(uneven), bert(A, uneven, FEED, plain_linear)

    channel, tensor = (
        np.abs(run(graph.emit(A, parse(text), weights), FEED) - exact).mean()
        for text in ("int8-dynamic", "int8-dynamic:weights=tensor")
    )

    assert 2 * channel < tensor


def test_a_mixed_scheme_leaves_what_it_says_in_floats() -> None:
    scheme = parse("int8-static:ffn-out=fp32:keep=2+0.qkv")

    pressed = press(A, scheme, RandomWeights(0))

    left = {n for n, x in pressed.floats.items() if x.ndim > 1 and n not in pressed.integers}
    expected = {n for n in left if n.startswith("embeddings.")}
    expected |= {f"encoder.layer.{i}.output.dense.weight" for i in range(3)}
    expected |= {n for n in pressed.floats if n.startswith("encoder.layer.2.") and ".weight" in n}
    expected |= {f"encoder.layer.0.attention.self.{p}.weight" for p in ("query", "key", "value")}
    assert {n for n in expected if "LayerNorm" not in n} == left


def test_made_up_ranges_are_the_same_graph() -> None:
    scheme, weights = parse("ptq"), TensorWeights(lively(A))
    known = calibrate(A, scheme, weights, TEXT)

    real, made_up = (
        onnx.ModelProto.FromString(graph.emit(A, scheme, weights, c).proto) for c in (known, None)
    )

    assert [n.op_type for n in real.graph.node] == [n.op_type for n in made_up.graph.node]


def test_the_integers_of_a_slice_are_found_on_the_slice() -> None:
    """An outlier outside the slice does not widen the steps inside it."""
    whole = lively(A)
    name = "encoder.layer.1.intermediate.dense.weight"
    whole[name][0, 0] = 100.0
    narrow = replace(A.layers[1], ffn=A.layers[1].ffn - 1)
    smaller = replace(A, layers=(A.layers[0], narrow, A.layers[2]))
    part = dict(whole)
    part[name] = whole[name][1:]
    bias, out = name.replace("weight", "bias"), "encoder.layer.1.output.dense.weight"
    part |= {bias: whole[bias][1:], out: whole[out][:, 1:]}

    pressed = press(smaller, parse("int8-static:weights=tensor"), TensorWeights(part))

    assert np.abs(part[name]).max() / 127 == pytest.approx(pressed.integers[name].scales[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("text", ["int8-dynamic", "int8-static", "int8-seed", "ptq"])
def test_a_weight_that_is_no_number_is_named(text: str, value: float) -> None:
    weights = lively(A)
    weights["encoder.layer.1.output.dense.weight"][3, 2] = value

    with pytest.raises(BadInputError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        press(A, parse(text), TensorWeights(weights))


def test_too_little_text_is_refused() -> None:
    short = [{n: x[:1, :5] for n, x in FEED.items()}]

    with pytest.raises(BadInputError, match=f"at least {LEAST_TOKENS} tokens of text and got 5"):
        calibrate(A, parse("ptq"), TensorWeights(lively(A)), short)
    with pytest.raises(BadInputError, match="got 0"):
        calibrate(A, parse("ptq"), TensorWeights(lively(A)), [])


def test_the_calibration_of_another_network_is_refused() -> None:
    known = Calibration({"0.qkv": (-1.0, 1.0)})

    with pytest.raises(BadInputError, match=r"no range of 0\.attention-output: calibrate"):
        press(A, parse("int8-static"), RandomWeights(0), known)


def test_constant_tensors_quantise_to_themselves() -> None:
    weights = lively(A)
    for name in weights:
        if name.endswith("dense.weight"):
            weights[name][:] = 0.0

    made = run(
        graph.emit(A, parse("int8-static"), TensorWeights(weights), Calibration(MadeUp())), FEED
    )

    assert np.isfinite(made).all()


def test_float32_needs_no_integers() -> None:
    assert {} == press(A, FP32, RandomWeights(0)).integers

"""Where numbers come from: drawn for timing, given for use, rounded for int8."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quant import graph
from quant.scheme import FP32
from quant.weights import RANDOM_SCALE, RandomWeights, TensorWeights, matrices, quantised
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from tests.written_bert import ARCHITECTURES, lively


@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=2, max_dims=2),
        elements=st.floats(-1e4, 1e4, width=32).filter(lambda x: x == 0 or abs(x) > 1e-20),
    )
)
@settings(deadline=None)
def test_no_weight_moves_further_than_half_a_step(matrix: np.ndarray) -> None:
    made = quantised("w", matrix)

    steps = made.scales[:, None].astype(np.float64)
    assert np.abs(made.values).max() <= 127
    assert (np.abs(matrix - made.values * steps) <= steps * 0.50001).all()


def test_random_weights_are_sane_and_follow_the_seed() -> None:
    a = ARCHITECTURES["plain"]
    one, same, other = (RandomWeights(s).tensors(a) for s in (1, 1, 2))
    name = "encoder.layer.1.output.dense.weight"

    assert np.array_equal(one[name], same[name])
    assert not np.array_equal(one[name], other[name])
    assert not np.array_equal(one[name], one["encoder.layer.0.output.dense.weight"])
    assert 0.015 < one[name].std() < 0.025
    assert (one["encoder.layer.1.output.LayerNorm.weight"] == 1).all()
    assert (one["encoder.layer.1.output.LayerNorm.bias"] == 0).all()


def test_random_weights_do_not_depend_on_what_was_asked_before() -> None:
    small, large = ARCHITECTURES["plain"], Architecture(160, (Layer(1, 8, 30522),))
    used = RandomWeights(1)
    for a in (small, large):
        used.tensors(a)
        used.integers(a, matrices(a))

    for name, tensor in RandomWeights(1).tensors(small).items():
        assert np.array_equal(tensor, used.tensors(small)[name])
    for name, made in RandomWeights(1).integers(small, matrices(small)).items():
        assert np.array_equal(made.values, used.integers(small, [name])[name].values)


def test_random_int8_weights_are_the_random_float32_weights_rounded() -> None:
    a = ARCHITECTURES["no two layers alike"]
    source = RandomWeights(1)
    floats = source.tensors(a)

    for name, made in source.integers(a, matrices(a)).items():
        assert np.abs(floats[name] - RANDOM_SCALE * made.values).max() <= 0.501 * RANDOM_SCALE
        assert (made.scales == np.float32(RANDOM_SCALE)).all()


def test_models_on_random_weights_share_their_memory() -> None:
    source = RandomWeights(1)
    name = "embeddings.word_embeddings.weight"

    made = [graph.emit(ARCHITECTURES["plain"], FP32, source).initializers[name] for _ in range(2)]

    assert np.shares_memory(*made)
    assert not made[0].flags.writeable


def test_a_missing_and_a_misshapen_tensor_are_named() -> None:
    a = ARCHITECTURES["plain"]
    weights, name = lively(a), "encoder.layer.1.intermediate.dense.bias"

    with pytest.raises(BadInputError, match=rf"lack {name}; give a tensor of shape \(48,\)"):
        graph.emit(a, FP32, TensorWeights({n: x for n, x in weights.items() if n != name}))
    with pytest.raises(BadInputError, match=rf"{name} has shape \(1,\) where \(48,\) is needed"):
        graph.emit(a, FP32, TensorWeights(weights | {name: np.zeros(1, np.float32)}))

"""8-bit arithmetic is ONNX's to the letter: by Python's integers, ONNX Runtime and PyTorch."""

import os
import subprocess
import sys
from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper

from quant import products
from quant.int8 import (
    INT7,
    INT8,
    INT8_NARROW,
    SMALLEST,
    UINT8,
    Grid,
    affine,
    dequantise,
    may_saturate,
    quantise,
    require_finite,
    saturating_matmul,
    symmetric,
)
from results.errors import BadInputError
from tests import int8_oracle as oracle

Array = np.ndarray

ANY = st.floats(-(2.0**127), 2.0**127, width=32)
MODEST = st.floats(-(2.0**20), 2.0**20, width=32)
GRIDS = st.sampled_from([UINT8, INT8, INT8_NARROW, INT7])
SIGNED = st.sampled_from([INT8, INT8_NARROW, INT7])
ONNX_GRIDS = st.sampled_from([UINT8, INT8])
SCALES = st.floats(2.0**-20, 2.0**20, width=32)
ROUNDING = 1 + 2.0**-14
"""What float32 adds to half a scale: up to 255 quotients' and products' last bits."""


def floats(shape: int | tuple[int, ...], elements: st.SearchStrategy = ANY) -> st.SearchStrategy:
    return hnp.arrays(np.float32, shape, elements=elements)


def for_any(**strategies: st.SearchStrategy):
    """`given`, without a limit on the time."""
    return lambda test: settings(deadline=None)(given(**strategies)(test))


def matrices(dtype: type, rows: int, columns: int) -> st.SearchStrategy:
    limits = np.iinfo(dtype)
    extremes = st.sampled_from([limits.min, limits.min + 1, limits.max])
    return hnp.arrays(dtype, (rows, columns), elements=extremes | hnp.from_dtype(np.dtype(dtype)))


@st.composite
def operands(draw: st.DrawFn, kinds: tuple[type, ...] = (np.uint8,)) -> tuple[Array, Array]:
    rows, out, in_ = (draw(st.integers(1, 9)) for _ in range(3))
    kind = draw(st.sampled_from(kinds))
    return draw(matrices(kind, rows, in_)), draw(matrices(np.int8, out, in_))


@cache
def session(operator: str, kind: type = np.uint8, axis: int | None = None):
    """ONNX Runtime with one operator; x, scale and zero point are fed, as far as it takes them."""
    numbers = {np.uint8: TensorProto.UINT8, np.int8: TensorProto.INT8}
    small, real, dims = numbers[kind], TensorProto.FLOAT, [] if axis is None else ["channels"]
    named = {"x": real, "scale": real, "zero": small, "y": small}
    if operator == "DequantizeLinear":
        named |= {"x": small, "y": real}
    ins, outs = ["x", "scale", "zero"], ["y"]
    if operator == "DynamicQuantizeLinear":
        ins, outs = ["x"], ["y", "scale", "zero"]
    info = {
        n: helper.make_tensor_value_info(n, kind, dims if n in ("scale", "zero") else None)
        for n, kind in named.items()
    }
    node = helper.make_node(operator, ins, outs, **({} if axis is None else {"axis": axis}))
    graph = helper.make_graph([node], "one", [info[n] for n in ins], [info[n] for n in outs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@for_any(low=ANY, high=ANY, grid=GRIDS)
def test_a_scale_is_a_normal_number_and_zero_is_on_the_grid(low, high, grid: Grid) -> None:
    scale, zero = affine(*sorted((low, high)), grid)

    assert SMALLEST <= scale < np.inf
    assert (np.float32, grid.dtype) == (scale.dtype, zero.dtype)
    assert grid.low <= int(zero) <= grid.high
    assert zero == quantise(np.zeros(1, np.float32), scale, zero, grid)[0]
    assert 0 == dequantise(zero, scale, zero)


@for_any(largest=ANY.map(abs), grid=SIGNED)
def test_a_symmetric_scale_is_normal_and_holds_the_largest(largest, grid: Grid) -> None:
    scale = symmetric(largest, grid)

    assert SMALLEST <= scale < np.inf
    assert np.float32 == scale.dtype
    up, down, zero = quantise(np.float32([largest, -largest, 0]), scale, 0, grid).tolist()
    assert (0, -up) == (zero, down)
    if largest >= SMALLEST * grid.high:
        assert grid.high == up


@example(x=np.float32([-(2.0**127), 1, 2.0**127]), grid=UINT8)
@for_any(x=floats(st.integers(1, 40)), grid=GRIDS)
def test_no_value_inside_the_range_moves_further_than_half_a_scale(x, grid: Grid) -> None:
    scale, zero = affine(x.min(), x.max(), grid)

    back = dequantise(quantise(x, scale, zero, grid), scale, zero)

    moved = np.abs(back.astype(float) - x.astype(float))
    assert (moved <= float(scale) / 2 * ROUNDING).all()


@for_any(x=floats(st.integers(1, 40)), grid=SIGNED)
def test_no_weight_moves_further_than_half_a_symmetric_scale(x, grid: Grid) -> None:
    scale = symmetric(np.abs(x).max(), grid)

    back = dequantise(quantise(x, scale, 0, grid), scale, 0)

    moved = np.abs(back.astype(float) - x.astype(float))
    assert (moved <= float(scale) / 2 * ROUNDING).all()


@for_any(x=floats(st.integers(2, 40)), low=ANY, high=ANY, grid=GRIDS)
def test_rounding_keeps_the_order(x, low, high, grid: Grid) -> None:
    scale, zero = affine(*sorted((low, high)), grid)

    steps = quantise(np.sort(x), scale, zero, grid).astype(int)

    assert (np.diff(steps) >= 0).all()


@for_any(x=floats(st.integers(1, 20)), scale=SCALES, grid=GRIDS, data=st.data())
def test_quantising_is_the_formula_one_number_at_a_time(x, scale, grid: Grid, data) -> None:
    zero = data.draw(st.integers(grid.low, grid.high))

    made = quantise(x, np.float32(scale), zero, grid)

    written = [oracle.quantised(v, scale, zero, grid.low, grid.high) for v in x.tolist()]
    assert written == made.tolist()
    assert made.dtype == grid.dtype


def test_halves_go_to_the_even_neighbour_and_the_rest_is_cut() -> None:
    x = np.float32([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, 127.5, 200, -128.5, -129.5, -200])

    made = quantise(x, np.float32(1), 0, INT8)

    assert [0, 2, 2, 0, -2, -2, 126, 127, 127, -128, -128, -128] == made.tolist()


def test_infinity_and_huge_quotients_saturate() -> None:
    x = np.float32([np.inf, -np.inf, 3e38, -3e38])

    assert [255, 0, 255, 0] == quantise(x, np.float32(1e-30), 3, UINT8).tolist()


def test_a_tensor_of_one_value_comes_back() -> None:
    for value in np.float32([0, 1, -1, 3.4e38, -3.4e38, 1e-30, 7.7]):
        scale, zero = affine(value, value, UINT8)
        x = np.full((2, 3), value)
        back = dequantise(quantise(x, scale, zero, UINT8), scale, zero)
        np.testing.assert_allclose(back, x, rtol=2e-7)


@for_any(data=st.data(), grid=GRIDS, axis=st.sampled_from([0, 1, 2, -1]))
def test_a_scale_for_each_index_of_an_axis_is_one_scale_for_each_slice(
    data, grid: Grid, axis: int
) -> None:
    x = data.draw(floats((2, 3, 4)))
    slices = np.moveaxis(x, axis, 0)

    scale, zero = affine(slices.min(axis=(1, 2)), slices.max(axis=(1, 2)), grid)
    whole = quantise(x, scale, zero, grid, axis)
    back = dequantise(whole, scale, zero, axis)

    for i, part in enumerate(slices):
        one = affine(part.min(), part.max(), grid)
        assert one == (scale[i], zero[i])
        steps = quantise(part, *one, grid)
        assert steps.tobytes() == np.moveaxis(whole, axis, 0)[i].tobytes()
        assert dequantise(steps, *one).tobytes() == np.moveaxis(back, axis, 0)[i].tobytes()


@for_any(x=floats(5, MODEST))
def test_scale_and_zero_point_are_those_of_onnx_s_dynamic_quantisation(x) -> None:
    x = np.append(x, np.float32(1))  # ONNX knows no floor for the scale of what is all tiny
    y, scale, zero = session("DynamicQuantizeLinear").run(None, {"x": x})

    found = affine(x.min(), x.max(), UINT8)

    assert found == (scale, zero)
    assert y.tolist() == quantise(x, *found, UINT8).tolist()


@for_any(x=floats(6, MODEST), scale=SCALES, grid=ONNX_GRIDS, data=st.data())
def test_both_ways_are_those_of_onnx_runtime(x, scale, grid: Grid, data) -> None:
    zero = np.asarray(data.draw(st.integers(grid.low, grid.high)), grid.dtype)
    fed = {"scale": np.asarray(scale, np.float32), "zero": zero}

    steps = quantise(x, fed["scale"], zero, grid)
    back = dequantise(steps, fed["scale"], zero)

    there = session("QuantizeLinear", grid.dtype).run(None, {"x": x, **fed})[0]
    assert there.tolist() == steps.tolist()
    theirs = session("DequantizeLinear", grid.dtype).run(None, {"x": there, **fed})[0]
    assert theirs.tobytes() == back.tobytes()


@for_any(data=st.data(), grid=ONNX_GRIDS, axis=st.sampled_from([0, 1]))
def test_both_ways_are_onnx_runtime_s_along_an_axis(data, grid: Grid, axis: int) -> None:
    x = data.draw(floats((3, 3), MODEST))
    scale = data.draw(floats(3, SCALES))
    zero = data.draw(hnp.arrays(grid.dtype, 3))
    fed = {"scale": scale, "zero": zero}

    steps = quantise(x, scale, zero, grid, axis)
    back = dequantise(steps, scale, zero, axis)

    there = session("QuantizeLinear", grid.dtype, axis).run(None, {"x": x, **fed})[0]
    assert there.tolist() == steps.tolist()
    theirs = session("DequantizeLinear", grid.dtype, axis).run(None, {"x": there, **fed})[0]
    assert theirs.tobytes() == back.tobytes()


@pytest.mark.filterwarnings("ignore:.*quantized tensor creation:UserWarning")
@for_any(x=floats((3, 4), MODEST), powers=st.lists(st.integers(-9, 9), min_size=3, max_size=3))
def test_both_ways_are_torch_s_where_its_inverse_of_the_scale_is_exact(x, powers) -> None:
    scale = np.exp2(np.float32(powers))
    steps = quantise(x, scale, 0, INT8, axis=0)

    there = torch.quantize_per_channel(
        torch.from_numpy(x), torch.from_numpy(scale), torch.zeros(3), 0, torch.qint8
    )

    assert there.int_repr().tolist() == steps.tolist()
    assert there.dequantize().tolist() == dequantise(steps, scale, 0, axis=0).tolist()


def test_one_scale_for_several_channels_needs_an_axis() -> None:
    with pytest.raises(ValueError, match="reshape"):
        quantise(np.ones((3, 3), np.float32), np.ones(3), 0, INT8)


@pytest.mark.parametrize(
    ("spoilt", "counts"),
    [
        ([np.nan], "1 NaN and 0 inf"),
        ([np.inf, np.inf], "0 NaN and 2 inf"),
        ([-np.inf], "0 NaN and 1 inf"),
    ],
)
def test_what_is_no_number_is_refused_by_name(spoilt: list[float], counts: str) -> None:
    x = np.ones((2, 4), np.float32)
    require_finite("fine", x)
    require_finite("empty", x[:0])
    x[1, : len(spoilt)] = spoilt

    with pytest.raises(BadInputError, match=rf"layer\.3\.weight holds {counts}.* among 8: only"):
        require_finite("layer.3.weight", x)


@for_any(of=operands())
def test_the_saturating_product_cuts_each_pair(of) -> None:
    assert oracle.saturated_product(*of) == saturating_matmul(*of).tolist()


@for_any(weight=matrices(np.int8, 3, 6))
def test_the_neighbours_that_may_saturate_are_those_that_some_input_makes_saturate(weight) -> None:
    inputs = np.array([[0, 0], [0, 255], [255, 0], [255, 255]], np.uint8)

    found = 0
    for i in range(weight.shape[1] - 1):
        for row in weight[:, i : i + 2]:
            found += oracle.saturated_product(inputs, row[None]) != oracle.product(
                inputs, row[None]
            )

    assert found == may_saturate(weight)


@for_any(of=operands())
def test_seven_bits_never_saturate(of) -> None:
    x, weight = of
    weight = np.clip(weight, INT7.low, INT7.high)

    assert 0 == may_saturate(weight)
    assert oracle.product(x, weight) == saturating_matmul(x, weight).tolist()


def test_one_bit_more_than_seven_saturates() -> None:
    ends = np.array([[INT7.high, INT7.high + 1]], np.int8)

    assert 1 == may_saturate(ends) == may_saturate(-ends)
    assert [[2**15 - 1]] == saturating_matmul(np.full((1, 2), 255, np.uint8), ends).tolist()


@for_any(of=operands((np.uint8, np.int8)))
def test_torch_s_product_is_exact(of) -> None:
    assert oracle.product(*of) == by_torch(*of)


@pytest.mark.parametrize("shape", [(17, 385, 33), (1, 770, 64), (64, 768, 1), (5, 0, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_torch_s_product_is_exact_for_longer_rows(shape, kind) -> None:
    of = extremes(shape, kind)

    assert (of[0].astype(np.int64) @ of[1].astype(np.int64).T).tolist() == by_torch(*of)


def test_torch_s_product_takes_matrices_that_are_views() -> None:
    x, weight = extremes((6, 10, 8), np.uint8)

    made = by_torch(x[::2, ::2], weight.T[:5].T)

    assert oracle.product(x[::2, ::2], weight[:, :5]) == made


@for_any(of=operands())
def test_a_torch_that_knows_only_signed_integers_gives_the_same(of) -> None:
    real = torch._int_mm  # noqa: SLF001

    def signed(x, y):
        if x.dtype != torch.int8:
            raise RuntimeError("expected int8")
        return real(x, y)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "_int_mm", signed)
        products.is_exact.cache_clear()
        made = by_torch(*of)
        assert not products.is_exact(torch.uint8)
        assert products.is_exact(torch.int8)
    products.is_exact.cache_clear()

    assert oracle.product(*of) == made


WITHOUT_VNNI = """
import torch
from tests.test_int8 import by_torch, extremes, np, saturating_matmul
saturates = False
for shape in [(9, 770, 5), (17, 384, 33), (2, 8, 1), (1, 64, 5), (64, 5, 1)]:
    for kind in (np.uint8, np.int8):
        x, weight = extremes(shape, kind)
        exact = (x.astype(np.int64) @ weight.astype(np.int64).T).tolist()
        assert by_torch(x, weight) == exact
        if kind is np.uint8:
            raw = torch._int_mm(torch.from_numpy(x), torch.from_numpy(weight).t()).tolist()
            saturates |= raw != exact
            if saturates:
                assert raw == saturating_matmul(x, weight).tolist()
print("saturates" if saturates else "exact")
"""


def test_without_vnni_our_product_stays_exact_and_torch_s_saturates_as_emulated() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_VNNI],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert 0 == done.returncode, done.stderr
    if done.stdout.strip() == "exact":
        pytest.skip("this torch does not multiply with oneDNN: nothing to compare with")


def test_the_arithmetic_alone_needs_no_torch() -> None:
    probe = "import sys, quant.int8; sys.exit('torch' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", probe], check=False).returncode


def by_torch(x: Array, weight: Array) -> list[list[int]]:
    made = products.int32_matmul(torch.from_numpy(x), torch.from_numpy(weight))
    assert made.dtype == torch.int32
    return made.tolist()


def extremes(shape: tuple[int, int, int], kind: type) -> tuple[Array, Array]:
    """Matrices (rows, in) and (out, in): many neighbours overflow 16 bits, one sum a float32."""
    rows, in_, out = shape
    rng, limits = np.random.default_rng(3), np.iinfo(kind)
    x = rng.choice([limits.min, 1, limits.max - 1, limits.max], (rows, in_)).astype(kind)
    weight = rng.choice([-128, -127, -3, 100, 127], (out, in_)).astype(np.int8)
    x[0], weight[0, :1], weight[0, 1:] = limits.max, 126, 127
    return x, weight

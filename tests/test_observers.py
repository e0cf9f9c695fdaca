"""Observers find the range they promise: by brute force on the values they did not keep."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quant.histogram import BINS, Histogram
from quant.int8 import UINT8, affine, dequantise, quantise
from quant.observers import KNOWN, ChannelMax, observer
from results.errors import BadInputError

Array = np.ndarray

FINITE = st.floats(-(2.0**127), 2.0**127, width=32)
BATCHES = st.lists(hnp.arrays(np.float32, st.integers(1, 30), elements=FINITE), min_size=1)
SPELLINGS = [*KNOWN, "percentile-99.9", "percentile-100"]

every_observer = pytest.mark.parametrize("spelling", SPELLINGS)


def drawn(name: str, size: int = 40_000) -> Array:
    """Values as activations have them."""
    rng = np.random.default_rng(11)
    x = {
        "normal": rng.normal(size=size),
        "heavy tails": rng.laplace(size=size),
        "outliers on one side": np.append(rng.normal(size=size), np.full(40, 60.0)),
        "like GELU": np.maximum(rng.normal(size=size) * 2, -0.17),
        "like softmax": rng.beta(0.1, 9, size=size),
        "one half zero": np.maximum(rng.normal(size=size), 0),
        "one value above": np.append(rng.uniform(-300, 0, size), 10),
        "far from zero": rng.normal(5, 0.1, size=size),
        "below zero": -rng.exponential(size=size),
    }[name]
    return x.astype(np.float32)


NAMES = [
    *("normal", "heavy tails", "outliers on one side", "like GELU"),
    *("like softmax", "one half zero", "one value above", "far from zero", "below zero"),
]
every_distribution = pytest.mark.parametrize("name", NAMES)


def ranged(spelling: str, *batches: Array) -> tuple[float, float]:
    watching = observer(spelling)
    for batch in batches:
        watching.observe(batch)
    return watching.range()


def moved(x: Array, low: float, high: float) -> float:
    """The mean square of what uint8 with this range does to the values."""
    scale, zero = affine(low, high, UINT8)
    back = dequantise(quantise(x, scale, zero, UINT8), scale, zero)
    return float(np.square(back.astype(float) - x).mean())


@settings(deadline=None)
@given(batches=BATCHES)
def test_minmax_is_the_smallest_and_the_largest_value(batches) -> None:
    values = [v for batch in batches for v in batch.tolist()]

    assert (min(values), max(values)) == ranged("minmax", *batches)


@pytest.mark.filterwarnings("ignore")
def test_the_moving_average_is_torch_s() -> None:
    import torch
    from torch.ao.quantization import MovingAverageMinMaxObserver

    theirs, ours = MovingAverageMinMaxObserver(), observer("moving-average")
    for part in np.array_split(drawn("heavy tails"), 20):
        theirs(torch.from_numpy(part.copy()))
        ours.observe(part)

    expected = float(theirs.min_val), float(theirs.max_val)
    np.testing.assert_allclose(ours.range(), expected, rtol=1e-6)
    assert expected != (drawn("heavy tails").min(), drawn("heavy tails").max())


@settings(deadline=None)
@given(batches=BATCHES, order=st.randoms())
def test_a_histogram_counts_every_value_whatever_the_batches_and_their_order(
    batches, order
) -> None:
    values = np.concatenate(batches)
    parts, whole = Histogram(), Histogram()

    whole.add(values)
    order.shuffle(batches)
    for batch in batches:
        parts.add(batch)

    assert parts.edges.tolist() == whole.edges.tolist()
    assert parts.counts.tolist() == whole.counts.tolist()
    edges = whole.edges
    bins = np.searchsorted(edges, values, side="right") - 1
    assert np.bincount(bins, minlength=len(edges) - 1).tolist() == whole.counts.tolist()
    assert (values.min(), values.max()) == (whole.low, whole.high)


@settings(deadline=None)
@given(batches=BATCHES)
def test_a_histogram_stays_small_and_its_bins_narrow(batches) -> None:
    counted = Histogram()

    for batch in batches:
        counted.add(batch)

    values, width = np.concatenate(batches).astype(float), np.diff(counted.edges)[0]
    assert BINS >= len(counted.counts)
    finest = max(np.abs(values).max() * 2.0**-23, 2.0**-149)
    assert width <= max(2 * np.ptp(values) / (BINS - 2), finest)
    assert (np.diff(counted.edges) == width).all()
    centres = counted.centres
    assert (counted.edges[:-1] <= centres).all()
    assert (centres <= counted.edges[1:]).all()
    assert (centres[0], centres[-1]) >= (values.min(), centres[0])
    assert centres[-1] <= values.max()


@pytest.mark.parametrize("percentile", [99.99, 99.9, 99, 75])
@every_distribution
def test_a_percentile_is_numpy_s_within_a_bin_on_both_sides(name: str, percentile: float) -> None:
    x = drawn(name)
    width = 2 * np.ptp(x) / (BINS - 2)

    low, high = ranged(f"percentile-{percentile}", *np.array_split(x, 7))

    tails = [100 - percentile, percentile]
    bottom = np.percentile(x, tails, method="lower").astype(float)
    top = np.percentile(x, tails, method="higher").astype(float)
    assert bottom[0] - width <= low <= top[0]
    assert bottom[1] <= high <= top[1] + width


@every_distribution
def test_the_hundredth_percentile_is_all_and_the_usual_one_is_said(name: str) -> None:
    x = drawn(name)

    assert ranged("minmax", x) == ranged("percentile-100", x)
    assert ranged("percentile-99.99", x) == ranged("percentile", x)


@every_distribution
def test_no_range_moves_the_values_less_than_that_of_mse(name: str) -> None:
    x = drawn(name)
    lows, highs = (np.linspace(end, 0, 17) for end in (min(0, x.min()), max(0, x.max())))

    low, high = ranged("mse", *np.array_split(x, 5))

    brute = min(moved(x, a, b) for a in lows for b in highs if a < b)
    assert moved(x, low, high) <= 1.01 * brute
    assert min(0, x.min()) <= low <= 0 <= high <= max(0, x.max())


def test_mse_loses_nothing_where_nothing_need_be_lost() -> None:
    for values in ([0, 0], [7.5, 7.5], [-3, -3], [0, 255, 10, 20], [-128, 0, 127]):
        x = np.float32(values)
        assert 0 == moved(x, *ranged("mse", x))


def divergence(x: Array, low: float, high: float) -> float:
    """KL of one range, bin by bin; only the edges of the bins are taken from the histogram."""
    counted = Histogram()
    counted.add(x)
    edges = counted.edges
    p = {int(i): float(n) for i, n in enumerate(np.histogram(x, edges)[0]) if n}
    ends = float(x.min()), float(x.max())
    centre = [min(max((a + b) / 2, ends[0]), ends[1]) for a, b in pairwise(edges.tolist())]
    inside = [i for i, c in enumerate(centre) if low <= c <= high]
    if len(inside) < 256:
        return math.inf
    step = (high - low) / 255
    levels: dict[int, list[int]] = {}
    cut = {i: p[i] for i in inside if i in p}
    for i, n in p.items():
        if not inside[0] <= i <= inside[-1]:
            end = inside[0] if i < inside[0] else inside[-1]
            cut[end] = cut.get(end, 0) + n
    for i in cut:
        levels.setdefault(round(centre[i] / step), []).append(i)
    q = {
        i: max(sum(p.get(j, 0) for j in alike) / len(alike), 1e-4)
        for alike in levels.values()
        for i in alike
    }
    whole, rest = sum(cut.values()), sum(q.values())
    return sum(n / whole * math.log(n / whole / (q[i] / rest)) for i, n in cut.items())


@pytest.mark.parametrize("name", ["heavy tails", "outliers on one side", *NAMES[3:5], NAMES[-1]])
def test_no_range_diverges_less_than_that_of_entropy(name: str) -> None:
    x = drawn(name)
    lows, highs = (np.linspace(end, 0, 5) for end in (min(0, x.min()), max(0, x.max())))

    low, high = ranged("entropy", *np.array_split(x, 5))

    brute = min(divergence(x, a, b) for a in lows for b in highs if a < b)
    assert divergence(x, low, high) <= 1.02 * brute
    assert min(0, x.min()) <= low <= 0 <= high <= max(0, x.max())


def test_entropy_cuts_about_where_onnxruntime_s_does() -> None:
    from onnxruntime.quantization.calibrate import HistogramCollector

    half = np.random.default_rng(0).standard_t(4, 400_000).clip(-25, 25).astype(np.float32)
    x = np.concatenate([half, -half])
    theirs = HistogramCollector("entropy", True, 2001, 255, None, None)  # noqa: FBT003
    theirs.collect({"x": x})
    cut = [float(end) for end in theirs.compute_entropy()["x"][:2]]

    # Its levels are whole numbers of bins, so that its range hops from one multiple to the next.
    np.testing.assert_allclose(ranged("entropy", x), cut, rtol=0.25)
    assert cut[1] < 0.7 * x.max()


def test_entropy_of_few_values_is_all_of_them() -> None:
    assert (0, 7.5) == ranged("entropy", np.full(9, 7.5, np.float32))
    assert (0, 0) == ranged("entropy", np.zeros(9, np.float32))


@every_observer
@pytest.mark.parametrize("power", [-60, 60])
def test_a_range_grows_with_its_values(spelling: str, power: int) -> None:
    parts = np.array_split(drawn("like GELU", 4000), 3)
    low, high = ranged(spelling, *parts)

    grown = ranged(spelling, *(np.ldexp(part, power) for part in parts))

    assert (math.ldexp(low, power), math.ldexp(high, power)) == grown


@every_observer
def test_shape_and_empty_batches_do_not_matter(spelling: str) -> None:
    x = drawn("normal", 600)

    made = ranged(spelling, x[:0], x.reshape(2, 3, 100)[:, :, ::-1], x[:0].reshape(0, 4))

    assert ranged(spelling, x) == made


@every_observer
def test_what_is_no_number_is_refused_by_name(spelling: str) -> None:
    watching = observer(spelling, "layer 3 ffn-in")
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(BadInputError, match=r"layer 3 ffn-in holds .* among 2: only finite"):
            watching.observe(np.float32([1, bad]))


@every_observer
def test_nothing_observed_is_a_sentence(spelling: str) -> None:
    watching = observer(spelling, "layer 3 ffn-in")
    watching.observe(np.zeros((0, 8), np.float32))

    with pytest.raises(BadInputError, match="no value of layer 3 ffn-in was observed: calibrate"):
        watching.range()


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        "max",
        "percentile-",
        "percentile-nan",
        "percentile-1e2",
        "percentile-99x",
        "mse-3",
        "MSE",
    ],
)
def test_an_unknown_observer_is_a_sentence(spelling: str) -> None:
    with pytest.raises(BadInputError, match=f"unknown observer '{spelling}': choose one of minm"):
        observer(spelling)


@pytest.mark.parametrize("spelling", ["percentile-50", "percentile-100.1", "percentile-05"])
def test_a_percentile_that_cuts_too_much_is_a_sentence(spelling: str) -> None:
    with pytest.raises(BadInputError, match=f"{re.escape(spelling)} cuts too much"):
        observer(spelling)


def test_channels_are_watched_one_by_one() -> None:
    x = drawn("like GELU", 6000).reshape(10, 20, 30) * np.linspace(-1, 2, 30, dtype=np.float32)
    watching = ChannelMax()

    for part in np.array_split(x, 3):
        watching.observe(part)
    watching.observe(x[:0])

    assert np.abs(x).max(axis=(0, 1)).tolist() == watching.largest().tolist()


def test_channels_refuse_what_the_others_refuse() -> None:
    watching = ChannelMax("layer 3 ffn-in")

    with pytest.raises(BadInputError, match="no value of layer 3 ffn-in was observed"):
        watching.largest()
    with pytest.raises(BadInputError, match="layer 3 ffn-in holds 1 NaN"):
        watching.observe(np.float32([[1, np.nan]]))

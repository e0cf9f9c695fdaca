"""Bounds that hold, errors of unseen architectures, the range of validity, and what auto takes."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, product
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors import calibrated, families
from predictors.calibrated import FROM, NEAR, calibrate
from predictors.columns import Columns, Floats
from predictors.coverage import coverage
from predictors.domain import Domain
from predictors.error import ErrorCard
from predictors.folds import ALONE, FOLDS, folds, out_of_fold
from predictors.intervals import Intervals, least_rows
from predictors.physics import Physics
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.terms import terms_for
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.measurement import Workload
from tests.predictor_rows import INT8, PLAIN, columns, networks, timed

some_groups = st.lists(st.integers(0, 60), min_size=1, max_size=200)


@given(some_groups, st.integers(0, 3), st.sampled_from([2, 5, FOLDS]))
def test_every_row_is_held_out_once_and_together_with_its_group(
    groups: list[int], seed: int, most: int
) -> None:
    found = [fold.tolist() for fold in folds(groups, seed, most)]

    assert list(range(len(groups))) == sorted(i for fold in found for i in fold)
    where = [{groups[i] for i in fold} for fold in found]
    assert all(a.isdisjoint(b) for a, b in combinations(where, 2))
    assert all(where)


def test_few_groups_are_alone_and_many_are_in_ten_folds_of_like_size() -> None:
    few, many = list(range(ALONE)) * 2, list(range(ALONE + 1)) * 2

    assert [2] * ALONE == [len(fold) for fold in folds(few)]
    assert [8] * 9 + [10] == sorted(len(fold) for fold in folds(many))
    assert 5 == len(list(folds(few, most=5)))
    assert 3 == len(list(folds([0, 1, 2, 2], most=5)))


def test_folds_are_drawn_by_their_seed() -> None:
    def drawn(seed: int) -> list[list[int]]:
        return [fold.tolist() for fold in folds(range(100), seed)]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    assert list(range(10)) != drawn(0)[0]
    assert list(range(0, 100, 10)) != drawn(0)[0]


@dataclass
class Spy:
    """Predicts a column of what it is asked, and has never seen that."""

    rows: Rows

    def predict(self, c: Columns) -> Floats:
        assert set(self.rows.columns.hidden).isdisjoint(c.hidden)
        return 1000.0 * c.hidden

    def spread(self, c: Columns) -> Floats:
        return 1.0 + c.tokens


@pytest.mark.parametrize("count", [3, ALONE, ALONE + 23])
def test_nobody_is_predicted_by_rows_of_his_own_group(count: int) -> None:
    found = [Architecture.uniform(1, 8 + i % count, 1, 8, 8) for i in range(2 * count)]
    c = columns(found, workloads=[Workload(tokens=8 + i) for i in range(2 * count)])
    rows = Rows(c, c.tokens, tuple(found))
    asked: list[Rows] = []

    predicted, spread = out_of_fold(lambda seen: asked.append(seen) or Spy(seen), rows)  # type: ignore[func-returns-value]

    assert (1000.0 * c.hidden).tolist() == predicted.tolist()
    assert (1.0 + c.tokens).tolist() == spread.tolist()
    for seen in asked:
        assert seen.ms.tolist() == seen.columns.tokens.tolist()
        assert [a.hidden for a in seen.groups] == seen.columns.hidden.tolist()  # type: ignore[attr-defined]
        assert 0 < len(seen) < len(rows)


def test_the_rank_is_that_of_exact_fractions() -> None:
    """Also where the product of the floats is a little more: 25 x 0.28."""
    for n, percent in product(range(1, 130), range(1, 100)):
        rank = math.ceil((n + 1) * Fraction(percent, 100))
        expected = rank if rank <= n else math.inf

        assert expected == Intervals(np.arange(1.0, n + 1)).factor(percent / 100)


@pytest.mark.parametrize("percent", [1, 7, 50, 55, 90, 95, 99])
def test_least_rows_are_the_fewest_that_bound_anything(percent: int) -> None:
    least = least_rows(percent / 100)

    assert math.isfinite(Intervals(np.ones(least)).factor(percent / 100))
    assert math.isinf(Intervals(np.ones(least - 1)).factor(percent / 100))
    assert 9 == least_rows()


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, 1.5, math.nan])
def test_a_confidence_that_is_no_share_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Intervals(np.ones(20)).factor(confidence)
    with pytest.raises(ValueError, match="between 0 and 1"):
        least_rows(confidence)


@pytest.mark.parametrize(("n", "confidence"), [(9, 0.9), (25, 0.9), (50, 0.5), (99, 0.95)])
def test_bounds_hold_as_often_as_they_say(n: int, confidence: float) -> None:
    """However wide the spread is, for any predictor, and for few rows too."""
    draw, times, fresh = np.random.default_rng(n), 3000, 40
    held = []
    for _ in range(times):
        spread = draw.uniform(1.0, 5.0, n + fresh)
        predicted = draw.uniform(0.1, 50.0, n + fresh)
        ms = predicted * np.exp(0.05 * spread * draw.standard_t(3, n + fresh))
        made = Intervals.of(ms[:n], predicted[:n], spread[:n])
        lower, upper = made.bounds(predicted[n:], spread[n:], confidence)
        held.append(((lower <= ms[n:]) & (ms[n:] <= upper)).mean())

    rank = math.ceil(Fraction(str(confidence)) * (n + 1))
    expected = rank / (n + 1)
    deviation = np.std(held) / math.sqrt(times)
    assert expected == pytest.approx(np.mean(held), abs=4 * deviation)
    assert confidence <= expected < confidence + 1 / (n + 1)


def test_bounds_are_factors_either_way_and_wider_where_the_spread_is() -> None:
    predicted = np.array([2.0, 2.0, 6.0])
    made = Intervals(np.linspace(0.0, math.log(2.0), 9))

    lower, upper = made.bounds(predicted, np.array([1.0, 2.0, 1.0]))

    np.testing.assert_allclose(lower, [1.0, 0.5, 3.0])
    np.testing.assert_allclose(upper, [4.0, 8.0, 12.0])


def test_scores_are_the_same_for_too_slow_and_too_fast() -> None:
    ms, predicted = np.array([2.0, 1.0, 3.0]), np.array([1.0, 2.0, 3.0])

    made = Intervals.of(ms, predicted, np.array([1.0, 2.0, 1.0]))

    np.testing.assert_allclose(made.scores, [0.0, math.log(2) / 2, math.log(2)])


def test_where_nothing_is_known_bounds_are_endless() -> None:
    one, far = np.array([3.0]), np.array([1e9])

    assert ([0.0], [math.inf]) == tuple(x.tolist() for x in Intervals(one).bounds(one, one))
    assert ([0.0], [math.inf]) == tuple(
        x.tolist() for x in Intervals(np.ones(20)).bounds(one, far)
    )
    twenty = np.linspace(1.0, 2.0, 20)
    spread = np.where(twenty == 2.0, 1e9, 1.0)
    assert math.inf == ErrorCard.of(twenty, twenty + 0.1, spread, 20).half_width


latencies = st.floats(0.01, 100.0) | st.integers(1, 4).map(float)
measured = st.lists(st.tuples(latencies, latencies, st.floats(1.0, 4.0)), min_size=2, max_size=60)


@given(measured, st.sampled_from([0.5, 0.8, 0.9, 0.95]))
def test_the_error_card_is_what_loops_over_the_rows_say(
    rows: list[tuple[float, float, float]], confidence: float
) -> None:
    ms, predicted, spread = (np.array(x) for x in zip(*rows, strict=True))

    found = ErrorCard.of(ms, predicted, spread, 7, confidence)

    errors = [abs(p - m) / m for m, p, _ in rows]
    assert sum(errors) / len(rows) == pytest.approx(found.mape)
    assert median(errors) == pytest.approx(found.median)
    assert sum(e < 0.05 for e in errors) / len(rows) == pytest.approx(found.within_5, abs=1e-9)
    assert sum(e < 0.1 for e in errors) / len(rows) == pytest.approx(found.within_10, abs=1e-9)
    assert kendall_tau(ms, predicted) == pytest.approx(found.kendall_tau, nan_ok=True)
    assert math.isnan(found.coverage)
    assert half_width(rows, confidence) == pytest.approx(found.half_width)
    assert (confidence, len(rows), 7) == (found.confidence, found.rows, found.architectures)


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float:
    """Tau-b: pairs in the same order less those in the other, among pairs that have an order."""
    pairs = [
        (np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in combinations(range(len(a)), 2)
    ]
    ordered = [sum(x != 0 for x, _ in pairs), sum(y != 0 for _, y in pairs)]
    if 0 in ordered:
        return math.nan
    return float(sum(x * y for x, y in pairs) / math.sqrt(ordered[0] * ordered[1]))


def scores(rows: list[tuple[float, float, float]]) -> list[float]:
    return [float(abs(np.log(m / p)) / s) for m, p, s in rows]


def half_width(rows: list[tuple[float, float, float]], confidence: float) -> float:
    rank = math.ceil(Fraction(str(confidence)) * (len(rows) + 1))
    if rank > len(rows):
        return math.inf
    bound = sorted(scores(rows))[rank - 1]
    return sum(math.sinh(bound * s) for _, _, s in rows) / len(rows)


def test_the_width_told_is_that_of_the_intervals_in_use() -> None:
    ms = np.arange(1.0, 21.0)
    wide = Intervals(np.full(20, math.log(3.0)))

    found = ErrorCard.of(ms, ms * 1.1, np.ones(20), 20, intervals=wide)

    assert (3.0 - 1.0 / 3.0) / 2 == pytest.approx(found.half_width)


def test_errors_at_the_limit_are_not_within_it() -> None:
    ms = np.full(4, 64.0)
    predicted = ms * (1.0 + np.array([0.03125, -0.0625, 0.09375, 0.125]))

    found = ErrorCard.of(ms, predicted, np.ones(4), 4)

    assert (0.25, 0.75) == (found.within_5, found.within_10)


LIMITS = [
    Architecture.uniform(2, 64, 2, 32, 100),
    Architecture.uniform(6, 256, 8, 128, 1000),
    Architecture.uniform(3, 100, 4, 64, 400),
]


def box() -> Domain:
    return Domain.of(columns(LIMITS, [PLAIN, INT8], [Workload(1, 32, 1), Workload(4, 128, 2)]))


def test_the_edges_of_the_range_are_inside() -> None:
    assert [1.0] * 3 == box().beyond(columns(LIMITS)).tolist()
    assert [""] * 3 == box().why(columns(LIMITS))
    assert ("fp32", "int8") == box().kinds


OUTSIDE: list[tuple[str, tuple[int, int, int, int, int], Workload, float]] = [
    ("depth 12 is not in 2-6", (12, 100, 4, 64, 400), Workload(), 2.0),
    ("depth 1 is not in 2-6", (1, 100, 4, 64, 400), Workload(), 2.0),
    ("hidden 768 is not in 64-256", (3, 768, 4, 64, 400), Workload(), 3.0),
    ("hidden 16 is not in 64-256", (3, 16, 4, 64, 400), Workload(), 4.0),
    ("heads 1 is not in 2-8", (3, 100, 1, 16, 400), Workload(), 2.0),
    ("qkv 160 is not in 32-128", (3, 100, 8, 160, 400), Workload(), 1.25),
    ("head width 4 is not 16", (3, 100, 8, 32, 400), Workload(), 4.0),
    ("ffn 1100 is not in 100-1000", (3, 100, 4, 64, 1100), Workload(), 1.1),
    ("batch 8 is not in 1-4", (3, 100, 4, 64, 400), Workload(8), 2.0),
    ("tokens 512 is not in 32-128", (3, 100, 4, 64, 400), Workload(1, 512), 4.0),
    ("threads 5 is not in 1-2", (3, 100, 4, 64, 400), Workload(threads=5), 2.5),
]


@pytest.mark.parametrize(("words", "sizes", "workload", "factor"), OUTSIDE)
def test_what_is_outside_is_named_and_its_factor_is_the_worst(
    words: str, sizes: tuple[int, int, int, int, int], workload: Workload, factor: float
) -> None:
    c = columns([LIMITS[2], Architecture.uniform(*sizes)], workloads=[Workload(), workload])

    inside, outside = box().why(c)

    assert "" == inside
    assert words in outside.split("; ")
    assert [1.0, factor] == pytest.approx(box().beyond(c).tolist())


def test_all_that_is_outside_is_told() -> None:
    c = columns([Architecture.uniform(12, 768, 4, 64, 400)])

    assert ["depth 12 is not in 2-6; hidden 768 is not in 64-256"] == box().why(c)


def test_the_range_of_layers_unlike_each_other_is_that_of_their_mean() -> None:
    def unlike(*ffns: int) -> Columns:
        return columns([Architecture(100, tuple(Layer(4, 64, x) for x in ffns))])

    assert [1.0] == box().beyond(unlike(50, 1000, 1950)).tolist()
    assert [1.1] == pytest.approx(box().beyond(unlike(1100, 1000, 1200)).tolist())


def test_a_mean_that_is_not_exact_is_not_outside() -> None:
    made = Domain.of(columns(LIMITS))
    edge = [Architecture.uniform(3, 100, 4, 64, x) for x in (999, 1000, 1001, 1002)]

    assert [1.0, 1.0, 1.0, 1.002] == made.beyond(columns(edge)).tolist()
    assert ["", "", "", "ffn 1002 is not in 100-1000"] == made.why(columns(edge))


def setting(rows: Rows) -> Setting:
    return Setting(terms_for(rows.columns))


class Fake(Physics):
    """Predictions of `Physics`, but by so much nearer to what was measured."""

    nearer = 0.0
    measured: dict[bytes, float] = {}  # noqa: RUF012 - filled by whoever makes one

    def predict(self, c: Columns) -> Floats:
        guessed = Physics.predict(self, c)
        measured = np.array([self.measured[key] for key in keys(c)])
        return np.asarray(guessed * (measured / guessed) ** self.nearer)


def keys(c: Columns) -> list[bytes]:
    return [row.tobytes() for row in np.stack([c.hidden, c.depth, c.qkv, c.ffn], axis=1)]


def register(
    monkeypatch: pytest.MonkeyPatch, rows: Rows, auto: Sequence[str], **nearer: float
) -> None:
    """Families made up, that `auto` chooses from."""
    known = dict(zip(keys(rows.columns), rows.ms.tolist(), strict=True))
    made = {
        name: type(name, (Fake,), {"family": name, "nearer": x, "measured": known})
        for name, x in nearer.items()
    }
    monkeypatch.setitem(sys.modules, "made_up", SimpleNamespace(**made))
    for name in made:
        monkeypatch.setitem(families.PLACES, name, ("made_up", name))
    monkeypatch.setattr(calibrated, "AUTO", tuple(auto))


def chosen(rows: Rows) -> str:
    return calibrate(rows, "auto", setting(rows)).predictor.family


def test_auto_takes_the_simplest_that_none_beats_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = timed(networks(30, 1), noise=0.03)
    given: dict[str, Any] = {"same": 0.0, "little": 0.01, "clear": 0.025, "best": 0.05}
    register(monkeypatch, rows, (), **given)

    for auto, expected in [
        (("physics",), "physics"),
        (("physics", "same"), "physics"),
        (("physics", "little"), "physics"),
        (("physics", "clear"), "clear"),
        (("clear", "physics"), "clear"),
        (("physics", "little", "clear"), "clear"),
        (("physics", "little", "clear", "best"), "best"),
        (("physics", "best", "clear"), "best"),
    ]:
        monkeypatch.setattr(calibrated, "AUTO", auto)
        assert expected == chosen(rows), auto


def test_auto_goes_by_the_mean_and_not_by_the_worst_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = timed(networks(30, 1), noise=0.03)
    rough = Rows(rows.columns, rows.ms * np.where(np.arange(30) == 7, 1.5, 1.0), rows.groups)
    register(monkeypatch, rough, ("physics", "rough"), rough=1.0)

    assert "rough" == chosen(rows)


@pytest.mark.parametrize("name", ["hybrid", "xgboost", "mlp"])
def test_a_family_is_tried_from_so_many_architectures_on(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    many = timed(networks(FROM[name], 1), noise=0.03)
    few = many.take(np.arange(FROM[name] - 1))
    register(monkeypatch, many, ("physics", name), **{name: 1.0})

    assert ("physics", name) == (chosen(few), chosen(many))


def physics(rows: Rows) -> Physics:
    return Physics.fit(rows, setting(rows))


def test_coverage_is_that_of_bounds_made_of_the_other_two_thirds() -> None:
    rows = timed(networks(45, 3), noise=0.05)
    held = 0
    for part in folds(rows.groups, 4, 3):
        rest = np.setdiff1d(np.arange(len(rows)), part)
        others = rows.take(rest)
        predicted, spread = out_of_fold(physics, others, 4, 5)
        every = sorted(np.abs(np.log(others.ms / predicted)) / spread)
        bound = every[math.ceil(Fraction(8, 10) * (len(rest) + 1)) - 1]
        made = physics(others)
        for i in part:
            c = rows.columns.take(np.array([i]))
            off = abs(math.log(rows.ms[i] / made.predict(c)[0]))
            held += off <= bound * made.spread(c)[0]

    assert held / len(rows) == pytest.approx(coverage(physics, rows, 0.8, 4))


def test_coverage_never_shows_a_network_to_what_judges_it() -> None:
    rows = timed(networks(30, 5), noise=0.02)
    doubled = rows.take(np.repeat(np.arange(30), 2))
    seen: list[set[object]] = []

    def spy(some: Rows) -> Physics:
        seen.append(set(some.groups))
        return physics(some)

    coverage(spy, doubled, 0.9)

    thirds = [set(rows.take(part).groups) for part in folds(rows.groups, 0, 3)]
    assert all(any(not part & some for part in thirds) for some in seen)
    assert {20} == {len(some) for some in seen[5::6]}


def test_coverage_tells_of_bounds_that_are_too_narrow() -> None:
    rows = timed(networks(90, 6), noise=0.05)

    class Sure:
        def __init__(self, some: Rows) -> None:
            self.rest = physics(some)

        def predict(self, c: Columns) -> Floats:
            return self.rest.predict(c)

        def spread(self, c: Columns) -> Floats:  # as if the judged ones were the easy ones
            return np.where(np.isin(c.weight_bytes, easy), 0.1, 1.0)

    (easy, *_) = [rows.take(part).columns.weight_bytes for part in folds(rows.groups, 0, 3)]

    assert 0.85 < coverage(physics, rows, 0.9) <= 1.0
    assert coverage(Sure, rows, 0.9) < 0.8


def test_of_few_architectures_no_coverage_is_told() -> None:
    assert math.isnan(coverage(physics, timed(networks(29, 7), noise=0.02), 0.9))
    assert not math.isnan(coverage(physics, timed(networks(30, 7), noise=0.02), 0.9))


def test_the_error_card_tells_the_coverage() -> None:
    rows = timed(networks(40, 8), noise=0.03)

    found = calibrate(rows, "physics", setting(rows)).error

    assert coverage(physics, rows, found.confidence) == found.coverage


def test_bounds_of_fresh_networks_hold_as_often_as_they_say() -> None:
    fresh = timed(networks(300, 99), noise=0.04, seed=99)
    held = []
    for seed in range(8):
        rows = timed(networks(60, seed), noise=0.04, seed=seed)
        found = calibrate(rows, "physics", setting(rows)).forecast(fresh.columns)
        held.append(((found.lower <= fresh.ms) & (fresh.ms <= found.upper)).mean())

    assert 0.9 == pytest.approx(np.mean(held), abs=0.03)


def test_what_is_told_of_a_fit_is_of_architectures_held_out() -> None:
    rows = timed([*networks(50, 1), *networks(10, 1)], noise=0.03)

    made = calibrate(rows, "physics", setting(rows))

    predicted, spread = out_of_fold(lambda seen: Physics.fit(seen, setting(rows)), rows)
    plain = ErrorCard.of(rows.ms, predicted, spread, 50)
    assert replace(plain, coverage=made.error.coverage) == made.error
    assert (
        Intervals.of(rows.ms, predicted, spread).scores.tolist() == made.intervals.scores.tolist()
    )
    assert predicted.tolist() == made.held_out.tolist()
    assert {"physics": made.error.mape} == made.tried
    every = Physics.fit(rows, setting(rows))
    assert isinstance(made.predictor, Physics)
    assert every.prices.tolist() == made.predictor.prices.tolist()


def test_a_forecast_tells_how_far_outside_a_network_is() -> None:
    rows = timed(networks(60, 1), noise=0.03)
    made = calibrate(rows, "physics", setting(rows))
    far = Architecture.uniform(16, int(rows.columns.hidden.max()), 6, 192, 1000)

    found = made.forecast(columns([*networks(60, 1)[:3], far]))

    assert [1.0, 1.0, 1.0, 2.0] == found.beyond.tolist()
    assert (found.lower < found.ms).all()
    assert (found.ms < found.upper).all()


def test_another_confidence_makes_other_bounds_around_the_same_latency() -> None:
    rows = timed(networks(60, 1), noise=0.03)
    made, c = calibrate(rows, "physics", setting(rows)), columns(networks(20, 2))

    half, most = made.forecast(c, 0.5), made.forecast(c, 0.95)

    assert half.ms.tolist() == most.ms.tolist()
    assert (half.upper < most.upper).all()
    assert (half.lower > most.lower).all()


def test_a_kind_of_arithmetic_that_no_row_had_is_refused() -> None:
    rows = timed(networks(20, 1))
    made = calibrate(rows, "physics", setting(rows))

    with pytest.raises(ValueError, match="int8"):
        made.forecast(columns(networks(2, 1), [PLAIN, INT8]))


def test_many_candidates_are_forecast_in_slices_that_join_to_one_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = timed(networks(20, 1), noise=0.03)
    made = calibrate(rows, "physics", setting(rows))
    draw = np.random.default_rng(0)
    sizes = {n: draw.integers(1, 9, 150_000) for n in ("depth", "hidden", "heads", "qkv", "ffn")}
    c = Columns.of_sizes(sizes, Workload(), PLAIN)
    asked: list[int] = []
    plainly = Physics.predict
    monkeypatch.setattr(
        Physics, "predict", lambda self, part: (asked.append(len(part)), plainly(self, part))[1]
    )

    found = made.forecast(c)

    assert [1 << 16, 1 << 16, 150_000 - (1 << 17)] == asked
    np.testing.assert_allclose(found.ms, plainly(made.predictor, c), rtol=1e-12)  # type: ignore[arg-type]
    wider = made.predictor.spread(c) * np.maximum(made.domain.beyond(c) / NEAR, 1)
    lower, upper = made.intervals.bounds(found.ms, wider)
    np.testing.assert_allclose(found.lower, lower, rtol=1e-12)
    np.testing.assert_allclose(found.upper, upper, rtol=1e-12)
    assert made.domain.beyond(c).tolist() == found.beyond.tolist()


def test_no_candidates_are_forecast_as_none() -> None:
    rows = timed(networks(20, 1))
    none = rows.columns.take(np.zeros(20, dtype=bool))

    found = calibrate(rows, "physics", setting(rows)).forecast(none)

    assert [[]] * 4 == [x.tolist() for x in (found.ms, found.lower, found.upper, found.beyond)]


def test_an_unknown_family_is_refused_with_those_there_are() -> None:
    rows = timed(networks(20, 1))

    with pytest.raises(BadInputError, match="'oracle': choose one of physics, hybrid"):
        calibrate(rows, "oracle", setting(rows))


def test_too_few_architectures_are_refused_with_how_many_more() -> None:
    rows = timed(networks(8, 1) * 3)

    with pytest.raises(BadInputError, match=r"^8 architectures are too few .* measure 1 more$"):
        calibrate(rows, "physics", setting(rows))
    calibrate(timed(networks(9, 1)), "physics", setting(rows))


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_latency_that_is_no_positive_number_is_refused(value: float) -> None:
    rows = timed(networks(20, 1))
    rows.ms[7] = value

    with pytest.raises(BadInputError, match=f"latency of {value} ms is no positive number"):
        calibrate(rows, "physics", setting(rows))


def test_the_same_latency_for_all_is_refused() -> None:
    rows = timed(networks(20, 1))
    same = Rows(rows.columns, np.full(20, 2.5), rows.groups)

    with pytest.raises(BadInputError, match=r"all 20 rows say 2\.5 ms"):
        calibrate(same, "physics", setting(rows))


def test_rows_need_a_latency_and_a_group_each() -> None:
    rows = timed(networks(3, 1))

    with pytest.raises(ValueError, match="equally many"):
        Rows(rows.columns, rows.ms[:2], rows.groups)
    with pytest.raises(ValueError, match="equally many"):
        Rows(rows.columns, rows.ms, rows.groups[:2])


def test_rows_are_taken_with_their_latencies_and_groups() -> None:
    found = networks(4, 1)
    rows = timed([*found, found[1]])

    for which in (np.array([1, 3, 4]), np.array([False, True, False, True, True])):
        taken = rows.take(which)
        assert [found[1].hidden, found[3].hidden, found[1].hidden] == taken.columns.hidden.tolist()
        assert rows.ms[[1, 3, 4]].tolist() == taken.ms.tolist()
        assert (found[1], found[3], found[1]) == taken.groups
        assert (5, 4, 3, 2) == (len(rows), rows.architectures, len(taken), taken.architectures)

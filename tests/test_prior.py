"""Another device's prices beside few rows of this one; what to expect of a predictor elsewhere."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from predictors.calibrated import WITH_PRIOR, Calibrated, calibrate
from predictors.columns import Floats
from predictors.design import first
from predictors.domain import Domain
from predictors.intervals import Intervals
from predictors.physics import Physics
from predictors.prior import FEW, STRENGTH, Prior, joined
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.terms import Terms
from results.errors import BadInputError
from tests.predictor_rows import INT8, columns, networks, prices

POOL = networks(300, seed=1)
C = columns(POOL)
TERMS = Terms(C.kinds)
X = TERMS.matrix(C)
THERE = prices(TERMS, C)
WITHOUT_LAYERS = dict(list(zip(TERMS.names, THERE.tolist(), strict=True))[2:])
NOISE = 0.02


def timed(price: Floats, noise: float = 0.0, seed: int = 0) -> Rows:
    """The whole pool on a device of these prices."""
    errors = np.random.default_rng(seed).normal(0.0, noise, len(C)) if noise else np.zeros(len(C))
    return Rows(C, X @ price * np.exp(errors), tuple(POOL))


def drawn(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(len(C))[:n]


def alike(seed: int) -> Floats:
    """Two and a half times as slow, and every price another one by a third."""
    factors: Floats = np.exp(np.random.default_rng(seed).normal(0.0, 0.3, len(THERE)))
    return 2.5 * THERE * factors


def prior_of(price: Floats, scores: Sequence[float] = (0.01, 0.02)) -> Prior:
    named = dict(zip(TERMS.names, price.tolist(), strict=True))
    return Prior(named, np.array(scores), Domain.of(C))


def error(price: Floats, rows: Rows, prior: Prior | None) -> float:
    """Mean over the pool, of what is fitted to these rows."""
    found = Physics.fit(rows, Setting(TERMS, prior=prior)).predict(C)
    return float(np.abs(found / (X @ price) - 1).mean())


@pytest.fixture(scope="module")
def card() -> Prior:
    """As the card of the other device tells it: fitted to 60 rows."""
    made = calibrate(timed(THERE, NOISE).take(drawn(60)), "physics", Setting(TERMS))
    assert isinstance(made.predictor, Physics)
    named = dict(zip(TERMS.names, made.predictor.prices.tolist(), strict=True))
    return Prior(named, made.intervals.scores, made.domain)


@pytest.mark.parametrize("factor", [0.2, 1.0, 37.0])
@pytest.mark.parametrize("count", [5, 8, 30])
def test_a_device_that_is_only_slower_or_faster_is_known_from_five_rows(
    factor: float, count: int
) -> None:
    rows = timed(factor * THERE).take(drawn(count))

    found = Physics.fit(rows, Setting(TERMS, prior=prior_of(THERE))).predict(C)

    assert pytest.approx(factor * (X @ THERE), rel=1e-3) == found
    assert count == 30 or error(factor * THERE, rows, None) > 0.015


@pytest.mark.parametrize("count", [5, 8, 12])
def test_few_rows_err_less_beside_a_card_of_a_device_like_this(card: Prior, count: int) -> None:
    with_card, alone = [], []
    for seed in range(8):
        rows = timed(alike(seed), 0.03, seed).take(drawn(count, seed))
        with_card.append(error(alike(seed), rows, card))
        alone.append(error(alike(seed), rows, None))

    assert np.mean(with_card) < 0.7 * np.mean(alone)


def test_fifty_rows_know_better_than_the_card_of_a_device_that_is_nothing_like_this(
    card: Prior,
) -> None:
    with_card, alone = [], []
    for seed in range(8):
        here = prices(TERMS, C, seed + 5)
        rows = timed(here, 0.03, seed).take(drawn(50, seed))
        with_card.append(error(here, rows, card))
        alone.append(error(here, rows, None))

    assert np.mean(with_card) < 1.1 * np.mean(alone)


def test_each_price_is_drawn_by_what_its_term_is_of_the_latency() -> None:
    names = TERMS.names
    known = {names[0]: 2.0, names[2]: 0.0, "gone since": 9.0}
    prior = Prior(known, np.array([0.1]), Domain.of(C))
    x = np.zeros((3, len(names)))
    x[:, 0], x[:, 1], x[:, 2] = [1.0, 1.0, 4.0], [2.0, 1.0, 1.0], [0.0, 3.0, 6.0]
    ms = np.array([6.0, 10.0, 800.0])

    matrix, target = prior.rows(TERMS, x, ms)

    # 6 / 2, 10 / 2 and 800 / 8: five times as slow in the median
    shares = [(1 / 6 + 1 / 10 + 4 / 800) / 3, (2 / 6 + 1 / 10 + 1 / 800) / 3]
    shares += [(3 / 10 + 6 / 800) / 3]
    expected = np.zeros(len(names))
    expected[:3] = np.sqrt(STRENGTH) * np.array(shares)
    assert pytest.approx(np.diag(expected)) == matrix
    assert pytest.approx([expected[0] * 2.0 * 5.0, *[0.0] * (len(names) - 1)]) == target


def test_beyond_few_rows_it_counts_less_by_the_square_of_their_number() -> None:
    prior = prior_of(THERE)

    def weight(n: int) -> Floats:
        matrix, target = prior.rows(TERMS, np.tile(X[:1], (n, 1)), np.ones(n))
        assert pytest.approx(matrix @ (THERE / (X[0] @ THERE))) == target
        weights: Floats = np.diag(matrix) ** 2
        return weights

    assert pytest.approx(weight(1)) == weight(FEW)
    assert pytest.approx(weight(FEW) / 9) == weight(3 * FEW)


@pytest.mark.parametrize("known", [{}, {"call": 0.0}, WITHOUT_LAYERS])
def test_prices_that_the_card_has_not_leave_it_to_the_rows(known: dict[str, float]) -> None:
    prior = Prior(known, np.array([0.01]), Domain.of(C))
    rows = timed(THERE, NOISE).take(drawn(60))

    assert error(THERE, rows, prior) < 1.5 * error(THERE, rows, None)
    few = Physics.fit(rows.take(np.arange(5)), Setting(TERMS, prior=prior))
    assert np.isfinite(few.predict(C)).all()


def test_borrowed_scores_are_widened_where_the_own_are_larger_and_never_narrowed() -> None:
    borrowed = np.array([0.01, 0.02, 0.04])

    assert [0.01, 0.01, 0.01, 0.02, 0.04] == joined(np.array([0.01, 0.01]), borrowed).tolist()
    larger = joined(np.array([0.05, 0.06, 0.07]), borrowed)
    assert pytest.approx([0.03, 0.05, 0.06, 0.06, 0.07, 0.12]) == larger
    assert [0.0, 0.0, 0.0] == joined(np.zeros(1), np.zeros(2)).tolist()


@pytest.fixture(scope="module")
def few(card: Prior) -> dict[int, list[tuple[Calibrated, Floats]]]:
    """By number of rows: predictors of 16 devices, and what all of their pool take."""
    found: dict[int, list[tuple[Calibrated, Floats]]] = {5: [], 6: [], 8: [], 20: []}
    for seed in range(16):
        whole = timed(alike(seed), NOISE, seed)
        for n, made in found.items():
            seen = drawn(n, seed)
            calibrated = calibrate(whole.take(seen), "physics", Setting(TERMS, seed, card))
            made.append((calibrated, whole.ms))
    return found


@pytest.mark.parametrize("count", [5, 6, 8])
def test_bounds_of_few_rows_are_there_and_hold(
    few: dict[int, list[tuple[Calibrated, Floats]]], count: int
) -> None:
    inside = []
    for seed, (made, ms) in enumerate(few[count]):
        found = made.forecast(C)
        rest = np.setdiff1d(np.arange(len(C)), drawn(count, seed))
        assert np.isfinite(found.upper).all()
        assert math.isfinite(made.error.half_width)
        inside.append(((found.lower <= ms) & (ms <= found.upper))[rest].mean())

    assert np.mean(inside) >= 0.9


def test_bounds_of_fewer_rows_are_wider(
    few: dict[int, list[tuple[Calibrated, Floats]]],
) -> None:
    def width(count: int) -> float:
        found = [made.forecast(C) for made, _ in few[count]]
        return float(np.mean([(x.upper / x.lower - 1).mean() for x in found]))

    assert width(5) > width(8) > width(20)


def test_scores_are_borrowed_only_while_there_are_too_few_of_their_own(card: Prior) -> None:
    def scores(count: int) -> int:
        rows = timed(alike(0), NOISE).take(drawn(count))
        return len(calibrate(rows, "physics", Setting(TERMS, prior=card)).intervals.scores)

    assert [8 + len(card.scores), 9] == [scores(8), scores(9)]


def test_the_width_on_the_card_is_that_of_the_bounds(card: Prior) -> None:
    rows = timed(alike(0), NOISE).take(drawn(6))

    made = calibrate(rows, "physics", Setting(TERMS, prior=card))

    own = np.abs(np.log(made.held_out / rows.ms))
    assert made.error.half_width > np.median(own)
    assert made.error.half_width >= made.intervals.factor() * 0.99


@pytest.mark.parametrize(("count", "prior"), [(4, True), (8, False)])
def test_fewer_rows_than_that_are_refused(card: Prior, count: int, *, prior: bool) -> None:
    rows = timed(alike(0), NOISE).take(drawn(count))

    with pytest.raises(BadInputError, match="too few to fit to: measure 1 more"):
        calibrate(rows, "physics", Setting(TERMS, prior=card if prior else None))


def test_it_holds_where_either_device_had_rows(card: Prior) -> None:
    rows = timed(alike(0), NOISE).take(drawn(5))

    own, made = (
        calibrate(rows, "physics", Setting(TERMS, prior=card)).domain,
        Domain.of(rows.columns),
    )

    for name, (low, high) in own.ranges.items():
        there, here = card.domain.ranges[name], made.ranges[name]
        assert (min(there[0], here[0]), max(there[1], here[1])) == (low, high)
    assert own.ranges != made.ranges
    assert own.ranges != Domain.of(C).ranges


def test_what_was_computed_elsewhere_in_another_arithmetic_is_not_known_here() -> None:
    there = Domain.of(columns(POOL, [INT8]))

    assert Domain.of(C).kinds == Domain.of(C).joined(there).kinds
    assert Domain.of(C).kinds != there.kinds


def test_only_families_that_listen_to_a_card_are_tried_beside_it(card: Prior) -> None:
    rows = timed(alike(0), NOISE).take(drawn(45))

    made = calibrate(rows, "auto", Setting(TERMS, prior=card))

    assert set(WITH_PRIOR) == set(made.tried)


@pytest.mark.parametrize("count", [12, 18, 36])
def test_the_error_to_expect_is_what_the_other_candidates_show(count: int) -> None:
    """In the mean: twelve errors alone are no measure of their mean."""
    expected, true, bounds, off = [], [], [], []
    for seed in range(10):
        rows = timed(alike(seed), 0.03, seed)
        seen = first([(TERMS, C)], count, seed)
        made = calibrate(rows.take(np.array(seen)), "physics", Setting(TERMS))
        rest = np.setdiff1d(np.arange(len(C)), seen)
        found, half_width = made.expected(C)
        ms = made.forecast(C).ms
        expected.append(found)
        true.append(np.abs(ms / rows.ms - 1)[rest].mean())
        bounds.append(half_width)
        off.append(np.quantile(np.abs(np.log(ms / rows.ms))[rest], 0.9))

    assert 1 / 1.5 < np.mean(expected) / np.mean(true) < 1.5
    assert 1 / 1.5 < np.mean(bounds) / np.mean(off) < 2.0


def test_the_half_width_to_expect_is_that_of_the_bounds() -> None:
    made = calibrate(timed(THERE, NOISE).take(drawn(20)), "physics", Setting(TERMS))

    found = made.forecast(C)
    _, half_width = made.expected(C)
    widths = (found.upper - found.lower) / (2 * found.ms)
    assert pytest.approx(widths.mean()) == half_width
    assert half_width < made.expected(C, 0.95)[1]


def test_nothing_is_expected_where_nothing_is_known() -> None:
    made = calibrate(timed(THERE, NOISE).take(drawn(20)), "physics", Setting(TERMS))
    far = type(made)(made.predictor, Intervals(np.full(20, 900.0)), made.domain, made.error)

    assert math.inf == far.expected(C)[1]
    assert math.inf == made.expected(C, 0.99)[1]


def test_more_error_is_expected_of_candidates_that_are_farther_from_the_rows() -> None:
    made = calibrate(timed(THERE, NOISE).take(drawn(14)), "physics", Setting(TERMS))
    far = columns(networks(100, 3, times=4))

    near_error, far_error = made.expected(C)[0], made.expected(far)[0]

    assert near_error > 1.1 * made.intervals.scores.mean()
    assert far_error > 1.1 * near_error

"""The choice of what to measure: told apart from chance, and from brute force."""

from itertools import combinations

import numpy as np
import pytest

from predictors.columns import Columns
from predictors.design import first, wider
from predictors.domain import sizes
from predictors.physics import Physics
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.terms import Terms
from tests.predictor_rows import INT8, columns, networks, prices, timed

POOL = networks(300, seed=1)


def relative(terms: Terms, c: Columns, seed: int = 0) -> np.ndarray:
    x = terms.matrix(c)
    return x / (x @ prices(terms, c, seed))[:, None]


def information(x: np.ndarray, picked: list[int]) -> float:
    scaled = x / np.where(x.max(axis=0) > 0, x.max(axis=0), 1.0)
    rows = scaled[picked]
    return float(np.linalg.slogdet(rows.T @ rows + 1e-3 * np.eye(rows.shape[1]))[1])


def test_the_first_ones_tell_more_than_ninety_nine_random_draws_of_as_many() -> None:
    c = columns(POOL)
    terms = Terms(c.kinds)

    picked = first([(terms, c)], 14)

    rng = np.random.default_rng(0)
    x = relative(terms, c)
    chance = [information(x, rng.permutation(len(c))[:14].tolist()) for _ in range(99)]
    assert information(x, picked) > max(chance)


def test_a_predictor_fitted_to_the_first_ones_errs_less_than_one_fitted_to_random_ones() -> None:
    rows = timed(POOL, noise=0.03)
    setting = Setting(Terms(rows.columns.kinds))

    def error(picked: list[int]) -> float:
        rest = np.setdiff1d(np.arange(len(rows)), picked)
        made = Physics.fit(rows.take(np.array(picked)), setting)
        found = made.predict(rows.columns.take(rest))
        return float(np.abs(found / rows.ms[rest] - 1).mean())

    rng = np.random.default_rng(0)
    chance = [error(rng.permutation(len(rows))[:14].tolist()) for _ in range(40)]
    assert error(first([(setting.terms, rows.columns)], 14)) < np.median(chance)


def test_half_of_the_first_ones_are_the_farthest_from_all_before() -> None:
    c = columns(POOL[:40])

    picked = first([(Terms(c.kinds), c)], 10, seed=3)[:5]

    points = np.log(np.stack(list(sizes(c).values()), axis=1))
    extent = np.ptp(points, axis=0)
    points /= np.where(extent > 0, extent, 1.0)
    for n in range(1, 5):
        gaps = [min(np.linalg.norm(p - points[i]) for i in picked[:n]) for p in points]
        assert gaps[picked[n]] == pytest.approx(max(gaps))


def test_the_other_half_adds_most_information_as_if_all_terms_weighed_the_same() -> None:
    c = columns(POOL[:40])
    terms = Terms(c.kinds)

    picked = first([(terms, c)], 10)

    x = terms.matrix(c)
    x /= np.where(x.mean(axis=0) > 0, x.mean(axis=0), np.inf)
    x /= x.sum(axis=1, keepdims=True)
    for n in range(5, 10):
        gains = {i: information(x, [*picked[:n], i]) for i in range(40) if i not in picked[:n]}
        assert max(gains, key=lambda i: gains[i]) == picked[n]


@pytest.mark.parametrize("n", [1, 2, 7, 40, 90])
def test_nobody_is_picked_twice_and_no_more_than_there_are(n: int) -> None:
    c = columns(POOL[:40])

    picked = first([(Terms(c.kinds), c)], n)

    assert min(n, 40) == len(picked) == len(set(picked))


def test_the_same_seed_picks_the_same() -> None:
    c = columns(POOL)
    views = [(Terms(c.kinds), c)]

    assert first(views, 12, seed=5) == first(views, 12, seed=5)
    assert first(views, 12, seed=5) != first(views, 12, seed=6)


def fitted(c: Columns, measured: list[int], seed: int = 0) -> Physics:
    terms = Terms(c.kinds)
    ms = terms.matrix(c) @ prices(terms, c, seed)
    rows = Rows(c, ms, tuple(range(len(c)))).take(np.array(measured))
    return Physics.fit(rows, Setting(terms))


def test_the_next_one_is_where_the_information_grows_most() -> None:
    c = columns(POOL[:60])
    measured = list(range(20))
    made = fitted(c, measured)

    (picked,) = wider([(made, c)], measured, 1)

    x = made.terms.matrix(c)
    x /= (x @ made.prices)[:, None]
    gains = {i: information(x, [*measured, i]) for i in range(20, 60)}
    assert max(gains, key=lambda i: gains[i]) == picked


def test_several_next_ones_are_nearly_as_good_as_the_best_pair_of_all() -> None:
    c = columns(POOL[:45])
    measured = list(range(15))
    made = fitted(c, measured)
    x = made.terms.matrix(c)
    x /= (x @ made.prices)[:, None]

    picked = wider([(made, c)], measured, 2)

    before = information(x, measured)
    best = max(information(x, [*measured, *pair]) for pair in combinations(range(15, 45), 2))
    assert information(x, [*measured, *picked]) - before >= 0.63 * (best - before)


def test_the_next_ones_are_new() -> None:
    c = columns(POOL[:30])
    measured = list(range(24))

    picked = wider([(fitted(c, measured), c)], measured, 10)

    assert sorted(picked) == list(range(24, 30))


def test_all_predictors_have_a_say() -> None:
    floats, integers = columns(POOL[:80]), columns(POOL[:80], [INT8])
    measured = list(range(50))
    one = fitted(floats, measured, seed=0), floats
    two = fitted(integers, measured, seed=1), integers
    total = []
    for made, c in (one, two):
        x = made.terms.matrix(c)
        x /= (x @ made.prices)[:, None]
        before = information(x, measured)
        total.append([information(x, [*measured, i]) - before for i in range(50, 80)])

    assert np.argmax(total[0]) != np.argmax(total[1])
    expected = 50 + int(np.argmax(np.sum(total, axis=0)))
    assert [expected] == wider([one, two], measured, 1) == wider([two, one], measured, 1)

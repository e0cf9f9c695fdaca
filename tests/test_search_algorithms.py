"""What single algorithms promise: brute force, special cases, closed forms."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.columns import sizes
from nas.pareto import hypervolume
from nas.search import features
from nas.search.draws import Draws, climbed
from nas.search.evolution import Evolution
from nas.search.fast import Fast, widenings
from nas.search.improvement import Stairs
from nas.search.listed import costs_at, listed
from nas.search.regression import basis, fit
from nas.search.searcher import Trial
from nas.search.searchers import searcher
from results.architecture import Architecture
from results.errors import BadInputError
from tests.made_search import ALIKE, LAYERED, TINY_LAYERED, ground, play, trials
from tests.small_spaces import small_spaces


def keeps(a: Architecture, k: int) -> bool:
    """The seeds' rule after `k` widenings, in exact tenths."""
    h, wide = a.hidden, 10 + k
    return all(
        16 * h <= x.ffn * wide
        and 100 * x.ffn <= 19 * h * wide
        and 7 * h <= x.qkv * wide
        and 10 * x.qkv <= h * wide
        for x in a.layers
    )


def test_fast_proposes_all_that_keep_the_rule_before_any_other() -> None:
    where = ground(ALIKE, 0.8)
    inside = [t.architecture for t in trials(where, list(ALIKE)) if t.cost <= where.limit]
    strict = {
        a
        for a in inside
        if 1.6 <= a.layers[0].ffn / a.hidden <= 1.9 and 0.7 <= a.layers[0].qkv / a.hidden <= 1.0
    }

    proposed = Fast(where, 0).ask(len(strict))

    assert strict
    assert strict == set(proposed)


def test_fast_widens_its_rule_by_a_tenth_at_a_time() -> None:
    where = ground(ALIKE, 0.5)
    proposed = Fast(where, 0).ask(10_000)
    needed = [widenings(a) for a in proposed]

    assert sorted(needed) == needed
    assert all(
        keeps(a, k) and not keeps(a, k - 1) for a, k in zip(proposed, needed, strict=True) if k
    )


def test_where_layers_differ_fast_moves_members_towards_its_rule() -> None:
    where = ground(LAYERED, 0.9)
    own = [widenings(a) for a in Fast(where, 0).ask(16)]
    chance = [widenings(a) for a in searcher("random", where, 0).ask(16)]

    assert np.mean(own) < np.mean(chance) / 2


def test_evolution_of_one_mutates_whom_it_was_told_of_last() -> None:
    where = ground(LAYERED)
    one = Evolution(where, 0, population=1, handful=1)
    told = trials(where, one.ask(8))
    one.tell(told)

    space, last = where.space, told[-1].architecture
    for child in one.ask(5):
        layers = list(zip(child.layers, last.layers, strict=False))
        moved = (child.hidden != last.hidden) + (child.depth != last.depth)
        assert moved + sum(a != b for a, b in layers) == 1
        assert child in space


def test_the_oldest_member_leaves_evolution_however_good_it_was() -> None:
    where = ground(ALIKE)
    one = Evolution(where, 0, population=2, handful=2)
    best = Trial(ALIKE.largest, 9.0, 1.0)
    others = [Trial(ALIKE.at(i), 0.1, 1.0) for i in range(2)]  # they differ in ffn alone

    one.tell([best, *others])

    for a in one.ask(6):
        assert (a.depth > 1) + (a.hidden > 32) + (a.layers[0].heads > 1) <= 1


def test_evolution_refuses_a_handful_larger_than_its_population() -> None:
    with pytest.raises(ValueError, match="a handful of 5 cannot be drawn from 4"):
        Evolution(ground(ALIKE), 0, population=4, handful=5)


@pytest.mark.parametrize("name", ["local"])
def test_local_search_proposes_neighbours_of_the_best(name) -> None:
    where = ground(ALIKE, 0.8)
    one = searcher(name, where, 0)
    told = play(one, where, rounds=2)
    best = max(told, key=lambda t: t.score).architecture
    beside = set(ALIKE.neighbours(best)) - {t.architecture for t in told}
    beside = {t.architecture for t in trials(where, sorted(beside)) if t.cost <= where.limit}

    proposed = one.ask(len(beside))

    assert beside == set(proposed)


def test_a_grid_is_spread_over_the_costs() -> None:
    where = ground(ALIKE)
    costs = np.log([t.cost for t in trials(where, searcher("grid", where, 0).ask(32))])
    low, high = np.log(where.cost.of([ALIKE.smallest, ALIKE.largest]))

    counts = np.histogram(costs, 8, (low, high))[0]
    assert counts.min() >= 3
    assert counts.max() <= 5


@given(
    points=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=6),
    cost=st.floats(0, 1),
    mean=st.floats(-0.5, 1.5),
)
@settings(deadline=None, max_examples=20)
def test_an_expected_improvement_is_the_mean_growth_of_the_hypervolume(points, cost, mean) -> None:
    spread = 0.3
    costs, scores = [c for c, _ in points], [s for _, s in points]
    draws = mean + spread * np.random.default_rng(0).standard_normal(500)
    before = hypervolume(costs, scores, (1.0, 0.0))
    grown = [hypervolume([*costs, cost], [*scores, x], (1.0, 0.0)) - before for x in draws]

    stairs = Stairs(costs, scores, far=1.0, low=0.0)
    expected = stairs.expected(np.array([cost]), np.array([mean]), np.array([spread]))

    assert abs(expected[0] - np.mean(grown)) < 0.06


def test_a_fit_of_a_cubic_is_that_cubic_and_knows_what_it_does_not_know() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 3, (80, 2))
    y = 2 + x[:, 0] - 0.4 * x[:, 0] * x[:, 1] ** 2
    terms = basis(x)
    model = fit(terms(x), y)
    inside, outside = np.array([[2.0, 2.0]]), np.array([[9.0, 9.0]])

    mean, spread = model(terms(inside))
    assert abs(mean[0] - (2 + 2 - 0.4 * 2 * 4)) < 1e-2
    assert spread[0] < 0.02
    assert model(terms(outside))[1][0] > 20 * spread[0]


def test_a_fit_sees_how_noisy_scores_are() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 3, (300, 2))
    y = x[:, 0] + 0.1 * rng.standard_normal(300)
    model = fit(basis(x)(x), y)

    assert 0.09 < model.noise < 0.11


def test_columns_that_are_alike_or_the_same_everywhere_are_left_out() -> None:
    x = np.array([[1.0, 5.0, 2.0, 3.0], [2.0, 5.0, 4.0, 1.0], [3.0, 5.0, 6.0, 7.0]])

    assert basis(x).columns.tolist() == [0, 3]


@given(space=small_spaces(per_layer=False))
@settings(deadline=None, max_examples=20)
def test_features_of_sizes_are_those_of_their_architectures(space) -> None:
    assert np.array_equal(
        features.of_sizes(sizes(space, stop=50)),
        features.of(space, [space.at(i) for i in range(min(50, space.count))]),
    )


def test_features_tell_which_layers_are_wide() -> None:
    layers = TINY_LAYERED.at(TINY_LAYERED.count - 2).layers
    a = replace(TINY_LAYERED.largest, layers=layers)
    b = replace(a, layers=layers[::-1])

    first, second = features.of(TINY_LAYERED, [a, b])
    assert layers != layers[::-1]
    assert not np.allclose(first, second)
    assert np.allclose(first[:5], second[:5])


@pytest.mark.parametrize("space", [ALIKE, TINY_LAYERED], ids=["alike", "layered"])
def test_listed_are_exactly_the_members_within_the_limit(space) -> None:
    where = ground(space, 0.6)
    inside = [t.architecture for t in trials(where, list(space)) if t.cost <= where.limit]

    found = listed(where, np.random.default_rng(0))

    assert inside == [found.at(i) for i in range(len(found.number))]
    assert [found.row(a) for a in inside] == list(range(len(inside)))
    assert np.allclose(found.cost, where.cost.of(inside))
    assert found.row(space.largest) is None
    assert np.allclose(costs_at(where, found.number), found.cost)


def test_of_a_very_large_space_some_are_listed(monkeypatch) -> None:
    monkeypatch.setattr("nas.search.listed.MOST_LISTED", 500)
    monkeypatch.setattr("nas.search.listed.SLICE", 100)
    where = ground(ALIKE)

    found = listed(where, np.random.default_rng(0))

    assert 400 < len(found.number) <= 500
    assert np.unique(found.number).tolist() == found.number.tolist()
    assert len(play(searcher("random", where, 0), where, rounds=3)) == 24


def test_steps_from_the_smallest_lead_to_every_member_within_the_limit() -> None:
    where = ground(TINY_LAYERED, 0.7)
    inside = {t.architecture for t in trials(where, list(TINY_LAYERED)) if t.cost <= where.limit}

    found = list(climbed(TINY_LAYERED, where.cost.of, where.limit))

    assert inside == {a for a, _ in found}
    assert len(inside) == len(found)


def test_draws_reach_every_depth_alike_and_small_and_large_members() -> None:
    rng = np.random.default_rng(0)
    draws = Draws(LAYERED)
    found = [draws.one(rng) for _ in range(2000)]

    depths = np.bincount([a.depth for a in found])[1:]
    assert depths.min() > 420
    deep = [sum(x.ffn for x in a.layers) for a in found if a.depth == 4]
    assert min(deep) < 4 * 96 < 4 * 300 < max(deep)


def test_a_package_that_is_missing_is_named_with_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setitem(sys.modules, "optuna.samplers", None)
    monkeypatch.delitem(sys.modules, "nas.search.bayes", raising=False)

    with pytest.raises(BadInputError, match=r"pip install 'subbert\[search\]'"):
        searcher("bayes", ground(ALIKE), 0)

"""What every searcher promises, whatever its algorithm."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.pareto import hypervolume
from nas.search.places import Places
from nas.search.searcher import Ground, Searcher
from nas.search.searchers import NAMES, searcher
from results.errors import BadInputError
from tests.made_search import (
    ALIKE,
    LAYERED,
    TINY,
    TINY_LAYERED,
    ground,
    play,
    score,
    trials,
)
from tests.small_spaces import STRANGERS, small_spaces

GROUNDS = {
    "alike, a limit": ground(ALIKE, 0.5, worth=0.6),
    "alike, the front": ground(ALIKE),
    "layered, a limit": ground(LAYERED, 0.5, worth=0.6),
    "layered, the front": ground(LAYERED),
}
Make = Callable[[Ground, int], Searcher]


@pytest.fixture(params=NAMES)
def make(request: pytest.FixtureRequest) -> Make:
    return lambda where, seed: searcher(request.param, where, seed)


@pytest.fixture(params=GROUNDS)
def where(request: pytest.FixtureRequest) -> Ground:
    return GROUNDS[request.param]


def test_proposals_are_members_within_the_limit_and_never_twice(make, where) -> None:
    found = play(make(where, 0), where, rounds=3)

    assert len(found) == len({t.architecture for t in found}) == 24
    assert all(t.architecture in where.space for t in found)
    assert all(where.worth <= t.cost <= (where.limit or np.inf) for t in found)


def test_nobody_is_told_what_was_told_by_another(make, where) -> None:
    others = {t.architecture for t in play(searcher("random", where, 5), where, rounds=3)}
    one = make(where, 0)

    one.tell(trials(where, sorted(others)))
    found = {t.architecture for t in play(one, where, rounds=2)}

    assert len(found) == 16
    assert not found & others


def test_the_same_seed_walks_the_same_path_and_another_one_another(make, where) -> None:
    first, again, other = (play(make(where, seed), where, rounds=2) for seed in (7, 7, 8))

    assert first == again
    assert first != other


def test_who_is_asked_and_told_the_same_goes_on_alike(make, where) -> None:
    one, other = make(where, 3), make(where, 3)
    played = play(one, where, rounds=2)

    for start in range(0, len(played), 8):
        other.ask(8)
        other.tell(list(played[start : start + 8]))

    assert play(one, where, rounds=1) == play(other, where, rounds=1)


def test_telling_leaves_the_caller_s_list_alone(make, where) -> None:
    one = make(where, 0)
    told = trials(where, one.ask(8))
    before = list(told)

    one.tell(told)
    told.clear()
    one.tell(before)
    one.ask(8)

    assert trials(where, [t.architecture for t in before]) == before


@pytest.mark.parametrize("space", [TINY, TINY_LAYERED], ids=["alike", "layered"])
@pytest.mark.parametrize("part", [None, 0.6])
def test_a_tiny_space_is_used_up_and_then_nothing_is_proposed(make, space, part) -> None:
    where = ground(space, part, worth=0.9)
    limit = np.inf if where.limit is None else where.limit
    inside = {a for a in space if a.macs(16) / 1e5 <= limit}

    one = make(where, 1)
    found = [t.architecture for t in play(one, where, rounds=40, n=3)]

    assert inside == set(found)
    assert len(inside) == len(found)
    assert one.ask(3) == []


def test_a_limit_that_nothing_keeps_ends_at_once(make) -> None:
    for space in (ALIKE, LAYERED):
        assert make(replace(ground(space, 0.5), limit=1e-9, worth=0.0), 0).ask(4) == []


def test_where_few_keep_the_limit_each_is_proposed_once(make) -> None:
    for space in (ALIKE, LAYERED):
        where = ground(space, 0.12)
        found = [t.architecture for t in play(make(where, 0), where, rounds=3, n=16)]

        assert len(found) == len(set(found)) > 1
        assert all(t.cost <= where.limit for t in trials(where, found))
        if space is ALIKE:
            assert sum(where.cost.of(list(ALIKE)) <= where.limit) == len(found)


def test_asked_for_one_at_a_time_or_before_it_was_told_it_proposes_others(make, where) -> None:
    one = make(where, 2)
    several = [a for _ in range(6) for a in one.ask(3)]
    one.tell(trials(where, several[::-1]))
    several += [a for _ in range(4) for a in one.ask(1)]

    assert len(several) == len(set(several)) == 22


def test_scores_that_are_no_numbers_do_not_stop_it(make, where) -> None:
    one = make(where, 2)
    for value in (np.nan, np.inf, 0.5, 0.5, -np.inf, 0.5):
        one.tell([replace(t, score=value) for t in trials(where, one.ask(3))])

    assert len(one.ask(3)) == 3


BETTER = {"surrogate": 0.9, "local": 0.8, "evolution": 0.7, "evolver": 0.55, "nsga2": 0.5}
"""The middle of late proposals is better than this part of random ones."""


@pytest.mark.parametrize("name", BETTER)
@pytest.mark.parametrize("space", [ALIKE, LAYERED], ids=["alike", "layered"])
def test_late_proposals_are_better_than_random_ones(name, space) -> None:
    where = ground(space, 0.8)
    late = [t for s in range(2) for t in play(searcher(name, where, s), where, rounds=12)[-32:]]
    chance = play(searcher("random", where, 0), where, rounds=20)

    middle = np.median([t.score for t in late])
    assert middle > np.quantile([t.score for t in chance], BETTER[name])


@pytest.mark.parametrize("name", ["surrogate", "local"])
def test_late_proposals_crowd_against_the_limit_from_below(name) -> None:
    where = ground(ALIKE, 0.8)
    late = play(searcher(name, where, 1), where, rounds=10)[-24:]

    assert all(t.cost <= where.limit for t in late)
    assert np.median([t.cost for t in late]) > 0.8 * where.limit


@pytest.mark.parametrize("name", ["surrogate", "local"])
def test_without_a_limit_the_front_grows_beyond_what_chance_finds(name) -> None:
    where = ground(ALIKE)
    every = trials(where, list(ALIKE))
    reference = max(t.cost for t in every), min(t.score for t in every)

    def reached(who: str, seed: int) -> float:
        found = play(searcher(who, where, seed), where, rounds=10)
        return hypervolume([t.cost for t in found], [t.score for t in found], reference)

    own, chance = ([reached(who, s) for s in range(2)] for who in (name, "random"))
    assert np.mean(own) > np.mean(chance)


def test_an_unknown_name_is_refused_with_all_that_there_are() -> None:
    with pytest.raises(BadInputError, match=r"no searcher is called 'best': .*surrogate.*random"):
        searcher("best", GROUNDS["alike, a limit"], 0)


@settings(deadline=None, max_examples=60)
@given(space=small_spaces(), stranger=STRANGERS, data=st.data())
def test_a_place_is_the_number_that_gives_the_member(space, stranger, data) -> None:
    number = data.draw(st.integers(0, space.count - 1))
    places = Places(space)

    assert number == places.of(space.at(number))
    assert (places.of(stranger) is not None) == (stranger in space)
    assert score(space.at(number)) < 1

"""What every search space promises, seen against a small one written out."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.space import SearchSpace
from nas.spaces.draw import below
from nas.spaces.layers import PerHead
from results.architecture import Layer
from results.errors import BadInputError
from tests.small_spaces import STRANGERS, members, small_spaces, written_out

SEEDS = st.integers(0, 2**32 - 1)
SPACES = small_spaces()
TINY = SearchSpace(
    name="tiny", depth=(1, 2), hidden=(8,), heads=(1, 2), qkv=(4,), ffn=(3, 5), per_layer=True
)
ODD = SearchSpace(
    name="odd", depth=(1, 2, 4), hidden=(6, 8, 12), heads=(1, 2, 3, 4), qkv=(8, 9, 12), ffn=(3, 9)
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# Which architectures there are


@settings(deadline=None)
@given(space=SPACES)
def test_the_members_are_those_that_trying_everything_finds(space) -> None:
    members = list(space)

    assert space.count == len(members)
    assert sorted(written_out(space)) == sorted(members)


@settings(deadline=None)
@given(space=SPACES)
def test_members_are_ordered_by_width_then_depth_then_layers(space) -> None:
    keys = [(a.hidden, a.depth, a.layers) for a in space]

    assert all(a < b for a, b in pairwise(keys))


@settings(deadline=None)
@given(space=SPACES, data=st.data())
def test_a_member_is_found_by_its_place(space, data) -> None:
    members = written_out(space)
    members.sort(key=lambda a: (a.hidden, a.depth, a.layers))
    index = data.draw(st.integers(0, len(members) - 1))

    assert members[index] == space.at(index)


@pytest.mark.parametrize("index", [-1, TINY.count])
def test_there_is_no_member_before_the_first_or_after_the_last(index: int) -> None:
    with pytest.raises(IndexError, match=f"not {index}"):
        TINY.at(index)


@settings(deadline=None)
@given(space=SPACES, stranger=STRANGERS)
def test_a_stranger_is_in_the_space_only_if_writing_it_out_finds_it(space, stranger) -> None:
    same_tables = replace(stranger, vocab=space.vocab)
    members = set(written_out(space))

    assert (stranger in members) == (stranger in space)
    assert (same_tables in members) == (same_tables in space)


@settings(deadline=None)
@given(space=SPACES)
def test_every_member_is_in_the_space_and_leaves_it_with_another_vocabulary(space) -> None:
    for a in written_out(space)[:200]:
        assert a in space
        assert replace(a, vocab=a.vocab + 1) not in space
        assert replace(a, hidden=a.hidden + 1000) not in space


@settings(deadline=None)
@given(space=SPACES, data=st.data())
def test_a_near_miss_is_no_member(space, data) -> None:
    everyone, a = set(written_out(space)), data.draw(members(space))
    last = a.layers[-1]
    for layer in (
        Layer(last.heads, last.qkv, last.ffn + 1),
        Layer(last.heads, last.qkv + last.heads, last.ffn),
        Layer(last.qkv, last.qkv, last.ffn),
    ):
        miss = replace(a, layers=(*a.layers[:-1], layer))
        assert (miss in everyone) == (miss in space)


def test_what_is_no_architecture_is_in_no_space() -> None:
    assert "h8 1x(a1 q4 f3)" not in TINY


@settings(deadline=None)
@given(space=SPACES)
def test_smallest_and_largest_bound_every_size_of_every_member(space) -> None:
    members = written_out(space)
    low, high = space.smallest, space.largest

    assert {low, high} <= set(members)
    assert min(a.parameters for a in members) == low.parameters
    assert max(a.parameters for a in members) == high.parameters
    for a in members[:300]:
        assert low.hidden <= a.hidden <= high.hidden
        assert low.depth <= a.depth <= high.depth
        assert all(low.layers[0].qkv <= x.qkv <= high.layers[0].qkv for x in a.layers)
        assert all(low.layers[0].ffn <= x.ffn <= high.layers[0].ffn for x in a.layers)


def test_smallest_and_largest_go_by_width_before_heads() -> None:
    space = replace(TINY, heads=(4, 6), qkv=(6, 8, 12, 16))

    assert (6, 6) == (space.smallest.layers[0].heads, space.smallest.layers[0].qkv)
    assert (4, 16) == (space.largest.layers[0].heads, space.largest.layers[0].qkv)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": (True, 2)}, "depth must be whole numbers from 1 to 128, not True"),
        ({"hidden": (8.0,)}, "hidden must be whole numbers from 1 to 1048576, not 8.0"),
        ({"heads": ()}, "heads must have from 1 to 1024 values, not 0"),
        ({"ffn": (5, 3)}, "ffn must be in ascending order, each value once"),
        ({"qkv": (4, 4)}, "qkv must be in ascending order, each value once"),
        ({"qkv": PerHead(0)}, "qkv per head must be whole numbers from 1"),
        ({"vocab": 0}, "vocab must be whole numbers from 1"),
        ({"qkv": (5,), "heads": (2,)}, "the space is empty"),
    ],
)
def test_a_space_that_cannot_be_is_not_made(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


# Chance


@settings(deadline=None)
@given(space=SPACES, seed=SEEDS)
def test_samples_are_members_and_the_same_seed_draws_the_same(space, seed) -> None:
    chance, again = rng(seed), rng(seed)
    drawn = [space.sample(chance) for _ in range(8)]

    assert set(drawn) <= set(written_out(space))
    assert drawn == [space.sample(again) for _ in range(8)]


@settings(deadline=None, max_examples=40)
@given(space=SPACES, seed=SEEDS, data=st.data())
def test_fewer_unique_samples_are_the_first_of_more(space, seed, data) -> None:
    n = data.draw(st.integers(0, min(space.count, 300)))
    k = data.draw(st.integers(0, n))
    more = space.sample_unique(rng(seed), n)

    assert n == len(set(more))
    assert more[:k] == space.sample_unique(rng(seed), k)


@pytest.mark.parametrize("space", [TINY, ODD])
def test_as_many_unique_samples_as_members_are_all_the_members(space) -> None:
    assert sorted(space) == sorted(space.sample_unique(rng(), space.count))


@pytest.mark.parametrize("n", [TINY.count + 1, -1])
def test_more_unique_samples_than_members_are_refused_with_the_count(n: int) -> None:
    with pytest.raises(BadInputError, match=f"tiny has {TINY.count} architectures, so {n} cannot"):
        TINY.sample_unique(rng(), n)


@pytest.mark.parametrize(
    ("space", "way"),
    [(TINY, "sample"), (TINY, "first"), (TINY, "last"), (ODD, "sample"), (ODD, "first")],
)
def test_every_member_is_as_likely_as_any_other(space, way) -> None:
    chance, each = rng(7), 100
    draw = {
        "sample": lambda: space.sample(chance),
        "first": lambda: space.sample_unique(chance, 1)[0],
        "last": lambda: space.sample_unique(chance, space.count)[-1],
    }[way]
    seen = Counter(draw() for _ in range(each * space.count))
    surprise = sum((seen[a] - each) ** 2 / each for a in space)
    freedom = space.count - 1

    assert surprise < freedom + 4 * (2 * freedom) ** 0.5  # four deviations of chi-square


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 2**64, 2**64 + 1, 3**200])
def test_a_number_by_chance_reaches_all_parts_of_its_range(count: int) -> None:
    chance = rng(3)
    drawn = [below(chance, count) for _ in range(400)]

    assert 0 <= min(drawn)
    assert max(drawn) < count
    assert min(count, 8) == len({x * 8 // count for x in drawn})

"""Steps, mutations, crossings and repairs stay in the space and go where they say."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.space import SearchSpace
from nas.spaces.layers import PerHead
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from tests.small_spaces import STRANGERS, members, small_spaces, written_out

SEEDS = st.integers(0, 2**32 - 1)
SPACES = small_spaces()
ALIKE = small_spaces(per_layer=False)

WIDE = SearchSpace(
    name="wide",
    depth=tuple(range(1, 9)),
    hidden=tuple(range(10, 310, 10)),
    heads=tuple(range(1, 13)),
    qkv=PerHead(4),
    ffn=tuple(range(5, 205, 5)),
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def coordinates(space: SearchSpace, a: Architecture) -> dict[str, int]:
    """The sizes that can be chosen, one by one."""
    sizes = {"hidden": a.hidden, "depth": a.depth}
    for i, layer in enumerate(a.layers if space.per_layer else a.layers[:1]):
        sizes |= {f"heads {i}": layer.heads, f"ffn {i}": layer.ffn}
        if isinstance(space.qkv, tuple):
            sizes[f"qkv {i}"] = layer.qkv
    return sizes


def one_step_away(space: SearchSpace, a: Architecture) -> list[Architecture]:
    """The members next to `a` along every size, found by comparing it with all members."""
    mine, lines = coordinates(space, a), defaultdict(list)
    for b in written_out(space):
        theirs = coordinates(space, b)
        different = [k for k in mine if mine[k] != theirs.get(k)]
        if a.depth == b.depth and len(different) == 1:
            lines[different[0]].append((theirs[different[0]], b))
        grown = a.layers[: b.depth] + (a.layers[-1],) * (b.depth - a.depth)
        if a.depth != b.depth and (a.hidden, grown) == (b.hidden, b.layers):
            lines["depth"].append((b.depth, b))
    above = [[x for x in line if x[0] > mine[k]] for k, line in lines.items()]
    below = [[x for x in line if x[0] < mine[k]] for k, line in lines.items()]
    return [min(x)[1] for x in above if x] + [max(x)[1] for x in below if x]


def difference(space: SearchSpace, a: Architecture, b: Architecture) -> float:
    """What `repair` makes least: `b` seen from `a`, once its layers are as many."""
    layers = a.layers[: b.depth] + (a.layers[-1],) * (b.depth - a.depth)
    total = b.depth * abs(b.hidden - a.hidden) / a.hidden
    for old, new in zip(layers, b.layers, strict=True):
        total += abs(new.heads - old.heads) / old.heads + abs(new.ffn - old.ffn) / old.ffn
        if space.qkv != "hidden":
            total += abs(new.qkv - old.qkv) / old.qkv
    return total


@settings(deadline=None, max_examples=60)
@given(space=SPACES, data=st.data())
def test_neighbours_are_all_the_members_one_step_away(space, data) -> None:
    a = data.draw(members(space))

    assert sorted(one_step_away(space, a)) == sorted(space.neighbours(a))


@settings(deadline=None)
@given(space=ALIKE, seed=SEEDS)
def test_where_layers_are_alike_a_neighbour_s_neighbour_is_oneself(space, seed) -> None:
    a = space.sample(rng(seed))

    assert all(a in space.neighbours(b) for b in space.neighbours(a))


@settings(deadline=None)
@given(space=SPACES, data=st.data(), seed=SEEDS)
def test_a_mutant_is_another_member_wherever_there_is_a_neighbour(space, data, seed) -> None:
    chance, a = rng(seed), data.draw(members(space))
    mutants = [space.mutate(a, chance) for _ in range(8)]

    assert all(b in space for b in mutants)
    assert (a in mutants) == (not space.neighbours(a))


@settings(deadline=None)
@given(space=SPACES, data=st.data(), seed=SEEDS)
def test_a_mutant_differs_in_one_size_only(space, data, seed) -> None:
    a = data.draw(members(space))
    b = space.mutate(a, rng(seed))
    mine, theirs = coordinates(space, a), coordinates(space, b)

    if a.depth == b.depth:
        assert sum(mine[k] != theirs[k] for k in mine) <= 1
    else:
        assert a.hidden == b.hidden
        assert a.layers[: b.depth] == b.layers[: a.depth]
        assert set(b.layers[a.depth :]) <= {a.layers[-1]}


def test_mutation_moves_every_size_as_often_and_half_of_the_time_not_far() -> None:
    chance, a = rng(5), WIDE.at(WIDE.count // 2 + 99)
    mine = coordinates(WIDE, a)
    mutants = [coordinates(WIDE, WIDE.mutate(a, chance)) for _ in range(2000)]
    moved = [next(k for k in mine if mine[k] != b[k]) for b in mutants]
    ffn = [abs(b["ffn 0"] - mine["ffn 0"]) for b in mutants if b["ffn 0"] != mine["ffn 0"]]

    assert all(400 < n < 600 for n in Counter(moved).values())
    assert 4 == len(set(moved))
    assert 0.45 < np.mean(np.array(ffn) <= 10) < 0.65
    assert max(ffn) > 50


@settings(deadline=None)
@given(space=SPACES, data=st.data(), seed=SEEDS)
def test_a_child_is_a_member_made_of_its_parents_sizes(space, data, seed) -> None:
    a, b = data.draw(members(space)), data.draw(members(space))
    child = space.cross(a, b, rng(seed))

    assert child in space
    assert child.hidden in (a.hidden, b.hidden)
    assert child.depth in (a.depth, b.depth)
    for i, layer in enumerate(child.layers):
        alike = not space.per_layer
        parents = [x.layers[0 if alike else i] for x in (a, b) if alike or i < x.depth]
        assert layer.ffn in {x.ffn for x in parents}
        if space.qkv != "hidden":
            assert (layer.heads, layer.qkv) in {(x.heads, x.qkv) for x in parents}


@settings(deadline=None)
@given(space=SPACES, seed=SEEDS)
def test_the_child_of_twins_is_their_twin(space, seed) -> None:
    a = space.sample(rng(seed))

    assert a == space.cross(a, a, rng(seed))


def test_children_take_after_both_parents_in_every_size() -> None:
    chance = rng(1)
    a, b = WIDE.smallest, WIDE.largest
    children = [coordinates(WIDE, WIDE.cross(a, b, chance)) for _ in range(400)]

    assert 16 == len({tuple(c.values()) for c in children})


@settings(deadline=None)
@given(space=SPACES, stranger=STRANGERS)
def test_a_repaired_stranger_is_the_member_that_differs_least(space, stranger) -> None:
    mended = space.repair(stranger)
    apart = min(abs(d - stranger.depth) for d in space.depth)
    rivals = [b for b in written_out(space) if b.depth == mended.depth]

    assert mended in space
    assert mended == space.repair(mended)
    assert apart == abs(mended.depth - stranger.depth)
    least = min(difference(space, stranger, b) for b in rivals)
    assert pytest.approx(least) == difference(space, stranger, mended)


@settings(deadline=None)
@given(space=SPACES)
def test_repair_leaves_members_unchanged(space) -> None:
    assert all(a == space.repair(a) for a in written_out(space)[:200])


def test_a_step_up_in_depth_and_a_repair_repeat_the_last_layer() -> None:
    first, last = Layer(1, 4, 3), Layer(1, 4, 5)
    space = SearchSpace(
        name="x", depth=(2, 4), hidden=(8,), heads=(1,), qkv=(4,), ffn=(3, 5), per_layer=True
    )
    deeper = Architecture(8, (first, last, last, last))

    assert deeper in space.neighbours(Architecture(8, (first, last)))
    assert deeper == space.repair(Architecture(8, (first, last, last, last, first)))


def test_of_two_members_as_near_repair_takes_the_smaller() -> None:
    space = SearchSpace(name="x", depth=(1, 3), hidden=(8, 12), heads=(1,), qkv=(4, 8), ffn=(3, 5))

    mended = space.repair(Architecture.uniform(2, 10, 1, 6, 4))

    assert Architecture.uniform(1, 8, 1, 4, 3) == mended


@settings(deadline=None)
@given(space=SPACES, seed=SEEDS)
def test_the_same_seed_walks_the_same_path_and_leaves_its_start_alone(space, seed) -> None:
    a, b = space.sample_unique(rng(seed), 2) if space.count > 1 else (space.at(0),) * 2
    before = (str(a), str(b), repr(space))
    walks = []
    for chance in (rng(seed), rng(seed)):
        walk = [a]
        for _ in range(5):
            walk.append(space.cross(space.mutate(walk[-1], chance), b, chance))
        walks.append(walk)

    assert walks[0] == walks[1]
    assert before == (str(a), str(b), repr(space))


@pytest.mark.parametrize("step", ["neighbours", "mutate", "cross"])
def test_a_walk_from_outside_names_the_nearest_member(step: str) -> None:
    outside = Architecture(15, (Layer(2, 9 * 2, 6),))
    walk = {
        "neighbours": lambda: WIDE.neighbours(outside),
        "mutate": lambda: WIDE.mutate(outside, rng()),
        "cross": lambda: WIDE.cross(WIDE.smallest, outside, rng()),
    }[step]

    with pytest.raises(BadInputError) as caught:
        walk()

    message = "h15 1x(a2 q18 f6) is not in the space 'wide'; its nearest member there is"
    assert str(caught.value).startswith(message)

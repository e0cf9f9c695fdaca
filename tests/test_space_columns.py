"""Sizes as arrays are those of the members, one by one and written out."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.columns import SizeColumns, sizes, sizes_at
from nas.space import SearchSpace, builtin_spaces, load_space
from results.architecture import Architecture
from results.errors import BadInputError
from tests.small_spaces import small_spaces, written_out

SPACES = small_spaces(per_layer=False)
ALIKE = [name for name in builtin_spaces() if not load_space(name).per_layer]
ODD = SearchSpace(
    name="odd", depth=(1, 2, 4), hidden=(6, 8, 12), heads=(1, 2, 3, 4), qkv=(8, 9, 12), ffn=(3, 9)
)


def members(space: SearchSpace, found: SizeColumns) -> list[Architecture]:
    """Built from the columns."""
    rows = zip(found.depth, found.hidden, found.heads, found.qkv, found.ffn, strict=True)
    tables = (space.vocab, space.positions, space.types)
    plain = [Architecture.uniform(*map(int, row)) for row in rows]
    return [Architecture(a.hidden, a.layers, *tables) for a in plain]


def joined(parts: Sequence[SizeColumns]) -> SizeColumns:
    names = ("depth", "hidden", "heads", "qkv", "ffn")
    return SizeColumns(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


@settings(deadline=None)
@given(space=SPACES)
def test_the_columns_of_a_space_are_its_members_written_out_in_order(space: SearchSpace) -> None:
    expected = sorted(written_out(space), key=lambda a: (a.hidden, a.depth, a.layers))

    assert expected == members(space, sizes(space))
    assert list(space) == members(space, sizes(space))


@settings(deadline=None)
@given(space=SPACES, data=st.data())
def test_slices_are_those_of_a_list_and_join_to_the_whole(
    space: SearchSpace, data: st.DataObject
) -> None:
    every = list(space)
    bounds = st.integers(-space.count - 2, space.count + 2)
    start, stop = data.draw(bounds), data.draw(st.none() | bounds)
    step = data.draw(st.integers(1, space.count + 1))
    parts = [sizes(space, at, at + step) for at in range(0, space.count, step)]

    assert every[start:stop] == members(space, sizes(space, start, stop))
    assert every == members(space, joined(parts))


@pytest.mark.parametrize("name", ALIKE)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_members_of_the_spaces_that_ship_are_found_by_their_numbers(
    name: str, data: st.DataObject
) -> None:
    space = load_space(name)
    ends = [0, 1, space.count - 2, space.count - 1]
    drawn = data.draw(st.lists(st.integers(0, space.count - 1), max_size=30))

    found = sizes_at(space, np.array([*drawn, *ends, *drawn]))

    assert [space.at(i) for i in [*drawn, *ends, *drawn]] == members(space, found)


def test_a_whole_space_that_ships_is_walked_as_iteration_does() -> None:
    space = load_space("bigger-faster")

    assert list(space) == members(space, sizes(space))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_columns_are_of_32_bits_whatever_the_numbers_are_of(dtype: type) -> None:
    found = sizes_at(ODD, np.array([5, 0, 100], dtype))

    assert 3 == len(found)
    assert [ODD.at(i) for i in (5, 0, 100)] == members(ODD, found)
    for name in ("depth", "hidden", "heads", "qkv", "ffn"):
        assert np.dtype(np.int32) == getattr(found, name).dtype


def test_no_members_give_empty_columns() -> None:
    assert 0 == len(sizes_at(ODD, np.array([], np.int64)))
    assert 0 == len(sizes(ODD, ODD.count))


@pytest.mark.parametrize("index", [-1, ODD.count])
def test_there_is_no_column_of_what_is_no_member(index: int) -> None:
    with pytest.raises(IndexError, match=rf"0 to {ODD.count - 1}, not {index}"):
        sizes_at(ODD, np.array([0, index, 1]))


@pytest.mark.parametrize("indices", [np.array([0.0]), np.array([True]), np.array([[0]])])
def test_members_are_numbered_by_one_row_of_whole_numbers(indices: np.ndarray) -> None:
    with pytest.raises(IndexError, match="by a list of whole numbers"):
        sizes_at(ODD, indices)


def test_a_space_whose_layers_differ_has_no_columns_and_is_sampled_instead() -> None:
    space = load_space("minilm-layers")

    for ask in (sizes, lambda of: sizes_at(of, np.array([0]))):
        with pytest.raises(BadInputError, match=r"'minilm-layers' differ.*: sample it instead"):
            ask(space)

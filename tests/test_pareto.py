"""Fronts and hypervolumes are what brute force says they are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.pareto import front, hypervolume, trace

GRID = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=14)
"""Whole numbers, so that many are equal."""
REFERENCE = (6.0, 2.0)


def columns(points: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [c for c, _ in points], [s for _, s in points]


def beats(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@given(GRID)
def test_a_front_is_exactly_what_no_other_beats_each_once_the_cheapest_first(points) -> None:
    kept = front(*columns(points))

    unbeaten = {p for p in points if not any(beats(q, p) for q in points)}
    assert sorted(unbeaten) == [points[i] for i in kept]
    assert all(points.index(points[i]) == i for i in kept)


@given(GRID)
def test_a_hypervolume_is_the_number_of_unit_squares_below_the_front(points) -> None:
    squares = {
        (x, y)
        for cost, score in points
        for x in range(cost, int(REFERENCE[0]))
        for y in range(int(REFERENCE[1]), score)
    }

    assert len(squares) == hypervolume(*columns(points), REFERENCE)


def test_a_hypervolume_is_the_share_of_darts_that_are_beaten() -> None:
    rng = np.random.default_rng(0)
    cost, score = rng.random((2, 30))
    darts = rng.random((200_000, 2))

    beaten = ((cost <= darts[:, :1]) & (score >= darts[:, 1:])).any(1).mean()
    assert abs(beaten - hypervolume(cost, score, (1.0, 0.0))) < 0.005


@given(GRID)
def test_a_trace_is_the_hypervolume_of_every_beginning(points) -> None:
    cost, score = columns(points)

    found = trace(cost, score, REFERENCE)

    expected = [hypervolume(cost[:i], score[:i], REFERENCE) for i in range(1, len(points) + 1)]
    assert expected == found.tolist()


def test_no_points_have_no_front_and_no_hypervolume() -> None:
    assert front([], []).tolist() == []
    assert hypervolume([], [], REFERENCE) == 0
    assert trace([], [], REFERENCE).tolist() == []

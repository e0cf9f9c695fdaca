"""Batches hold every example once, in an order that a seed decides, with little padding."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.data.batches import gather, in_order, order
from nas.data.tokens import Encoded

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=60).map(
    lambda x: np.array(x, np.int32)
)


def encoded(lengths: np.ndarray, targets: bool = True) -> Encoded:  # noqa: FBT001, FBT002
    """Every token another number, so that none can stand in another's place."""
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.arange(1, starts[-1] + 1, dtype=np.int32)
    answers = np.arange(len(lengths)) if targets else np.zeros(0, np.int64)
    return Encoded(ids, ids % 2, starts, answers)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(1, 4), st.integers(0, 9))
def test_every_example_is_in_one_batch(
    lengths: np.ndarray, size: int, pool: int, seed: int
) -> None:
    batches = order(lengths, size, np.random.default_rng(seed), pool)

    assert list(range(len(lengths))) == sorted(np.concatenate(batches).tolist())
    sizes = sorted(len(batch) for batch in batches)
    assert sizes[-1] <= size
    assert all(n == size for n in sizes[1:])


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 9))
def test_the_order_is_a_function_of_the_generator(
    lengths: np.ndarray, size: int, seed: int
) -> None:
    first, again = (order(lengths, size, np.random.default_rng(seed)) for _ in range(2))

    assert [x.tolist() for x in first] == [x.tolist() for x in again]


def test_another_generator_mixes_examples_and_batches_anew() -> None:
    lengths = np.random.default_rng(0).integers(3, 40, 1000).astype(np.int32)
    first, other = (order(lengths, 10, np.random.default_rng(seed)) for seed in (1, 2))

    together = [{frozenset(x.tolist()) for x in batches} for batches in (first, other)]
    assert len(together[0] & together[1]) < 5
    means = [lengths[batch].mean() for batch in first]
    assert abs(np.corrcoef(means, np.arange(100))[0, 1]) < 0.3  # not from short to long


def padding(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    there = sum(int(lengths[x].max()) * len(x) for x in batches)
    return 1 - int(lengths.sum()) / there


def test_similar_lengths_together_leave_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(3, 40, 5000).astype(np.int32)

    sorted_, mixed = (
        padding(lengths, order(lengths, 32, np.random.default_rng(1), pool)) for pool in (64, 1)
    )

    assert sorted_ < 0.03
    assert mixed > 0.3


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 200), st.integers(1, 20))
def test_to_score_batches_go_from_short_to_long_within_a_budget(
    lengths: np.ndarray, tokens: int, most: int
) -> None:
    batches = list(in_order(lengths, tokens, most))

    flat = np.concatenate(batches)
    assert np.argsort(lengths, kind="stable").tolist() == flat.tolist()
    for batch in batches:
        assert len(batch) <= most
        assert len(batch) == 1 or len(batch) * int(lengths[batch].max()) <= tokens
    for batch, following in pairwise(batches):  # and none could be longer
        more = (len(batch) + 1) * int(lengths[following[0]])
        assert len(batch) == most or more > tokens


@settings(deadline=None)
@given(LENGTHS, st.data(), st.integers(0, 50))
def test_a_batch_is_its_examples_filled_up(
    lengths: np.ndarray, data: st.DataObject, width: int
) -> None:
    whole = encoded(lengths)
    chosen = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=9))

    batch = gather(whole, chosen, width)

    wide = max(width, *(int(lengths[i]) for i in chosen))
    assert (len(chosen), wide) == batch.ids.shape == batch.types.shape
    for row, example in enumerate(chosen):
        first, length = int(whole.starts[example]), int(lengths[example])
        for at in range(wide):
            real = at < length
            assert batch.ids[row, at] == (whole.ids[first + at] if real else 0)
            assert batch.types[row, at] == (whole.types[first + at] if real else 0)
            assert real if batch.mask is None else batch.mask[row, at] == real
    assert (batch.mask is None) == all(int(lengths[i]) == wide for i in chosen)
    assert chosen == batch.targets.tolist() == batch.examples.tolist()
    assert sum(int(lengths[i]) for i in chosen) == batch.tokens


def test_a_batch_without_targets_has_none_and_spans_come_as_pairs() -> None:
    lengths = np.array([2, 3], np.int32)
    spans = Encoded(**{f: getattr(encoded(lengths), f) for f in ("ids", "types", "starts")},
                    targets=np.array([[0, 1], [1, 2]]))  # fmt: skip

    assert (0,) == gather(encoded(lengths, targets=False), [1]).targets.shape
    assert [[1, 2], [0, 1]] == gather(spans, [1, 0]).targets.tolist()


@pytest.mark.parametrize("tokens", [1, 7])
def test_an_example_longer_than_the_budget_stands_alone(tokens: int) -> None:
    assert [[1], [0]] == [x.tolist() for x in in_order(np.array([9, 8], np.int32), tokens)]

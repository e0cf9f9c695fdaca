"""Which tokens are hidden: shares, units, what never is, and what it depends on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nas.data.masking import NO_TARGET, Ids, Masking, draw, mask
from nas.data.vocabulary import Vocabulary
from tests.small_words import TOKENS, ids_of, small_words


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return small_words(tmp_path_factory.mktemp("masking"))


def batch(*texts: str) -> Ids:
    """Between marks, padded."""
    rows = [[3, *ids_of(text), 4] for text in texts]
    ids = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for row, found in zip(ids, rows, strict=True):
        row[: len(found)] = found
    return ids


def random_text(rng: np.random.Generator, pieces: int) -> str:
    letters = "".join(rng.choice(list("abcdefghij"), pieces))
    cuts = rng.random(pieces) < 0.6
    return "".join(f" {x}" if cut else x for x, cut in zip(letters, cuts, strict=True)).strip()


def masked(
    ids: Ids, words: Vocabulary, masking: Masking, seed: int = 0
) -> tuple[Ids, Ids, NDArray[np.bool_]]:
    inputs, targets = mask(ids, words, masking, draw(seed, 0, range(len(ids)), ids.shape[1]))
    return inputs, targets, targets != NO_TARGET


def units_of(row: list[int], *, whole_words: bool) -> list[list[int]]:
    units: list[list[int]] = []
    for place, token in enumerate(row):
        if token < 6:
            continue
        inside = TOKENS[token].startswith("##") and units and units[-1][-1] == place - 1
        if whole_words and inside:
            units[-1].append(place)
        else:
            units.append([place])
    return units


def oracle(row: list[int], masking: Masking, draws: list[list[float]]) -> tuple[list[int], ...]:
    """BERT's `create_masked_lm_predictions`, a token at a time."""
    marks, units = 6, units_of(row, whole_words=masking.whole_words)
    tokens = sum(map(len, units))
    budget = max(1, round(tokens * masking.probability)) if masking.probability else 0
    budget = min(budget, tokens, tokens if masking.most is None else masking.most)
    inputs, targets = list(row), [NO_TARGET] * len(row)
    for unit in sorted(units, key=lambda unit: draws[unit[0]][0]):
        if len(unit) > budget:
            continue
        budget -= len(unit)
        for place in unit:
            targets[place] = row[place]
            fate, swap = draws[place][1], draws[place][2]
            if fate < 0.8:
                inputs[place] = TOKENS.index("[MASK]")
            elif fate < 0.9:
                inputs[place] = marks + int(swap * (len(TOKENS) - marks))
    return inputs, targets


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, 20), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.05, 0.15, 0.4, 1.0]),
    st.booleans(),
    st.sampled_from([None, 0, 2, 5]),
)
def test_a_batch_is_masked_as_a_loop_over_its_tokens_masks_it(
    words: Vocabulary,
    seed: int,
    sizes: list[int],
    probability: float,
    whole_words: bool,  # noqa: FBT001 - hypothesis
    most: int | None,
) -> None:
    rng = np.random.default_rng(seed)
    ids = batch(*(random_text(rng, size) for size in sizes))
    masking = Masking(probability, whole_words, most)
    draws = draw(seed, 3, range(len(ids)), ids.shape[1])

    inputs, targets = mask(ids, words, masking, draws)

    for row, (expected, hidden) in enumerate(
        oracle(list(x), masking, d) for x, d in zip(ids.tolist(), draws.tolist(), strict=True)
    ):
        assert expected == inputs[row].tolist()
        assert hidden == targets[row].tolist()


@pytest.mark.parametrize("whole_words", [False, True])
def test_fifteen_per_cent_are_chosen_and_eight_of_ten_of_them_hidden(
    words: Vocabulary, *, whole_words: bool
) -> None:
    rng = np.random.default_rng(0)
    ids = batch(*(random_text(rng, 200) for _ in range(200)))

    inputs, targets, chosen = masked(ids, words, Masking(whole_words=whole_words))

    own = ~words.special[ids]
    assert [30] * 200 == chosen.sum(axis=1).tolist()
    assert not chosen[~own].any()
    np.testing.assert_array_equal(ids[~chosen], inputs[~chosen])
    np.testing.assert_array_equal(ids[chosen], targets[chosen])
    hidden = inputs[chosen] == words.mask
    kept = inputs[chosen] == ids[chosen]
    assert 0.77 < hidden.mean() < 0.83
    assert 0.08 < kept.mean() < 0.13  # a random token is the same one now and then
    assert 0.08 < (~hidden & ~kept).mean() < 0.12
    swapped = inputs[chosen][~hidden & ~kept]
    assert not words.special[swapped].any()
    assert len(np.unique(swapped)) == len(TOKENS) - 6


def test_every_place_is_as_likely_as_another(words: Vocabulary) -> None:
    ids = batch(*["abc d efghi j kl"] * 3000)

    chosen = masked(ids, words, Masking(0.4))[2].mean(axis=0)[1:-1]

    assert chosen.max() - chosen.min() < 0.06


def test_whole_words_are_hidden_together(words: Vocabulary) -> None:
    ids = batch(*["abc de fgh i jklm nop"] * 50)
    bounds = [(1, 4), (4, 6), (6, 9), (9, 10), (10, 14), (14, 17)]

    chosen = masked(ids, words, Masking(0.3, whole_words=True))[2]

    assert all(row[a:b].all() or not row[a:b].any() for row in chosen for a, b in bounds)
    assert chosen.sum(axis=1).max() <= 5
    alone = masked(ids, words, Masking(0.3))[2]
    assert any(0 < row[1:4].sum() < 3 for row in alone)


def test_a_piece_after_a_mark_is_a_word_of_its_own(words: Vocabulary) -> None:
    sep, piece = words.sep, TOKENS.index("##a")
    ids = np.array([[words.cls, 6, piece, sep, piece, piece, sep]] * 60, np.int32)

    chosen = masked(ids, words, Masking(0.5, whole_words=True))[2]

    assert all(row[1] == row[2] and row[4] == row[5] for row in chosen)
    assert {True, False} == set(chosen[:, 4].tolist())


def test_probability_zero_hides_nothing_and_any_other_one_token_at_least(
    words: Vocabulary,
) -> None:
    ids = batch("a b c", "")

    nothing = masked(ids, words, Masking(0.0))
    little = masked(ids, words, Masking(0.01))

    assert not nothing[2].any()
    np.testing.assert_array_equal(ids, nothing[0])
    assert [1, 0] == little[2].sum(axis=1).tolist()


def test_no_more_than_the_most_are_hidden(words: Vocabulary) -> None:
    ids = batch("a b c d e f g h i j")

    assert 3 == masked(ids, words, Masking(1.0, most=3))[2].sum()
    assert 10 == masked(ids, words, Masking(1.0, most=30))[2].sum()


def test_a_row_is_masked_alike_in_any_batch_and_anew_in_every_epoch() -> None:
    whole = draw(5, 2, [8, 3, 9], 40)

    np.testing.assert_array_equal(whole[1], draw(5, 2, [3], 40)[0])
    np.testing.assert_array_equal(whole[1, :7], draw(5, 2, np.array([3]), 7)[0])
    others = [draw(5, 3, [3], 40), draw(6, 2, [3], 40), draw(5, 2, [4], 40)]
    for other in others:
        assert not np.isin(other[..., 0], whole[..., 0][1:2]).any()
    assert 0 <= whole.min() < whole.max() < 1


def test_the_originals_are_left_alone(words: Vocabulary) -> None:
    ids = batch("a b c d e f")
    before = ids.copy()

    masked(ids, words, Masking(1.0))

    np.testing.assert_array_equal(before, ids)

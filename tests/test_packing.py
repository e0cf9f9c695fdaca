"""From documents to sequences: what is kept together, what is drawn, what is cut."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.data import packing
from nas.data.packing import FOLLOWS, ONE_SEGMENT, RANDOM, Packed, Packing, greedy, truncated
from nas.data.vocabulary import Vocabulary
from results.errors import BadInputError
from tests.small_words import small_words

Documents = list[list[list[int]]]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return small_words(tmp_path_factory.mktemp("packing"))


def numbered(*lengths: Sequence[int]) -> Documents:
    """Documents of sentences of given lengths; no two tokens anywhere are the same."""
    count = iter(range(100, 1 << 30))
    return [[[next(count) for _ in range(n)] for n in document] for document in lengths]


def sequences(packed: Packed) -> list[list[int]]:
    return [part.tolist() for part in np.split(packed.ids, np.cumsum(packed.lengths)[:-1])]


def segments(packed: Packed, words: Vocabulary) -> list[tuple[list[int], list[int]]]:
    """Both segments of each sequence without marks, the marks checked."""
    found = []
    for sequence, boundary in zip(sequences(packed), packed.boundaries.tolist(), strict=True):
        a, b = sequence[:boundary], sequence[boundary:]
        assert (words.cls, words.sep, words.sep) == (a[0], a[-1], b[-1])
        found.append((a[1:-1], b[:-1]))
    return found


def test_as_many_whole_sentences_as_fit_are_packed_together() -> None:
    (document,) = numbered([4, 5, 6, 3, 7])

    found = greedy(document, 10)

    assert [document[0] + document[1], document[2] + document[3], document[4]] == found


def test_a_sentence_that_is_too_long_is_cut_and_what_is_too_short_is_left_out() -> None:
    (document,) = numbered([2, 14, 4, 1])

    assert [document[1][:10], document[2]] == greedy(document, 10)
    assert [] == greedy([[1, 2]], 10)


@given(st.lists(st.integers(1, 30), max_size=30), st.integers(6, 20))
def test_no_sequence_could_have_taken_its_successor_too(lengths: list[int], room: int) -> None:
    (document,) = numbered(lengths)

    found = greedy(document, room)

    kept = [sentence[:room] for sentence in document if len(sentence) >= packing.LEAST_TOKENS]
    assert [i for s in kept for i in s] == [i for s in found for i in s]
    assert all(0 < len(sequence) <= room for sequence in found)
    starts = [sentence[0] for sentence in kept]
    for sequence, after in pairwise(found):
        first = kept[starts.index(after[0])]  # a sequence begins with a sentence
        assert len(sequence) + len(first) > room


def test_one_segment_stands_between_marks(words: Vocabulary) -> None:
    documents = numbered([4, 5], [3])

    packed = Packing("autotinybert", 11).pack(documents, 7, words)

    (first, second), (third,) = documents
    marked = [[words.cls, *s, words.sep] for s in (first + second, third)]
    assert marked == sequences(packed)
    assert packed.lengths.tolist() == packed.boundaries.tolist() == [11, 5]
    assert [ONE_SEGMENT, ONE_SEGMENT] == packed.next_sentence.tolist()
    assert [7, 8] == packed.documents.tolist()


def test_second_segments_follow_or_come_from_another_document(words: Vocabulary) -> None:
    documents = numbered(*[[3, 9, 4, 6, 5, 8, 7, 3, 4, 9]] * 30)
    text = [[i for sentence in document for i in sentence] for document in documents]

    packed = Packing("tinybert", 32).pack(documents, 0, words)

    for (a, b), label, number in zip(
        segments(packed, words), packed.next_sentence, packed.documents, strict=True
    ):
        own = text[number]
        assert own[own.index(a[0]) :][: len(a)] == a
        if label == FOLLOWS:
            assert own.index(b[0]) > own.index(a[-1])
            assert own[own.index(b[0]) :][: len(b)] == b
        else:
            assert b[0] not in own
    labels = packed.next_sentence.tolist()
    assert {FOLLOWS, RANDOM} == set(labels)
    assert 0.4 < labels.count(RANDOM) / len(labels) < 0.65


def test_the_other_document_is_never_the_own_one_however_few_there_are(
    words: Vocabulary,
) -> None:
    documents = numbered([4], [], [5])

    for epoch in range(20):
        packed = Packing("tinybert", 32, epoch=epoch).pack(documents, 7, words)

        assert [7, 9] == packed.documents.tolist()
        assert [RANDOM, RANDOM] == packed.next_sentence.tolist()
        (one,), (other,) = documents[0], documents[2]
        assert [(one, other), (other, one)] == segments(packed, words)


def test_half_of_the_second_segments_are_random_and_begin_at_any_sentence(
    words: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "SHORT", 0.0)  # then nothing is cut
    documents = numbered(*[[4] * 20] * 400)

    packed = Packing("tinybert", 23).pack(documents, 0, words)

    pairs = zip(segments(packed, words), packed.next_sentence.tolist(), strict=True)
    starts = [(b[0] - documents[0][0][0]) // 4 % 20 for (_, b), label in pairs if label == RANDOM]
    assert 0.45 < len(starts) / len(packed) < 0.55
    assert all(0.02 < starts.count(n) / len(starts) < 0.09 for n in range(20))


def test_sentences_that_a_random_segment_pushed_out_are_used_again(words: Vocabulary) -> None:
    documents = numbered(*[[4] * 40] * 20)  # never cut: 5 sentences are 20 tokens and fill 20

    packed = Packing("tinybert", 23).pack(documents, 0, words)

    used: dict[int, list[int]] = {}
    for (a, b), label, number in zip(
        segments(packed, words), packed.next_sentence, packed.documents, strict=True
    ):
        used.setdefault(int(number), []).extend(a if label == RANDOM else a + b)
    whole = [n for n, ids in used.items() if ids == [i for s in documents[n] for i in s]]
    assert len(whole) > 15  # where a document's sequences are short, the longest are cut


def test_some_documents_have_short_sequences(
    words: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = numbered(*[[1] * 180] * 600)

    def longest(packed: Packed) -> list[int]:
        return [int(packed.lengths[packed.documents == n].max()) for n in range(len(documents))]

    found = longest(Packing("tinybert", 63).pack(documents, 0, words))
    assert 25 < sum(length < 50 for length in found) < 70  # about 47, of a tenth of all

    monkeypatch.setattr(packing, "SHORT", 0.0)
    found = longest(Packing("tinybert", 63).pack(documents, 0, words))
    assert 63 == min(found)


def test_long_documents_are_drawn_from_more_often(words: Vocabulary) -> None:
    documents = numbered([5] * 20, [5] * 2, *[[5] * 3] * 60)

    packed = Packing("tinybert", 32).pack(documents, 0, words)

    first = {i for sentence in documents[0] for i in sentence}
    second = {i for sentence in documents[1] for i in sentence}
    drawn = [b[0] for (_, b) in segments(packed, words)]
    others = packed.documents > 1
    from_first = sum(i in first for i, other in zip(drawn, others, strict=True) if other)
    from_second = sum(i in second for i, other in zip(drawn, others, strict=True) if other)
    assert from_first > 3 * from_second


@given(st.integers(0, 40), st.integers(0, 40), st.integers(5, 30), st.integers(0, 99))
def test_a_pair_is_cut_as_berts_loop_cuts_it(a: int, b: int, room: int, seed: int) -> None:
    one, other = list(range(a)), list(range(100, 100 + b))
    kept_a, kept_b = a, b
    while kept_a + kept_b > room:
        if kept_a > kept_b:
            kept_a -= 1
        else:
            kept_b -= 1

    found = truncated(one, other, room, np.random.default_rng(seed))

    assert (kept_a, kept_b) == (len(found[0]), len(found[1]))
    for before, after in zip((one, other), found, strict=True):
        start = before.index(after[0]) if after else 0
        assert before[start : start + len(after)] == after


def test_pairs_are_cut_at_either_end() -> None:
    rng = np.random.default_rng(0)

    starts = [truncated(list(range(50)), [], 40, rng)[0][0] for _ in range(200)]

    assert 3.5 < np.mean(starts) < 6.5
    assert {3, 5, 7} <= set(starts)
    starts = [truncated(list(range(1040)), [], 40, rng)[0][0] for _ in range(50)]
    assert all(400 < start < 600 for start in starts)  # a coin for each token


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 25), min_size=1, max_size=12), min_size=2, max_size=8),
    st.integers(12, 40),
)
def test_nothing_is_longer_than_it_may_be(
    words: Vocabulary, lengths: list[list[int]], tokens: int
) -> None:
    packed = Packing("tinybert", tokens).pack(numbered(*lengths), 0, words)

    assert packed.lengths.max() <= tokens
    assert all(a and b for a, b in segments(packed, words))
    assert set(range(len(lengths))) == set(packed.documents.tolist())


def test_the_seed_the_epoch_and_the_place_and_nothing_else_decide(words: Vocabulary) -> None:
    documents = numbered(*[[4, 6, 5, 7, 3]] * 8)

    def made(seed: int, epoch: int = 0, first: int = 0) -> list[int]:
        packed = Packing("tinybert", 24, seed, epoch).pack(documents, first, words)
        return [int(i) for i in packed.ids]

    np.random.seed(1)  # noqa: NPY002 - what must not matter
    assert made(0) == made(0)
    assert made(0) != made(1)
    assert made(0) != made(0, epoch=1)
    assert made(0) != made(0, first=100)  # another place in the corpus


def test_a_single_document_has_nothing_to_draw_from(words: Vocabulary) -> None:
    with pytest.raises(BadInputError, match=r"a single document.*blank lines between"):
        Packing("tinybert", 24).pack([*numbered([4, 5]), []], 0, words)


def test_the_first_ones_are_a_prefix(words: Vocabulary) -> None:
    packed = Packing("tinybert", 24).pack(numbered(*[[4, 6, 5]] * 8), 0, words)

    first = packed.first(3)

    assert sequences(packed)[:3] == sequences(first)
    assert packed.next_sentence.tolist()[:3] == first.next_sentence.tolist()
    assert packed.boundaries.tolist()[:3] == first.boundaries.tolist()
    assert packed.documents.tolist()[:3] == first.documents.tolist()


def test_texts_hold_no_marks_and_vocabularies_name_them(tmp_path: Path) -> None:
    words = small_words(tmp_path)

    assert "[CLS]" == words.tokens[words.cls]
    assert "##b" == words.tokens[np.flatnonzero(words.continues)[1]]
    assert 6 == words.special.sum()

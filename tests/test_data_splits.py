"""Splits: what is repeated goes, what is left is divided by its text alone."""

import random
from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.data.splits import (
    MOST,
    Dropped,
    Example,
    distinct,
    divide,
    normalised,
    separated,
)
from nas.data.task import DEV, TEST, TRAIN

TEXTS = st.text("aAbB \t\n", max_size=6)
LABELS = st.sampled_from("xyz")
ROWS = st.lists(st.builds(Example, TEXTS, LABELS, st.none() | TEXTS), max_size=40)


def numbered(count: int, label: str = "x", prefix: str = "text") -> list[Example]:
    return [Example(f"{prefix} {label} {n}", label) for n in range(count)]


DISTINCT = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 60), min_size=1).map(
    lambda counts: [row for label, n in counts.items() for row in numbered(n, label)]
)


def test_case_and_white_space_tell_no_texts_apart() -> None:
    assert normalised(Example("Straße\t 1 ", "x")) == normalised(Example(" STRASSE 1", "y"))
    assert normalised(Example("a b", "x")) != normalised(Example("ab", "x"))
    assert normalised(Example("a", "x", "B  c")) == normalised(Example("A", "x", "b C"))


def test_a_pair_is_not_one_text_with_both_words() -> None:
    pairs = (("a b", None), ("a", "b"), ("a b", ""), ("", "a b"))

    assert 4 == len({normalised(Example(text, "x", pair)) for text, pair in pairs})


@settings(deadline=None)
@given(ROWS)
def test_distinct_examples_have_distinct_texts_and_none_has_two_labels(rows) -> None:
    kept, dropped = distinct(rows)

    texts = [normalised(row) for row in kept]
    labels = {text: {r.label for r in rows if normalised(r) == text} for text in texts}
    assert len(texts) == len(set(texts))
    assert all(1 == len(several) for several in labels.values())
    assert len(rows) == len(kept) + dropped.repeated + dropped.contradictory


@settings(deadline=None)
@given(ROWS)
def test_the_first_of_several_is_kept_and_the_order_with_it(rows) -> None:
    kept, _ = distinct(rows)

    firsts = {}
    for row in rows:
        firsts.setdefault(normalised(row), row)
    assert [row for row in firsts.values() if row in kept] == kept


@settings(deadline=None)
@given(ROWS)
def test_a_text_with_two_labels_goes_altogether_and_is_counted(rows) -> None:
    kept, dropped = distinct(rows)

    labels = {}
    for row in rows:
        labels.setdefault(normalised(row), set()).add(row.label)
    assert {text for text, those in labels.items() if len(those) == 1} == set(
        map(normalised, kept)
    )
    assert dropped.contradictory == sum(len(labels[normalised(row)]) > 1 for row in rows)


@settings(deadline=None)
@given(DISTINCT)
def test_every_example_is_in_one_split_in_the_order_it_had(rows) -> None:
    made = divide(rows)

    assert [TRAIN, DEV, TEST] == list(made)
    assert Counter(rows) == Counter(row for part in made.values() for row in part)
    for part in made.values():
        assert part == [row for row in rows if row in set(part)]


@settings(deadline=None)
@given(DISTINCT)
def test_every_label_gives_a_tenth_rounded_down_to_dev_and_to_test(rows) -> None:
    made = divide(rows)

    for label, count in Counter(row.label for row in rows).items():
        for part in (DEV, TEST):
            assert count // 10 == sum(row.label == label for row in made[part])


@settings(deadline=None)
@given(DISTINCT, st.randoms(use_true_random=False))
def test_the_order_of_a_file_does_not_matter(rows, rng) -> None:
    mixed = rng.sample(rows, len(rows))

    assert {k: set(v) for k, v in divide(rows).items()} == {
        k: set(v) for k, v in divide(mixed).items()
    }


@settings(deadline=None)
@given(DISTINCT, LABELS)
def test_one_example_more_moves_at_most_one_other_across_each_border(rows, label) -> None:
    more = Example("one more", label)
    before, after = divide(rows), divide([*rows, more])

    for part in (DEV, TEST):
        was, now = set(before[part]), set(after[part]) - {more}
        assert len(was ^ now) <= 1
        assert all(row.label == label for row in was ^ now)
    assert not set(before[DEV]) & set(after[TEST])
    assert not set(before[TEST]) & set(after[DEV])


def test_texts_are_ordered_by_sha256_so_that_splits_never_change() -> None:
    rows = [Example(f"Text  {n}", "x") for n in range(40)]
    by_hash = sorted(
        rows, key=lambda row: sha256(row.text.lower().replace("  ", " ").encode()).digest()
    )

    made = divide(rows)

    assert set(by_hash[:4]) == set(made[TEST])
    assert set(by_hash[-4:]) == set(made[DEV])


def test_dev_and_test_of_many_have_two_thousand_at_most_and_every_label_its_share() -> None:
    rows = numbered(30_000, "x") + numbered(15_000, "y")
    made = divide(rows)

    for part in (DEV, TEST):
        counts = Counter(row.label for row in made[part])
        assert {"x": 1333, "y": 666} == counts
        assert sum(counts.values()) <= MOST


@pytest.mark.parametrize(("count", "taken"), [(19_999, 1_999), (20_000, 2_000), (20_001, 2_000)])
def test_a_tenth_becomes_two_thousand_without_a_step(count, taken) -> None:
    assert taken == len(divide(numbered(count))[TEST])


def test_without_strata_the_tenth_is_of_all() -> None:
    rows = [row for n in range(20) for row in numbered(1, str(n))]

    assert {TRAIN: 20, DEV: 0, TEST: 0} == {k: len(v) for k, v in divide(rows).items()}
    unstratified = divide(rows, stratified=False)
    assert {TRAIN: 16, DEV: 2, TEST: 2} == {k: len(v) for k, v in unstratified.items()}


@settings(deadline=None)
@given(st.lists(st.integers(1, 6), max_size=60))
def test_no_group_is_in_two_splits(sizes) -> None:
    rows = [
        Example(f"{group} {n}", "xy"[n % 2], group=f"word {group}")
        for group, size in enumerate(sizes)
        for n in range(size)
    ]
    made = divide(rows)

    groups = {name: {row.group for row in part} for name, part in made.items()}
    assert len({row.group for row in rows}) == sum(map(len, groups.values()))
    for part in (DEV, TEST):
        assert len(rows) // 10 - 6 < len(made[part]) <= len(rows) // 10


def test_only_the_parts_that_are_asked_for_are_taken() -> None:
    made = divide(numbered(40), (DEV,))

    assert made[DEV] == divide(numbered(40))[DEV]
    assert {TRAIN: 36, DEV: 4} == {k: len(v) for k, v in made.items()}


@settings(deadline=None)
@given(ROWS, ROWS, ROWS)
def test_given_splits_share_no_text_and_the_last_stays_whole(train, dev, test) -> None:
    made, dropped = separated({TRAIN: train, DEV: dev, TEST: test})

    texts = {name: {normalised(row) for row in part} for name, part in made.items()}
    assert [TRAIN, DEV, TEST] == list(made)
    assert test == made[TEST]
    assert [row for row in dev if normalised(row) not in texts[TEST]] == made[DEV]
    assert not texts[TRAIN] & (texts[DEV] | texts[TEST])
    assert not texts[DEV] & texts[TEST]
    assert (
        Dropped(shared=sum(map(len, (train, dev, test))) - sum(map(len, made.values()))) == dropped
    )


def test_what_was_left_out_is_said_in_words() -> None:
    assert "2 repeated, 1,003 with a text that has two labels" == str(
        Dropped(1, 1003) + Dropped(1)
    )
    assert "4 to learn from that dev or test has too" == str(Dropped(shared=3) + Dropped(shared=1))


def test_surrogates_in_a_text_are_no_obstacle() -> None:
    rows = [Example(f"\ud800 {n}", "x") for n in range(10)]
    random.Random(0).shuffle(rows)

    assert 1 == len(divide(rows)[TEST])
    alone = [Example(chr(0xD800 + n), "x") for n in range(20)]
    assert 2 == len(divide(alone)[TEST])

"""Boosted trees over a power law: monotone, robust, and the same from the same seed and file."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors.boosted import Boosted
from predictors.columns import Columns
from predictors.features import FINE, GROWING, Features
from predictors.powerlaw import PowerLaw
from predictors.setting import Setting
from predictors.terms import Terms
from results.architecture import Architecture, Layer
from results.measurement import Workload
from tests.predictor_rows import INT8, MIXED, PLAIN, columns, networks, timed

SETTING = Setting(Terms(("fp32",)))


@cache
def fitted() -> Boosted:
    return Boosted.fit(timed(networks(150, 1), noise=0.02), SETTING)


def uniform(sizes: list[int]) -> Columns:
    depth, hidden, heads, width, ffn, tokens = sizes
    layer = Layer(heads, heads * width, ffn)
    return columns([Architecture(hidden, (layer,) * depth)], workloads=[Workload(1, tokens)])


SIZES = st.tuples(
    *(st.integers(1, most) for most in (12, 900, 16, 80, 4000, 512)),
).map(list)


@settings(max_examples=100, deadline=None)
@given(SIZES, SIZES)
def test_more_of_everything_is_never_predicted_faster(one: list[int], other: list[int]) -> None:
    less = [min(pair) for pair in zip(one, other, strict=True)]
    more = [max(pair) for pair in zip(one, other, strict=True)]

    (below,), (above,) = (fitted().predict(uniform(sizes)) for sizes in (less, more))
    assert 0 < below <= above * (1 + 1e-6) < np.inf


@pytest.mark.parametrize("size", range(6))
def test_more_of_one_size_is_never_predicted_faster(size: int) -> None:
    sizes = [4, 300, 6, 32, 1200, 128]
    ladder = [[*sizes[:size], n, *sizes[size + 1 :]] for n in range(1, 200)]

    found = np.concatenate([fitted().predict(uniform(rung)) for rung in ladder])

    assert (np.diff(np.log(found)) > -1e-6).all()


def test_other_networks_are_predicted_within_a_few_percent() -> None:
    others = timed(networks(200, 2))

    errors = np.abs(fitted().predict(others.columns) / others.ms - 1.0)

    assert errors.mean() < 0.08
    assert (np.ones(200) == fitted().spread(others.columns)).all()


def test_a_law_of_powers_is_found_again() -> None:
    c = columns(networks(60, 3))
    ms = 1e-6 * c.hidden**0.7 * (c.ffn / c.depth) ** 0.3 * c.depth**1.1
    features = Features.of(c)

    law = PowerLaw.fit(features.matrix(c), np.log(ms), features.growing)

    others = columns(networks(60, 4))
    expected = 1e-6 * others.hidden**0.7 * (others.ffn / others.depth) ** 0.3 * others.depth**1.1
    np.testing.assert_allclose(np.exp(law.log_ms(features.matrix(others))), expected, rtol=0.1)
    assert all(e >= 0 for e, g in zip(law.exponents, features.growing, strict=True) if g)


def test_a_law_of_powers_is_found_among_gross_outliers() -> None:
    c = columns(networks(60, 3))
    x, growing = np.log(np.stack([c.hidden, c.depth], axis=1)), (True, True)
    y = 0.7 * x[:, 0] + 1.1 * x[:, 1] + np.where(np.arange(60) % 10 == 0, 0.7, 0.0)

    law = PowerLaw.fit(x, y, growing)

    np.testing.assert_allclose(law.exponents, [0.7, 1.1], atol=0.02)


def test_gross_outliers_move_little() -> None:
    rows, others = timed(networks(150, 1), noise=0.02), timed(networks(200, 2))
    wrong = np.where(np.arange(150) % 12 == 0, 2.0, 1.0)

    moved = Boosted.fit(replace(rows, ms=rows.ms * wrong), SETTING).predict(others.columns)

    clean = np.abs(fitted().predict(others.columns) / others.ms - 1.0).mean()
    assert np.abs(moved / others.ms - 1.0).mean() < clean + 0.02


def test_a_state_tells_the_very_same_predictions() -> None:
    data, parts = fitted().state()
    c = columns(networks(300, 5), [PLAIN, INT8, MIXED])

    again = Boosted.from_state(json.loads(json.dumps(data)), parts)

    assert (fitted().predict(c) == again.predict(c)).all()
    assert (data, parts) == again.state()
    assert {"ubj"} == set(parts)


def test_the_seed_decides() -> None:
    rows = timed(networks(60, 1), noise=0.02)

    first, again = (Boosted.fit(rows, SETTING).state() for _ in range(2))
    other = Boosted.fit(rows, replace(SETTING, seed=1)).state()

    assert first == again
    assert first[1] != other[1]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda _: {}, "missing"),
        (lambda b: {"ubj": b[:-9]}, "damaged"),
        (lambda b: {"ubj": b[:99] + bytes([b[99] ^ 1]) + b[100:]}, "damaged"),
    ],
)
def test_damaged_trees_are_refused(damage: "object", told: str) -> None:
    data, parts = fitted().state()

    assert callable(damage)
    with pytest.raises(ValueError, match=told):
        Boosted.from_state(data, damage(parts["ubj"]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"features": ["depth"], "exponents": [1.0]},
        {"features": ["colour"]},
        {"features": []},
        {"exponents": [1.0]},
        {"constant": float("nan")},
        {"constant": "1"},
        {"more": 1},
    ],
)
def test_a_state_that_says_something_else_is_refused(wrong: dict[str, object]) -> None:
    data, parts = fitted().state()

    assert isinstance(data, dict)
    with pytest.raises(ValueError):
        Boosted.from_state(data | wrong, parts)


def test_what_holds_no_trees_is_refused_in_one_line() -> None:
    from predictors.trees import Trees

    with pytest.raises(ValueError, match=r"^the ubj file holds no trees$"):
        Trees.from_bytes(b"{}", 3)


def test_the_features_are_those_that_vary_and_unseen_kinds_add_nothing() -> None:
    alike, mixed = columns(networks(50, 1)), columns(networks(50, 1), [PLAIN, INT8])

    plain = Features.of(alike)
    both = Features.of(mixed)

    assert set(plain.names) == {*GROWING, *FINE} - {"batch", "tokens"}
    assert {"qkv in int8", "ffn-out in fp32"} < set(both.names)
    assert "attention in fp32" not in both.names
    unseen = both.matrix(alike)[:, both.names.index("qkv in int8")]
    assert not unseen.any()
    assert plain == Features.named(plain.names)
    assert ("depth",) == Features.of(alike.take(slice(0, 1))).names


def test_no_candidates_have_no_latencies() -> None:
    assert (0,) == fitted().predict(columns(networks(2, 1)).take(slice(0, 0))).shape

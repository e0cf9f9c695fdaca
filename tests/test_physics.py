"""Terms by hand, and prices found again: noise-free, with outliers, and beyond the range."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from predictors.columns import FP32, GROUPS, Columns, Floats, Numerics
from predictors.physics import RIDGE, Physics
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.terms import Terms, terms_for
from results.architecture import Architecture, Layer
from results.measurement import Workload
from tests.predictor_rows import (
    INT8,
    MIXED,
    PLAIN,
    WORDS,
    architectures,
    columns,
    networks,
    numerics,
    prices,
    timed,
    workloads,
)

SMALL = Architecture(4, (Layer(2, 6, 10), Layer(1, 2, 8)))
PRODUCTS = ("attention products", "ffn products", "scores")
PER_THREAD = {
    *("embeddings", "norms", "attention passes", "ffn passes", "softmax", "heads"),
    *("attention products fp32", "ffn products fp32", "scores fp32"),
    *("attention products int8", "ffn products int8"),
    *("hidden to int8", "attention to int8", "ffn to int8"),
}


def terms_of(c: Columns, terms: Terms | None = None) -> dict[str, list[float]]:
    terms = terms or terms_for(c)
    return dict(zip(terms.names, terms.matrix(c).T.tolist(), strict=True))


def one(numerics: Numerics = PLAIN, workload: Workload | None = None) -> Columns:
    return columns([SMALL], [numerics], [workload or Workload(2, 3)])


def test_the_terms_of_a_small_network_are_these() -> None:
    rows, pairs = 2 * 3, 2 * 3 * 3

    expected = {
        "call": 1,
        "layers": 2,
        "embeddings": rows * 4,
        "norms": rows * 4 * 2,
        "attention passes": rows * (6 + 2),
        "ffn passes": rows * (10 + 8),
        "softmax": pairs * (2 + 1),
        "heads": 2 * (2 + 1),
        "weights": 4 * (4 * 4 * (6 + 2) + 2 * 4 * (10 + 8)),
        "attention products fp32": rows * 4 * 4 * (6 + 2),
        "ffn products fp32": rows * 4 * 2 * (10 + 8),
        "scores fp32": pairs * 2 * (6 + 2),
    }
    assert {name: [value] for name, value in expected.items()} == terms_of(one())


def test_what_is_turned_into_int8_is_counted_by_the_width_of_what_holds_it() -> None:
    kinds = {**dict.fromkeys(GROUPS, FP32), "qkv": "int8", "ffn-out": "int8"}
    rows = 2 * 3

    found = terms_of(one(Numerics(kinds, {"qkv": (1,)}, weight_bytes=WORDS)))

    assert [rows * 4] == found["hidden to int8"]
    assert [rows * 6] == found["attention to int8"]
    assert [rows * (10 + 8)] == found["ffn to int8"]
    assert [rows * 4 * 3 * 6] == found["attention products int8"]
    assert [rows * 4 * (3 * 2 + 6 + 2)] == found["attention products fp32"]
    assert "hidden to fp32" not in found

    found = terms_of(one(INT8), Terms((FP32, "int8")))

    assert [rows * 4 * (2 + 2)] == found["hidden to int8"]
    assert [rows * 2 * (6 + 2)] == found["attention to int8"]
    assert [rows * 2 * (10 + 8)] == found["ffn to int8"]


@given(architectures, workloads)
def test_the_float_products_are_the_macs(a: Architecture, workload: Workload) -> None:
    found = terms_of(columns([a], workloads=[workload]))

    each = a.macs(workload.tokens, workload.batch) / workload.threads
    assert each == pytest.approx(sum(found[f"{name} fp32"][0] for name in PRODUCTS), rel=1e-12)


@given(architectures, workloads, numerics())
def test_the_products_of_all_kinds_add_up_to_those_of_one(
    a: Architecture, workload: Workload, numerics: Numerics
) -> None:
    plain = terms_of(columns([a], workloads=[workload]))
    mixed = terms_of(columns([a], [numerics], [workload]))

    for name in PRODUCTS:
        whole = sum(x[0] for term, x in mixed.items() if term.startswith(f"{name} "))
        assert plain[f"{name} fp32"][0] == pytest.approx(whole, rel=1e-12)


def test_two_threads_halve_the_work_and_nothing_else() -> None:
    terms = Terms((FP32, "int8"), (1000,))
    alone = terms_of(one(INT8), terms)
    halved = terms_of(one(INT8, Workload(2, 3, 2)), terms)

    for name, (value,) in alone.items():
        assert [value / 2 if name in PER_THREAD else value] == halved[name], name


def test_threads_cost_by_the_layer_and_what_stays_serial_is_not_divided() -> None:
    terms = Terms((FP32,), threaded=True)

    found = {n: terms_of(one(workload=Workload(2, 3, n)), terms) for n in (1, 2, 4)}

    assert [[0], [2], [6]] == [x["threads"] for x in found.values()]
    assert [[48]] * 3 == [x["serial"] for x in found.values()]


def test_weights_cost_more_from_half_a_cache_on() -> None:
    (weight_bytes,) = one().weight_bytes
    caches = [x * weight_bytes for x in (4.0, 2.0, 1.0)]

    for size, beyond in zip(caches, (0.0, 0.0, 0.5 * weight_bytes), strict=True):
        assert [beyond] == terms_of(one(), Terms((FP32,), (int(size),)))["beyond L2"]


def test_of_work_and_weights_that_one_length_cannot_tell_apart_work_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Passes and products are seen at 128 tokens, with errors; that is to hold at 64 and 512.

    What the rows alone say there is a matter of the last bits, so that several errors are drawn.
    """
    found = networks(60, 4)
    c = columns(found)
    terms = Terms(c.kinds, (1 << 21,))
    typical = np.median(terms.matrix(c), axis=0)
    costly = [n.startswith(("norms", "attention products", "ffn products")) for n in terms.names]
    work = np.divide(1.0, typical, out=np.zeros_like(typical), where=costly)
    drawn = [np.exp(np.random.default_rng(n).normal(0.0, 0.03, len(c))) for n in range(7)]
    several = [Rows(c, terms.matrix(c) @ work * errors, tuple(found)) for errors in drawn]

    def off(tokens: int) -> float:
        other = columns(networks(100, 5), workloads=[Workload(1, tokens)])
        true = terms.matrix(other) @ work
        made = [Physics.fit(rows, Setting(terms)).predict(other) for rows in several]
        return float(np.median([np.median(np.abs(found / true - 1)) for found in made]))

    believed = off(64), off(512)
    monkeypatch.setattr("predictors.physics.NOISE", 1e9)

    assert max(believed) < 0.05
    assert min(off(64), off(512)) > 0.1


def test_which_terms_are_of_the_weights() -> None:
    terms = Terms((FP32,), (1 << 20, 1 << 25))
    of_weights = [n for n, is_so in zip(terms.names, terms.of_weights, strict=True) if is_so]

    assert ["weights", "leaving L2", "beyond L2", "leaving L3", "beyond L3"] == of_weights


def test_weights_cost_most_until_they_are_twice_a_cache() -> None:
    (weight_bytes,) = one().weight_bytes
    shares = {2.0: 0.0, 1.0: 0.5, 0.5: 0.75, 0.25: 0.375}  # of the weights, by cache

    for size, leaving in shares.items():
        terms = Terms((FP32,), (int(size * weight_bytes),))
        assert [leaving * weight_bytes] == terms_of(one(), terms)["leaving L2"]


def test_a_cache_keeps_its_level_where_the_other_is_unknown() -> None:
    assert {"beyond L2", "beyond L3"} == levels(terms_for(one(), (1 << 20, 1 << 25)))
    assert {"beyond L2"} == levels(terms_for(one(), (1 << 20, None)))
    assert {"beyond L3"} == levels(terms_for(one(), (None, 1 << 25)))
    assert set() == levels(terms_for(one(), (None, None)))

    (weight_bytes,) = one().weight_bytes
    only_l3 = terms_for(one(), (None, int(weight_bytes)))
    assert [0.5 * weight_bytes] == terms_of(one(), only_l3)["beyond L3"]


def levels(terms: Terms) -> set[str]:
    return {name for name in terms.names if name.startswith("beyond")}


def test_only_rows_that_tell_threads_and_kinds_apart_have_terms_for_them() -> None:
    alike = columns(networks(4, 0), workloads=[Workload(threads=2)])
    unlike = columns(networks(4, 0), [PLAIN, INT8], [Workload(threads=n) for n in (1, 2)])

    assert Terms((FP32,)) == terms_for(alike)
    assert Terms((FP32, "int8"), threaded=True) == terms_for(unlike)
    assert (len(unlike), len(terms_for(unlike).names)) == terms_for(unlike).matrix(unlike).shape


WORKLOADS = [Workload(b, t, n) for b, t, n in ((1, 128, 1), (1, 32, 2), (4, 64, 1), (2, 256, 4))]

MAKINGS: dict[str, Callable[..., Columns]] = {
    "one workload": columns,
    "several workloads": lambda found: columns(found, workloads=WORKLOADS),
    "int8 beside floats": lambda found: columns(found, [PLAIN, INT8, MIXED]),
    "all at once": lambda found: columns(found, [PLAIN, INT8, MIXED], WORKLOADS[:2]),
}


@pytest.mark.parametrize("making", MAKINGS)
@pytest.mark.parametrize("seed", range(3))
def test_prices_without_noise_hold_for_other_networks_and_far_beyond(
    making: str, seed: int
) -> None:
    seen = MAKINGS[making](networks(90, seed))
    terms = terms_for(seen, (1 << 20, 1 << 24))
    given = prices(terms, seen, seed)

    fitted = Physics.fit(rows(seen, terms.matrix(seen) @ given), Setting(terms))

    for others in (networks(50, seed + 100), networks(50, seed + 200, times=4)):
        c = MAKINGS[making](others)
        np.testing.assert_allclose(fitted.predict(c), terms.matrix(c) @ given, rtol=1e-6)


def rows(c: Columns, ms: Floats) -> Rows:
    return Rows(c, ms, tuple(range(len(c))))


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_tenth_of_gross_outliers_moves_little(factor: float) -> None:
    clean, others = timed(networks(80, 1)), timed(networks(200, 2))
    noisy = timed(networks(80, 1), noise=0.01)
    wrong = np.where(np.arange(80) % 10 == 0, factor, 1.0)

    fitted = fit(Rows(noisy.columns, noisy.ms * wrong, noisy.groups))

    assert 0.02 > np.median(np.abs(fitted.predict(others.columns) / others.ms - 1.0))
    assert 0.02 > np.median(np.abs(fitted.predict(clean.columns) / clean.ms - 1.0))


def fit(rows: Rows) -> Physics:
    return Physics.fit(rows, Setting(terms_for(rows.columns)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-9.0, 9.0), min_size=5, max_size=40), st.integers(0, 99))
def test_whatever_the_rows_say_no_price_is_negative_and_every_prediction_is_positive(
    logs: list[float], seed: int
) -> None:
    c = columns(networks(len(logs), seed), [PLAIN, MIXED])

    fitted = fit(rows(c, np.exp(logs)))

    others = columns(networks(20, seed + 100, times=2), [PLAIN, MIXED, INT8])
    assert (fitted.prices >= 0.0).all()
    assert (fitted.predict(others) > 0.0).all()
    assert (fitted.spread(others) >= 1.0).all()


def test_where_no_term_is_dear_a_latency_is_still_positive() -> None:
    terms = Terms((FP32,), (1 << 30,))
    c = columns(networks(3, 0))
    only_cache = np.array([float(name == "beyond L2") for name in terms.names])

    fitted = Physics(terms, only_cache, np.eye(len(only_cache)))

    assert (fitted.predict(c) > 0.0).all()
    assert (fitted.predict(c) < 1e-6).all()
    assert np.isfinite(fitted.spread(c)).all()


@pytest.mark.parametrize("seed", range(4))
def test_prices_are_the_bounded_least_squares_of_the_rows_so_weighted(seed: int) -> None:
    noisy = timed(networks(60, seed), noise=0.03, seed=seed)
    fitted = fit(noisy)

    x = fitted.terms.matrix(noisy.columns) / noisy.ms[:, None]
    weights = trusted(x @ fitted.prices - 1.0)
    scale = x.max(axis=0)
    weighted = x / scale * weights[:, None]
    expected = lsq_linear(weighted, weights, (0.0, np.inf), "bvls").x

    np.testing.assert_allclose(x / scale @ expected, x @ fitted.prices, atol=1e-3)


def trusted(errors: Floats) -> Floats:
    """Roots of Cauchy's weights, which are a half at 2.385 robust standard deviations."""
    deviation = 1.4826 * np.quantile(np.abs(errors), 0.5)
    return np.asarray([1.0 / np.hypot(1.0, e / (2.385 * deviation)) for e in errors])


def test_the_spread_is_the_leverage_of_a_ridge_regression() -> None:
    seen, others = timed(networks(30, 1), noise=0.03), columns(networks(40, 2, times=2))
    fitted = fit(seen)

    x = fitted.terms.matrix(seen.columns) / seen.ms[:, None]
    share = x.mean(axis=0)
    weights = trusted(x @ fitted.prices - 1.0)
    tall = np.vstack([x / share * weights[:, None], np.sqrt(RIDGE * len(x)) * np.eye(len(share))])
    given = fitted.terms.matrix(others) / fitted.predict(others)[:, None] / share
    expected = np.sqrt(1.0 + ((np.linalg.pinv(tall).T @ given.T) ** 2).sum(axis=0))

    np.testing.assert_allclose(fitted.spread(others), expected, rtol=1e-4)


def test_the_spread_grows_outside_the_range_and_shrinks_with_more_rows() -> None:
    few, many = (fit(timed(networks(n, 1), noise=0.02)) for n in (20, 200))
    inside, outside = columns(networks(100, 2)), columns(networks(100, 2, times=4))

    assert (few.spread(inside) > 1.0).all()
    assert np.median(few.spread(outside)) > np.median(few.spread(inside))
    assert (few.spread(inside) > many.spread(inside)).mean() > 0.95
    assert 1.05 > np.median(many.spread(inside))


def test_a_term_that_no_row_has_costs_nothing_and_widens_nothing() -> None:
    seen, others = timed(networks(30, 1)), columns(networks(20, 2, times=8))
    endless = Terms((FP32,), (3 * int(seen.columns.weight_bytes.max()),))
    assert endless.matrix(others)[:, endless.names.index("beyond L2")].any()

    without, fitted = fit(seen), Physics.fit(seen, Setting(endless))

    assert 0.0 == dict(zip(endless.names, fitted.prices, strict=True))["beyond L2"]
    np.testing.assert_allclose(fitted.spread(others), without.spread(others), rtol=1e-6)


def test_shares_are_parts_of_the_latency() -> None:
    seen = timed(networks(30, 1), noise=0.02)
    fitted = fit(seen)

    found = fitted.shares(seen.columns)

    np.testing.assert_allclose(sum(found.values()), 1.0)
    np.testing.assert_allclose(
        found["layers"] * fitted.predict(seen.columns),
        seen.columns.depth * fitted.prices[fitted.terms.names.index("layers")],
    )


@cache
def kept() -> tuple[Physics, str]:
    """A predictor with all that a state can have, and its state as text."""
    seen = columns(networks(40, 3), [PLAIN, INT8], WORKLOADS)
    terms = terms_for(seen, (1 << 20, 1 << 24))
    ms = terms.matrix(seen) @ prices(terms, seen)
    fitted = Physics.fit(rows(seen, ms), Setting(terms))
    data, parts = fitted.state()
    assert {} == parts
    return fitted, json.dumps(data)


def test_a_state_comes_back_to_the_bit() -> None:
    fitted, text = kept()

    again = Physics.from_state(json.loads(text), {})

    others = MAKINGS["all at once"](networks(30, 4))
    assert fitted.terms == again.terms
    assert fitted.predict(others).tobytes() == again.predict(others).tobytes()
    assert fitted.spread(others).tobytes() == again.spread(others).tobytes()


DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a negative price": lambda s: s["prices"].update(call=-1e-9),
    "a price that is no number": lambda s: s["prices"].update(call=float("nan")),
    "an endless price": lambda s: s["prices"].update(layers=float("inf")),
    "a price that is a word": lambda s: s["prices"].update(layers="1.0"),
    "a price too few": lambda s: s["prices"].pop("norms"),
    "a price too many": lambda s: s["prices"].update(luck=1.0),
    "prices in another order": lambda s: s.update(prices=dict(reversed(s["prices"].items()))),
    "another kind": lambda s: s["kinds"].append("bf16"),
    "no threads": lambda s: s.update(threaded=False),
    "a cache too few": lambda s: s["caches"].pop(),
    "something known that is no number": lambda s: s["known"][3].__setitem__(1, float("nan")),
    "a row missing of what is known": lambda s: s["known"].pop(),
    "a number missing of what is known": lambda s: s["known"][2].pop(),
    "errors that cannot be": lambda s: s["known"][0].__setitem__(0, -1.0),
    "a field missing": lambda s: s.pop("known"),
    "a field too many": lambda s: s.update(seed=0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_refused(damage: str) -> None:
    state = json.loads(kept()[1])
    DAMAGES[damage](state)

    with pytest.raises(ValueError, match=r"\w"):
        Physics.from_state(state, {})


@pytest.mark.parametrize("data", [None, [], "physics", 3])
def test_what_is_no_state_is_refused(data: object) -> None:
    parts: Mapping[str, bytes] = {}

    with pytest.raises(ValueError, match=r"\w"):
        Physics.from_state(data, parts)

"""What members cost: the worst part of any limit, one by one as for millions."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.numerics import numerics_of
from bench.search.oracle import Correction, Latency, Oracle
from bench.search.request import MIXED
from nas.columns import sizes
from nas.space import SearchSpace
from predictors.calibrated import calibrate
from predictors.columns import Columns
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.terms import terms_for
from quant.footprint import of_architecture
from quant.scheme import parse
from results.architecture import Architecture
from results.choice import Limit
from results.measurement import Workload

SPACE = SearchSpace(
    name="made", depth=(1, 2, 4), hidden=(64, 128, 256), heads=(2, 4), qkv=(64, 128),
    ffn=(128, 256, 512), vocab=1000, positions=64,
)  # fmt: skip
WORK = Workload(tokens=32)
PTQ = parse("ptq")


def made_latency(scheme: str = "ptq", slow: float = 1.0, limit: float = 2.0) -> Latency:
    """A predictor of a law that is easy to say: a nanosecond for each two products."""
    several = list(SPACE)
    columns = Columns.of(several, [WORK] * len(several), numerics_of(scheme))
    noise = np.exp(np.random.default_rng(0).normal(0, 0.02, len(several)))
    ms = slow * np.array([0.05 + a.macs(32) / 2e7 for a in several]) * noise
    made = calibrate(
        Rows(columns, ms, tuple(several)), "physics", Setting(terms_for(columns, (None, None)))
    )
    kept = Limit(kind="latency", value=limit, device="a", tokens=32)
    return Latency(kept, "onnxruntime", made, WORK, 0.9)


ONE = made_latency()
TABLES = (1000, 64, 2)


def test_the_cost_is_the_part_of_the_budget_that_the_upper_bound_uses() -> None:
    oracle = Oracle(PTQ, (ONE,), tables=TABLES)
    members = list(SPACE)

    found = oracle.of(members)

    for a, cost in zip(members[::7], found[::7], strict=True):
        assert pytest.approx(ONE.numbers(a, PTQ).upper / 2.0) == cost


def test_of_several_limits_the_worst_counts() -> None:
    slow = made_latency(slow=3.0, limit=5.0)
    both = Oracle(PTQ, (ONE, slow), megabytes=1.5, tables=TABLES)
    members = list(SPACE)

    found = both.of(members)

    parts = [Oracle(PTQ, (x,), tables=TABLES).of(members) for x in (ONE, slow)]
    weights = [of_architecture(a, PTQ) / 1e6 / 1.5 for a in members]
    assert np.allclose(np.max([*parts, weights], axis=0), found)
    assert (found == weights).any()
    assert (found == parts[1]).any()


def test_millions_at_once_cost_what_each_costs() -> None:
    oracle = Oracle(PTQ, (ONE,), megabytes=1.0, tables=TABLES)

    assert np.allclose(oracle.of(list(SPACE)), oracle.of_sizes(sizes(SPACE)), rtol=1e-12)


def test_what_is_far_outside_the_rows_is_never_within_a_budget() -> None:
    large = Architecture.uniform(12, 768, 12, 768, 3072)

    assert [math.inf] == Oracle(PTQ, (replace(ONE, limit=replace(ONE.limit, value=1e9)),)).of(
        [large]
    ).tolist()


def test_rows_near_the_budget_shift_predictions_and_narrow_their_bounds() -> None:
    members = list(SPACE)[5:45]
    before = ONE.of(Columns.of(members, [WORK] * 40, numerics_of("ptq")))
    measured = before.ms * 1.10 * np.exp(np.linspace(-0.004, 0.004, 40))

    better = replace(ONE, correction=Correction.of(measured, before.ms))
    after = better.of(Columns.of(members, [WORK] * 40, numerics_of("ptq")))

    assert np.allclose(1.10, after.ms / before.ms, rtol=1e-3)
    assert ((after.lower <= measured) & (measured <= after.upper)).mean() >= 0.9
    assert (after.upper / after.lower).max() < 1.02 < (before.upper / before.lower).min()


def test_without_rows_near_the_budget_the_predictor_s_bounds_are_kept_but_shifted() -> None:
    columns = Columns.of(list(SPACE)[:9], [WORK] * 9, numerics_of("ptq"))
    before = ONE.of(columns)

    after = replace(ONE, correction=Correction(shift=math.log(1.2))).of(columns)

    assert np.allclose(1.2, after.upper / before.upper)
    assert np.allclose(1.2, after.lower / before.lower)


def test_a_length_without_a_limit_costs_nothing_and_is_told() -> None:
    free = replace(ONE, limit=replace(ONE.limit, value=math.inf))
    oracle = Oracle(PTQ, (ONE, free), tables=TABLES)

    assert np.array_equal(
        Oracle(PTQ, (ONE,), tables=TABLES).of(list(SPACE)), oracle.of(list(SPACE))
    )
    assert 2 == len(oracle.predicted(SPACE.at(0)))


def test_a_mixture_is_larger_than_what_is_all_integers() -> None:
    oracle, mixed = Oracle(PTQ, (), tables=TABLES), parse("ptq:ffn-out=fp32")

    assert oracle.weight_megabytes(SPACE.largest) < oracle.in_scheme(mixed).weight_megabytes(
        SPACE.largest
    )
    assert MIXED != mixed.name


def test_the_head_counts_in_the_size_of_a_file() -> None:
    bare = Oracle(PTQ, (), megabytes=1.0, tables=TABLES)
    headed = replace(bare, outputs=6)
    hidden = SPACE.largest.hidden
    pooler, classifier = hidden * hidden + hidden, 6 * hidden + 6

    more = headed.weight_megabytes(SPACE.largest) - bare.weight_megabytes(SPACE.largest)

    assert pytest.approx(4 * (pooler + classifier) / 1e6) == more
    assert np.allclose(headed.of(list(SPACE)), headed.of_sizes(sizes(SPACE)), rtol=1e-12)

"""From samples to a label: closed forms, simulation and special cases."""

import math
import random
from dataclasses import replace
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.measurement import Cold, Measurement, Procedure, Run, Series, Subject, Workload
from results.stats import (
    anchor_key,
    contention,
    drift,
    flags,
    half_width,
    interrupted_share,
    label,
    percentile,
    references,
    visit_levels,
)


def series(visits: list[list[int]], wall_factor: float = 1.0) -> Series:
    cpu = tuple(x for visit in visits for x in visit)
    return Series(
        wall_ns=tuple(int(x * wall_factor) for x in cpu),
        cpu_ns=cpu,
        switches=(0,) * len(cpu),
        faults=(0,) * len(cpu),
        visits=tuple(map(len, visits)),
    )


def row(
    *runs: Run, threads: int = 1, session: str = "s", procedure: Procedure | None = None
) -> Measurement:
    return Measurement(
        id="s-1",
        session=session,
        device="d",
        subject=Subject(None, "fp32", "torch"),
        workload=Workload(threads=threads),
        procedure=procedure or Procedure(),
        runs=runs,
        cold=Cold(1, 1, 1),
        seed=0,
        model_bytes=1,
        peak_rss_bytes=1,
    )


def test_the_label_is_the_median_over_visits_of_the_smallest_sample() -> None:
    plain = Run(series([[3_000_000, 9_000_000], [5_000_000, 4_000_000], [8_000_000, 7_000_000]]))

    assert 4.0 == pytest.approx(label(row(plain)).latency_ms)


def test_slowness_that_the_anchor_shares_leaves_the_label_alone() -> None:
    slow = [1.0, 1.0, 1.3, 1.0, 2.0, 1.0]
    calm = Run(series([[2_000_000]] * 6), series([[4_000_000]] * 6), "a")
    shaken = Run(
        series([[int(2_000_000 * s)] for s in slow]),
        series([[int(4_000_000 * s)] for s in slow]),
        "a",
    )

    assert label(row(calm)).latency_ms == pytest.approx(label(row(shaken)).latency_ms)
    assert 0.0 == pytest.approx(label(row(shaken)).error, abs=1e-6)


def test_a_reference_puts_the_label_on_another_scale() -> None:
    slow_day = row(Run(series([[3_000_000]] * 6), series([[6_000_000]] * 6), "a"))
    reference = {anchor_key(slow_day, "best"): 4_000_000.0}

    assert 2.0 == pytest.approx(label(slow_day, reference, "best").latency_ms)


def with_anchor(level: int, session: str) -> Measurement:
    return row(Run(series([[1000]] * 3), series([[level]] * 3), "a"), session=session)


def test_references_are_medians_of_the_sessions_on_a_scale() -> None:
    rows = [with_anchor(100, "one")] * 5 + [with_anchor(200, "two"), with_anchor(900, "three")]

    known = references(("here", r) for r in rows)
    assert {anchor_key(rows[0], "here"): pytest.approx(200.0)} == known


def test_a_session_that_measured_one_scheme_alone_does_not_move_the_speed_up() -> None:
    def of(session: str, scheme: str, level: int) -> Measurement:
        made = with_anchor(level, session)
        return replace(made, subject=Subject(None, scheme, "torch"))

    both = [of("one", "fp32", 200_000), of("one", "int8-dynamic", 100_000)]
    slower = [of(name, "int8-dynamic", 110_000) for name in ("two", "three")]

    known = references(("here", r) for r in [*both, *slower])

    floats, integers = (known[anchor_key(r, "here")] for r in both)
    assert 2.0 == pytest.approx(floats / integers)
    assert 110_000 == pytest.approx(integers)


@given(
    st.lists(st.floats(-0.3, 0.3), min_size=1, max_size=7),
    st.lists(st.integers(10_000, 10**7), min_size=1, max_size=4),
)
@settings(deadline=None, max_examples=50)
def test_any_mix_of_slow_sessions_leaves_the_ratios_of_anchors_alone(
    slowness: list[float], levels: list[int]
) -> None:
    rows = [
        replace(
            with_anchor(round(level * math.exp(slow)), f"s{i}"),
            subject=Subject(None, f"x{j}", "r"),
        )
        for i, slow in enumerate(slowness)
        for j, level in enumerate(levels)
    ]

    known = references(("here", r) for r in rows)

    found = [known[anchor_key(row, "here")] for row in rows[: len(levels)]]
    ratios = [value / found[0] for value in found]
    assert [level / levels[0] for level in levels] == pytest.approx(ratios, rel=1e-3)


def test_sessions_on_other_scales_do_not_meet() -> None:
    rows = [("here", with_anchor(100, "one")), ("there", with_anchor(900, "two"))]

    assert [100.0, 900.0] == pytest.approx(sorted(references(rows).values()))


def test_drift_says_how_much_slower_a_session_was() -> None:
    rows = [with_anchor(100, "one"), with_anchor(200, "two"), with_anchor(220, "three")]
    known = references(("here", r) for r in rows)

    assert 0.1 == pytest.approx(drift([rows[2]], known, "here"))
    assert -0.5 == pytest.approx(drift([rows[0]], known, "here"))
    assert drift([rows[0]], {}, "here") is None


def test_a_row_whose_cpu_time_nobody_knows_is_labelled_by_wall_time() -> None:
    known, unknown = series([[4_000_000]] * 6), Series((5_000_000,) * 6, (), (), (), (1,) * 6)

    for run, latency in ((Run(unknown), 5.0), (Run(unknown, known, "a"), 5.0)):
        found = label(row(run), {anchor_key(row(run), ""): 4_000_000.0})
        assert ("wall", pytest.approx(latency)) == (found.clock, found.latency_ms)
    assert "wall" == label(row(Run(known, unknown, "a"))).clock


def test_what_is_not_known_of_a_row_does_not_make_it_noisy() -> None:
    run = Run(Series((5_000_000,) * 6, (), (), (), (1,) * 6), steady=None)

    assert () == flags(row(run, procedure=Procedure(profile="deployed")))
    assert all(math.isnan(known(row(run))) for known in (contention, interrupted_share))


def test_wall_time_counts_where_cpu_time_is_not_latency() -> None:
    run = Run(series([[4_000_000]] * 6, wall_factor=0.5))

    one = label(row(run))
    assert ("cpu", 4.0) == (one.clock, pytest.approx(one.latency_ms))
    two = label(row(run, threads=2))
    assert ("wall", 2.0) == (two.clock, pytest.approx(two.latency_ms))


def test_a_deployed_row_is_the_plain_median_of_wall_time() -> None:
    run = Run(series([[1_000_000, 2_000_000, 6_000_000]] * 3, wall_factor=1.5))

    deployed = label(row(run, procedure=Procedure(profile="deployed")))

    assert 3.0 == pytest.approx(deployed.latency_ms)
    assert not deployed.anchored


def test_the_error_of_a_deployed_row_is_that_of_its_visits_not_of_its_samples() -> None:
    visits = [[1_000_000 + 50_000 * v] * 40 for v in range(6)]  # all the spread is between visits
    deployed = row(Run(series(visits)), procedure=Procedure(profile="deployed"))

    assert math.log(1.25) / 2 == pytest.approx(label(deployed).error)


def test_a_deployed_row_is_judged_by_the_middle_of_a_visit_not_by_its_luckiest_call() -> None:
    visits = [[1_000_000 - 90_000 * v, 2_000_000, 2_000_000] for v in range(6)]

    assert 0.0 == label(row(Run(series(visits)), procedure=Procedure(profile="deployed"))).error


def test_processes_of_a_deployed_row_that_disagree_widen_its_error() -> None:
    runs = Run(series([[1_000_000]] * 6)), Run(series([[1_200_000]] * 6))

    found = label(row(*runs, procedure=Procedure(profile="deployed")))

    assert math.log(1.2) / 2 == pytest.approx(found.error)


def test_processes_that_disagree_widen_the_error() -> None:
    one, other = Run(series([[1_000_000]] * 6)), Run(series([[1_200_000]] * 6))

    found = label(row(one, other))

    assert math.log(1.2) / 2 == pytest.approx(found.error)
    assert math.sqrt(1.2) == pytest.approx(found.latency_ms)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=60))
@settings(deadline=None)
def test_half_width_is_the_obvious_order_statistic(values: list[float]) -> None:
    n, ordered = len(values), sorted(values)

    def coverage(k: int) -> float:
        return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n

    k = max([k for k in range(1, n // 2 + 1) if coverage(k) >= 0.95], default=1)
    assert (ordered[n - k] - ordered[k - 1]) / 2 == half_width(values)


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    rng = random.Random(5)
    hits = 0
    for _ in range(2000):
        drawn = sorted(rng.expovariate(1) for _ in range(12))
        hits += drawn[2] <= math.log(2) <= drawn[9]  # n = 12 gives k = 3

    assert half_width([*range(12)]) == (9 - 2) / 2
    assert hits / 2000 == pytest.approx(0.961, abs=0.02)


def test_one_visit_says_nothing_about_the_error() -> None:
    assert math.inf == half_width([1.0])


@pytest.mark.parametrize(("q", "needed"), [(0.9, 64), (0.95, 130), (0.99, 662)])
def test_tails_are_withheld_where_the_samples_are_too_few(q: float, needed: int) -> None:
    assert percentile(range(needed - 1), q) is None
    assert math.ceil(q * needed) - 1 == percentile(range(needed), q)


def test_the_median_needs_no_minimum() -> None:
    assert median([1, 2, 3]) == percentile([3, 1, 2], 0.5)


@given(st.lists(st.lists(st.integers(1, 10**9), min_size=1, max_size=5), min_size=1, max_size=9))
def test_every_visit_has_one_level(visits: list[list[int]]) -> None:
    assert [min(v) for v in visits] == visit_levels(series(visits), "cpu")


def test_contention_is_one_on_a_quiet_machine_whatever_the_threads() -> None:
    alone = row(Run(series([[100]] * 2)))
    two = row(Run(series([[100]] * 2, wall_factor=0.5)), threads=2)
    shared = row(Run(series([[100]] * 2, wall_factor=1.8)))

    assert (1.0, 1.0, 1.8) == (contention(alone), contention(two), contention(shared))


def test_a_wide_interval_is_flagged_and_a_narrow_one_is_not() -> None:
    wide = row(Run(series([[1000], [2000], [3000], [1000], [2000], [3000]])))
    narrow = row(Run(series([[1000]] * 6)))

    assert "interval" in flags(wide)[0]
    assert () == flags(narrow)


def test_a_model_that_never_warmed_up_is_flagged() -> None:
    assert ("no steady state during warm-up",) == flags(
        row(Run(series([[1000]] * 6), steady=False))
    )


def test_interruptions_are_held_against_wall_time_only() -> None:
    hit = Series((9,) * 6, (9,) * 6, (1,) * 6, (0,) * 6, (1,) * 6)

    assert () == flags(row(Run(hit)))
    assert "interrupted" in flags(row(Run(hit), threads=2))[0]

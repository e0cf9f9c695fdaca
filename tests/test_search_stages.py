"""The two stages: what is scored in what, in which order, and what is told of it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench.numerics import numerics_of
from bench.search import stages
from bench.search.oracle import Latency, Oracle
from bench.search.request import MIXED
from bench.search.stages import FULL, QUANTISED, Record, Stages, mixtures, rank, survey
from nas.search.searcher import Ground
from predictors.calibrated import calibrate
from predictors.columns import Columns
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.terms import terms_for
from quant.scheme import parse
from results.architecture import Architecture
from results.choice import Limit, Tried
from results.score import Score
from tests.test_search_oracle import ONE, SPACE, TABLES, WORK, made_latency

PTQ = parse("ptq")
ORACLE = Oracle(PTQ, (ONE,), tables=TABLES)
LIMIT = 0.35


def oracle_of(limit: float, scheme: str = "ptq") -> Oracle:
    return Oracle(parse(scheme), (made_latency(scheme, limit=limit),), tables=TABLES)


class Made:
    """Scores by a rule: what is larger is better, and each scheme takes something off."""

    def __init__(self) -> None:
        self.asked: list[tuple[Architecture, str]] = []

    def scores(self, architectures: Sequence[Architecture], schemes: Sequence[str]) -> list[Score]:
        pairs = list(zip(architectures, schemes, strict=True))
        self.asked += pairs
        return [made_score(a, scheme, len(self.asked)) for a, scheme in pairs]


def worth(a: Architecture, scheme: str) -> float:
    lost = {"fp32": 0.0, "ptq": 0.02 * (a.hidden == 256)}.get(scheme, 0.01 * (a.hidden == 256))
    return 0.5 + 0.05 * math.log(a.macs(32) / 1e6) - lost


def made_score(a: Architecture, scheme: str, number: int) -> Score:
    named: dict[str, Any] = dict.fromkeys(
        ("session", "key", "runtime", "source", "task", "data", "split", "split_digest",
         "calibration"), "",
    )  # fmt: skip
    return Score(
        id=f"row-{number}", architecture=a, scheme=scheme, examples=1, most_tokens=8, seed=0,
        metrics={"accuracy": worth(a, scheme)}, loss=1 - worth(a, scheme), predictions=(0,),
        weight_bytes=1, seconds=0.5, scored_utc="2025-01-01T00:00:00.000+00:00", **named,
    )  # fmt: skip


def made_stages(
    limit: float, scheme: str = "ptq", name: str = "surrogate"
) -> tuple[Stages, Made, list[Tried]]:
    oracle, scores, kept = oracle_of(limit, scheme), Made(), list[Tried]()
    ground = Ground(SPACE, oracle, 1.0)
    return Stages(ground, oracle, scores, Record(kept.append), name, 0), scores, kept


def test_stage_one_scores_in_float32_what_keeps_the_budget_in_the_scheme() -> None:
    made, scores, kept = made_stages(LIMIT)

    found = made.full(30)

    assert 30 == len(found) == len(kept)
    assert {"fp32"} == {scheme for _, scheme in scores.asked}
    assert {FULL} == {t.stage for t in kept}
    assert max(t.predicted[0].upper for t in kept) <= LIMIT
    assert list(range(1, 31)) == [t.n for t in kept]


def test_stage_two_begins_with_the_best_of_stage_one_and_goes_on_with_new_ones() -> None:
    made, scores, _ = made_stages(LIMIT)
    full = made.full(30)
    begun = len(scores.asked)

    found = made.quantised(full, 20, "ptq")

    later = scores.asked[begun:]
    carried = [t.architecture for t in rank(full)[:8]]
    assert [(a, "ptq") for a in carried] == later[:8]
    assert 20 == len(found) == len({t.architecture for t in found})
    assert {QUANTISED} == {t.stage for t in found}
    assert {t.architecture for t in found} - {t.architecture for t in full}


def test_what_loses_by_its_scheme_is_not_chosen_though_it_was_best_before() -> None:
    made, _, _ = made_stages(LIMIT)
    full = made.full(60)

    found = made.quantised(full, 40, "ptq")

    best = max(found, key=lambda t: t.metrics["accuracy"])
    every = [a for a in SPACE if oracle_of(LIMIT).of([a])[0] <= 1]
    assert best is rank(found)[0]
    assert max(worth(a, "ptq") for a in every) == best.metrics["accuracy"]


def test_in_float32_the_scores_of_stage_one_stand() -> None:
    made, scores, _ = made_stages(LIMIT, "fp32")
    full = made.full(12)

    assert full == made.quantised(full, 20, "fp32")
    assert 12 == len(scores.asked)


def test_a_space_that_is_used_up_ends_a_stage() -> None:
    made, _, kept = made_stages(LIMIT)
    within = int((ORACLE.of(list(SPACE)) * ONE.limit.value <= LIMIT).sum())

    made.full(10_000)

    assert within == len(kept) < SPACE.count


def test_mixtures_leave_some_groups_in_float32_and_keep_the_budget() -> None:
    made, _, _ = made_stages(LIMIT)
    full = made.full(20)

    found = made.quantised(full, 30, MIXED)

    plain = [t for t in found if t.scheme == "ptq"]
    mixed = [t for t in found if t.scheme != "ptq"]
    best = [t.architecture for t in rank(plain)]
    assert 20 == len(plain)
    assert 0 < len(mixed) <= 10
    assert {t.scheme for t in mixed} <= {scheme.name for scheme in mixtures(PTQ)}
    assert max(t.cost for t in mixed) <= 1
    assert best[0] == mixed[0].architecture


@pytest.mark.parametrize("limit", [1.0, 0.8])
def test_a_mixture_that_is_too_dear_is_not_scored(limit: float) -> None:
    dear = made_mixtures(4.0)
    scores, kept = Made(), list[Tried]()
    made = Stages(Ground(SPACE, dear, limit), dear, scores, Record(kept.append), "surrogate", 0)

    found = made.quantised(made.full(30), 60, MIXED)

    best = {t.architecture for t in rank(t for t in found if t.scheme == "ptq")[:8]}
    costs = [dear.in_scheme(m).of([a])[0] for a in best for m in mixtures(PTQ)]
    assert max(costs) > limit
    assert any(t.scheme != "ptq" for t in found)
    assert max(t.cost for t in found) <= limit


def test_what_is_known_is_proposed_by_neither_stage() -> None:
    made, scores, _ = made_stages(2 * LIMIT)
    full = made.full(20)
    found = made.quantised(full, 20, "ptq")
    begun = len(scores.asked)

    new = made.full(20, full)
    made.quantised(new, 20, "ptq", found)

    later = scores.asked[begun:]
    carried = {(t.architecture, "ptq") for t in rank(new)[:8]}
    assert 40 == len(later)
    assert not {(t.architecture, t.scheme) for t in [*full, *found]} & (set(later) - carried)


def made_mixtures(limit: float) -> Oracle:
    """A predictor of mixtures: products in float32 take three times as long."""
    several = list(SPACE)
    networks = [*several, *several]
    kinds = [numerics_of("ptq")] * len(several) + [numerics_of("fp32")] * len(several)
    columns = Columns.of(networks, [WORK] * len(networks), kinds)
    noise = np.exp(np.random.default_rng(0).normal(0, 0.01, len(networks)))
    factor = np.repeat([1.0, 3.0], len(several))
    ms = (0.02 + factor * np.array([a.macs(32) / 2e7 for a in networks])) * noise
    setting = Setting(terms_for(columns, (None, None)))
    made = calibrate(Rows(columns, ms, tuple(networks)), "physics", setting)
    kept = Limit(kind="latency", value=limit, device="a", tokens=32)
    return Oracle(PTQ, (Latency(kept, "onnxruntime", made, WORK, 0.9),), tables=TABLES)


def test_a_mixture_keeps_at_least_one_group_in_integers_and_one_in_floats() -> None:
    found = mixtures(PTQ)

    assert 14 == len({scheme.name for scheme in found})
    assert {"fp32", "int8-static"} == set.intersection(*(set(x.arithmetics) for x in found))


def test_a_score_from_before_costs_no_seconds() -> None:
    kept: list[Tried] = []
    old, new = (Record(kept.append, f"{year}-01-01T00:00:00.000+00:00") for year in (2026, 2024))

    for record in (old, new):
        record.add(FULL, "random", made_score(SPACE.smallest, "fp32", 1), ORACLE)

    assert [0.0, 0.5] == [t.seconds for t in kept]


def test_the_same_answers_give_the_same_path() -> None:
    paths = []
    for _ in range(2):
        made, _, kept = made_stages(LIMIT)
        made.quantised(made.full(24), 16, "ptq")
        paths.append([(t.architecture, t.scheme, t.cost) for t in kept])

    assert paths[0] == paths[1]


def test_ties_go_to_the_lower_loss_then_to_the_cheaper() -> None:
    made, _, kept = made_stages(LIMIT)
    made.full(1)
    (one,) = kept
    from dataclasses import replace

    sure, cheap = replace(one, loss=one.loss - 0.1, cost=0.9), replace(one, cost=0.1)
    dear = replace(one, cost=0.8)

    assert [sure, cheap, dear] == rank([dear, cheap, sure])


@pytest.mark.parametrize("limit", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("at_once", [7, 10_000])
def test_a_survey_counts_what_brute_force_counts(
    limit: float, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "SLICE", at_once)
    costs = oracle_of(limit).of(list(SPACE))

    found = survey(SPACE, oracle_of(limit), 1)

    assert (SPACE.count, int((costs <= 1).sum())) == (found.members, found.within)
    assert pytest.approx(costs.min()) == found.least
    assert list(SPACE)[int(costs.argmin())] == found.cheapest


def test_where_many_are_near_the_budget_the_cheap_ones_are_not_worth_it() -> None:
    many, few = survey(SPACE, ORACLE, 1), survey(SPACE, ORACLE, 10**6)

    costs = ORACLE.of(list(SPACE))
    assert 0.0 == few.worth < many.worth
    assert ((costs <= 1) & (costs >= many.worth)).any()


def test_a_space_of_trillions_is_surveyed_by_some_of_every_depth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dataclasses import replace

    monkeypatch.setattr(stages, "DRAWN", 60)
    layered = replace(SPACE, per_layer=True)

    found = survey(layered, ORACLE, 1)

    assert 30 < found.members <= 61
    assert np.isfinite(found.least)

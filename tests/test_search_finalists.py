"""What is measured over a limit never wins, and as many stand as were wanted, if there are any."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bench.search.finalists import Finalist, Judged, broken, excess, winners
from bench.search.oracle import Oracle
from bench.search.verification import AT_ONCE, MOST, STEP, Verification
from quant.scheme import parse
from results.architecture import Architecture
from results.choice import Limit, Measured, Tried
from tests.test_search_oracle import ONE, SPACE, TABLES

BUDGET = Limit(kind="latency", value=5.0, device="a", asked="5ms", tokens=32)
MEMBERS = list(SPACE)


def tried(n: int, accuracy: float, cost: float = 0.9, scheme: str = "ptq") -> Tried:
    return Tried(
        n=n, stage="quantised", searcher="random", architecture=MEMBERS[n], scheme=scheme,
        metrics={"accuracy": accuracy}, loss=1 - accuracy, score=f"row-{n}", predicted=(),
        megabytes=1.0, cost=cost,
    )  # fmt: skip


def measured(ms: float, half: float = 0.05, device: str = "a", tokens: int = 32) -> Measured:
    return Measured(
        device=device, runtime="onnxruntime", tokens=tokens, ms=ms, lower=ms - half,
        upper=ms + half, rows=("row",),
    )  # fmt: skip


class Maker:
    """Makes nothing but names."""

    run = Path("run")

    def make(self, trial: Tried) -> Finalist:
        return Finalist(trial, f"models/{trial.n}", "onnx/model.onnx", "0" * 64, 2_000_000)


@dataclass
class Judge:
    """Knows how long each takes, and how long another time."""

    ms: dict[Architecture, Judged]
    later: dict[Architecture, Judged] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    again: list[int] = field(default_factory=list)

    def judge(
        self, run: Path, finalists: Sequence[Finalist], *, anew: bool = False
    ) -> list[Judged]:
        assert Path("run") == run
        usual = Judged((measured(4.0),), 50.0)
        if anew:
            self.again += [one.trial.n for one in finalists]
            return [self.later.get(one.trial.architecture, usual) for one in finalists]
        self.batches.append(len(finalists))
        return [self.ms.get(one.trial.architecture, usual) for one in finalists]


def run(
    trials: Sequence[Tried],
    wanted: int = 2,
    slow: dict[int, Judged] | None = None,
    limits: Sequence[Limit] = (BUDGET,),
) -> tuple[list[int], list[int], Judge]:
    known = {MEMBERS[n]: found for n, found in (slow or {}).items()}
    judge = Judge(known, known)
    check = Verification(limits, wanted, Maker(), judge)  # type: ignore[arg-type]
    check.take(trials)
    return told(check), [MEMBERS.index(x.architecture) for x in check.dropped], judge


def told(check: Verification) -> list[int]:
    return [one.trial.n for one, _ in check.standing]


def test_the_best_by_score_win() -> None:
    standing, dropped, _ = run([tried(1, 0.7), tried(2, 0.9), tried(3, 0.8)])

    assert ([2, 3], []) == (standing, dropped)


def test_what_measures_over_budget_is_dropped_and_the_next_takes_its_place() -> None:
    trials = [tried(n, 0.9 - n / 100) for n in range(1, 12)]

    standing, dropped, judge = run(trials, 2, {n: Judged((measured(5.2),)) for n in range(1, 6)})

    assert ([6, 7], [1, 2, 3, 4, 5]) == (standing, dropped)
    assert [4, 4] == judge.batches


def test_the_upper_end_of_the_interval_must_keep_the_budget() -> None:
    trials = [tried(1, 0.9), tried(2, 0.8)]

    standing, dropped, _ = run(
        trials, 1, {1: Judged((measured(4.97),)), 2: Judged((measured(4.9),))}
    )

    assert ([2], [1]) == (standing, dropped)


def test_what_broke_the_budget_by_its_interval_alone_is_measured_once_more() -> None:
    """1 was slow for an hour, 2 and 3 for good, the last one in its middle already."""
    slow, over = Judged((measured(4.6, 1.5),)), Judged((measured(5.2),))
    judge = Judge({MEMBERS[1]: slow, MEMBERS[2]: slow, MEMBERS[3]: over}, {MEMBERS[2]: slow})
    check = Verification([BUDGET], 3, Maker(), judge)  # type: ignore[arg-type]

    check.take([tried(n, 0.9 - n / 100) for n in range(1, 5)])

    assert [1, 2] == judge.again
    assert [1, 4] == told(check)
    assert [(4.0, 4.05), (4.0, 4.05)] == [
        (x.measured[0].ms, x.measured[0].upper) for _, x in check.standing
    ]


def test_what_failed_or_has_too_large_a_file_is_not_measured_again() -> None:
    died = Judged((measured(4.6, 1.5),), failure="its worker died")
    judge = Judge({MEMBERS[1]: died})
    limits = [BUDGET, Limit(kind="size", value=1.0)]
    check = Verification(limits, 2, Maker(), judge)  # type: ignore[arg-type]

    check.take([tried(1, 0.9), tried(2, 0.8)])

    assert ([], []) == (judge.again, check.standing)


def test_no_number_is_no_promise() -> None:
    nan = float("nan")
    standing, dropped, _ = run([tried(1, 0.9)], 1, {1: Judged((measured(nan),))})

    assert ([], [1]) == (standing, dropped)


def test_what_could_not_be_measured_is_dropped_with_the_reason() -> None:
    standing, dropped, _ = run([tried(1, 0.9)], 1, {1: Judged((), failure="its worker died")})

    assert ([], [1]) == (standing, dropped)


def test_a_finalist_without_a_measurement_of_a_limited_length_does_not_stand() -> None:
    elsewhere = Judged((measured(1.0, tokens=64), measured(1.0, device="b")))

    standing, dropped, _ = run([tried(1, 0.9)], 1, {1: elsewhere})

    assert ([], [1]) == (standing, dropped)


def test_each_of_several_devices_must_keep_its_own() -> None:
    limits = (BUDGET, replace(BUDGET, device="b", value=2.0))
    both = Judged((measured(4.0), measured(1.9)), 1.0)
    found = {1: replace(both, measured=(measured(4.0), measured(2.1, device="b"))),
             2: replace(both, measured=(measured(4.0), measured(1.9, device="b")))}  # fmt: skip

    standing, dropped, _ = run([tried(1, 0.9), tried(2, 0.8)], 1, found, limits)

    assert ([2], [1]) == (standing, dropped)


def test_what_is_predicted_over_a_limit_is_not_even_made() -> None:
    standing, dropped, judge = run([tried(1, 0.9, cost=1.01), tried(2, 0.8)], 2)

    assert ([2], []) == (standing, dropped)
    assert [1] == judge.batches


def test_what_is_not_accurate_enough_is_not_even_made() -> None:
    least = Limit(kind="accuracy", value=0.85)

    standing, _, judge = run([tried(1, 0.9), tried(2, 0.8)], 2, limits=(BUDGET, least))

    assert ([1], [1]) == (standing, judge.batches)


@pytest.mark.parametrize(
    ("kind", "value", "says"), [("size", 1.9, "2 MB"), ("memory", 49, "50 MB")]
)
def test_files_and_memory_have_limits_too(kind: str, value: float, says: str) -> None:
    finalist = Maker().make(tried(1, 0.9))

    (why,) = broken(finalist, Judged((), 50.0), [Limit(kind=kind, value=value)])

    assert says in why
    assert not list(broken(finalist, Judged((), 50.0), [Limit(kind=kind, value=value + 1.2)]))


def test_memory_that_nobody_measured_keeps_no_limit() -> None:
    finalist = Maker().make(tried(1, 0.9))

    assert list(broken(finalist, Judged(()), [Limit(kind="memory", value=100)]))


def test_one_sub_model_in_one_scheme_is_measured_once() -> None:
    twice = [tried(1, 0.9), tried(1, 0.9), replace(tried(1, 0.8), scheme="ptq:ffn-out=fp32")]

    standing, _, judge = run(twice, 5)

    assert [1, 1] == standing
    assert [2] == judge.batches


def test_a_search_where_nothing_stands_ends() -> None:
    many = [tried(n % len(MEMBERS), 0.9 - n / 1000, scheme=f"ptq:keep={n}") for n in range(90)]
    judge = Judge({a: Judged((), failure="its worker died") for a in MEMBERS})
    check = Verification([BUDGET], 2, Maker(), judge)  # type: ignore[arg-type]

    check.take(many)

    assert ([], MOST, None) == (check.standing, len(check.dropped), check.tighter(1.0))
    check.take(many)  # another round counts anew
    assert 90 == len(check.dropped)


SLOW = Judged((measured(5.95),))
"""Up to 6 ms where 5 are the limit."""


def test_what_must_be_over_by_all_that_was_measured_is_not_measured_any_more() -> None:
    trials = [tried(n, 0.9 - n / 100, cost=0.95) for n in range(1, 30)]
    cheap = tried(30, 0.5, cost=0.79)  # 0.95 / 1.2 = 0.792
    judge = Judge({MEMBERS[n]: SLOW for n in range(1, 30)})
    check = Verification([BUDGET], 1, Maker(), judge)  # type: ignore[arg-type]

    check.take([*trials, cheap])

    assert [30] == told(check)
    assert AT_ONCE == len(check.dropped)
    assert [3, 3, 1] == judge.batches


def test_the_next_round_goes_below_what_files_could_not_keep() -> None:
    over = [5.95, 5.45, 5.05, 5.15]  # up to 6, 5.5, 5.1 and 5.2 ms
    judge = Judge({MEMBERS[n]: Judged((measured(ms),)) for n, ms in enumerate(over)})
    check = Verification([BUDGET], 1, Maker(), judge)  # type: ignore[arg-type]

    check.take([tried(n, 0.9 - n / 10, cost=0.96) for n in range(4)])

    assert pytest.approx(0.96 / 1.1) == check.tighter(1.0)  # a quarter was over by more
    assert pytest.approx(STEP * 0.5) == check.tighter(0.5)


def test_a_further_round_measures_nothing_twice_and_the_best_of_all_comes_first() -> None:
    judge = Judge({MEMBERS[1]: SLOW})
    check = Verification([BUDGET], 3, Maker(), judge)  # type: ignore[arg-type]

    check.take([tried(1, 0.9, cost=0.96), tried(2, 0.7, cost=0.8)])
    check.take([tried(1, 0.9, cost=0.96), tried(2, 0.7, cost=0.8), tried(3, 0.8, cost=0.7),
                tried(4, 0.85, cost=0.81)], 0.8)  # fmt: skip

    assert [2, 1] == judge.batches
    oracle = Oracle(parse("ptq"), (ONE,), tables=TABLES)
    found = check.winners(oracle, {a: {} for a in MEMBERS})
    assert [(1, MEMBERS[3]), (2, MEMBERS[2])] == [(x.rank, x.architecture) for x in found]


@pytest.mark.parametrize(
    ("limit", "over"),
    [
        (BUDGET, 1.2),
        (replace(BUDGET, device="b"), float("inf")),
        (Limit(kind="size", value=1.0), 2.0),
        (Limit(kind="memory", value=100), float("inf")),
        (Limit(kind="accuracy", value=0.99), 0.0),
    ],
)
def test_by_how_much_a_limit_is_broken(limit: Limit, over: float) -> None:
    finalist = Maker().make(tried(1, 0.9))

    assert pytest.approx(over) == excess(finalist, SLOW, [limit])
    assert max(over, 1.2) == pytest.approx(excess(finalist, SLOW, [limit, BUDGET]))


def test_winners_are_told_with_all_that_is_known_of_them() -> None:
    finalist = Maker().make(tried(1, 0.9))
    full = {MEMBERS[1]: {"accuracy": 0.95}}

    (found,) = winners([finalist], [Judged((measured(4.0),), 50.0)],
                       Oracle(parse("ptq"), (ONE,), tables=TABLES), full)  # fmt: skip

    assert (1, {"accuracy": 0.9}, {"accuracy": 0.95}) == (
        found.rank,
        found.metrics,
        found.full_metrics,
    )
    assert (2.0, 50.0, "models/1") == (found.megabytes, found.memory_megabytes, found.folder)
    assert ONE.numbers(MEMBERS[1], parse("ptq")) == found.predicted[0]

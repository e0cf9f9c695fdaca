"""A stopwatch is tested with clocks we wind by hand."""

import random
from collections.abc import Callable

import pytest

from profiler.rounds import Candidate, Instruments, measure
from profiler.timing import Clocks, Pace, Tape, visit, warm_up
from results.measurement import Procedure

MS = 1_000_000
PACE = Pace(primer_ns=2 * MS, sample_ns=3 * MS, least_samples=2)


class HandClock:
    """Time passes only while a model runs: each call takes what was wound up for it."""

    def __init__(self) -> None:
        self.wall = self.cpu = self.switches = self.faults = 0

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: self.wall, lambda: self.cpu, lambda: (self.switches, self.faults))

    def takes(self, *cpu_ns: int, then: int | None = None, stolen: int = 0) -> Callable[[], None]:
        left = list(cpu_ns)

        def run() -> None:
            spent = left.pop(0) if left else then
            if spent is None:
                raise RuntimeError("called too often")
            self.cpu += spent
            self.wall += spent + stolen
            self.switches += stolen > 0
            self.faults += 3

        return run


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_calls_that_refill_the_caches_are_no_samples(clock: HandClock) -> None:
    tape = Tape()

    visit(clock.takes(9 * MS, 5 * MS, 5 * MS), tape, PACE, clock.clocks)

    assert [5 * MS, 5 * MS] == tape.cpu_ns
    assert [9 * MS] == tape.first_cpu_ns


def test_a_fast_model_is_primed_and_sampled_for_as_long_as_the_pace_says(clock: HandClock) -> None:
    tape = Tape()

    visit(clock.takes(then=MS // 2), tape, PACE, clock.clocks)

    assert [6] == tape.visits
    assert (4 + 6) * MS // 2 == clock.cpu


def test_every_column_tells_of_its_own_clock(clock: HandClock) -> None:
    tape = Tape()

    visit(clock.takes(then=4 * MS, stolen=7), tape, PACE, clock.clocks)

    series = tape.series()
    assert (4 * MS + 7,) * 2 == series.wall_ns
    assert (4 * MS,) * 2 == series.cpu_ns
    assert (1, 1) == series.switches
    assert (3, 3) == series.faults


def test_a_failing_call_is_no_sample(clock: HandClock) -> None:
    tape = Tape()

    with pytest.raises(RuntimeError, match="too often"):
        visit(clock.takes(3 * MS, 3 * MS), tape, PACE, clock.clocks)

    assert 1 == len(tape.wall_ns)
    assert [] == tape.visits


def test_warm_up_ends_when_three_calls_agree_on_cpu_time(clock: HandClock) -> None:
    warm = warm_up(clock.takes(50, 20, 1000, 1010, 990, 1, 1), clock.clocks)

    assert warm.steady
    assert (50, 5) == (warm.first_ns, warm.calls)


def test_warm_up_is_not_fooled_by_a_steal_from_the_wall_clock(clock: HandClock) -> None:
    warm = warm_up(clock.takes(then=1000, stolen=random.Random(0).randrange(10**6)), clock.clocks)

    assert warm.steady


def test_warm_up_that_never_settles_says_so(clock: HandClock) -> None:
    warm = warm_up(clock.takes(*[100 * 2**i for i in range(40)]), clock.clocks, limit_ns=10_000)

    assert not warm.steady
    assert 6 <= warm.calls < 12


def rotation(clock: HandClock, **limits: float) -> tuple[Procedure, Instruments]:
    procedure = Procedure(target_error=0.01, noisy_error=0.02, **limits)  # type: ignore[arg-type]
    tools = Instruments(random.Random(0), clocks=clock.clocks, pace=PACE, between=lambda: None)
    return procedure, tools


def test_a_steady_model_leaves_after_the_fewest_rounds(clock: HandClock) -> None:
    anchor = Candidate(clock.takes(then=4 * MS), name="anchor")
    procedure, tools = rotation(clock)

    (run,) = measure([Candidate(clock.takes(then=2 * MS), anchor)], procedure, tools)

    assert "target_error" == run.stopped_by
    assert procedure.least_rounds == len(run.subject.visits)


def test_no_model_leaves_before_the_fewest_rounds(clock: HandClock) -> None:
    procedure, tools = rotation(clock, least_rounds=9)

    (run,) = measure([Candidate(clock.takes(then=2 * MS))], procedure, tools)

    assert 9 == len(run.subject.visits)


def test_a_restless_model_stays_until_its_rounds_are_used_up(clock: HandClock) -> None:
    rng = random.Random(1)

    def run_restless() -> None:
        spent = rng.choice([2, 3, 4, 5]) * MS if clock.cpu > 8 * MS else 2 * MS
        clock.cpu += spent
        clock.wall += spent

    procedure, tools = rotation(clock, most_rounds=9)

    (run,) = measure([Candidate(run_restless)], procedure, tools)

    assert "most_rounds" == run.stopped_by
    assert 9 == len(run.subject.visits)


def test_a_slow_model_leaves_when_its_time_is_used_up(clock: HandClock) -> None:
    warm, rising = [400 * MS] * 4, [x * MS for x in range(400, 4000, 20)]
    procedure, tools = rotation(clock, most_seconds=20.0, most_rounds=64)

    (run,) = measure([Candidate(clock.takes(*warm, *rising))], procedure, tools)

    assert "most_seconds" == run.stopped_by


def test_subject_and_anchor_were_visited_in_the_same_rounds(clock: HandClock) -> None:
    anchor = Candidate(clock.takes(then=4 * MS), name="h4")
    quick = Candidate(clock.takes(then=2 * MS), anchor)
    times = [2 * MS] * 8 + [x * MS for x in range(2, 200)]
    restless = Candidate(clock.takes(*times), anchor)
    procedure, tools = rotation(clock, most_rounds=12)

    first, second = measure([quick, restless], procedure, tools)

    assert (6, 12) == (len(first.subject.visits), len(second.subject.visits))
    for run in (first, second):
        assert run.anchor is not None
        assert len(run.anchor.visits) == len(run.subject.visits)
        assert "h4" == run.anchor_name


def test_the_order_of_visits_changes_from_round_to_round(clock: HandClock) -> None:
    visited: list[str] = []

    def model(name: str) -> Callable[[], None]:
        def run() -> None:
            visited.append(name)
            clock.cpu += 4 * MS
            clock.wall += 4 * MS

        return run

    procedure, tools = rotation(clock)
    measure([Candidate(model(name)) for name in "abc"], procedure, tools)

    warm_up_calls = 3 * 4
    slots = visited[warm_up_calls::3]
    orders = {"".join(slots[i : i + 3]) for i in range(0, len(slots), 3)}
    assert {"abc"} == {"".join(sorted(o)) for o in orders}
    assert len(orders) > 1

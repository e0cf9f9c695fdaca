"""Which networks a study asks for, told from rows that obey a law; nothing is measured."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.numerics import numerics_of
from bench.plan import Task
from bench.request import Ground
from bench.study import BEGIN, ENOUGH, GO_ON, Study, Target
from bench.study_report import outcome_json, remarks, state
from bench.sweep import Outcome
from bench.training import Key
from bench.warm_start import WarmStart
from nas.space import SearchSpace, load_space
from predictors.calibrated import calibrate
from predictors.columns import Columns
from predictors.design import wider
from predictors.physics import Physics
from predictors.prior import Prior
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.terms import terms_for
from profiler.device import Device
from results.architecture import Architecture
from results.measurement import Procedure, Workload
from results.session import Session
from results.store import Ledger
from results.writer import SessionWriter
from tests.law_ledger import law_ms, row
from tests.ledger_rows import ENVIRONMENT, session

SPACE = load_space("bigger-faster")
TINY = SearchSpace(
    name="tiny", depth=(1, 2), hidden=(24, 48, 96), heads=(2,), qkv="hidden", ffn=(32, 96)
)
LAYERS = replace(TINY, name="layers", depth=(1, 2, 4), ffn=(32, 64, 96), per_layer=True)

ONE: Mapping[str, list[str]] = {"onnxruntime": ["fp32"]}
TWO: Mapping[str, list[str]] = {"onnxruntime": ["fp32", "int8-dynamic"]}
THREE: Mapping[str, list[str]] = {"torch": ["fp32"], **TWO}

EASY, HARD = Target(0.05, 0.1, 60), Target(0.0001, 0.0001, 60)
FP32 = Key("onnxruntime", "fp32", "stable")


@dataclass
class Machine:
    """Answers tasks with rows that obey the law, into one session of a ledger."""

    folder: Path
    of: Session = field(default_factory=session)
    errors: Mapping[str, float] = field(default_factory=dict)
    """By scheme: rows are wrong by up to so much."""
    silent: frozenset[str] = frozenset()
    """Runtimes that fail at everything."""
    flags: tuple[str, ...] = ()
    ledger: Ledger = field(init=False)
    asked: list[Task] = field(default_factory=list)
    _writer: SessionWriter | None = None

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.folder)
        self._stack = ExitStack()
        self._numbers = count(1)
        self._rng = np.random.default_rng(3)

    def answer(self, tasks: Sequence[Task], **changes: Any) -> None:
        if self._writer is None:
            self._writer = self._stack.enter_context(self.ledger.begin(self.of))
        for task in tasks:
            self.asked.append(task)
            subject = task.subject
            if subject.runtime in self.silent:
                continue
            off = self.errors.get(subject.scheme, 0.0)
            assert subject.architecture
            ms = law_ms(subject.architecture, subject.scheme, task.workload)
            ms *= 1 + self._rng.uniform(-off, off)
            facts = {"subject": subject, "workload": task.workload, "procedure": task.procedure,
                     "flags": self.flags} | changes  # fmt: skip
            self._writer.append(row(self.of, next(self._numbers), ms, **facts))

    def study(
        self,
        schemes: Mapping[str, list[str]] = ONE,
        target: Target = EASY,
        space: SearchSpace = SPACE,
        seed: int = 0,
        **changes: Any,
    ) -> Study:
        tokens = changes.pop("tokens", [128])
        profile = changes.pop("profile", "stable")
        device = Device(name="laptop", runtimes=dict(schemes), tokens=tokens)
        ground = Ground(device, dict(schemes), Procedure(profile=profile), "", [])
        return Study(ground, space, self.ledger, self.of, target, seed, **changes)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.close()


def later(machine: Machine, **changes: Any) -> Machine:
    """Another session in the same ledger."""
    machine.close()
    return Machine(machine.folder, session(60, **changes))


def run(machine: Machine, study: Study, rounds: int = 99) -> list[tuple[Task, ...]]:
    """Begin, and go on to the end; all that was asked for."""
    given = []
    tasks = study.begin()
    while tasks and len(given) < rounds:
        given.append(tasks)
        machine.answer(tasks)
        tasks = study.more(())
    assert len(given) < 99
    return given


def candidates(tasks: Sequence[Task]) -> list[tuple[Architecture | None, Workload]]:
    return [(task.subject.architecture, task.workload) for task in tasks]


def networks(tasks: Sequence[Task]) -> list[Architecture]:
    found = dict.fromkeys(task.subject.architecture for task in tasks)
    return [a for a in found if a is not None]


def kinds(tasks: Sequence[Task]) -> set[tuple[str, str]]:
    return {(task.subject.runtime, task.subject.scheme) for task in tasks}


def test_the_first_round_is_decided_by_the_seed(machine: Machine) -> None:
    first, same, other = (machine.study(THREE, seed=n).begin() for n in (3, 3, 4))

    assert first == same
    assert set(networks(first)) != set(networks(other))


def test_so_are_the_candidates_and_which_of_them_is_the_first(machine: Machine) -> None:
    one, other = machine.study(seed=3), machine.study(seed=4)
    assert one.pool != other.pool

    other.__dict__["pool"] = one.pool

    assert one.begin() != other.begin()


def test_the_first_round_is_in_every_runtime_and_scheme(machine: Machine) -> None:
    tasks = machine.study(THREE).begin()

    assert BEGIN == len(networks(tasks))
    assert all(a in SPACE for a in networks(tasks))
    assert BEGIN * 3 == len(set(tasks)) == len(tasks)
    for a in networks(tasks):
        of_it = [task for task in tasks if task.subject.architecture == a]
        assert {("torch", "fp32"), *[("onnxruntime", s) for s in TWO["onnxruntime"]]} == kinds(
            of_it
        )


def test_rounds_after_it_ask_for_what_is_known_least_in_what_is_open(machine: Machine) -> None:
    machine.errors = {"int8-dynamic": 0.4}
    study = machine.study(TWO)
    first = study.begin()
    machine.answer(first)

    second = study.more(())

    columns = Columns.of(*zip(*study.pool, strict=True), numerics_of("int8-dynamic"))  # type: ignore[arg-type]
    made = study.found[Key("onnxruntime", "int8-dynamic", "stable")].predictor
    assert isinstance(made, Physics)
    chosen = [study.pool.index(x) for x in dict.fromkeys(candidates(first))]  # type: ignore[arg-type]
    expected = wider([(made, columns)], chosen, GO_ON)
    assert [study.pool[i] for i in expected] == candidates(second)


def test_rows_of_the_procedure_at_hand_are_those_that_count(machine: Machine) -> None:
    study = machine.study(profile="deployed")

    run(machine, study)

    assert (BEGIN, []) == (study.rows, study.open)
    assert [Key("onnxruntime", "fp32", "deployed")] == [*study.found]


def test_rounds_after_it_ask_only_for_what_is_not_good_enough(machine: Machine) -> None:
    machine.errors = {"int8-dynamic": 0.4}
    study = machine.study(TWO)

    first, second, *_ = run(machine, study)

    assert {("onnxruntime", "fp32"), ("onnxruntime", "int8-dynamic")} == kinds(first)
    assert {("onnxruntime", "int8-dynamic")} == kinds(second)
    assert GO_ON == len(networks(second))
    assert [Key("onnxruntime", "int8-dynamic", "stable")] == study.open


@pytest.mark.parametrize("most", [9, 12, 20, 60])
def test_no_network_is_asked_for_twice_and_no_more_than_may_be(
    machine: Machine, most: int
) -> None:
    machine.errors = {"fp32": 0.4, "int8-dynamic": 0.4}
    study = machine.study(TWO, replace(HARD, most=most))

    given = run(machine, study)

    assert most == len(networks(machine.asked))
    assert 2 * most == len(set(machine.asked)) == len(machine.asked)
    assert len(given) == study.rounds
    assert 2 * most == study.rows


def test_it_ends_when_the_predictors_are_good_enough(machine: Machine) -> None:
    study = machine.study(TWO)

    run(machine, study)

    assert BEGIN == len(networks(machine.asked))
    assert ([], 1) == (study.open, study.rounds)
    assert all(study.expected(key)[0] < 0.01 for key in study.keys)


@pytest.mark.parametrize(
    ("mape", "half_width", "enough"), [(0.05, 0.1, True), (0.051, 0.1, False), (0.05, 0.11, False)]
)
def test_error_and_width_must_both_be_small(
    mape: float, half_width: float, *, enough: bool
) -> None:
    assert enough == EASY.reached(mape, half_width)


def test_the_first_rows_of_a_hard_device_are_not_good_enough(machine: Machine) -> None:
    machine.errors = {"fp32": 0.2}
    study = machine.study(target=Target(0.05, 0.1, 24))

    run(machine, study)

    mape, half_width = study.expected(FP32)
    assert mape > 0.05
    assert half_width > 0.1
    assert [FP32] == study.open


@pytest.mark.parametrize("ffn", [(32, 64, 96, 128), (32, 96), (32, 64, 96)])
def test_a_space_that_is_used_up_is_measured_whole(machine: Machine, ffn: tuple[int, ...]) -> None:
    machine.errors = {"fp32": 0.3}
    space = replace(TINY, ffn=ffn)
    study = machine.study(target=HARD, space=space)

    run(machine, study)

    assert sorted(map(str, space)) == sorted(str(a) for a in networks(machine.asked))
    assert len(set(machine.asked)) == len(machine.asked)
    assert study.is_used_up
    assert not study.stalled


def test_networks_of_the_same_mean_sizes_are_asked_for_once(machine: Machine) -> None:
    space = replace(LAYERS, depth=(3,), hidden=(24,), ffn=(32, 64))

    tasks = machine.study(space=space).begin()

    assert space.count == len(tasks) == len(set(tasks)) == 8


def test_each_length_of_a_network_is_a_candidate_of_its_own(machine: Machine) -> None:
    machine.errors = {"fp32": 0.3}
    study = machine.study(target=replace(HARD, most=30), tokens=[16, 128, 512])

    first, *_ = run(machine, study)

    assert BEGIN + 2 * GO_ON == len(set(candidates(first))) == len(first)
    assert {16, 128, 512} == {task.workload.tokens for task in first}
    assert len(networks(first)) < len(first)
    assert 30 == len(set(candidates(machine.asked))) == len(machine.asked)
    assert study.least <= len(networks(machine.asked))
    assert 1998 == len(study.pool)


def test_where_layers_differ_every_depth_is_there(machine: Machine) -> None:
    study = machine.study(space=replace(LAYERS, ffn=tuple(range(32, 640, 32))))

    depths = [a.depth for a, _ in study.pool]
    first = study.begin()

    counts = [depths.count(d) for d in (1, 2, 4)]
    assert counts[0] == 3 * 19
    assert counts[1] == counts[2] == 2000 // 3
    assert {1, 2, 4} == {a.depth for a in networks(first)}
    assert len(set(study.pool)) == len(study.pool)


@pytest.mark.parametrize("target", [EASY, replace(HARD, most=20)])
def test_the_same_again_asks_for_nothing(machine: Machine, target: Target) -> None:
    machine.errors = {"fp32": 0.02}
    before = machine.study(TWO, target)
    run(machine, before)

    study = later(machine).study(TWO, target)

    assert () == study.begin()
    assert (before.rows, before.open) == (study.rows, study.open)
    assert [before.expected(k) for k in before.keys] == [study.expected(k) for k in study.keys]


def test_more_may_be_asked_for_later(machine: Machine) -> None:
    machine.errors = {"fp32": 0.3}
    run(machine, machine.study(target=replace(HARD, most=14)))
    again = later(machine)

    run(again, again.study(target=replace(HARD, most=20)))

    assert 6 == len(networks(again.asked))
    assert not set(networks(again.asked)) & set(networks(machine.asked))


def test_a_scheme_that_joins_later_is_measured_alone(machine: Machine) -> None:
    run(machine, machine.study(ONE))
    again = later(machine)

    run(again, again.study(TWO))

    assert {("onnxruntime", "int8-dynamic")} == kinds(again.asked)
    assert BEGIN == len(again.asked)


def test_rows_that_others_left_count(machine: Machine) -> None:
    drawn = SPACE.sample_unique(np.random.default_rng(9), 30)
    (task, *_) = machine.study().begin()
    machine.answer(
        [replace(task, subject=replace(task.subject, architecture=a)) for a in drawn],
        procedure=Procedure(target_error=0.01),
    )

    assert () == later(machine).study().begin()


OTHER_CPU = replace(ENVIRONMENT, hardware=replace(ENVIRONMENT.hardware, cpu="Another"))
OTHER_MEMORY = replace(ENVIRONMENT.hardware, memory_bytes=9 << 30)
REBOOTED = replace(ENVIRONMENT, host="another", git="another", hardware=OTHER_MEMORY)


@pytest.mark.parametrize(
    ("of", "changes", "counts"),
    [
        ({}, {}, True),
        ({"environment": REBOOTED}, {}, True),
        ({"environment": OTHER_CPU}, {}, False),
        ({"device": "pi"}, {}, False),
        ({}, {"flags": ("wide",)}, False),
        ({}, {"workload": Workload(2, 128)}, False),
        ({}, {"procedure": Procedure(profile="deployed")}, False),
    ],
)
def test_rows_count_that_could_be_from_here_and_are_quiet(
    machine: Machine, of: dict[str, Any], changes: dict[str, Any], *, counts: bool
) -> None:
    machine.of = session(**of)
    machine.answer(fresh := machine.study().begin(), **changes)
    again = later(machine)

    study = again.study()
    tasks = study.begin()

    assert (() if counts else fresh) == tasks
    assert (BEGIN if counts else 0) == study.rows


def test_rows_of_other_spaces_do_not_count(machine: Machine) -> None:
    machine.answer(machine.study(space=TINY).begin())

    study = machine.study()

    assert study.begin() == Machine(machine.folder / "empty").study().begin()
    assert 0 == study.rows


def test_measuring_anew_counts_only_its_own_rows(machine: Machine) -> None:
    first = machine.study()
    run(machine, first)
    again = later(machine)
    study = again.study(fresh=True)

    run(again, study)

    assert networks(machine.asked) == networks(again.asked)
    assert (BEGIN, []) == (study.rows, study.open)


@pytest.mark.parametrize("most", [BEGIN, 60])
def test_a_first_round_that_was_killed_is_taken_up_again(machine: Machine, most: int) -> None:
    target = replace(EASY, most=most)
    whole = machine.study(TWO, target).begin()
    machine.answer(whole[:11])

    assert whole[11:] == later(machine).study(TWO, target).begin()


def test_rows_enough_to_fit_to_are_gone_on_from_whatever_they_are(machine: Machine) -> None:
    machine.errors = {"fp32": 0.3}
    drawn = SPACE.sample_unique(np.random.default_rng(9), 20)
    (task, *_) = machine.study().begin()
    machine.answer([replace(task, subject=replace(task.subject, architecture=a)) for a in drawn])

    tasks = later(machine).study(target=HARD).begin()

    assert GO_ON == len(tasks)


def test_where_the_first_networks_were_not_enough_it_asks_for_more(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.study.least_rows", lambda: BEGIN + 1)
    machine.answer(first := machine.study().begin())

    tasks = later(machine).study().begin()

    assert GO_ON == len(tasks)
    assert not set(tasks) & set(first)


@pytest.mark.parametrize(("count", "enough"), [(8, False), (9, True)])
def test_nine_networks_are_fitted_to_however_long_their_texts_are(
    machine: Machine, count: int, *, enough: bool
) -> None:
    study = machine.study(tokens=[64, 128])
    (task, *_) = study.begin()
    for a in SPACE.sample_unique(np.random.default_rng(9), count):
        for tokens in (64, 128):
            subject = replace(task.subject, architecture=a)
            machine.answer([replace(task, subject=subject, workload=Workload(tokens=tokens))])

    study.judge()

    assert (2 * count, enough) == (study.rows, FP32 in study.found)


def test_a_later_round_that_was_killed_is_gone_on_from(machine: Machine) -> None:
    machine.errors = {"fp32": 0.3}
    given = run(machine, machine.study(target=HARD), rounds=1)
    machine.answer(machine.study(target=HARD).begin()[:2])
    again = later(machine)
    again.errors = machine.errors

    study = again.study(target=replace(HARD, most=30))
    tasks = study.begin()

    assert GO_ON == len(tasks)
    assert not set(networks(tasks)) & set(networks(given[0]))
    again.answer(tasks)
    while more := study.more(()):
        again.answer(more)
    assert 30 == len({*networks(machine.asked), *networks(again.asked)})


@pytest.mark.parametrize("how", [{"flags": ("wide",)}, {"silent": frozenset(ONE)}])
def test_when_nothing_can_be_had_it_ends_after_one_round(
    machine: Machine, how: dict[str, Any]
) -> None:
    for name, value in how.items():
        setattr(machine, name, value)
    study = machine.study(target=HARD)

    assert 1 == len(run(machine, study))
    assert study.stalled
    assert not study.is_used_up
    assert [FP32] == study.open


def test_a_runtime_that_fails_does_not_keep_the_others_from_the_end(machine: Machine) -> None:
    machine.silent = frozenset(["torch"])
    study = machine.study(THREE)

    given = run(machine, study)

    assert 2 == len(given)
    assert {("torch", "fp32")} == kinds(given[1])
    assert [Key("torch", "fp32", "stable")] == study.open


def test_when_most_rows_are_noisy_it_asks_for_others(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.study.ENOUGH", 9)
    study = machine.study(space=replace(TINY, ffn=(32, 64, 96, 128)))
    tasks = study.begin()
    machine.answer(tasks[: BEGIN - 5], flags=("wide",))
    machine.answer(tasks[BEGIN - 5 :])

    more = study.more(())

    assert GO_ON == len(networks(more))
    assert not set(more) & set(tasks)
    machine.answer(more)
    assert () == study.more(())
    assert [] == study.open


def test_what_came_after_the_last_question_counts_once_it_is_judged(machine: Machine) -> None:
    study = machine.study()
    machine.answer(study.begin()[:ENOUGH])
    assert [FP32] == study.open

    study.judge()

    assert [] == study.open


def test_what_was_stopped_early_goes_on_however_small_the_errors_are(machine: Machine) -> None:
    machine.answer(machine.study().begin()[:10])
    again = machine.study()

    tasks = again.begin()

    assert again.target.reached(*again.expected(FP32))
    assert [FP32] == again.open
    assert 10 == again.seen(FP32) < again.enough(FP32) == ENOUGH
    machine.answer(tasks)
    assert () == again.more(())
    assert [] == again.open
    assert ENOUGH <= again.seen(FP32)


@pytest.mark.parametrize(("space", "most", "all_there_are"), [(TINY, 60, 12), (SPACE, 11, 11)])
def test_as_many_as_there_may_be_are_enough(
    machine: Machine, space: SearchSpace, most: int, all_there_are: int
) -> None:
    study = machine.study(target=replace(EASY, most=most), space=space)
    machine.answer(study.begin())

    assert () == study.more(())
    assert (all_there_are, []) == (study.seen(FP32), study.open)


def test_few_networks_are_told_where_the_errors_are_small(machine: Machine) -> None:
    study = machine.study()
    machine.answer(study.begin()[:10])
    study.judge()

    (said, _) = remarks(study, Outcome(tasks=list(study.begin()), status="budget"), 1.0)

    assert f"with 10 networks where {ENOUGH} are wanted" in said


def prior() -> Prior:
    """As a card tells it of a device that obeys the law."""
    seen = SPACE.sample_unique(np.random.default_rng(1), 40)
    columns = Columns.of(seen, [Workload()] * 40, numerics_of("fp32"))
    rows = Rows(columns, np.array([law_ms(a) for a in seen]), seen)
    made = calibrate(rows, "physics", Setting(terms_for(columns)))
    assert isinstance(made.predictor, Physics)
    names = made.predictor.terms.names
    prices = dict(zip(names, made.predictor.prices.tolist(), strict=True))
    return Prior(prices, made.intervals.scores, made.domain)


def test_beside_a_card_six_networks_do(machine: Machine) -> None:
    study = machine.study(begin_with=WarmStart("pi 0a", {FP32: prior()}))

    run(machine, study)

    assert (5, GO_ON, []) == (study.least, len(machine.asked), study.open)
    assert study.found[FP32].domain.ranges["depth"] == (1.0, 5.0)


def test_beside_a_card_of_something_else_it_begins_as_without(machine: Machine) -> None:
    study = machine.study(TWO, begin_with=WarmStart("pi 0a", {FP32: prior()}))

    assert (9, BEGIN) == (study.least, len(networks(study.begin())))


def test_a_line_says_how_many_are_good_and_what_is_farthest_from_it(machine: Machine) -> None:
    machine.errors = {"int8-dynamic": 0.4}
    study = machine.study(TWO)
    assert "0 of 2 predictors good enough" == state(study)
    machine.answer(study.begin())

    study.judge()

    mape, half_width = study.expected(study.keys[1])
    found = f"{mape:.1%} ± {half_width:.1%} with {BEGIN} networks"
    assert f"1 of 2 predictors good enough; onnxruntime int8-dynamic {found}" == state(study)


def ended(machine: Machine, study: Study, **changes: Any) -> list[str]:
    tasks = [task for given in run(machine, study) for task in given]
    return list(remarks(study, Outcome(tasks=tasks, **changes), 12.4))


def test_the_end_is_told_with_what_can_be_done(machine: Machine) -> None:
    study = machine.study(target=HARD, space=TINY)
    machine.errors = {"fp32": 0.3}
    missed, advice = ended(machine, study)

    networks_ = f"{study.found[FP32].error.architectures} networks"
    assert missed.startswith("not good enough: onnxruntime fp32, ")
    assert missed.endswith(f"with {networks_} where 0.0% ± 0.0% was wanted")
    assert "nothing is left of the 12 candidates of the space tiny: choose a larger one" in advice


def test_a_target_that_was_reached_is_told_with_the_time(machine: Machine) -> None:
    assert ["all predictors are good enough, in 12 s"] == ended(machine, machine.study())


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        ((), "complete", "13 networks were measured: more with a larger --samples"),
        ((), "budget", "the time budget is used up: the same command goes on from here"),
        (("wide",), "complete", "no row of the last round is fit to use: the same command goes"),
    ],
)
def test_why_it_ended_is_told(
    machine: Machine, flags: tuple[str, ...], status: Any, said: str
) -> None:
    machine.flags, machine.errors = flags, {"fp32": 0.3}

    found = ended(machine, machine.study(target=replace(HARD, most=13)), status=status)

    assert 2 == len(found)
    assert found[-1].startswith(said)


def test_what_failed_and_that_nothing_was_new_is_told(machine: Machine) -> None:
    study = machine.study()
    tasks = study.begin()
    machine.answer(tasks)
    study.judge()

    failed = Outcome(tasks=list(tasks), failures=[(tasks[0], "killed"), (tasks[1], "killed")])

    assert "2 rows could not be measured: killed" == next(remarks(study, failed, 1.0))
    assert f"nothing new was measured: {BEGIN} rows of before count" == next(
        remarks(study, Outcome(), 1.0)
    )


def test_programs_are_told_the_same(machine: Machine) -> None:
    study = machine.study(TWO)
    machine.errors = {"int8-dynamic": 0.4}
    machine.answer(study.begin())
    study.judge()

    found = outcome_json(study, Outcome())

    fractions = [study.expected(key) for key in study.keys]
    assert {
        "status": "complete",
        "new_rows": 0,
        "failures": 0,
        "rounds": 1,
        "target": {"mape": 0.05, "half_width": 0.1},
        "predictors": [
            {
                "runtime": "onnxruntime",
                "scheme": scheme,
                "profile": "stable",
                "good_enough": good,
                "mape": mape,
                "half_width": half_width,
            }
            for (scheme, good), (mape, half_width) in zip(
                [("fp32", True), ("int8-dynamic", False)], fractions, strict=True
            )
        ],
    } == found

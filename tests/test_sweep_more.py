"""A sweep that is given more to measure while it runs; the answers are made up."""

import io
import os
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from bench.block import Answered
from bench.live import Live
from bench.plan import BLOCK, Block, Network, Plan, Task, tasks_for
from bench.request import Asked, Chosen
from bench.sitting import Sitting, measure, prepare
from bench.sweep import RETRIES, More, Setting, Sweep
from bench.watch import Silent, Watch
from profiler.device import Device
from profiler.isolate import Worker
from results.architecture import Architecture
from results.measurement import Cold, Measurement, Procedure, Run, Series, Workload
from results.session import key_at, place
from results.store import Ledger
from tests.ledger_rows import session

HERE = str(Path(__file__).parent)
DEVICE = Device(name="d", runtimes={"torch": ["fp32"]}, pin=False)
CHOSEN = Chosen(None, 1, 0, None, (), (), (), None, (), None, 0.01, 1, deployed=False)
STEADY, ROUGH = [1000] * 6, [1000, 2000, 3000] * 2


def tasks(*numbers: int) -> tuple[Task, ...]:
    networks = [Network(Architecture.uniform(1, 12 * n, 2, 12 * n, 16)) for n in numbers]
    return tasks_for(networks, DEVICE.runtimes, (Workload(),), Procedure())


def numbers(rows: Sequence[Measurement]) -> list[int]:
    found = (row.subject.architecture for row in rows)
    return sorted(a.hidden // 12 for a in found if a is not None)


def sitting(folder: Path, first: Sequence[Task], minutes: int = 0, **changes: Any) -> Sitting:
    plan = Plan(DEVICE, ("torch",), tuple(first), Procedure(), seed=0)
    facts: dict[str, Any] = {"setting": Setting({}, pinned=False), "done": {}, "noisy": {}}
    return Sitting(Ledger(folder), plan, session(minutes), **facts | changes)


class Script:
    """Gives batch after batch, then nothing; keeps what it was shown."""

    def __init__(self, *batches: Sequence[Task]) -> None:
        self.batches = list(batches)
        self.shown: list[list[int]] = []

    def __call__(self, rows: Sequence[Measurement]) -> Sequence[Task]:
        self.shown.append(numbers(rows))
        return self.batches.pop(0) if self.batches else ()


class Told(Silent):
    """Counts the rows to come, as a person would be shown them."""

    def __init__(self) -> None:
        self.totals: list[int] = []

    def begin(self, total: int, already: int, cpus: tuple[int, ...]) -> None:
        assert () == cpus
        self.totals.append(total - already)

    def more(self, rows: int) -> None:
        self.totals.append(self.totals[-1] + rows)


@dataclass(slots=True)
class Made:
    """How blocks are answered."""

    rough: dict[int, int] = field(default_factory=dict)
    """How often each network, by number, comes out noisy yet."""
    now: float = 0.0
    """A clock on which every block takes ten seconds and everything else none."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Every block is answered with made-up runs."""
    how = Made()

    def ask(_self: Sweep, block: Block, *_: object, **__: object) -> Iterator[Answered]:
        how.now += 10
        for index, task in enumerate(block.tasks):
            assert task.subject.architecture
            number = task.subject.architecture.hidden // 12
            levels = ROUGH if how.rough.get(number, 0) > 0 else STEADY
            how.rough[number] = how.rough.get(number, 0) - 1
            rest = ((0,) * 6, (0,) * 6, (1,) * 6)
            yield Answered(index, "", Run(Series((*levels,), (*levels,), *rest)), Cold(1, 1, 1))

    monkeypatch.setattr(Sweep, "_ask", ask)
    monkeypatch.setattr("bench.sweep.time", SimpleNamespace(monotonic=lambda: how.now))
    return how


def run(
    at: Sitting, more: More, watch: Watch | None = None, **began: float
) -> tuple[Sweep, Ledger]:
    with at.ledger.begin(at.session) as writer:
        sweep = Sweep(at.plan, at.session, writer, at.setting, watch or Silent(), **began)  # type: ignore[arg-type]
        sweep.run(at.done, at.noisy, more)
    return sweep, at.ledger


def test_all_batches_are_measured_by_one_live_process_in_one_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def worker(_module: str, _variables: object, cpus: tuple[int, ...]) -> Worker:
        made = Worker("block_worker", {**os.environ, "PYTHONPATH": HERE}, cpus)
        started.append(made.pid)
        return made

    monkeypatch.setattr("bench.sweep.Worker", worker)
    more = Script(tasks(3), tasks(4, 5))

    outcome = measure(sitting(tmp_path, tasks(1, 2)), Silent(), more)

    (pid,) = started
    assert [pid] * 5 == [row.runs[0].pid for row in outcome.rows]
    assert [pid] * 5 == [row.runs[0].pid for _, row in Ledger(tmp_path).measurements()]
    assert ["complete"] == [record.status for record in Ledger(tmp_path).sessions()]
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.usefixtures("made")
def test_more_is_asked_with_all_rows_so_far_until_it_gives_nothing(tmp_path: Path) -> None:
    more = Script(tasks(3), tasks(4, 5))

    sweep, _ = run(sitting(tmp_path, tasks(1, 2)), more)

    assert [[1, 2], [1, 2, 3], [1, 2, 3, 4, 5]] == more.shown
    assert [*tasks(1, 2, 3, 4, 5)] == sweep.outcome.tasks
    assert "complete" == sweep.outcome.status


def test_noisy_rows_are_measured_again_before_more_is_asked_and_not_shown(
    tmp_path: Path, made: Made
) -> None:
    made.rough |= {2: 1, 3: 99}
    seen: list[Measurement] = []

    def more(rows: Sequence[Measurement]) -> Sequence[Task]:
        seen[:] = rows
        return tasks(3) if len(rows) < 3 else ()

    sweep, ledger = run(sitting(tmp_path, tasks(1, 2)), more)

    assert 2 + 1 + 3 == len(sweep.outcome.rows)
    assert [1, 2, 3] == numbers(seen)
    assert {row.id for _, row in ledger.measurements(current=True)} == {row.id for row in seen}
    assert [3] == numbers([row for row in seen if row.noisy])


@pytest.mark.usefixtures("made")
def test_the_total_grows_with_every_batch_by_what_is_to_be_measured(tmp_path: Path) -> None:
    told = Told()
    done = {key_at(place(session()), task): "a-row" for task in tasks(2, 4)}

    run(sitting(tmp_path, tasks(1, 2), done=done), Script(tasks(3), tasks(4, 5, 6)), told)

    assert [1, 2, 4] == told.totals


def test_the_bar_is_full_when_all_batches_and_repeats_are_through(
    tmp_path: Path, made: Made
) -> None:
    made.rough |= {1: 99, 2: 1, 3: 1}
    screen = io.StringIO()
    live = Live(Console(file=screen, width=120, force_terminal=True))

    sweep, _ = run(sitting(tmp_path, tasks(1, 2)), Script(tasks(3), tasks(4)), live)
    live.end()

    assert 2 + 2 + 1 + 2 + 1 == len(sweep.outcome.rows)
    shown = re.findall(r"\d+/\d+", screen.getvalue())
    assert {"2/2", "2/4", "4/5", "5/6", "6/7", "7/8"} <= {*shown}
    assert "8/8" == shown[-1]


def test_the_bar_is_full_when_repeats_of_several_blocks_stay_noisy(
    tmp_path: Path, made: Made
) -> None:
    made.rough |= dict.fromkeys(range(1, BLOCK + 2), 99)
    screen = io.StringIO()
    live = Live(Console(file=screen, width=120, force_terminal=True))

    run(sitting(tmp_path, tasks(*made.rough)), Script(), live)
    live.end()

    rows = (BLOCK + 1) * (RETRIES + 1)
    assert f"{rows}/{rows}" == re.findall(r"\d+/\d+", screen.getvalue())[-1]


@pytest.mark.usefixtures("made")
def test_what_is_done_is_skipped_in_later_batches_and_more_is_asked_again(tmp_path: Path) -> None:
    done = {key_at(place(session()), task): "a-row" for task in tasks(3, 4)}
    more = Script(tasks(3, 4), tasks(4, 5))

    sweep, _ = run(sitting(tmp_path, tasks(1), done=done), more)

    assert [[1], [1], [1, 5]] == more.shown
    assert [1, 5] == numbers(sweep.outcome.rows)
    assert [*tasks(1, 3, 4, 5)] == sweep.outcome.tasks


@pytest.mark.usefixtures("made")
def test_a_task_given_twice_is_measured_once_and_nothing_new_is_the_end(tmp_path: Path) -> None:
    asked: list[int] = []

    def more(_: Sequence[Measurement]) -> Sequence[Task]:
        asked.append(1)
        return tasks(1, 2, 2)

    sweep, _ = run(sitting(tmp_path, tasks(1)), more)

    assert 2 == len(asked)
    assert [1, 2] == numbers(sweep.outcome.rows)


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("budget_s", "rows", "asked"), [(35, 3, 2), (25, 2, 1), (15, 1, 0)])
def test_the_time_budget_is_one_for_all_batches(
    tmp_path: Path, budget_s: int, rows: int, asked: int
) -> None:
    more = Script(*(tasks(n) for n in range(2, 9)))
    setting = Setting({}, pinned=False, budget_s=budget_s)

    sweep, _ = run(sitting(tmp_path, tasks(1), setting=setting), more, _began=0.0)

    assert rows == len(sweep.outcome.rows)
    assert asked == len(more.shown)  # no more once another block might be too long
    assert "budget" == sweep.outcome.status


def test_time_spent_on_choosing_counts_too(tmp_path: Path, made: Made) -> None:
    def more(_: Sequence[Measurement]) -> Sequence[Task]:
        made.now += 100
        return tasks(2)

    setting = Setting({}, pinned=False, budget_s=60)

    sweep, _ = run(sitting(tmp_path, tasks(1), setting=setting), more, _began=0.0)

    assert ([1], "budget") == (numbers(sweep.outcome.rows), sweep.outcome.status)
    assert [*tasks(1, 2)] == sweep.outcome.tasks


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_in_a_later_batch_keeps_the_rows(
    tmp_path: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def more(rows: Sequence[Measurement]) -> Sequence[Task]:
        if len(rows) == 3:
            os.kill(os.getpid(), number)
        return tasks(3)

    with pytest.raises(SystemExit, match="130"):
        measure(sitting(tmp_path, tasks(1, 2)), Silent(), more)

    assert "3 new rows are kept" in capsys.readouterr().err
    assert ["interrupted"] == [record.status for record in Ledger(tmp_path).sessions()]
    assert [1, 2, 3] == numbers([row for _, row in Ledger(tmp_path).measurements()])
    assert before == signal.getsignal(signal.SIGTERM)


@pytest.mark.usefixtures("made")
def test_the_rows_of_a_sitting_are_those_of_its_tasks_old_and_new(tmp_path: Path) -> None:
    measure(sitting(tmp_path, tasks(1, 2)), Silent())
    old = {key_at(place(session()), task): row.id
           for task in tasks(1, 2)
           for _, row in Ledger(tmp_path).measurements()
           if row.subject == task.subject}  # fmt: skip
    at = sitting(tmp_path, tasks(1), minutes=5, done=old)

    outcome = measure(at, Silent(), Script(tasks(3)))

    assert [3] == numbers(outcome.rows)
    assert [1, 3] == numbers(at.rows(outcome.tasks))
    assert [1, 2, 3] == numbers(at.rows(tasks(1, 2, 3, 4)))


@pytest.mark.usefixtures("made")
def test_the_same_request_goes_on_though_its_first_batch_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: Sequence[Measurement]) -> Sequence[Task]:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.sitting.read_environment", lambda _: session().environment)
    asked = Asked("d", None, CHOSEN, tmp_path, resume=None, budget_s=9.0)
    plans = [Plan(DEVICE, ("torch",), tasks(*n), Procedure(), seed=0) for n in ((1, 2), (2, 3))]
    first = prepare(asked, plans[0], "the request")
    with pytest.raises(SystemExit):
        measure(first, Silent(), stop)

    second, alone = prepare(asked, plans[1], "the request"), prepare(asked, plans[1])

    assert 9.0 == second.setting.budget_s
    assert ("the request", plans[1].digest) == (second.session.plan, alone.session.plan)
    assert {row.id for _, row in first.ledger.measurements()} == {*second.done.values()}
    assert [2] == numbers(second.rows(plans[1].tasks))
    assert not alone.done

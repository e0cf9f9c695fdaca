"""What a sweep does with noisy rows, dead workers and bad models; the answers are made up.

Noise cannot be ordered from a real machine, so here the answers of a block are given by hand.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.block import Answered
from bench.plan import Block, Network, Plan, tasks_for
from bench.sweep import RETRIES, Outcome, Setting, Sweep
from bench.watch import Silent
from profiler.device import Device
from profiler.isolate import WorkerError
from results.architecture import Architecture
from results.measurement import Cold, Procedure, Run, Series, Workload
from results.session import key_at, place
from results.store import Ledger
from tests.ledger_rows import session

NETWORKS = [Network(Architecture.uniform(1, 12 * n, 2, 12 * n, 16)) for n in (1, 2, 3)]
DEVICE = Device(name="d", runtimes={"torch": ["fp32"]}, pin=False)


def run(*levels: int) -> Run:
    return Run(Series(levels, levels, (0,) * 6, (0,) * 6, (1,) * 6))


QUIET, NOISY = run(*[1000] * 6), run(1000, 2000, 3000, 1000, 2000, 3000)
Script = dict[int, list[Run | str]]
"""What is seen of each network, by hidden size, attempt after attempt: a run, or a failure."""


def sweep(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: Script,
    processes: int = 1,
    noisy: dict[str, str] | None = None,
) -> tuple[Outcome, Ledger]:
    def ask(_self: Sweep, block: Block, *_: object, **__: object) -> Iterator[Answered]:
        for index, task in enumerate(block.tasks):
            assert task.subject.architecture
            seen = script[task.subject.architecture.hidden].pop(0)
            if seen == "dies":
                raise WorkerError("the worker ended with signal 9")
            if isinstance(seen, str):
                yield Answered(index, failure=seen)
            else:
                yield Answered(index, "", seen, Cold(1, 1, 1), 5, 6)

    monkeypatch.setattr(Sweep, "_ask", ask)
    procedure = Procedure(processes=processes)
    tasks = tasks_for(NETWORKS, DEVICE.runtimes, (Workload(),), procedure)
    plan = Plan(DEVICE, ("torch",), tasks, procedure, seed=0)
    ledger, of = Ledger(folder), session()
    known = {key_at(place(of), task): noisy[str(task.subject.architecture)]
             for task in tasks if noisy}  # fmt: skip
    with ledger.begin(of) as writer:
        outcome = Sweep(plan, of, writer, Setting({}, pinned=False), Silent()).run({}, known)
    return outcome, ledger


def chain(ledger: Ledger, hidden: int) -> list[tuple[str, str, bool]]:
    return [
        (row.id, row.supersedes, row.noisy)
        for _, row in ledger.measurements()
        if row.subject.architecture and row.subject.architecture.hidden == hidden
    ]


def test_a_noisy_row_is_measured_again_and_superseded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script: Script = {12: [QUIET], 24: [NOISY, QUIET], 36: [NOISY, NOISY, QUIET]}

    outcome, ledger = sweep(tmp_path, monkeypatch, script)

    assert "complete" == outcome.status
    assert 6 == len(outcome.rows)
    first, second, third = chain(ledger, 36)
    assert (("", True), (first[0], True), (second[0], False)) == (first[1:], second[1:], third[1:])
    assert not [row for _, row in ledger.measurements(current=True) if row.noisy]
    assert 3 == len(list(ledger.measurements(current=True)))


@pytest.mark.parametrize(("seen", "dismissals"), [([QUIET], 1), ([NOISY, QUIET], 2)])
def test_a_row_is_measured_again_by_fresh_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[Run | str], dismissals: int
) -> None:
    dismissed: list[int] = []
    monkeypatch.setattr(Sweep, "_dismiss", lambda _: dismissed.append(1))

    sweep(tmp_path, monkeypatch, {12: [QUIET], 24: [QUIET], 36: [*seen]})

    assert dismissals == len(dismissed)  # once at the end, and once before a second try


def test_a_row_that_stays_noisy_is_kept_and_flagged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script: Script = {12: [QUIET], 24: [QUIET], 36: [NOISY] * 9}

    _, ledger = sweep(tmp_path, monkeypatch, script)

    assert RETRIES + 1 == len(chain(ledger, 36))
    assert 1 == sum(row.noisy for _, row in ledger.measurements(current=True))


def test_a_failing_network_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script: Script = {12: [QUIET], 24: ["no such kernel"], 36: [QUIET]}

    outcome, ledger = sweep(tmp_path, monkeypatch, script)

    assert "incomplete" == outcome.status
    assert ["no such kernel"] == [why for _, why in outcome.failures]
    assert 2 == len(list(ledger.measurements()))


def test_a_network_that_kills_the_worker_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script: Script = {12: [QUIET, QUIET], 24: ["dies", "dies"], 36: [QUIET, QUIET]}

    outcome, ledger = sweep(tmp_path, monkeypatch, script)

    ((task, why),) = outcome.failures
    assert "the worker ended with signal 9" == why
    assert task.subject.architecture == NETWORKS[1].architecture
    assert 2 == len(list(ledger.measurements()))


def test_several_processes_make_one_row_of_as_many_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script: Script = {hidden: [QUIET] * 3 for hidden in (12, 24, 36)}

    outcome, _ = sweep(tmp_path, monkeypatch, script, processes=3)

    assert [3, 3, 3] == [len(row.runs) for row in outcome.rows]
    assert 6 == outcome.rows[0].peak_rss_bytes


def test_a_noisy_row_of_an_earlier_session_is_superseded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script: Script = {hidden: [QUIET] for hidden in (12, 24, 36)}
    earlier = {str(network.architecture): "an-earlier-row" for network in NETWORKS}

    outcome, _ = sweep(tmp_path, monkeypatch, script, noisy=earlier)

    assert {"an-earlier-row"} == {row.supersedes for row in outcome.rows}

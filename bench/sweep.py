"""Runs a plan: workers, blocks, rows into the ledger, noisy rows again. Draws nothing."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count

import msgspec

from bench.block import Answered, Order, Request
from bench.plan import Block, Plan, Task, blocks, by_network
from bench.watch import Watch
from profiler.cpus import reserved_cpus
from profiler.isolate import Worker, WorkerError, out_of_the_way
from results.lines import EndStatus
from results.measurement import Measurement, Run
from results.session import Session, key_at, place
from results.stats import flags
from results.writer import SessionWriter

RETRIES = 2
"""Times a noisy row is measured again, each time in a fresh process."""

PATIENCE_S = 900
"""Longest silence of a worker; it gives a sign of life after every warm-up and every round."""

BLOCKS_A_WORKER = 40
"""Then a fresh process, so that no allocator state lasts a whole sweep."""


More = Callable[[Sequence[Measurement]], Sequence[Task]]
"""Gives the next tasks, from the current row of every task measured so far; none: finished."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the workers run in."""

    variables: Mapping[str, str]
    pinned: bool
    budget_s: float | None = None


@dataclass(slots=True)
class Outcome:
    """What a sweep left behind."""

    tasks: list[Task] = field(default_factory=list)
    """All that were asked for, those with a row from before included."""
    rows: list[Measurement] = field(default_factory=list)
    failures: list[tuple[Task, str]] = field(default_factory=list)
    status: EndStatus = "complete"


@dataclass(slots=True)
class Sweep:
    """One run of a plan into one session."""

    plan: Plan
    session: Session
    writer: SessionWriter
    setting: Setting
    watch: Watch
    outcome: Outcome = field(default_factory=Outcome)
    _workers: dict[str, tuple[Worker, int]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)
    _began: float = field(default_factory=time.monotonic)
    _longest_s: float = 0.0

    def run(
        self, done: Mapping[str, str], noisy: Mapping[str, str], more: More | None = None
    ) -> Outcome:
        """Measure every task of the plan whose row key is not in `done`, then what `more` gives.

        `noisy` gives, by row key, the id of an earlier row that a new one supersedes. `more` is
        asked whenever all tasks so far are through, noisy ones again included, until it gives no
        task that is new or the time is used up. The workers live on while it thinks.
        """
        where = place(self.session)
        with ExitStack() as held:
            cpus: tuple[int, ...] = ()
            if self.setting.pinned:
                cpus = held.enter_context(reserved_cpus(self.plan.device.threads))
            held.enter_context(out_of_the_way(cpus))
            held.callback(self._dismiss)
            for first, tasks in self._batches(more):
                keys = {task: key_at(where, task) for task in tasks}
                todo = [task for task in tasks if keys[task] not in done]
                replaced = {task: noisy[keys[task]] for task in todo if keys[task] in noisy}
                if first:
                    self.watch.begin(len(tasks), len(tasks) - len(todo), cpus)
                else:
                    self.watch.more(len(todo))
                for retry in range(RETRIES + 1):
                    if todo:
                        todo = self._pass(todo, replaced, cpus, retry)
        if self.outcome.failures and self.outcome.status == "complete":
            self.outcome.status = "incomplete"
        return self.outcome

    def _batches(self, more: More | None) -> Iterator[tuple[bool, Sequence[Task]]]:
        """The plan's tasks, then new ones for as long as there are any; whether it is the first.

        Each is asked for when the one before was measured.
        """
        self.outcome.tasks.extend(self.plan.tasks)
        yield True, self.plan.tasks
        given = set(self.plan.tasks)
        while more is not None and not self._stopped():
            tasks = [task for task in dict.fromkeys(more(self._current())) if task not in given]
            if not tasks:
                return
            given.update(tasks)
            self.outcome.tasks.extend(tasks)
            yield False, tasks

    def _current(self) -> list[Measurement]:
        """The rows of this sweep that no later one supersedes."""
        hidden = {row.supersedes for row in self.outcome.rows}
        return [row for row in self.outcome.rows if row.id not in hidden]

    def _pass(
        self, todo: Sequence[Task], replaced: dict[Task, str], cpus: tuple[int, ...], retry: int
    ) -> list[Task]:
        """Every block once; returns the tasks whose rows came out noisy."""
        again: list[Task] = []
        if retry:
            self._dismiss()
        for block in blocks(todo, self.plan.seed + retry):
            if self._stopped():
                return []
            self.watch.block(block, retry)
            began = time.monotonic()
            for task, row in self._measure(block, next(self._numbers), cpus, replaced):
                self.writer.append(row)
                self.outcome.rows.append(row)
                self.watch.row(row)
                if row.noisy:
                    again.append(task)
                    replaced[task] = row.id
            self._longest_s = max(self._longest_s, time.monotonic() - began)
        return again

    def _stopped(self) -> bool:
        """Whether another block might exceed the time for all of them together."""
        budget_s = self.setting.budget_s
        spent_s = time.monotonic() - self._began
        if budget_s is not None and spent_s + self._longest_s > budget_s:
            self.outcome.status = "budget"
        return self.outcome.status == "budget"

    def _measure(
        self, block: Block, number: int, cpus: tuple[int, ...], replaced: Mapping[Task, str]
    ) -> Iterator[tuple[Task, Measurement]]:
        """The rows of one block; when it kills its worker, of its networks one by one."""
        try:
            answers = self._answers(block, number, cpus)
        except WorkerError as error:
            self._dismiss()
            if len(alone := by_network(block)) > 1:  # find out which of them it was
                for part in alone:
                    yield from self._measure(part, number, cpus, replaced)
                return
            answers = {i: [Answered(i, failure=str(error))] for i in range(len(block.tasks))}
        for index, found in sorted(answers.items()):
            task = block.tasks[index]
            failure = next((a.failure for a in found if a.failure), "")
            if failure:
                self.outcome.failures.append((task, failure))
                self.watch.failed(task, failure)
            else:
                yield task, self._row(task, found, replaced.get(task, ""))

    def _answers(
        self, block: Block, number: int, cpus: tuple[int, ...]
    ) -> dict[int, list[Answered]]:
        """What as many fresh processes as the procedure wants say of each task."""
        processes = self.plan.procedure.processes
        answers: dict[int, list[Answered]] = {}
        for process in range(processes):
            shuffle = self.plan.seed * 1_000_003 + number * 1_009 + process
            for answer in self._ask(block, shuffle, cpus, fresh=processes > 1):
                answers.setdefault(answer.index, []).append(answer)
        return answers

    def _ask(
        self, block: Block, shuffle: int, cpus: tuple[int, ...], *, fresh: bool
    ) -> Iterator[Answered]:
        request = Request(
            runtime=block.runtime,
            workload=block.workload,
            procedure=self.plan.procedure,
            orders=tuple(
                Order(t.subject.architecture, t.subject.scheme, t.source) for t in block.tasks
            ),
            seed=self.plan.seed,
            shuffle=shuffle,
            cap=self.plan.cap,
        )
        worker = self._worker(block.runtime, cpus, fresh=fresh)
        for answer in worker.ask(msgspec.to_builtins(request), PATIENCE_S):
            yield msgspec.convert(answer, Answered)

    def _worker(self, runtime: str, cpus: tuple[int, ...], *, fresh: bool) -> Worker:
        worker, used = self._workers.pop(runtime, (None, 0))
        if worker is not None and (fresh or used >= BLOCKS_A_WORKER):
            worker.close()
            worker = None
        if worker is None:
            worker, used = Worker("bench.worker", self.setting.variables, cpus), 0
        self._workers[runtime] = (worker, used + 1)
        return worker

    def _dismiss(self) -> None:
        """End all workers."""
        for worker, _ in self._workers.values():
            worker.close()
        self._workers.clear()

    def _row(self, task: Task, found: Sequence[Answered], supersedes: str) -> Measurement:
        first = found[0]
        runs: tuple[Run, ...] = tuple(a.run for a in found if a.run is not None)
        if first.cold is None:
            message = f"the worker answered no cold times for {task.subject}"
            raise WorkerError(message)
        row = Measurement(
            id=self.writer.next_id,
            session=self.session.id,
            device=self.plan.device.name,
            subject=task.subject,
            workload=task.workload,
            procedure=task.procedure,
            runs=runs,
            cold=first.cold,
            seed=self.plan.seed,
            model_bytes=first.model_bytes,
            peak_rss_bytes=max(a.peak_rss_bytes for a in found),
            isa=first.isa,
            supersedes=supersedes,
            measured_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        return replace(row, flags=flags(row))

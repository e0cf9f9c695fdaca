"""What a person sees while a sweep runs: done, rate, time left, what is measured, how noisy."""

import time
from collections import deque
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from bench.plan import Block, Task
from results.measurement import Measurement
from results.stats import contention, interrupted_share

BUSY = 1.1
"""Wall time over CPU time from which a CPU is shared with somebody."""


def noise(row: Measurement) -> str:
    """How much the row was disturbed, in two words.

    One thread that computes needs as much CPU time as wall time; several wait for each other, so
    there only interruptions tell.
    """
    if row.workload.threads == 1:
        busy = contention(row)
        return "quiet" if busy < BUSY else f"CPU shared {busy:.1f} x"
    cut = interrupted_share(row)
    return "quiet" if cut < BUSY - 1 else f"{cut:.0%} interrupted"


@dataclass(slots=True)
class Live:
    """Redraws only when a row arrives: a ticking progress bar would run beside the measurement."""

    console: Console
    _bar: Progress = field(init=False)
    _task: TaskID = field(init=False)
    _arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=200))
    _told: set[str] = field(default_factory=set)
    _noisy: int = 0
    _due: int = 0
    """Noisy rows that the next pass measures again."""
    _retry: int = 0
    _total: int = 0

    def __post_init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[state]}", markup=False),
            TextColumn(
                "{task.fields[now]}",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=self.console,
            auto_refresh=False,
            expand=True,
        )
        self._task = self._bar.add_task("rows", total=1, rate="", state="", now="")

    def begin(self, total: int, already: int, cpus: tuple[int, ...]) -> None:
        where = f"CPU {', '.join(map(str, cpus))}" if cpus else "no CPU in particular"
        reused = f", {already} already in the ledger" if already else ""
        self.console.print(f"{total} rows on {where}{reused}")
        self._arrivals.append(time.monotonic())
        self._bar.start()
        self._bar.update(self._task, completed=already)
        self._grow(total)
        self._bar.refresh()

    def more(self, rows: int) -> None:
        self._due = 0  # what is noisy still stays so
        self._grow(rows)
        self._bar.refresh()

    def block(self, block: Block, retry: int) -> None:
        architecture = block.tasks[0].subject.architecture
        what = str(architecture) if architecture else block.tasks[0].subject.source
        again = " again" if retry else ""
        if retry > self._retry:
            self._grow(self._due)
            self._due = 0
        self._retry = retry
        self._bar.update(self._task, now=f"{block.runtime}{again}: {what} ...")
        self._bar.refresh()

    def row(self, row: Measurement) -> None:
        self._arrivals.append(time.monotonic())
        self._noisy += row.noisy
        self._due += row.noisy
        seconds = self._arrivals[-1] - self._arrivals[0]
        rate = f"{60 * (len(self._arrivals) - 1) / seconds:.0f}/min" if seconds else ""
        state = f"{noise(row)}, {self._noisy} noisy"
        self._bar.update(self._task, advance=1, rate=rate, state=state)
        self._bar.refresh()

    def failed(self, task: Task, why: str) -> None:
        """Tell each reason once: what ails one network often ails them all."""
        if why not in self._told:
            self._told.add(why)
            what = task.subject.architecture or task.subject.source
            self._bar.console.print(f"not measured: {task.subject.runtime} {what}: {why}")

    def end(self) -> None:
        """Leave the last state on the screen."""
        self._bar.stop()

    def _grow(self, rows: int) -> None:
        self._total += rows
        self._bar.update(self._task, total=self._total)

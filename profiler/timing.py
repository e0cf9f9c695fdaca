"""How to time a callable: the one timing loop of the project. Knows no model, file or screen."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from results.measurement import Series

Call = Callable[[], object]


def counts() -> tuple[int, int]:
    """Involuntary context switches and page faults (minor and major) of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nivcsw, usage.ru_minflt + usage.ru_majflt


@dataclass(frozen=True, slots=True)
class Clocks:
    """What is read around every call. Tests wind these by hand."""

    wall_ns: Callable[[], int] = time.perf_counter_ns
    cpu_ns: Callable[[], int] = time.process_time_ns
    """Of all threads of the process."""
    counts: Callable[[], tuple[int, int]] = counts
    """Involuntary context switches and page faults of the process so far."""


@dataclass(slots=True)
class Tape:
    """The columns of a `Series` while they grow."""

    wall_ns: list[int] = field(default_factory=list)
    cpu_ns: list[int] = field(default_factory=list)
    switches: list[int] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)
    visits: list[int] = field(default_factory=list)
    first_cpu_ns: list[int] = field(default_factory=list)

    def series(self) -> Series:
        """What is on the tape so far, frozen."""
        return Series(
            tuple(self.wall_ns),
            tuple(self.cpu_ns),
            tuple(self.switches),
            tuple(self.faults),
            tuple(self.visits),
            tuple(self.first_cpu_ns),
        )


@dataclass(frozen=True, slots=True)
class Pace:
    """How long one visit lasts. The defaults are decisions; see docs/measurement.md.

    After another model ran, the first calls are up to 70 % slower: its weights must come back
    into the caches. 2 ms of calls are thrown away for that; then come the samples. A second
    sample of a slow model costs a quarter of the sweep and makes no row repeat better.
    """

    primer_ns: int = 2_000_000
    sample_ns: int = 3_000_000
    least_samples: int = 1


def visit(run: Call, tape: Tape, pace: Pace, clocks: Clocks) -> None:
    """Call `run` untimed until it is back in the caches, then time it call by call onto `tape`."""
    first = spent = _cpu_of(run, clocks)
    while spent < pace.primer_ns:
        spent += max(_cpu_of(run, clocks), 1)
    samples, spent = 0, 0
    while samples < pace.least_samples or spent < pace.sample_ns:
        spent += max(_sample(run, tape, clocks), 1)
        samples += 1
    tape.first_cpu_ns.append(first)
    tape.visits.append(samples)


def _cpu_of(run: Call, clocks: Clocks) -> int:
    start = clocks.cpu_ns()
    run()
    return clocks.cpu_ns() - start


def _sample(run: Call, tape: Tape, clocks: Clocks) -> int:
    switches, faults = clocks.counts()
    cpu = clocks.cpu_ns()
    wall = clocks.wall_ns()
    run()
    wall_spent = clocks.wall_ns() - wall
    cpu_spent = clocks.cpu_ns() - cpu
    switches_now, faults_now = clocks.counts()
    tape.wall_ns.append(max(wall_spent, 1))  # a clock may be too coarse to see a call
    tape.cpu_ns.append(max(cpu_spent, 1))
    tape.switches.append(switches_now - switches)
    tape.faults.append(faults_now - faults)
    return cpu_spent


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What happened before the first sample."""

    first_ns: int
    """Wall time of the very first call."""
    calls: int
    steady: bool


def warm_up(run: Call, clocks: Clocks, limit_ns: int = 2_000_000_000) -> WarmUp:
    """Call until the CPU time of the last three calls lies within 5 % of their median.

    Judged on CPU time, since wall time is confounded by neighbours; gives up after `limit_ns`
    of CPU time and six calls, which is reported as not steady.
    """
    start = clocks.wall_ns()
    spent = [_cpu_of(run, clocks)]
    first_ns = clocks.wall_ns() - start
    while True:
        spent.append(_cpu_of(run, clocks))
        last = spent[-3:]
        middle = median(last)
        if len(spent) >= 4 and all(abs(x - middle) <= 0.05 * middle for x in last):  # noqa: PLR2004
            return WarmUp(first_ns, len(spent), steady=True)
        if sum(spent) > limit_ns and len(spent) >= 6:  # noqa: PLR2004
            return WarmUp(first_ns, len(spent), steady=False)

"""Which CPUs a worker is pinned to: the free ones that a short probe finds least disturbed."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PROBE_NS = 60_000_000
PROBED = 8
"""CPUs that are probed at the most, from the last one down: a large machine has many."""


def allowed_cpus() -> tuple[int, ...]:
    """The logical CPUs this process may run on, in order."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


@contextmanager
def reserved_cpus(count: int, folder: Path | None = None) -> Iterator[tuple[int, ...]]:
    """Pick `count` CPUs, and mark them for as long as the context lasts.

    Another profiler on this machine takes others while there are any; when none is free the
    CPUs are shared, since late rows are better than none, and the rows show the contention. Of
    CPUs equally quiet to 10 % the last is taken: a CPU that changes from session to session adds
    its own differences, and the first one serves most interrupts.
    """
    ranked = sorted(
        allowed_cpus()[-max(PROBED, count) :], key=lambda cpu: (round(disturbance(cpu), 1), -cpu)
    )
    folder = folder or Path(tempfile.gettempdir())
    with ExitStack() as held:
        taken: list[int] = []
        for cpu in ranked:
            if len(taken) < count and _mark(cpu, folder, held):
                taken.append(cpu)
        shared = [cpu for cpu in ranked if cpu not in taken]
        yield tuple(sorted(taken + shared[: count - len(taken)]))


def _mark(cpu: int, folder: Path, held: ExitStack) -> bool:
    lock = FileLock(folder / f"subbert-cpu{cpu}.lock", timeout=0, mode=0o666)
    try:
        held.enter_context(lock)
    except (Timeout, OSError):  # an OSError: another user's file; then we cannot tell
        return False
    return True


def disturbance(cpu: int, probe_ns: int = PROBE_NS) -> float:
    """Wall time a fixed amount of work takes on one CPU, relative to what was asked; 1 is quiet.

    Work that ends early is impossible, so the larger the number the busier the CPU.
    """
    if not hasattr(os, "sched_setaffinity"):
        return 1.0
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {cpu})
        start = time.perf_counter_ns()
        until = time.thread_time_ns() + probe_ns
        while time.thread_time_ns() < until:
            pass
        return (time.perf_counter_ns() - start) / probe_ns
    finally:
        os.sched_setaffinity(0, before)


def pin(cpus: Sequence[int]) -> None:
    """Keep this process on the given CPUs, where the system can."""
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(cpus))

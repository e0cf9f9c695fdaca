"""Several calls timed in turn, so that a slow minute is slow for all. Knows no engine."""

import contextlib
import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import TypeVar

from profiler.timing import Call, Clocks, Pace, Tape, visit, warm_up

K = TypeVar("K")
Level = Callable[[Sequence[float]], float]

LEAST_ROUNDS = 5
WARM_UP_NS = 50_000_000

UNDISTURBED = 0.95
"""Share of a CPU that a call gets while no neighbour wants it; more with several threads."""


def alternate(visits: Mapping[K, Callable[[], object]], rounds: int, seconds: float) -> int:
    """Make every visit once a round, in a new random order each; returns the rounds made.

    No round begins after `seconds` once there were `LEAST_ROUNDS`.
    """
    rng = random.Random(0)  # noqa: S311 - an order of visits, no secret
    order = list(visits.values())
    began = time.monotonic()
    with no_collection():
        for made in range(rounds):
            if made >= LEAST_ROUNDS and time.monotonic() - began > seconds:
                return made
            rng.shuffle(order)
            for one in order:
                one()
            gc.collect()
    return rounds


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Garbage is collected between rounds, never during a call."""
    gc.collect()
    gc.freeze()  # what lives now is not looked at again, so a collection takes microseconds
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def warm(run: Call) -> None:
    """Call until it is steady, but not for long: a visit throws its first calls away, too."""
    warm_up(run, Clocks(), limit_ns=WARM_UP_NS)


def levels(
    runs: Mapping[K, Call], threads: int, rounds: int = 15, seconds: float = 5.0
) -> dict[K, float]:
    """The level of each call in nanoseconds, measured in turn, each warmed up before."""
    clocks, pace = Clocks(), Pace()
    tapes = {name: Tape() for name in runs}
    for run in runs.values():
        warm(run)

    def visiting(name: K) -> Callable[[], object]:
        return lambda: visit(runs[name], tapes[name], pace, clocks)

    alternate({name: visiting(name) for name in runs}, rounds, seconds)
    return {name: level(tape, threads) for name, tape in tapes.items()}


def level(tape: Tape, threads: int, typical: Level = median) -> float:
    """The median of the calls, or what else is `typical`, in nanoseconds.

    Of CPU time for one thread, since neighbours take wall time only; of wall time for more, whose
    CPU time is no latency.
    """
    return float(typical(tape.cpu_ns if threads == 1 else tape.wall_ns))


def busy(tape: Tape) -> bool:
    """Did neighbours take some of the time of most calls?

    Then they interrupt an operator of a millisecond in every other call, or more often.
    """
    got = median(cpu / wall for cpu, wall in zip(tape.cpu_ns, tape.wall_ns, strict=True))
    return got < UNDISTURBED

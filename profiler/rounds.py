"""Several models measured side by side: who is visited when, and when to stop. Knows no model."""

import gc
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from profiler.timing import Call, Clocks, Pace, Tape, WarmUp, visit, warm_up
from results.measurement import Procedure, Run
from results.stats import Level, half_width, log_ratios

LOOKS = frozenset({6, 9, 12, 17, 23})
"""Rounds after which the interval is looked at: few, since every look may stop too early, and
such as let the interval leave out one more value at each end (6: none, 9: one, 12: two)."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """What the rotation is driven with."""

    rng: random.Random
    clock: str = "cpu"
    """`cpu` or `wall`: the one the interval is computed from."""
    level: Level = min
    """What stands for the samples of a visit there."""
    clocks: Clocks = field(default_factory=Clocks)
    pace: Pace = field(default_factory=Pace)
    between: Callable[[], object] = gc.collect
    """Called after every warm-up and every round, outside all timing."""


@dataclass(slots=True)
class Candidate:
    """A model in the rotation, the anchor it is compared with, and what was seen of it."""

    run: Call
    anchor: "Candidate | None" = None
    name: str = ""
    """Of an anchor: `str(architecture)`."""
    tape: Tape = field(default_factory=Tape)
    warm: WarmUp = field(default_factory=lambda: WarmUp(0, 0, steady=False))
    spent_ns: int = 0
    stopped_by: str = ""


def measure(
    candidates: Sequence[Candidate], procedure: Procedure, tools: Instruments
) -> list[Run]:
    """Visit every candidate once a round, in a new random order, with its anchor among them.

    A candidate leaves when its interval is narrow enough or its rounds or time are used up; an
    anchor leaves with the last of its candidates.
    """
    for candidate in _with_anchors(candidates):
        candidate.warm = warm_up(candidate.run, tools.clocks)
        tools.between()
    while staying := [c for c in candidates if not c.stopped_by]:
        slots = _with_anchors(staying)
        tools.rng.shuffle(slots)
        for slot in slots:
            start = tools.clocks.wall_ns()
            visit(slot.run, slot.tape, tools.pace, tools.clocks)
            slot.spent_ns += tools.clocks.wall_ns() - start
        for candidate in staying:
            candidate.stopped_by = _verdict(candidate, procedure, tools)
        tools.between()
    return [_run(c) for c in candidates]


def _with_anchors(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, then each anchor once."""
    anchors = {id(c.anchor): c.anchor for c in candidates if c.anchor is not None}
    return [*candidates, *anchors.values()]


def _verdict(candidate: Candidate, procedure: Procedure, tools: Instruments) -> str:
    """Which rule ends the sampling of this candidate now; empty when none does."""
    rounds = len(candidate.tape.visits)
    if rounds < procedure.least_rounds:
        return ""
    over = rounds >= procedure.most_rounds
    if rounds in LOOKS or over:
        ratios = log_ratios(_run(candidate), tools.clock, tools.level)
        if half_width(ratios) <= procedure.target_error:
            return "target_error"
    if over:
        return "most_rounds"
    return "most_seconds" if candidate.spent_ns >= procedure.most_seconds * 1e9 else ""


def _run(candidate: Candidate) -> Run:
    """The candidate's tape beside that part of the anchor's which was taken in the same rounds."""
    anchor = candidate.anchor
    rounds = len(candidate.tape.visits)
    return Run(
        subject=candidate.tape.series(),
        anchor=_first_visits(anchor.tape, rounds).series() if anchor else None,
        anchor_name=anchor.name if anchor else "",
        warmup_calls=candidate.warm.calls,
        steady=candidate.warm.steady and (anchor is None or anchor.warm.steady),
        stopped_by=candidate.stopped_by or "most_rounds",
    )


def _first_visits(tape: Tape, rounds: int) -> Tape:
    samples = sum(tape.visits[:rounds])
    return Tape(
        tape.wall_ns[:samples],
        tape.cpu_ns[:samples],
        tape.switches[:samples],
        tape.faults[:samples],
        tape.visits[:rounds],
        tape.first_cpu_ns[:rounds],
    )

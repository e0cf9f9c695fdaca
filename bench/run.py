"""A whole `bench profile`: the plan, the ledger, the sweep, and what is printed of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.live import Live
from bench.plan import Plan
from bench.request import Asked, plan_of
from bench.sitting import measure, prepare
from bench.summary import Scaled, lines, scaled, tables
from bench.summary import as_json as summary_json
from bench.sweep import Outcome
from bench.watch import Silent
from profiler.device import this_host
from profiler.environment import read_hardware
from results.errors import BadInputError
from results.measurement import Measurement

WORTH_SAYING = 0.01
"""A drift of the machine below this is not mentioned."""


def run(asked: Asked, *, plot: Path | None, as_json: bool) -> None:
    """Measure what was asked; print the table, or JSON.

    Raises:
        BadInputError: nothing could be measured as asked.
    """
    talk = Console(stderr=as_json, highlight=False, markup=False)
    plan, refused = plan_of(asked, this_host(read_hardware()))
    for sentence in refused:
        talk.print(f"left out: {sentence}")
    sitting = prepare(asked, plan)
    if plot is not None and not any(task.subject.architecture for task in plan.tasks):
        raise BadInputError("--plot draws networks against MACs, and an .onnx file's are unknown")
    outcome = measure(sitting, Silent() if as_json else Live(talk))
    rows = sitting.rows(outcome.tasks)
    scale = scaled(sitting.ledger.measurements(), sitting.session)
    _report(Found(rows, scale, outcome, plan), plot, talk, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be reported."""

    rows: list[Measurement]
    scale: Scaled
    outcome: Outcome
    plan: Plan


def _report(found: Found, plot: Path | None, talk: Console, *, as_json: bool) -> None:
    rows, labels, plan, outcome = found.rows, found.scale.labels, found.plan, found.outcome
    if not rows:
        why = outcome.failures[0][1] if outcome.failures else "the time budget was too short"
        raise BadInputError(f"nothing was measured: {why}")
    if as_json:
        told = {"device": plan.device.name, "status": outcome.status, "drift": found.scale.drift}
        print(json.dumps({**told, **summary_json(rows, labels)}))  # noqa: T201 - the output
    else:
        for table in tables(lines(rows, labels), plan.device.name):
            talk.print()
            talk.print(table)
    for sentence in _remarks(found):
        talk.print(sentence)
    if plot is not None:
        from bench.chart import draw

        draw(rows, labels, plan.device.name, plot)
        talk.print(f"chart: {plot}")
    if outcome.failures:
        raise SystemExit(1)


def _remarks(found: Found) -> Iterator[str]:
    """What the table does not say."""
    shift = found.scale.drift
    if shift is not None and found.scale.sessions > 1 and abs(shift) >= WORTH_SAYING:
        yield (
            f"by its anchors this machine was {abs(shift):.1%} "
            f"{'slower' if shift > 0 else 'faster'} than in its median session of "
            f"{found.scale.sessions}; the latencies are given in the time of that one"
        )
    if found.outcome.status == "budget":
        left = len(found.outcome.tasks) - len(found.rows)
        yield f"time budget used up, {left} rows left: the same command goes on from here"
    if found.outcome.failures:
        yield f"{len(found.outcome.failures)} rows could not be measured; see above"

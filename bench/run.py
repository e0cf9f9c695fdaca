"""A whole `bench profile`: the plan, the ledger, the sweep, and what is printed of it."""

import json
import os
import signal
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from bench.live import Live
from bench.plan import Block, Plan, Task
from bench.request import Asked, plan_of
from bench.summary import Scaled, lines, scaled, tables
from bench.summary import as_json as summary_json
from bench.sweep import Outcome, Setting, Sweep, Watch
from profiler.device import CAPS, this_host
from profiler.environment import read_environment, read_hardware
from profiler.isolate import stable_variables
from results.errors import BadInputError
from results.measurement import Measurement
from results.session import Places, Session, key_at, place, session_id
from results.store import Ledger

WORTH_SAYING = 0.01
"""A drift of the machine below this is not mentioned."""


class Silent:
    """Watches without a word."""

    def begin(self, total: int, already: int, cpus: tuple[int, ...]) -> None: ...

    def block(self, block: Block, retry: int) -> None: ...

    def row(self, row: Measurement) -> None: ...

    def failed(self, task: Task, why: str) -> None: ...

    def end(self) -> None: ...


def run(asked: Asked, *, plot: Path | None, as_json: bool) -> None:
    """Measure what was asked; print the table, or JSON.

    Raises:
        BadInputError: nothing could be measured as asked.
    """
    talk = Console(stderr=as_json, highlight=False, markup=False)
    plan, refused = plan_of(asked, this_host(read_hardware()))
    for sentence in refused:
        talk.print(f"left out: {sentence}")
    ledger = Ledger(asked.results, skip_damaged=asked.skip_damaged)
    ledger.require_writable()
    variables = _variables(plan)
    session = _session(plan, variables)
    done, noisy = _already(ledger, session, plan, resume=asked.resume)
    if plot is not None and not any(task.subject.architecture for task in plan.tasks):
        raise BadInputError("--plot draws networks against MACs, and an .onnx file's are unknown")
    watch = Silent() if as_json else Live(talk)
    setting = Setting(variables, plan.device.pin, asked.budget_s)
    outcome = _sweep(ledger, plan, session, setting, watch, (done, noisy))
    rows = _rows(ledger, plan, session, {*done.values(), *noisy.values()})
    scale = scaled(ledger.measurements(), session)
    _report(Found(rows, scale, outcome, plan), plot, talk, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be reported."""

    rows: list[Measurement]
    scale: Scaled
    outcome: Outcome
    plan: Plan


def _variables(plan: Plan) -> dict[str, str]:
    if plan.procedure.profile == "deployed":
        return dict(os.environ) | dict(CAPS.get(plan.cap, {}))
    return stable_variables(os.environ, plan.device.threads, CAPS.get(plan.cap, {}))


def _session(plan: Plan, variables: dict[str, str]) -> Session:
    now = datetime.now(UTC)
    return Session(
        id=session_id(now),
        started_utc=now.isoformat(timespec="milliseconds"),
        tool=version("subbert"),
        argv=("bench", *sys.argv[1:]),
        seed=plan.seed,
        device=plan.device.name,
        device_digest=plan.device.digest,
        environment=read_environment(variables),
        plan=plan.digest,
    )


def _already(
    ledger: Ledger, session: Session, plan: Plan, *, resume: bool | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Row keys of the plan that need no new row, and those whose noisy row may be superseded."""
    if resume is False:
        for _ in ledger.measurements():
            pass  # a ledger that cannot be read is told of before anything is measured
        return {}, {}
    keys = _planned(session, plan)
    sessions = None if resume else _unfinished(ledger, plan)
    done: dict[str, str] = {}
    noisy: dict[str, str] = {}
    for key, found, row in _keyed(ledger):
        if key in keys and (sessions is None or found.id in sessions):
            done.pop(key, None)
            noisy.pop(key, None)
            (noisy if row.noisy else done)[key] = row.id
    return done, noisy


def _unfinished(ledger: Ledger, plan: Plan) -> set[str]:
    """The sessions of this plan since it was last completed, the one at work left out."""
    found: set[str] = set()
    for record in ledger.sessions():
        if record.session.plan == plan.digest:
            if record.status == "complete":
                found.clear()
            elif record.status != "live":
                found.add(record.session.id)
    return found


def _sweep(
    ledger: Ledger,
    plan: Plan,
    session: Session,
    setting: Setting,
    watch: "Live | Silent",
    known: tuple[dict[str, str], dict[str, str]],
) -> Outcome:
    observer: Watch = watch
    with ledger.begin(session) as writer, _terminable():
        sweep = Sweep(plan, session, writer, setting, observer)
        try:
            outcome = sweep.run(*known)
        except KeyboardInterrupt:
            writer.end("interrupted")
            watch.end()
            message = (
                f"stopped: {len(sweep.outcome.rows)} new rows are kept in {ledger.root}; "
                "the same command goes on from here"
            )
            print(f"bench: {message}", file=sys.stderr)  # noqa: T201
            raise SystemExit(130) from None
        finally:
            watch.end()
        writer.end(outcome.status)
    return outcome


@contextmanager
def _terminable() -> Iterator[None]:
    """A polite kill is treated like Ctrl-C."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _rows(
    ledger: Ledger, plan: Plan, session: Session, reused: Container[str]
) -> list[Measurement]:
    """The current row of every task of the plan: of this session, or one it found done."""
    keys = _planned(session, plan)
    current = {
        key: row
        for key, taken, row in _keyed(ledger)
        if key in keys and (taken.id == session.id or row.id in reused)
    }
    return list(current.values())


def _planned(session: Session, plan: Plan) -> set[str]:
    where = place(session)
    return {key_at(where, task) for task in plan.tasks}


def _keyed(ledger: Ledger) -> Iterator[tuple[str, Session, Measurement]]:
    """Every current row with its session and row key."""
    places = Places()
    for session, row in ledger.measurements(current=True):
        yield key_at(places[session], row), session, row


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
        left = len(found.plan.tasks) - len(found.rows)
        yield f"time budget used up, {left} rows left: the same command goes on from here"
    if found.outcome.failures:
        yield f"{len(found.outcome.failures)} rows could not be measured; see above"

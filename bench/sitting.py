"""A sweep in a session of its own, and the rows a ledger has already. Prints no table."""

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from bench.plan import Plan, Task
from bench.request import Asked
from bench.sweep import More, Outcome, Setting, Sweep
from bench.watch import Watch
from profiler.device import CAPS
from profiler.environment import read_environment
from profiler.isolate import stable_variables
from results.measurement import Measurement
from results.session import Places, Session, key_at, place, session_id
from results.store import Ledger


@dataclass(frozen=True, slots=True)
class Sitting:
    """A plan, where its rows go, and what is known before it is measured."""

    ledger: Ledger
    plan: Plan
    session: Session
    setting: Setting
    done: Mapping[str, str]
    """By row key: the row of before that makes a new one needless."""
    noisy: Mapping[str, str]
    """By row key: the noisy row of before that a new one supersedes."""

    def rows(self, tasks: Iterable[Task]) -> list[Measurement]:
        """The current row of every task that has one: of this session, or found done."""
        where = place(self.session)
        keys = {key_at(where, task) for task in tasks}
        reused = {*self.done.values(), *self.noisy.values()}
        current = {
            key: row
            for key, taken, row in _keyed(self.ledger)
            if key in keys and (taken.id == self.session.id or row.id in reused)
        }
        return list(current.values())

    def history(self, tasks: Iterable[Task]) -> list[Measurement]:
        """Every row of the tasks that was taken where this session is, superseded ones apart."""
        where = place(self.session)
        keys = {key_at(where, task) for task in tasks}
        return [row for key, _, row in _keyed(self.ledger) if key in keys]


def prepare(asked: Asked, plan: Plan, digest: str = "") -> Sitting:
    """Open the ledger and find out what it has; nothing is written yet.

    `digest` is of what was asked, where the plan says only how the measurement begins: the same
    request goes on from the rows of its unfinished sessions.

    Raises:
        BadInputError: the ledger cannot be read or written.
    """
    ledger = Ledger(asked.results, skip_damaged=asked.skip_damaged)
    ledger.require_writable()
    variables = _variables(plan)
    session = _session(plan, variables, digest or plan.digest)
    done, noisy = _already(ledger, session, resume=asked.resume)
    setting = Setting(variables, plan.device.pin, asked.budget_s)
    return Sitting(ledger, plan, session, setting, done, noisy)


def measure(sitting: Sitting, watch: Watch, more: More | None = None) -> Outcome:
    """Measure the plan, then what `more` gives, as one session.

    Ctrl-C or SIGTERM ends the program with a sentence and exit code 130; the rows are kept.
    """
    ledger = sitting.ledger
    with ledger.begin(sitting.session) as writer, _terminable():
        sweep = Sweep(sitting.plan, sitting.session, writer, sitting.setting, watch)
        try:
            outcome = sweep.run(sitting.done, sitting.noisy, more)
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


def _variables(plan: Plan) -> dict[str, str]:
    if plan.procedure.profile == "deployed":
        return dict(os.environ) | dict(CAPS.get(plan.cap, {}))
    return stable_variables(os.environ, plan.device.threads, CAPS.get(plan.cap, {}))


def _session(plan: Plan, variables: dict[str, str], digest: str) -> Session:
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
        plan=digest,
    )


def _already(
    ledger: Ledger, session: Session, *, resume: bool | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Row keys that need no new row, and those whose noisy row may be superseded."""
    if resume is False:
        for _ in ledger.measurements():
            pass  # a ledger that cannot be read is told of before anything is measured
        return {}, {}
    sessions = None if resume else _unfinished(ledger, session.plan)
    done: dict[str, str] = {}
    noisy: dict[str, str] = {}
    for key, found, row in _keyed(ledger):
        if sessions is None or found.id in sessions:
            done.pop(key, None)
            noisy.pop(key, None)
            (noisy if row.noisy else done)[key] = row.id
    return done, noisy


def _unfinished(ledger: Ledger, digest: str) -> set[str]:
    """The sessions of this plan since it was last completed, the one at work left out."""
    found: set[str] = set()
    for record in ledger.sessions():
        if record.session.plan == digest:
            if record.status == "complete":
                found.clear()
            elif record.status != "live":
                found.add(record.session.id)
    return found


def _keyed(ledger: Ledger) -> Iterator[tuple[str, Session, Measurement]]:
    """Every current row with its session and row key."""
    places = Places()
    for session, row in ledger.measurements(current=True):
        yield key_at(places[session], row), session, row


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

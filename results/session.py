"""One run of a command, as the first line of its ledger file tells it. Knows no file."""

import re
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from results.environment import Environment, digest
from results.measurement import Procedure, Subject, Workload

SCHEMA = 1
"""Schema of the lines of a ledger file. One more for every change an old reader would misread.

1 (0.1.0): a `session` line, `measurement` lines, an `end` line when the command got that far.
What is not known of an imported row is null or an empty list; readers older than that refuse it.
"""

SESSION_ID = re.compile(r"\d{8}T\d{9}-[0-9a-f]{6}")


def session_id(now: datetime | None = None) -> str:
    """A new name such as `20250131T093000123-4f5a6b`: UTC to the millisecond, then chance."""
    utc = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}{utc.microsecond // 1000:03d}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Everything the rows of one run have in common."""

    id: str
    """Sorts by time; made by `session_id`."""
    started_utc: str
    tool: str
    """Version of subbert that measured."""
    argv: tuple[str, ...]
    seed: int | None
    """None where nothing was drawn by chance: rows were imported."""
    device: str
    device_digest: str
    """Digest of the device's definition: two definitions may share a name."""
    environment: Environment
    plan: str = ""
    """Digest of what was to be measured, so that an unfinished run can be recognised."""
    notes: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if not SESSION_ID.fullmatch(self.id):
            raise ValueError(f"{self.id!r} is no session id; session_id() makes one")


class Work(Protocol):
    """Something measured or planned: a `Measurement` is one, a line of a plan may be another."""

    @property
    def subject(self) -> Subject: ...
    @property
    def workload(self) -> Workload: ...
    @property
    def procedure(self) -> Procedure: ...


def place(session: Session) -> str:
    """Digest of where a session measured: device, hardware, software and settings."""
    return digest(session.device_digest, session.environment.fingerprint)


class Places:
    """The place of each session, worked out once: `places[session]`."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __getitem__(self, session: Session) -> str:
        if session.id not in self._known:
            self._known[session.id] = place(session)
        return self._known[session.id]


def row_key(session: Session, work: Work) -> str:
    """Digest that two rows share when the second would only measure the first again.

    The revision of the working directory, the seed and the stopping rule are no part of it.
    """
    return key_at(place(session), work)


def key_at(where: str, work: Work) -> str:
    """The `row_key` of work done at a `place`."""
    return digest(where, asdict(work.subject), asdict(work.workload), work.procedure.profile)

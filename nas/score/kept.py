"""Scores that a ledger has, and the session that new ones go to. Knows no network and no task."""

import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from profiler.environment import read_environment
from results.lines import EndStatus
from results.score import Score
from results.session import Session, session_id
from results.store import Ledger

if TYPE_CHECKING:
    from results.writer import SessionWriter


class Kept:
    """By key. A session begins with the first new score; without a folder nothing is written."""

    def __init__(self, root: Path | None, seed: int) -> None:
        """Read what is there.

        Raises:
            BadInputError: the ledger cannot be read or written.
        """
        self._seed = seed
        self._ledger = None if root is None else Ledger(root)
        self._writer: SessionWriter | None = None
        self._known: dict[str, Score] = {}
        if self._ledger is not None:
            self._ledger.require_writable()
            self._known = {score.key: score for _, score in self._ledger.scores()}

    def find(self, key: str) -> Score | None:
        """The score of that key, if it was ever kept."""
        return self._known.get(key)

    def next(self) -> tuple[str, str]:
        """Id and session of the row to come; both empty where nothing is written."""
        if self._ledger is None:
            return "", ""
        if self._writer is None:
            self._writer = self._ledger.begin(_session(self._seed))
        return self._writer.next_id, self._writer.session.id

    def add(self, score: Score) -> None:
        """On return it is on the disk."""
        if self._writer is not None:
            self._writer.append(score)
        self._known[score.key] = score

    def end(self, status: EndStatus) -> None:
        """Close the session, if one was begun; the next score begins another."""
        if self._writer is not None:
            with self._writer:
                self._writer.end(status)
            self._writer = None


def _session(seed: int) -> Session:
    now = datetime.now(UTC)
    return Session(
        id=session_id(now),
        started_utc=now.isoformat(timespec="milliseconds"),
        tool=version("subbert"),
        argv=(Path(sys.argv[0]).name, *sys.argv[1:]),
        seed=seed,
        device="",
        device_digest="",
        environment=read_environment(),
    )

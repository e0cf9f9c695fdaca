"""The ledger: a folder of session files that are only ever appended to. Knows no statistics.

`<root>/<yyyymm>/<session id>.jsonl`: a `session` line, then a line for each row (a measurement
or a score), then an `end` line unless the session died. Reading changes nothing on the disk.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from results.errors import BadInputError
from results.lines import MIGRATIONS, End, EndStatus, Migration
from results.measurement import Measurement
from results.reader import Damage, Found, read
from results.score import Score
from results.session import SESSION_ID, Session
from results.writer import SessionWriter, Write

MONTH = re.compile(r"\d{6}")

Status = EndStatus | Literal["live", "dead"]
"""How a session ended; or being written now; or killed before its last line."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session and what became of it."""

    session: Session
    status: Status
    rows: int
    noisy: int
    """Rows that were flagged when they were taken."""


class Ledger:
    """All sessions below one folder; a folder that is missing holds none."""

    def __init__(
        self,
        root: Path,
        *,
        skip_damaged: bool = False,
        migrations: Mapping[int, Migration] = MIGRATIONS,
    ) -> None:
        self.root = root
        self._skip_damaged, self._migrations = skip_damaged, migrations
        self._damage: dict[tuple[Path, int], Damage] = {}

    @property
    def damage(self) -> tuple[Damage, ...]:
        """The lines passed over so far: torn last ones, and bad ones if told to skip them."""
        return tuple(self._damage.values())

    def require_writable(self) -> None:
        """Find out before anything is measured whether rows could be kept.

        Raises:
            BadInputError: they could not.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            message = f"cannot write to the results folder {self.root} ({error.strerror})"
            raise BadInputError(f"{message}: choose another with --results") from error

    def begin(self, session: Session, write: Write = os.write) -> SessionWriter:
        """Open the file of a new session and write its first line."""
        return SessionWriter(self.path_of(session), session, write)

    def path_of(self, session: Session) -> Path:
        """Where a session is kept."""
        return self.root / session.id[:6] / f"{session.id}.jsonl"

    def sessions(self) -> tuple[SessionRecord, ...]:
        """Every session, oldest first."""
        records = (self._record(path) for path in self._paths())
        return tuple(record for record in records if record is not None)

    def measurements(self, *, current: bool = False) -> Iterator[tuple[Session, Measurement]]:
        """Every row, oldest first, one line at a time.

        With `current`, a row that a later one `supersedes` is left out.
        """
        hidden = self._superseded() if current else frozenset()
        for session, row in self._rows():
            if row.id not in hidden:
                yield session, row

    def scores(self) -> Iterator[tuple[Session, Score]]:
        """Every row that says how right a network is, oldest first."""
        for path in self._paths():
            for found in self._read(path):
                if isinstance(found.word, Score):
                    yield found.session, found.word

    def _paths(self) -> list[Path]:
        """The session files, in the order of their names, which is that of time."""
        try:
            if not self.root.exists():
                return []
            folders = sorted(f for f in self.root.iterdir() if MONTH.fullmatch(f.name))
            paths = [p for f in folders if f.is_dir() for p in sorted(f.iterdir())]
        except OSError as error:
            message = f"cannot read the results folder {error.filename} ({error.strerror})"
            raise BadInputError(f"{message}: choose another with --results") from error
        return [p for p in paths if _is_session_file(p)]

    def _rows(self) -> Iterator[tuple[Session, Measurement]]:
        for path in self._paths():
            for found in self._read(path):
                if isinstance(found.word, Measurement):
                    yield found.session, found.word

    def _superseded(self) -> frozenset[str]:
        seen, hidden = set[str](), set[str]()
        for _, row in self._rows():
            if row.supersedes in seen:
                hidden.add(row.supersedes)
            seen.add(row.id)
        return frozenset(hidden)

    def _record(self, path: Path) -> SessionRecord | None:
        record, rows, noisy = None, 0, 0
        status: Status = "dead"
        for found in self._read(path):
            if isinstance(found.word, Measurement):
                rows, noisy = rows + 1, noisy + found.word.noisy
            elif isinstance(found.word, Score):
                rows += 1
            elif isinstance(found.word, End):
                status = found.word.status
            else:
                status = "live" if found.live else "dead"
            record = SessionRecord(found.session, status, rows, noisy)
        return record

    def _read(self, path: Path) -> Iterator[Found]:
        return read(path, self._refuse, self._migrations)

    def _refuse(self, damage: Damage) -> None:
        if not (damage.torn or self._skip_damaged):
            raise BadInputError(f"{damage}: mend the line, or pass it over with --skip-damaged")
        self._damage[damage.path, damage.line] = damage


def _is_session_file(path: Path) -> bool:
    name = path.stem
    named = path.suffix == ".jsonl" and SESSION_ID.fullmatch(name) is not None
    return named and path.parent.name == name[:6] and path.is_file()

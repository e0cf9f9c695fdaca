"""Real processes that write at once and are killed in the middle lose no row they had written."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from results.store import Ledger
from tests.ledger_rows import ids

WRITER = """
import os, sys
from pathlib import Path
from results.store import Ledger
from tests.ledger_rows import measurement, session

piece = int(sys.argv[3])
of = session(int(sys.argv[2]))
with Ledger(Path(sys.argv[1])).begin(of, lambda fd, line: os.write(fd, line[:piece])) as writer:
    for n in range(1, int(sys.argv[4]) + 1):
        writer.append(measurement(of, n))
        os.write(1, f"{of.id}-{n}\\n".encode())
    writer.end("complete")
"""


def start_writer(
    root: Path, minutes: int, piece: int = 1 << 20, rows: int = 100_000
) -> subprocess.Popen[bytes]:
    """Another process that writes rows in pieces, and says the id of each row it has written."""
    arguments = [str(x) for x in (root, minutes, piece, rows)]
    here = str(Path(__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([here, *sys.path])}
    command = [sys.executable, "-c", WRITER, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def killed(writer: subprocess.Popen[bytes], after_s: float) -> list[str]:
    """Kill it that long after its first row; the ids of the rows it had written."""
    assert writer.stdout is not None
    first = writer.stdout.readline()
    time.sleep(after_s)
    writer.send_signal(signal.SIGKILL)
    with writer:
        rest = writer.stdout.read()
    return [line.decode() for line in (first + rest).split(b"\n")[:-1]]


def test_a_killed_session_keeps_every_row_whose_append_returned(tmp_path) -> None:
    ledger, rng = Ledger(tmp_path), random.Random(0)
    for minutes in range(4):
        writer = start_writer(tmp_path, minutes, piece=64)
        written = killed(writer, rng.uniform(0, 0.05))

        assert written
        assert set(written) <= set(ids(ledger))
    assert ["dead"] * 4 == [record.status for record in ledger.sessions()]
    assert all(d.torn for d in ledger.damage)


def test_a_session_can_be_read_while_it_is_written(tmp_path) -> None:
    ledger, writer = Ledger(tmp_path), start_writer(tmp_path, 0, piece=200)
    assert writer.stdout is not None
    writer.stdout.readline()

    counts = [len(ids(ledger))]
    while counts[-1] < counts[0] + 20 and writer.poll() is None:
        counts.append(len(ids(ledger)))
    killed(writer, 0)

    assert sorted(counts) == counts
    assert counts[-1] >= counts[0] + 20
    assert all(d.torn for d in ledger.damage)


def test_processes_that_write_at_once_do_not_disturb_each_other(tmp_path) -> None:
    ledger = Ledger(tmp_path)
    whole = [start_writer(tmp_path, minutes, rows=40) for minutes in range(3)]
    victim = start_writer(tmp_path, 3, piece=64)
    written = killed(victim, 0.03)
    for writer in whole:
        with writer:
            assert writer.stdout is not None
            written += writer.stdout.read().decode().split()

    assert set(written) <= set(ids(ledger))
    assert ["complete"] * 3 + ["dead"] == [record.status for record in ledger.sessions()]
    assert [40] * 3 == [record.rows for record in ledger.sessions()[:3]]
    assert all(d.torn for d in ledger.damage)
    assert len(ledger.damage) <= 1


def test_another_process_sees_that_a_session_is_live_until_it_is_killed(tmp_path) -> None:
    ledger, writer = Ledger(tmp_path), start_writer(tmp_path, 0)
    assert writer.stdout is not None
    writer.stdout.readline()

    assert "live" == ledger.sessions()[0].status
    killed(writer, 0)
    assert "dead" == ledger.sessions()[0].status

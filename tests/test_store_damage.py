"""A file that is torn, spoilt or cannot grow loses no more lines than were hit."""

import errno
import os
import resource
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results import writer as writer_module
from results.errors import BadInputError
from results.lines import to_line
from results.reader import whole_lines
from results.store import Ledger
from results.writer import SessionWriter
from tests.ledger_rows import ids, measurement, session


def append_until_it_fails(writer: SessionWriter) -> None:
    for n in range(1, 100):
        writer.append(measurement(writer.session, n))


def spoilt(root: Path, number: int, line: bytes) -> tuple[Ledger, Path]:
    """A ledger of one dead session with rows 1, 2, 3 on lines 2, 3, 4, one line replaced."""
    of = session()
    words = [of, *(measurement(of, n) for n in (1, 2, 3))]
    lines = [to_line(word) for word in words]
    lines[number - 1] = line
    path = Ledger(root).path_of(of)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))
    return Ledger(root), path


@pytest.mark.parametrize("kept", [1, 40, 500, -1])
def test_a_torn_last_line_loses_only_itself(tmp_path, kept) -> None:
    ledger, path = spoilt(tmp_path, 4, to_line(measurement(session(), 3))[:kept])

    assert [f"{path.stem}-1", f"{path.stem}-2"] == ids(ledger)
    assert [(path, 4, True)] == [(d.path, d.line, d.torn) for d in ledger.damage]
    assert "dead" == ledger.sessions()[0].status


def test_a_session_killed_before_its_header_was_whole_is_no_session(tmp_path) -> None:
    ledger, of = Ledger(tmp_path), session()
    ledger.path_of(of).parent.mkdir()
    ledger.path_of(of).touch()
    assert ((), ()) == (ledger.sessions(), ledger.damage)

    ledger.path_of(of).write_bytes(to_line(of)[:-1])

    assert () == ledger.sessions()
    assert [(1, True)] == [(d.line, d.torn) for d in ledger.damage]


def test_a_line_being_written_is_no_damage(tmp_path) -> None:
    ledger, of = Ledger(tmp_path), session()
    seen = []

    def slowly(fd: int, line: memoryview) -> int:
        seen.append((ids(ledger), ledger.damage))
        return os.write(fd, line[: len(line) // 2 + 1])

    with ledger.begin(of, slowly) as writer:
        writer.append(measurement(of))

    assert ([], ()) == seen[-1]
    assert [f"{of.id}-1"] == ids(ledger)


def test_what_is_appended_to_half_a_line_while_it_is_read_is_no_line_of_its_own() -> None:
    growing = [b"{}\n", b'{"kind":"measu', b'rement"}\n']

    assert [b"{}\n"] == list(whole_lines(growing, Path("a.jsonl"), None))


def test_every_line_is_on_the_disk_before_its_append_returns(tmp_path, monkeypatch) -> None:
    ledger, of, kept = Ledger(tmp_path), session(), [0]

    def fsync(fd: int) -> None:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            kept[0] = os.fstat(fd).st_size

    monkeypatch.setattr(os, "fsync", fsync)
    with ledger.begin(of) as writer:
        for n in (1, 2):
            writer.append(measurement(of, n))
            assert ledger.path_of(of).stat().st_size == kept[0]


def test_many_rows_are_on_the_disk_batch_by_batch(tmp_path, monkeypatch) -> None:
    ledger, of, kept = Ledger(tmp_path), session(), []
    monkeypatch.setattr(writer_module, "AT_ONCE", 2)
    with ledger.begin(of) as writer:
        monkeypatch.setattr(os, "fsync", lambda _: kept.append(len(ids(ledger))))

        writer.extend(measurement(of, n) for n in range(1, 6))

    assert [2, 4, 5] == kept


@pytest.mark.parametrize("short", [1, 700, 3000])
def test_a_batch_of_which_a_part_was_written_is_cut_off_whole(tmp_path, monkeypatch, short):
    ledger, of, room = Ledger(tmp_path), session(), [1 << 20]
    monkeypatch.setattr(writer_module, "AT_ONCE", 2)

    def limited(fd: int, lines: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(fd, lines[: room[0]])
        room[0] -= written
        return written

    with ledger.begin(of, limited) as writer:
        writer.extend(measurement(of, n) for n in (1, 2))
        room[0] = sum(len(to_line(measurement(of, n))) for n in (3, 4)) - short
        with pytest.raises(BadInputError, match="before is kept"):
            writer.extend(measurement(of, n) for n in (3, 4, 5))
        assert f"{of.id}-3" == writer.next_id
        assert [f"{of.id}-1", f"{of.id}-2"] == ids(ledger)
        room[0] = 1 << 20
        writer.extend(measurement(of, n) for n in (3, 4, 5))

    assert [f"{of.id}-{n}" for n in range(1, 6)] == ids(ledger)
    assert () == ledger.damage


def test_a_row_that_cannot_be_kept_takes_no_row_of_an_earlier_batch_with_it(
    tmp_path, monkeypatch
) -> None:
    ledger, of = Ledger(tmp_path), session()
    monkeypatch.setattr(writer_module, "AT_ONCE", 2)
    rows = [measurement(of, n) for n in (1, 2, 3, 4)]
    rows[3] = replace(rows[3], procedure=replace(rows[3].procedure, most_seconds=float("inf")))

    with ledger.begin(of) as writer, pytest.raises(BadInputError, match="cannot be kept"):
        writer.extend(rows)

    assert [f"{of.id}-1", f"{of.id}-2"] == ids(ledger)


BAD_LINES = {
    "no JSON": b"hello\n",
    "an empty line": b"\n",
    "NUL bytes": b"\0" * 4096 + b"\n",
    "binary": bytes(range(128, 256)) + b"\n",
    "half a row": to_line(measurement(session()))[:300] + b"\n",
    "not UTF-8 where nobody looks": b'{"kind":"end","x":"\xff","end":{"status":"complete"}}\n',
    "no object": b"[1, 2]\n",
    "no kind": b'{"measurement":{}}\n',
    "a field missing": b'{"kind":"measurement","measurement":{"id":"a"}}\n',
    "an impossible value": b'{"kind":"end","end":{"status":"well"}}\n',
    "nested without end": b'{"kind":"end","x":' + b"[" * 100_000 + b"\n",
    "a second header": to_line(session()),
    "a row of another session": to_line(measurement(session(3), 2)),
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
@pytest.mark.parametrize("number", [3, 4])
def test_a_bad_line_is_named_and_can_be_passed_over(tmp_path, line, number) -> None:
    ledger, path = spoilt(tmp_path, number, line)

    with pytest.raises(BadInputError, match=rf"{path.name} line {number}: .*--skip-damaged"):
        ids(ledger)

    patient = Ledger(tmp_path, skip_damaged=True)
    assert [f"{path.stem}-{n}" for n in (1, 2, 3) if n != number - 1] == ids(patient)
    assert [(number, False)] == [(d.line, d.torn) for d in patient.damage]


@pytest.mark.parametrize("line", [b"\0\n", b"{}\n", to_line(measurement(session()))])
def test_a_file_without_its_header_is_named_and_can_be_passed_over(tmp_path, line) -> None:
    ledger, path = spoilt(tmp_path, 1, line)

    with pytest.raises(BadInputError, match=rf"{path.name} line 1: .*--skip-damaged"):
        ledger.sessions()

    assert () == Ledger(tmp_path, skip_damaged=True).sessions()


def test_a_row_written_twice_counts_once(tmp_path) -> None:
    ledger, path = spoilt(tmp_path, 3, b"")
    twice = path.read_bytes().splitlines(keepends=True)[-1]
    path.write_bytes(path.read_bytes() + twice)

    with pytest.raises(BadInputError, match="second row with the id"):
        ids(ledger)


def test_a_renamed_file_is_not_a_second_session(tmp_path) -> None:
    ledger, path = spoilt(tmp_path, 3, b"")
    path.with_name(f"{session().id}.jsonl").write_bytes(path.read_bytes())

    with pytest.raises(BadInputError, match="header is that of another session"):
        ledger.sessions()


@given(st.integers(1, 4), st.binary(max_size=60))
@settings(deadline=None, max_examples=60)
def test_no_line_whatever_makes_reading_fail_in_an_unforeseen_way(tmp_path_factory, n, junk):
    root = tmp_path_factory.mktemp("ledger")
    ledger, path = spoilt(root, n, junk + b"\n")

    with pytest.raises(BadInputError, match=path.name):
        ids(ledger)
    kept = ids(Ledger(root, skip_damaged=True))

    assert ([] if n == 1 else [f"{path.stem}-{k}" for k in (1, 2, 3) if k != n - 1]) == kept


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_a_failed_write_leaves_whole_lines_and_says_that_the_rest_is_kept(
    tmp_path, number
) -> None:
    ledger, of, room = Ledger(tmp_path), session(), [10_000]

    def limited(fd: int, line: memoryview) -> int:
        if not room[0]:
            raise OSError(number, os.strerror(number))
        written = os.write(fd, line[: room[0]])
        room[0] -= written
        return written

    with ledger.begin(of, limited) as writer:
        with pytest.raises(BadInputError, match=f"{of.id}.*{os.strerror(number)}.*before is kept"):
            append_until_it_fails(writer)
        written = len(ids(ledger))
        room[0] = 1 << 20
        writer.append(measurement(of, 50))

    assert written > 1
    assert [*(f"{of.id}-{n + 1}" for n in range(written)), f"{of.id}-50"] == ids(ledger)
    assert () == ledger.damage


def test_a_file_that_the_system_lets_grow_no_further_holds_whole_lines(tmp_path) -> None:
    ledger, of = Ledger(tmp_path), session()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    with ledger.begin(of) as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))
        try:
            with pytest.raises(BadInputError, match="File too large"):
                append_until_it_fails(writer)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert ledger.path_of(of).read_bytes().endswith(b"}\n")
    assert 0 < len(ids(ledger)) < 8
    assert () == ledger.damage


def test_a_file_deleted_under_the_writer_is_noticed(tmp_path) -> None:
    ledger, of = Ledger(tmp_path), session()
    with ledger.begin(of) as writer:
        ledger.path_of(of).unlink()

        with pytest.raises(BadInputError, match="deleted while it was written"):
            writer.append(measurement(of))


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_results_folder_that_is_a_file_is_refused_before_anything_is_measured(
    tmp_path, below
) -> None:
    (tmp_path / "file").touch()
    ledger = Ledger(tmp_path / "file" / below)

    with pytest.raises(BadInputError, match=r"results folder .*choose another with --results"):
        ledger.require_writable()
    with pytest.raises(BadInputError, match="choose another --results folder"):
        ledger.begin(session())


def test_a_writable_folder_is_made_and_left_empty(tmp_path) -> None:
    Ledger(tmp_path / "a" / "b").require_writable()

    assert [] == list((tmp_path / "a" / "b").iterdir())

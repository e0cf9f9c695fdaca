"""The ledger gives back what was put in, in order, and knows what became of every session."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from results.errors import BadInputError
from results.measurement import Measurement
from results.session import Session, session_id
from results.store import Ledger
from results.writer import AT_ONCE
from tests.ledger_rows import START, ids, measurement, session


def keep(ledger: Ledger, of: Session, *rows: Measurement, end: str = "complete") -> None:
    with ledger.begin(of) as writer:
        for row in rows:
            writer.append(row)
        if end in ("complete", "interrupted", "budget"):
            writer.end(end)


def test_rows_come_back_as_they_were_with_their_session(tmp_path) -> None:
    ledger, of = Ledger(tmp_path), session()
    rows = [measurement(of, n) for n in (1, 2, 3)]

    keep(ledger, of, *rows)

    assert [(of, row) for row in rows] == list(ledger.measurements())


def test_sessions_are_read_in_the_order_of_time_whatever_the_order_of_writing(tmp_path) -> None:
    ledger = Ledger(tmp_path)
    late, early, middle = session(60 * 24 * 40), session(0), session(1)

    for of in (late, early, middle):
        keep(ledger, of, measurement(of))

    assert [f"{of.id}-1" for of in (early, middle, late)] == ids(ledger)
    assert [early, middle, late] == [record.session for record in ledger.sessions()]


def test_a_session_has_a_file_of_its_own_below_its_month(tmp_path) -> None:
    of = session()

    keep(Ledger(tmp_path), of)

    assert [tmp_path / "202501" / f"{of.id}.jsonl"] == list(tmp_path.rglob("*.*"))


def test_a_missing_and_an_empty_folder_are_empty_ledgers(tmp_path) -> None:
    for ledger in (Ledger(tmp_path), Ledger(tmp_path / "missing")):
        assert ((), []) == (ledger.sessions(), ids(ledger))

    assert not (tmp_path / "missing").exists()


def test_other_files_in_the_folder_are_passed_over(tmp_path) -> None:
    ledger, of = Ledger(tmp_path), session()
    keep(ledger, of, measurement(of))
    month = ledger.path_of(of).parent
    text = ledger.path_of(of).read_bytes()
    for stray in ("notes.txt", "copy of it.jsonl", f"{of.id}.jsonl~", f"{of.id} (1).jsonl"):
        (month / stray).write_bytes(text)
    (tmp_path / "202502").mkdir()
    (tmp_path / "202502" / f"{of.id}.jsonl").write_bytes(text)
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / f"{of.id}.jsonl").write_bytes(text)
    (month / f"{session_id(START)}.jsonl").mkdir()

    assert [f"{of.id}-1"] == ids(ledger)


@pytest.mark.parametrize("end", ["complete", "interrupted", "budget"])
def test_a_session_that_ended_says_how(tmp_path, end) -> None:
    ledger, of = Ledger(tmp_path), session()

    keep(ledger, of, measurement(of), measurement(of, 2, flags=("noise",)), end=end)

    (record,) = ledger.sessions()
    assert (of, end, 2, 1) == (record.session, record.status, record.rows, record.noisy)


def test_a_session_is_live_while_it_is_written_and_dead_when_it_stops_without_an_end(
    tmp_path,
) -> None:
    ledger, of = Ledger(tmp_path), session()

    with ledger.begin(of) as writer:
        at_first = ledger.sessions()[0].status
        writer.append(measurement(of))
        rows_meanwhile = ids(ledger)
        after_reading = ledger.sessions()[0].status
    at_last = ledger.sessions()[0].status

    assert ("live", [f"{of.id}-1"], "live") == (at_first, rows_meanwhile, after_reading)
    assert "dead" == at_last


def test_reading_changes_no_byte_and_leaves_no_file(tmp_path) -> None:
    ledger, of = Ledger(tmp_path), session()
    keep(ledger, of, measurement(of), end="dead")
    with ledger.path_of(of).open("ab") as file:
        file.write(b'{"kind":"measu')
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}

    ledger.sessions()
    ids(ledger, current=True)

    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*")}


def test_a_row_that_a_later_one_supersedes_is_not_current(tmp_path) -> None:
    ledger, first, second = Ledger(tmp_path), session(0), session(1)
    noisy = measurement(first, 1, flags=("noise",))
    keep(ledger, first, noisy, measurement(first, 2))
    keep(ledger, second, measurement(second, 1, supersedes=noisy.id))

    assert [f"{first.id}-2", f"{second.id}-1"] == ids(ledger, current=True)
    assert [f"{first.id}-1", f"{first.id}-2", f"{second.id}-1"] == ids(ledger)


def test_only_a_later_row_supersedes(tmp_path) -> None:
    ledger, of = Ledger(tmp_path), session()
    itself = measurement(of, 1, supersedes=f"{of.id}-1")
    an_earlier_one = measurement(of, 2, supersedes=f"{of.id}-3")

    keep(ledger, of, itself, an_earlier_one, measurement(of, 3))

    assert [f"{of.id}-{n}" for n in (1, 2, 3)] == ids(ledger, current=True)


def test_a_writer_hands_out_ids_and_takes_each_once(tmp_path) -> None:
    of = session()
    with Ledger(tmp_path).begin(of) as writer:
        assert f"{of.id}-1" == writer.next_id
        writer.append(measurement(of, 1))
        assert f"{of.id}-2" == writer.next_id

        with pytest.raises(ValueError, match="taken"):
            writer.append(measurement(of, 1))
        with pytest.raises(ValueError, match="none of"):
            writer.append(measurement(session(5), 1))


@pytest.mark.parametrize("count", [0, 1, AT_ONCE, AT_ONCE + 1])
def test_many_rows_are_kept_in_their_order_with_those_before_and_after(tmp_path, count) -> None:
    ledger, of = Ledger(tmp_path), session()
    row = measurement(of, 1)

    with ledger.begin(of) as writer:
        writer.append(row)
        writer.extend(replace(row, id=f"{of.id}-{n}") for n in range(2, count + 2))
        assert f"{of.id}-{count + 2}" == writer.next_id
        writer.append(measurement(of, count + 2))

    assert [f"{of.id}-{n}" for n in range(1, count + 3)] == ids(ledger)


def test_an_id_is_taken_once_among_many_rows_too(tmp_path) -> None:
    ledger, of = Ledger(tmp_path), session()
    first, second = measurement(of, 1), measurement(of, 2)
    with ledger.begin(of) as writer:
        writer.extend([first])

        with pytest.raises(ValueError, match="taken"):
            writer.extend([second, second])
        with pytest.raises(ValueError, match="taken"):
            writer.extend([second, first])
        with pytest.raises(ValueError, match="none of"):
            writer.extend([second, measurement(session(5), 3)])
        writer.extend([second])

    assert [first.id, second.id] == ids(ledger)


def test_nothing_can_be_written_after_the_end(tmp_path) -> None:
    of = session()
    with Ledger(tmp_path).begin(of) as writer:
        writer.end("complete")

        with pytest.raises(ValueError, match="closed"):
            writer.append(measurement(of))


def test_two_sessions_cannot_share_a_file(tmp_path) -> None:
    ledger, of = Ledger(tmp_path), session()
    keep(ledger, of, measurement(of))

    with pytest.raises(BadInputError, match="File exists"):
        ledger.begin(of)

    assert [f"{of.id}-1"] == ids(ledger)


def test_the_ledger_loads_no_number_crunching() -> None:
    heavy = "numpy", "pandas", "torch", "onnxruntime", "matplotlib"
    probe = f"import sys, results.store; sys.exit(bool(set(sys.modules) & set({heavy})))"
    root = Path(__file__).parent.parent

    assert 0 == subprocess.run([sys.executable, "-c", probe], check=False, cwd=root).returncode

"""What names a session, and which rows say the same thing twice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from results.measurement import Procedure, Subject, Workload
from results.session import Session, row_key, session_id
from tests.ledger_rows import ENVIRONMENT, START, TINY, measurement, session


def test_session_ids_sort_by_time_in_any_zone() -> None:
    east = datetime(2025, 1, 31, 12, 0, tzinfo=timezone(timedelta(hours=9)))
    times = [east, START, START + timedelta(milliseconds=1), datetime(2025, 11, 1, tzinfo=UTC)]

    names = [session_id(t) for t in times]

    assert sorted(names) == names
    assert len({session_id(START) for _ in range(50)}) > 1


def test_a_session_cannot_be_named_out_of_its_folder() -> None:
    with pytest.raises(ValueError, match="no session id"):
        session(id="../../etc/passwd")


def test_a_row_is_not_measured_again_for_another_seed_revision_or_patience() -> None:
    of, again = session(), session(9, seed=8, environment=replace(ENVIRONMENT, git="f00"))
    patient = Procedure(most_seconds=99.0, processes=3)

    assert row_key(of, measurement(of)) == row_key(
        again, measurement(again, 5, seed=8, procedure=patient)
    )


def elsewhere(part: str, **changes: str) -> Session:
    """A session in an environment of which one part is different."""
    changed = replace(getattr(ENVIRONMENT, part), **changes)
    return session(environment=replace(ENVIRONMENT, **{part: changed}))


@pytest.mark.parametrize(
    ("of", "changes"),
    [
        (session(device_digest="another"), {}),
        (elsewhere("hardware", cpu="another"), {}),
        (elsewhere("software", libc="another"), {}),
        (elsewhere("settings", smt="off"), {}),
        (session(), {"subject": Subject(TINY, "dynamic", "onnxruntime")}),
        (session(), {"subject": Subject(TINY, "fp32", "onnxruntime", "a@sha256:0")}),
        (session(), {"workload": Workload(threads=2)}),
        (session(), {"procedure": Procedure(profile="deployed")}),
    ],
)
def test_another_place_subject_workload_or_profile_is_another_row(of, changes) -> None:
    assert row_key(session(), measurement(session())) != row_key(of, measurement(of, **changes))

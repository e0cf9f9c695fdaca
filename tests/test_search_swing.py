"""A machine whose speed moves is told, by what its anchors took from session to session."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.search.swing import swings
from results.choice import Measured
from results.store import Ledger
from tests.ledger_rows import ENVIRONMENT, measurement, series, session


def kept(folder: Path, *levels: float, device: str = "here", cpu: str = "One") -> list[Measured]:
    """A session for each level of the anchor, in milliseconds; what their rows say."""
    found = []
    for number, level in enumerate(levels):
        hardware = replace(ENVIRONMENT.hardware, cpu=cpu)
        environment = replace(ENVIRONMENT, hardware=hardware)
        there = session(number + 60 * len(device), device=device, environment=environment)
        row = measurement(there, device=device)
        beside = series(level_ns=int(level * 1e6), seed=number)
        row = replace(row, runs=(replace(row.runs[0], anchor=beside),))
        with Ledger(folder).begin(there) as writer:
            writer.append(row)
        found.append(Measured(device=device, runtime="onnxruntime", tokens=128, ms=1.0, lower=1.0,
                              upper=1.0, rows=(row.id,)))  # fmt: skip
    return found


def test_the_slowest_session_is_compared_with_the_usual_one(tmp_path: Path) -> None:
    measured = kept(tmp_path, 4.0, 5.2, 4.0, 3.6, 4.0)

    (found,) = swings(tmp_path, measured[-1:])

    assert ("here", 5) == (found.device, found.sessions)
    assert pytest.approx(1.3, rel=0.02) == found.slowest
    assert pytest.approx(0.9, rel=0.02) == found.fastest


def test_other_machines_do_not_count(tmp_path: Path) -> None:
    here = kept(tmp_path, 4.0, 4.0, 4.0)
    there = kept(tmp_path, 8.0, 12.0, 8.0, device="there", cpu="Two")

    one, other = swings(tmp_path, [here[0], there[0], here[1]])

    assert [("here", 3), ("there", 3)] == [(x.device, x.sessions) for x in (one, other)]
    assert pytest.approx(1.0, rel=0.02) == one.slowest
    assert pytest.approx(1.5, rel=0.02) == other.slowest


def test_where_nothing_was_measured_nothing_is_said(tmp_path: Path) -> None:
    kept(tmp_path, 4.0)

    assert () == swings(tmp_path, [])

"""Rows about how right a network is, beside those about how fast it is."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from typer.testing import CliRunner

from bench.cli import app
from results.errors import BadInputError
from results.lines import LineError, from_line, to_line
from results.score import Score, wilson
from results.session import Session
from results.store import Ledger
from tests.ledger_rows import TINY, ids, measurement, session


def score(of: Session, number: int = 1, **changes: Any) -> Score:
    """Row `number` of a session."""
    facts: dict[str, Any] = {
        "id": f"{of.id}-{number}",
        "session": of.id,
        "key": "0" * 64,
        "architecture": TINY,
        "scheme": "int8-dynamic",
        "runtime": "onnxruntime",
        "source": "supernet@sha256:0123456789abcdef",
        "task": "colours",
        "data": "made up",
        "split": "dev",
        "examples": 4,
        "split_digest": "1" * 64,
        "most_tokens": 128,
        "calibration": "",
        "seed": 0,
        "metrics": {"accuracy": 0.75, "f1-macro": 0.6},
        "loss": 0.5,
        "predictions": (0, 2, 1, 1),
        "weight_bytes": 1000,
        "seconds": 0.25,
    }
    return Score(**facts | changes)


@pytest.mark.parametrize("found", [(0, 51, 7), (0.5, 2.0, -1e-7), ("", "a word", "ä\n")])
def test_a_row_comes_back_as_it_was_written(found: tuple[Any, ...]) -> None:
    row = score(session(), examples=3, predictions=found)

    again = from_line(to_line(row))

    assert row == again
    assert isinstance(again, Score)
    assert [type(x) for x in found] == [type(x) for x in again.predictions]


def test_scores_and_measurements_of_one_ledger_are_kept_apart(tmp_path: Path) -> None:
    ledger, of = Ledger(tmp_path), session()
    with ledger.begin(of) as writer:
        writer.append(measurement(of, 1))
        writer.append(score(of, 2))
        writer.append(measurement(of, 3))
        writer.end("complete")

    assert [f"{of.id}-1", f"{of.id}-3"] == ids(ledger)
    assert [(of, score(of, 2))] == list(ledger.scores())
    (record,) = ledger.sessions()
    assert ("complete", 3) == (record.status, record.rows)


@pytest.mark.parametrize("options", [["--json"], ["--sessions"], ["--all"], []])
def test_bench_rows_lists_the_measurements_of_a_ledger_with_scores(
    tmp_path: Path, options: list[str]
) -> None:
    ledger, of = Ledger(tmp_path), session()
    with ledger.begin(of) as writer:
        writer.append(measurement(of, 1))
        writer.append(score(of, 2))

    told = CliRunner().invoke(app, ["rows", "--results", str(tmp_path), *options])

    assert 0 == told.exit_code, told.output
    assert of.id in told.output
    assert "colours" not in told.output


def test_bench_rows_says_that_a_ledger_of_scores_has_no_measurements(tmp_path: Path) -> None:
    of = session()
    with Ledger(tmp_path).begin(of) as writer:
        writer.append(score(of))

    told = CliRunner().invoke(app, ["rows", "--results", str(tmp_path)])

    assert 0 == told.exit_code
    assert "holds no rows yet" in told.output


def test_a_killed_session_of_scores_is_dead_not_live(tmp_path: Path) -> None:
    of = session()
    with Ledger(tmp_path).begin(of) as writer:
        writer.append(score(of))
        assert "live" == Ledger(tmp_path).sessions()[0].status

    assert "dead" == Ledger(tmp_path).sessions()[0].status


def test_a_row_of_another_session_is_refused(tmp_path: Path) -> None:
    one, other = session(), session(1)
    ledger = Ledger(tmp_path)
    with ledger.begin(one) as writer:
        writer.append(score(one))
        with pytest.raises(ValueError, match="is none of"):
            writer.append(score(other))
        with pytest.raises(ValueError, match="is taken"):
            writer.append(score(one))
    path = ledger.path_of(one)
    path.write_bytes(path.read_bytes() + to_line(score(other)))

    with pytest.raises(BadInputError, match="a row of another session"):
        list(ledger.scores())


def test_what_would_not_come_back_is_not_written() -> None:
    with pytest.raises(LineError):
        to_line(score(session(), loss=math.nan))


def test_a_line_with_fewer_answers_than_examples_is_damaged() -> None:
    line = json.loads(to_line(score(session())))
    line["score"]["predictions"].pop()

    with pytest.raises(LineError, match="3 predictions for 4 examples"):
        from_line(json.dumps(line).encode())


def test_the_interval_is_that_of_the_first_share_of_examples() -> None:
    of = session()

    assert wilson(3, 4) == score(of).interval
    assert wilson(1, 4) == score(of, metrics={"span-f1": 0.9, "exact": 0.25}).interval
    assert None is score(of, metrics={"pearson": 0.5}).interval


@given(st.integers(1, 5000), st.data())
def test_wilsons_interval_is_scipys(examples: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, examples))

    expected = binomtest(right, examples).proportion_ci(0.95, "wilson")

    assert pytest.approx((expected.low, expected.high), abs=1e-12) == wilson(right, examples)


@pytest.mark.parametrize(("right", "examples"), [(-1, 4), (5, 4), (0, 0)])
def test_no_share_no_interval(right: int, examples: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        wilson(right, examples)

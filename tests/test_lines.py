"""A line gives back the word that was put into it, in this schema and in every one before."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.architecture import Architecture, Layer
from results.environment import Environment
from results.errors import BadInputError
from results.lines import End, LineError, from_line, to_line
from results.measurement import (
    Contention,
    Measurement,
    Procedure,
    Run,
    Series,
    Subject,
    Workload,
)
from results.session import SCHEMA, Session, session_id
from results.store import Ledger
from tests.ledger_rows import UNEVEN, ids, measurement, session

FIXTURE = Path(__file__).parent / "data" / "ledger-v1"

wholes = st.integers()
reals = st.floats(allow_nan=False, allow_infinity=False)
sizes = st.integers(1, 4096)
layers = st.builds(
    lambda heads, width, ffn: Layer(heads, heads * width, ffn), st.integers(1, 16), sizes, sizes
)
architectures = st.builds(
    Architecture, sizes, st.lists(layers, min_size=1, max_size=4).map(tuple), sizes, sizes, sizes
)
subjects = st.builds(Subject, architecture=st.none() | architectures)
workloads = st.builds(Workload, sizes, sizes, st.integers(1, 1024))
procedures = st.builds(
    Procedure,
    profile=st.sampled_from(["stable", "deployed"]),
    target_error=st.floats(0.001, 0.5),
    noisy_error=st.floats(0.5, 0.9),
    least_rounds=st.integers(1, 9),
    most_rounds=st.integers(9, 99),
    most_seconds=st.floats(0.1, 1e6),
    processes=sizes,
)


@st.composite
def a_series(draw: st.DrawFn, visits: int) -> Series:
    lengths = draw(st.lists(st.integers(1, 3), min_size=visits, max_size=visits))
    n = sum(lengths)
    column = st.lists(wholes, min_size=n, max_size=n).map(tuple)
    times = st.lists(st.integers(1), min_size=n, max_size=n).map(tuple)
    wall, cpu = draw(times), draw(times | st.just(()))
    columns = cpu, *(draw(column | st.just(())) for _ in range(2))
    return Series(wall, *columns, tuple(lengths), draw(st.lists(wholes, max_size=3).map(tuple)))


@st.composite
def a_run(draw: st.DrawFn) -> Run:
    visits = draw(st.integers(1, 3))
    anchor = draw(st.none() | a_series(visits))
    rest = st.builds(
        dict,
        warmup_calls=wholes,
        steady=st.none() | st.booleans(),
        anchor_name=st.text(),
        contention=st.none() | st.builds(Contention, reals, load1=st.none() | reals),
    )
    return Run(draw(a_series(visits)), anchor, **draw(rest))


measurements = st.builds(
    Measurement,
    subject=subjects,
    workload=workloads,
    procedure=procedures,
    runs=st.lists(a_run(), min_size=1, max_size=2).map(tuple),
    flags=st.lists(st.text(), max_size=2).map(tuple),
    notes=st.dictionaries(st.text(), st.text(), max_size=2),
)
sessions = st.builds(
    Session,
    id=st.integers(0, 2**32).map(lambda s: session_id(datetime.fromtimestamp(s, UTC))),
    environment=st.from_type(Environment),
    schema=st.just(SCHEMA),
)
ends = st.builds(End, st.sampled_from(["complete", "interrupted", "budget"]), st.text())


@given(sessions | measurements | ends)
@settings(deadline=None, max_examples=150)
def test_every_word_survives_its_line(word) -> None:
    line = to_line(word)

    assert word == from_line(line)
    assert 1 == line.count(b"\n")


def test_what_is_not_known_of_a_row_comes_back_unknown() -> None:
    run = Run(Series((5,), (), (), (), (1,)), steady=None)
    unknown = dict.fromkeys(("cold", "seed", "model_bytes", "peak_rss_bytes"))
    row = measurement(session(), runs=(run,), **unknown)

    assert row == from_line(to_line(row))


@pytest.mark.parametrize("name", ["cpu_ns", "switches", "faults"])
def test_a_column_is_as_long_as_wall_time_or_empty(name) -> None:
    columns = {"wall_ns": (5, 6), "cpu_ns": (5, 6), "switches": (0, 0), "faults": (0, 0)}

    assert () == getattr(Series(**columns | {name: ()}, visits=(2,)), name)
    with pytest.raises(ValueError, match=f"{name} has 1 samples, wall_ns has 2"):
        Series(**columns | {name: (5,)}, visits=(2,))


@pytest.mark.parametrize("name", ["wall_ns", "cpu_ns"])
@pytest.mark.parametrize("shortest", [0, -7])
def test_a_sample_takes_time(name, shortest) -> None:
    columns = {"wall_ns": (5, 6), "cpu_ns": (5, 6), "switches": (0, 0), "faults": (0, 0)}

    with pytest.raises(ValueError, match=f"{name} has a sample of {shortest} ns"):
        Series(**columns | {name: (5, shortest)}, visits=(2,))


@given(sessions | measurements)
@settings(deadline=None, max_examples=30)
def test_a_line_is_json_that_names_its_kind(word) -> None:
    tree = json.loads(to_line(word))

    kind = "session" if isinstance(word, Session) else "measurement"
    assert [kind, word.id] == [tree["kind"], tree[kind]["id"]]


def test_a_number_that_would_not_come_back_is_not_written() -> None:
    run = Run(measurement(session()).runs[0].subject, contention=Contention(float("nan")))

    with pytest.raises(LineError, match="seconds"):
        to_line(measurement(session(), runs=(run,)))


def test_bytes_of_a_command_line_that_are_no_text_do_not_stop_the_session() -> None:
    of = session(argv=("bench", "--results", "caf\udce9"))

    back = from_line(to_line(of))

    assert isinstance(back, Session)
    assert ("bench", "--results", "caf?") == back.argv


def rewritten(root: Path, change) -> Ledger:
    """A ledger of one session with two rows, each line changed as plain JSON."""
    of = session()
    words = [of, measurement(of, 1), measurement(of, 2), End("complete")]
    trees = [change(json.loads(to_line(word))) for word in words]
    path = Ledger(root).path_of(of)
    path.parent.mkdir()
    path.write_bytes(b"".join(msgspec.json.encode(tree) + b"\n" for tree in trees))
    return Ledger(root)


def test_fields_and_kinds_of_a_later_version_are_passed_over(tmp_path) -> None:
    def later(tree: dict) -> dict:
        if tree["kind"] == "end":
            return {"kind": "remark", "text": "by a later version"}
        tree[tree["kind"]]["invented_later"] = [1, {"a": None}]
        return tree | {"invented_later": True}

    ledger = rewritten(tmp_path, later)

    assert ["1", "2"] == [name.rpartition("-")[2] for name in ids(ledger)]
    assert () == ledger.damage


def test_a_newer_schema_asks_for_an_upgrade_even_if_damage_may_be_skipped(tmp_path) -> None:
    def newer(tree: dict) -> dict:
        if tree["kind"] == "session":
            return {"kind": "session", "session": {"schema": SCHEMA + 1, "all": "is different"}}
        return tree

    rewritten(tmp_path, newer)

    with pytest.raises(
        BadInputError, match=r"newer subbert \(ledger schema 2.*up to 1\): upgrade"
    ):
        ids(Ledger(tmp_path, skip_damaged=True))


def older(tree: dict) -> dict:
    """As an imaginary schema 0 would have said it: tokens were called length."""
    if tree["kind"] == "session":
        tree["session"]["schema"] = SCHEMA - 1
    if tree["kind"] == "measurement":
        workload = tree["measurement"]["workload"]
        workload["length"] = workload.pop("tokens")
    return tree


def newer(tree: dict) -> dict:
    if tree["kind"] == "measurement":
        workload = tree["measurement"]["workload"]
        workload["tokens"] = workload.pop("length")
    return tree


def test_an_older_schema_is_led_to_this_one(tmp_path) -> None:
    rewritten(tmp_path, lambda tree: older(tree | {}))
    ledger = Ledger(tmp_path, migrations={SCHEMA - 1: newer})

    rows = list(ledger.measurements())

    assert [(SCHEMA, Workload())] * 2 == [(of.schema, row.workload) for of, row in rows]


def test_a_schema_nobody_knows_is_damage(tmp_path) -> None:
    ledger = rewritten(tmp_path, lambda tree: older(tree | {}))

    with pytest.raises(BadInputError, match=r"line 1: no subbert ever wrote schema 0"):
        ids(ledger)


def test_the_ledger_written_by_the_first_version_can_be_read() -> None:
    ledger = Ledger(FIXTURE)
    first, second, third = "20250131T093000000-a1b2c3", "20250131T094400125-0d9e8f", "20250209"

    statuses = [(r.session.id[: len(third)], r.status, r.rows, r.noisy) for r in ledger.sessions()]
    rows = {row.id: row for _, row in ledger.measurements()}

    assert [
        ("20250131", "complete", 3, 1),
        ("20250131", "budget", 2, 0),
        ("20250209", "dead", 1, 0),
    ] == statuses
    assert [(3, True)] == [(d.line, d.torn) for d in ledger.damage]
    assert f"{first}-2" == rows[f"{second}-1"].supersedes
    assert f"{first}-2" not in ids(ledger, current=True)
    assert (UNEVEN, Workload(2, 64, 1)) == (
        rows[f"{first}-3"].subject.architecture,
        rows[f"{first}-3"].workload,
    )
    assert (2, 12) == (
        len(rows[f"{second}-1"].runs),
        len(rows[f"{second}-1"].runs[0].subject.cpu_ns),
    )
    assert rows[f"{second}-2"].subject.architecture is None

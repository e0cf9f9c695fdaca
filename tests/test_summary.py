"""What is said of rows: counts, speed-ups, drift, progress and the chart's data."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.chart import draw, points, require_format
from bench.live import Live, noise
from bench.plan import Block, Task
from bench.summary import lines, scaled, tables
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Cold, Measurement, Procedure, Run, Series, Subject, Workload
from results.session import Session
from results.stats import label
from tests.ledger_rows import session

SMALL, LARGE = (Architecture.uniform(n, 48, 2, 48, 64) for n in (1, 4))


def row(
    architecture: Architecture,
    scheme: str,
    milliseconds: float,
    anchor_ms: float = 1.0,
    **changes: object,
) -> Measurement:
    def series(ms: float) -> Series:
        ns = (int(ms * 1e6),) * 6
        return Series(ns, ns, (0,) * 6, (0,) * 6, (1,) * 6)

    made = Measurement(
        id=f"{architecture} {scheme} {milliseconds}",
        session="s",
        device="d",
        subject=Subject(architecture, scheme, "torch"),
        workload=Workload(),
        procedure=Procedure(),
        runs=(Run(series(milliseconds), series(anchor_ms), "anchor"),),
        cold=Cold(1, 1, 1),
        seed=0,
        model_bytes=1,
        peak_rss_bytes=1,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


ROWS = [
    row(SMALL, "fp32", 4.0),
    row(SMALL, "int8-dynamic", 1.0),
    row(LARGE, "fp32", 9.0, flags=("noisy",)),
    row(LARGE, "int8-dynamic", 4.5),
]
LABELS = {r.id: label(r) for r in ROWS}


def test_the_speed_up_is_taken_network_by_network() -> None:
    floats, integers = lines(ROWS, LABELS)

    assert floats.speed_up is None
    assert 3.0 == pytest.approx(integers.speed_up)  # the median of 4 and 2
    assert (4.0, 6.5, 9.0) == pytest.approx((floats.min_ms, floats.median_ms, floats.max_ms))


def test_a_later_row_of_the_same_network_takes_the_place_of_the_earlier() -> None:
    again = row(SMALL, "fp32", 5.0)
    labels = LABELS | {again.id: label(again)}

    floats, _ = lines([*ROWS, again], labels)

    assert (2, 5.0) == (floats.rows, pytest.approx(floats.min_ms))


def test_the_share_of_noisy_rows_is_of_the_scheme_s_own() -> None:
    assert [0.5, 0.0] == [line.noisy for line in lines(ROWS, LABELS)]


def test_each_workload_has_a_table_of_its_own() -> None:
    longer = replace(ROWS[0], id="longer", workload=Workload(tokens=512))
    labels = LABELS | {"longer": label(longer)}

    drawn = [str(table.title) for table in tables(lines([*ROWS, longer], labels), "d")]

    assert [f"d: latency in ms, batch 1 of {n} tokens" for n in (128, 512)] == drawn


def sessions() -> tuple[Session, Session, Session]:
    return session(0), session(1), session(2, device_digest="elsewhere")


def test_labels_stand_on_the_scale_of_all_sessions_at_the_same_place() -> None:
    here, other, elsewhere = sessions()
    mine = row(SMALL, "fp32", 4.0, anchor_ms=2.0, session=here.id, id="mine")
    theirs = row(SMALL, "fp32", 2.0, anchor_ms=1.0, session=other.id, id="theirs")
    foreign = row(SMALL, "fp32", 2.0, anchor_ms=50.0, session=elsewhere.id, id="foreign")

    found = scaled([(here, mine), (other, theirs), (elsewhere, foreign)], here)

    assert {"mine", "theirs"} == set(found.labels)
    assert 2 == found.sessions
    middle = 2 * 2**0.5  # of sessions at 4 ms and 2 ms, by ratio
    assert middle == pytest.approx(found.labels["mine"].latency_ms)
    assert middle == pytest.approx(found.labels["theirs"].latency_ms)
    assert 2**0.5 - 1 == pytest.approx(found.drift)
    assert pytest.approx({here.id: 2**0.5 - 1, other.id: 0.5**0.5 - 1}) == found.drifts


def test_the_progress_line_tells_done_rate_network_and_noise() -> None:
    screen = io.StringIO()
    live = Live(Console(file=screen, width=120, force_terminal=True, highlight=False))
    task = Task(ROWS[0].subject, ROWS[0].workload, ROWS[0].procedure)

    live.begin(4, 1, (1,))
    live.block(Block("torch", Workload(), (task,)), retry=0)
    live.row(ROWS[0])
    live.failed(task, "no such kernel")
    live.failed(task, "no such kernel")
    live.end()

    told = screen.getvalue()
    assert "4 rows on CPU 1, 1 already in the ledger" in told
    assert "2/4" in told
    assert "/min" in told
    assert f"torch: {SMALL}" in told
    assert "quiet, 0 noisy" in told
    assert 1 == told.count("no such kernel")


def test_noise_is_judged_by_the_clock_that_shows_it() -> None:
    (run,) = ROWS[0].runs
    slow = tuple(2 * ns for ns in run.subject.wall_ns)
    shared = replace(run, subject=replace(run.subject, wall_ns=slow))
    cut = replace(run, subject=replace(run.subject, switches=(1,) * 6))

    assert "quiet" == noise(ROWS[0])
    assert "CPU shared 2.0 x" == noise(replace(ROWS[0], runs=(shared,)))
    two = replace(ROWS[0], workload=Workload(threads=2))
    assert "quiet" == noise(two)
    assert "100% interrupted" == noise(replace(two, runs=(cut,)))


def test_the_chart_shows_work_and_latency_of_every_known_network() -> None:
    foreign = replace(ROWS[0], id="foreign", subject=Subject(None, "as-is", "onnxruntime", "m"))

    drawn = points([*ROWS, foreign], LABELS | {"foreign": label(foreign)})

    assert 4 == len(drawn)
    assert SMALL.macs(128) / 1e6 == drawn[0]["mmacs"]


def test_a_chart_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no known networks"):
        draw([], {}, "d", tmp_path / "c.png")


@pytest.mark.parametrize("name", ["c.svg", "c", "missing/c.png"])
def test_a_chart_nobody_can_write_is_refused_before_measuring(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="--plot"):
        require_format(tmp_path / name)


def test_a_png_is_a_png(tmp_path: Path) -> None:
    draw(ROWS, LABELS, "d", tmp_path / "c.png")

    assert b"\x89PNG" == (tmp_path / "c.png").read_bytes()[:4]

"""`bench rows import` takes a seed's latency data set in once, whole, and invents nothing."""

import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.rows import app
from results import stats
from results.architecture import Architecture
from results.environment import Hardware
from results.errors import BadInputError
from results.measurement import Run, Series, Subject, Workload
from results.notation import read_latency_tsv, write_latency_tsv
from results.store import Ledger
from tests.ledger_rows import TINY, UNEVEN, measurement, session

SEEDS = Path(__file__).parent / "data" / "seed_latencies.tsv"
WRITTEN_BY_A_SEED = [
    (Architecture.uniform(4, 312, 12, 312, 1200), 16.76),
    (Architecture.uniform(1, 120, 12, 180, 128), 2.5),
]
SEED_LINE = SEEDS.read_text(encoding="utf-8").splitlines()[0]


def run(*arguments: object) -> str:
    """What the command prints when all is well."""
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert (0, "") == (done.exit_code, done.stderr)
    return done.stdout


def imported(file: Path, root: Path, *more: object) -> str:
    return run("import", file, "--device", "xeon", "--results", root, *more)


def refused(file: Path, root: Path, *more: object) -> str:
    """The one sentence in which it is refused."""
    words = ["import", file, "--results", root, "--device", "xeon", *more]
    with pytest.raises(BadInputError) as caught:
        CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def latencies(root: Path) -> list[tuple[Architecture | None, float]]:
    return [
        (row.subject.architecture, row.runs[0].subject.wall_ns[0] / 1e6)
        for _, row in Ledger(root, skip_damaged=True).measurements()
    ]


def data_set(path: Path, count: int) -> list[tuple[Architecture, float]]:
    """A file of so many lines, all of them different."""
    rows = [(Architecture.uniform(1, 12 * n, 12, 12, 64), n / 4) for n in range(1, count + 1)]
    write_latency_tsv(path, rows)
    return rows


def test_a_seed_s_file_becomes_rows_with_its_networks_and_means(tmp_path) -> None:
    said = imported(SEEDS, tmp_path)

    assert f"imported 2 rows of xeon from {SEEDS}\n" == said
    assert WRITTEN_BY_A_SEED == latencies(tmp_path)


def test_a_row_says_what_the_person_says_and_leaves_the_rest_unknown(tmp_path) -> None:
    words = ("--cpu", "Xeon  E7-4850 v2", "--scheme", "int8-dynamic", "--runtime", "onnxruntime")
    imported(SEEDS, tmp_path, *words, "--tokens", 64, "--batch", 2, "--threads", 3)

    (of, row), _ = Ledger(tmp_path).measurements()
    assert Hardware("unknown", "Xeon E7-4850 v2") == of.environment.hardware
    assert {"unknown"} == {of.environment.settings.governor, of.environment.software.kernel}
    digest = hashlib.sha256(SEEDS.read_bytes()).hexdigest()
    notes = {"file": "seed_latencies.tsv", "sha256": digest, "sample": "mean"}
    assert (notes, None, "xeon") == (of.notes, of.seed, of.device)
    network = WRITTEN_BY_A_SEED[0][0]
    assert Subject(network, "int8-dynamic", "onnxruntime", source="") == row.subject
    assert (Workload(2, 64, 3), "xeon", "seed-tsv") == (row.workload, row.device, row.origin)
    mean = Series((16_760_000,), cpu_ns=(), switches=(), faults=(), visits=(1,))
    assert (Run(mean, steady=None, stopped_by=""),) == row.runs
    nothing = row.cold, row.seed, row.model_bytes, row.peak_rss_bytes
    assert ((None,) * 4, "", "", ()) == (nothing, row.isa, row.measured_utc, row.flags)
    assert ("deployed", "wall") == (row.procedure.profile, stats.clock_of(row))


def test_imported_rows_are_listed_among_measured_ones_with_what_is_known(tmp_path) -> None:
    of = session()
    with Ledger(tmp_path).begin(of) as writer:
        writer.append(measurement(of))
    imported(SEEDS, tmp_path)

    _, *lines = run("--results", tmp_path)[:-1].split("\n")
    objects = [json.loads(x) for x in run("--results", tmp_path, "--json").splitlines()]

    assert ["2.500", "-"] == lines[0].split()[-2:]
    assert ["2.500", "16.760"] == [line.split()[-2] for line in lines[:2]]
    assert [True, True, False] == [x["error"] is None for x in objects]
    unknown = ("cpu_min_ms", "first_ms", "model_bytes", "seed")
    assert [None] * 4 == [objects[0][name] for name in unknown]
    assert ["xeon", "xeon", "laptop"] == [x["device"] for x in objects]
    assert "complete" in run("--results", tmp_path, "--sessions")
    assert {False} == {x["noisy"] for x in objects}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json"])
def test_imported_rows_can_be_exported(tmp_path, suffix) -> None:
    imported(SEEDS, tmp_path)

    run("--results", tmp_path, "--export", tmp_path / f"rows.{suffix}")

    assert (tmp_path / f"rows.{suffix}").stat().st_size > 100


def test_what_was_imported_can_be_exported_to_the_seeds_again(tmp_path) -> None:
    imported(SEEDS, tmp_path)

    run("--results", tmp_path, "--sort", "id", "--export", tmp_path / "back.tsv")

    assert WRITTEN_BY_A_SEED == read_latency_tsv(tmp_path / "back.tsv")
    assert SEED_LINE == (tmp_path / "back.tsv").read_text().splitlines()[0]


def test_the_same_file_is_imported_once(tmp_path) -> None:
    imported(SEEDS, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    elsewhere = tmp_path / "another name.tsv"
    elsewhere.write_bytes(SEEDS.read_bytes())

    assert "already imported: 2 rows of xeon\n" == imported(elsewhere, tmp_path)

    elsewhere.unlink()
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*")}


@pytest.mark.parametrize(
    "other",
    [
        ("--device", "pi"),
        ("--scheme", "int8-dynamic"),
        ("--runtime", "onnxruntime"),
        ("--tokens", 32),
        ("--batch", 4),
        ("--threads", 2),
    ],
)
def test_the_same_file_as_something_else_is_other_rows(tmp_path, other) -> None:
    imported(SEEDS, tmp_path)
    imported(SEEDS, tmp_path, *other)

    assert WRITTEN_BY_A_SEED * 2 == latencies(tmp_path)


def test_another_file_of_the_same_device_is_more_rows(tmp_path) -> None:
    imported(SEEDS, tmp_path)
    rows = data_set(tmp_path / "more.tsv", 3)
    imported(tmp_path / "more.tsv", tmp_path)

    assert WRITTEN_BY_A_SEED + rows == latencies(tmp_path)


def test_rows_are_not_said_to_be_of_another_cpu_afterwards(tmp_path) -> None:
    imported(SEEDS, tmp_path, "--cpu", "Xeon E7-4850 v2")

    assert "with --cpu 'Xeon E7-4850 v2' before" in refused(SEEDS, tmp_path, "--cpu", "Xeon")


def test_a_network_that_was_measured_again_keeps_all_its_rows_and_that_is_told(tmp_path) -> None:
    rows = [(TINY, 2.0), (UNEVEN, 3.0), (TINY, 2.25), (TINY, 2.0)]
    write_latency_tsv(tmp_path / "again.tsv", rows)

    said = imported(tmp_path / "again.tsv", tmp_path)

    assert "; 2 repeat a network of an earlier line\n" in said
    assert rows == latencies(tmp_path)
    assert "; 2 repeat a network" in imported(tmp_path / "again.tsv", tmp_path)


@given(st.floats(0, 1))
@settings(deadline=None, max_examples=25)
def test_an_import_that_died_at_any_byte_is_finished_by_the_same_command(
    tmp_path_factory, share
) -> None:
    root = tmp_path_factory.mktemp("ledger")
    rows = data_set(root / "rows.tsv", 5)
    imported(root / "rows.tsv", root)
    (path,) = root.rglob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[: round(len(whole) * share)])
    there = len(latencies(root))

    command = ["import", root / "rows.tsv", "--device", "xeon", "--results", root]
    for _ in range(2):
        done = CliRunner().invoke(app, list(map(str, command)), catch_exceptions=False)
        assert 0 == done.exit_code
        assert sorted(rows, key=str) == sorted(latencies(root), key=str)

    assert "already imported: 5 rows" in done.stdout
    assert len(list(root.rglob("*.jsonl"))) == 1 + (there < 5)


KILLED = """
import os, signal, sys
import results.writer
from bench.rows import app

calls = iter(range(100))
results.writer.AT_ONCE = 2
os.fsync = lambda _: next(calls) == 4 and os.kill(os.getpid(), signal.SIGKILL)
app(sys.argv[1:])
"""


def test_a_killed_import_blocks_no_other_and_keeps_what_it_had(tmp_path) -> None:
    rows = data_set(tmp_path / "rows.tsv", 7)
    words = ["import", str(tmp_path / "rows.tsv"), "--device", "xeon", "--results", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}

    dead = subprocess.run([sys.executable, "-c", KILLED, *words], check=False, env=environment)

    assert -signal.SIGKILL == dead.returncode
    assert rows[:4] == latencies(tmp_path)
    assert "imported 7 rows of xeon" in (said := run(*words))
    assert ", 4 of them before" in said
    assert rows == latencies(tmp_path)
    assert ["dead", "complete"] == [record.status for record in Ledger(tmp_path).sessions()]


def test_two_imports_at_once_do_not_both_find_the_rows_missing(tmp_path) -> None:
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)

    assert "another import" in refused(SEEDS, tmp_path)

    os.close(other)
    assert [] == latencies(tmp_path)
    assert "imported 2 rows" in imported(SEEDS, tmp_path)


def test_a_row_that_cannot_be_read_any_more_is_imported_again_and_told(tmp_path) -> None:
    imported(SEEDS, tmp_path)
    (path,) = tmp_path.rglob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"\0\n", *lines[2:]]))

    words = ["import", SEEDS, "--device", "xeon", "--results", tmp_path]
    done = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)

    assert "line 2" in done.stderr
    assert sorted(WRITTEN_BY_A_SEED) == sorted(latencies(tmp_path))


BAD_FILES = {
    "empty": ("", "holds no latency"),
    "only a comment": ("# nothing\n\n", "holds no latency"),
    "no dict": (f"{SEED_LINE}\nhello\t3.0\n", "line 2: 'hello' is neither JSON"),
    "no tab": (f"{SEED_LINE}\n\n{{}} 3.0\n", "line 3: a line is a dict, one tab"),
    "code": ("__import__('os').getcwd()\t1.0\n", "line 1: "),
    "not a number": (SEED_LINE.replace("16.76", "nan"), "line 1: a latency is a positive"),
    "negative": (SEED_LINE.replace("16.76", "-3"), "line 1: a latency is a positive"),
    "zero": (SEED_LINE.replace("16.76", "0.0"), "line 1: a latency is a positive"),
    "infinite": (SEED_LINE.replace("16.76", "1e999"), "line 1: a latency is a positive"),
    "no nanosecond": (f"{SEED_LINE}\n{SEED_LINE.replace('16.76', '4e-7')}", "latency 2 is 4e-07"),
    "more than 100 days": (SEED_LINE.replace("16.76", "1e10"), r"latency 1 is 1e\+10 ms"),
    "impossible": (SEED_LINE.replace("312", "313"), "line 1: .*313 is not divisible by 12 heads"),
    "zero bytes": ("\0\0", "not a text file"),
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_whole_and_the_line_is_named(tmp_path, text, message) -> None:
    file = tmp_path / "bad.tsv"
    file.write_text(text, encoding="utf-8")

    found = refused(file, tmp_path / "ledger")

    assert re.search(message, found)
    assert found.startswith(str(file))
    assert not (tmp_path / "ledger").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--device", "cpu-any"), "'cpu-any' is a device of devices.yaml"),
        (("--device", "CPU-Any"), "'CPU-Any' is a device of devices.yaml"),
        (("--device", ""), "no name of a device"),
        (("--device", "a b"), "letters, digits and dashes"),
        (("--device", "../x"), "letters, digits and dashes"),
        (("--device", "x" * 65), "64 at most"),
        (("--device", "-x"), "letters, digits and dashes"),
        (("--scheme", "int9"), "unknown scheme 'int9': choose one of"),
        (("--scheme", "ptq:what=no"), "is no setting"),
        (("--runtime", "jax"), "unknown runtime 'jax': choose one of"),
        (("--results", SEEDS), "cannot write to the results folder"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(tmp_path, more, message) -> None:
    assert message in refused(SEEDS, tmp_path, *more)
    assert [] == list(tmp_path.iterdir())


def test_a_missing_file_is_refused(tmp_path) -> None:
    assert "there is no such file" in refused(tmp_path / "none.tsv", tmp_path)


def test_imported_rows_are_not_mixed_with_measured_ones_under_one_name(tmp_path) -> None:
    of = session(device="xeon")
    with Ledger(tmp_path).begin(of) as writer:
        writer.append(measurement(of))

    assert "holds rows of xeon that were measured" in refused(SEEDS, tmp_path)
    assert 1 == len(latencies(tmp_path))


@pytest.mark.parametrize("option", ["--tokens", "--batch", "--threads"])
@pytest.mark.parametrize("value", [0, -1, 1 << 20])
def test_work_that_cannot_be_is_a_usage_error(tmp_path, option, value) -> None:
    words = ["import", SEEDS, "--device", "xeon", "--results", tmp_path, option, value]

    assert 2 == CliRunner().invoke(app, list(map(str, words))).exit_code
    assert [] == list(tmp_path.iterdir())


def test_the_command_line_says_what_is_wrong_in_one_sentence_and_leaves_with_2(tmp_path) -> None:
    command = [sys.executable, "-m", "bench.cli", "rows", "import", "none.tsv", "--device", "x"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}

    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True
    )

    assert (2, "bench: none.tsv: there is no such file\n") == (done.returncode, done.stderr)

"""`bench rows` shows, filters and exports what the ledger holds."""

import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from bench.rows import app
from results.errors import BadInputError
from results.store import Ledger
from tests.ledger_rows import measurement, session

FIXTURE = Path(__file__).parent / "data" / "ledger-v1"
NEWEST_FIRST = [
    "20250209T093000999-77aa00-1",
    "20250131T094400125-0d9e8f-2",
    "20250131T094400125-0d9e8f-1",
    "20250131T093000000-a1b2c3-3",
    "20250131T093000000-a1b2c3-1",
]


def run(*arguments: object, results: Path = FIXTURE) -> tuple[str, str]:
    """What the command prints, on stdout and on stderr."""
    words = ["--results", str(results), *map(str, arguments)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert 0 == done.exit_code
    return done.stdout, done.stderr


def ids(*arguments: object) -> list[str]:
    return [json.loads(line)["id"] for line in run("--json", *arguments)[0].splitlines()]


def test_rows_are_listed_newest_first_and_whole_where_there_is_no_terminal() -> None:
    header, *lines = run()[0].splitlines()

    assert NEWEST_FIRST == [line.split()[0] for line in lines]
    assert re.split(r"\s{2,}", header.strip()) == [
        "id",
        "device",
        "runtime",
        "scheme",
        "architecture",
        "work",
        "latency ms",
        "error %",
        "noisy",
    ]
    assert re.split(r"\s{2,}", lines[3].strip()) == [
        NEWEST_FIRST[3],
        "laptop",
        "onnxruntime",
        "dynamic",
        "h312 1x(a12 q312 f1200) 1x(a6 q192 f600)",
        "2x64x1",
        "1.911",
        "0.3",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), NEWEST_FIRST),
        (("--limit", 2), NEWEST_FIRST[:2]),
        (("--device", "laptop", "--runtime", "torch"), [NEWEST_FIRST[0], NEWEST_FIRST[4]]),
        (("--scheme", "dynamic"), [NEWEST_FIRST[3]]),
        (("--session", "0d9e8f"), NEWEST_FIRST[1:3]),
        (("--session", "20250131T093"), NEWEST_FIRST[3:]),
        (("--quiet", "--limit", 1), NEWEST_FIRST[:1]),
        (("--all", "--noisy"), ["20250131T093000000-a1b2c3-2"]),
        (("--sort", "latency_ms", "--limit", 2), [NEWEST_FIRST[3], NEWEST_FIRST[2]]),
        (("--sort", "-latency_ms", "--limit", 2), [NEWEST_FIRST[1], NEWEST_FIRST[0]]),
    ],
)
def test_flags_choose_rows(arguments, expected) -> None:
    assert expected == ids(*arguments)


def test_json_has_every_column() -> None:
    first = json.loads(run("--json")[0].splitlines()[0])

    assert (6, [12] * 6) == (first["depth"], json.loads(first["heads_per_layer"]))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_export_holds_the_chosen_rows(tmp_path, suffix) -> None:
    path = tmp_path / f"rows.{suffix}"

    said, _ = run("--runtime", "torch", "--export", path)

    read = pd.read_csv if suffix == "csv" else pd.read_parquet
    assert f"2 rows written to {path}\n" == said
    assert [NEWEST_FIRST[0], NEWEST_FIRST[4]] == list(read(path)["id"])


@pytest.mark.parametrize("json_too", [(), ("--json",)])
@pytest.mark.parametrize("sessions", [(), ("--sessions",)])
def test_an_empty_ledger_says_what_to_run(tmp_path, sessions, json_too) -> None:
    stdout, stderr = run(*sessions, *json_too, results=tmp_path / "none")

    said = stderr if json_too else stdout
    assert re.fullmatch(r"The ledger \S+ holds no .*`bench profile`.*\.\n", said)
    assert "" == (stdout if json_too else stderr)


def test_a_filter_that_nothing_passes_says_what_there_is() -> None:
    said, _ = run("--scheme", "int4")

    assert "runtime onnxruntime, torch; scheme dynamic, fp32." in said


def test_sessions_are_listed_with_what_became_of_them() -> None:
    lines = run("--sessions", "--session", "2025")[0].splitlines()
    objects = [json.loads(x) for x in run("--sessions", "--json", "--limit", 2)[0].splitlines()]

    assert ["dead", "budget", "complete"] == [line.split()[2] for line in lines[1:]]
    assert [("1", "0"), ("2", "0"), ("3", "1")] == [tuple(x.split()[3:5]) for x in lines[1:]]
    assert [("dead", 1), ("budget", 2)] == [(x["status"], x["rows"]) for x in objects]


def test_a_torn_line_is_mentioned_beside_the_rows() -> None:
    _, stderr = run("--json")

    assert re.fullmatch(r"bench: passed over \S+77aa00.jsonl line 3: torn last line\n", stderr)


def test_a_damaged_ledger_is_refused_unless_told_otherwise(tmp_path) -> None:
    ledger, of = Ledger(tmp_path), session()
    with ledger.begin(of) as writer:
        writer.append(measurement(of))
    with ledger.path_of(of).open("ab") as file:
        file.write(b"\0\n")

    with pytest.raises(BadInputError, match=r"line 3: .*--skip-damaged"):
        run(results=tmp_path)
    stdout, stderr = run("--skip-damaged", results=tmp_path)

    assert f"{of.id}-1" in stdout
    assert "passed over" in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sort", "speed"), "cannot sort by 'speed': choose one of id, session"),
        (("--export", "rows.xlsx"), "must end in"),
        (("--sessions", "--export", "rows.csv"), "leave out --sessions"),
        (("--results", __file__), "cannot read the results folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(arguments, message) -> None:
    with pytest.raises(BadInputError, match=message) as caught:
        run(*arguments)

    assert "\n" not in str(caught.value)


def test_brackets_in_a_name_are_shown_as_they_are(tmp_path) -> None:
    of = session(device="[red]pi[/red]")
    with Ledger(tmp_path).begin(of) as writer:
        writer.append(measurement(of))

    assert "[red]pi[/red]" in run(results=tmp_path)[0]


def test_the_table_fits_a_terminal_of_100_columns() -> None:
    script = "import bench.rows as b; b.app()"
    command = [sys.executable, "-c", script, "--results", str(FIXTURE)]
    terminal, other_end = pty.openpty()
    environment = os.environ | {"COLUMNS": "100", "TERM": "dumb"}
    here = Path(__file__).parent.parent

    with subprocess.Popen(
        command, stdout=other_end, stderr=subprocess.DEVNULL, env=environment, cwd=here
    ):
        os.close(other_end)
        text = b""
        with suppress(OSError):  # how a terminal says that the other end is closed
            while chunk := os.read(terminal, 1 << 16):
                text += chunk
    os.close(terminal)
    lines = re.sub(r"\x1b\[[\d;]*m", "", text.decode()).splitlines()

    assert max(map(len, lines)) <= 100
    assert {"77aa00-1", "0d9e8f-2", "a1b2c3-1"} <= {(line.split() or [""])[0] for line in lines}


def test_an_option_before_a_subcommand_is_refused_not_passed_over(tmp_path) -> None:
    words = ["--results", str(tmp_path), "import", "latencies.tsv", "--device", "xeon"]

    with pytest.raises(BadInputError, match="--results stands before `import`: write"):
        CliRunner().invoke(app, words, catch_exceptions=False)

"""The table says what the rows say, and an exported file what the table says."""

import json
import math
from dataclasses import replace
from math import nan
from pathlib import Path

import pandas as pd
import pytest

from results import stats
from results.errors import BadInputError
from results.measurement import Cold, Measurement, Procedure, Run, Series, Subject, Workload
from results.notation import read_latency_tsv
from results.session import Session, place
from results.store import Ledger
from results.table import COLUMNS, frame, json_lines, write
from tests.ledger_rows import ENVIRONMENT, TINY, UNEVEN, measurement, session

FIXTURE = Path(__file__).parent / "data" / "ledger-v1"


def only(table: pd.DataFrame) -> dict:
    (row,) = table.to_dict("records")
    return row


def test_a_row_of_the_ledger_is_a_row_of_the_table() -> None:
    of = session()
    row = measurement(
        of,
        3,
        subject=Subject(UNEVEN, "dynamic", "torch", "a.safetensors@sha256:00"),
        workload=Workload(2, 64, 3),
        flags=("loud", "late"),
        cold=Cold(3_000_000, 2_000_000, 1_500_000),
    )

    found = only(frame([(of, row)]))

    expected = {
        "id": f"{of.id}-3",
        "session": of.id,
        "scheme": "dynamic",
        "runtime": "torch",
        "source": "a.safetensors@sha256:00",
        "architecture": "h312 1x(a12 q312 f1200) 1x(a6 q192 f600)",
        "depth": 2,
        "hidden": 312,
        "heads": 9.0,
        "qkv": 252.0,
        "ffn": 900.0,
        "heads_per_layer": "[12, 6]",
        "qkv_per_layer": "[312, 192]",
        "ffn_per_layer": "[1200, 600]",
        "parameters": UNEVEN.parameters,
        "macs": UNEVEN.macs(64, 2),
        "batch": 2,
        "tokens": 64,
        "threads": 3,
        "noisy": True,
        "flags": "loud; late",
        "build_ms": 3.0,
        "load_ms": 2.0,
        "first_ms": 1.5,
        "cpu": "AMD EPYC 9B14",
        "torch": "2.13.0+cpu",
        "onnxruntime": "1.31.1",
        "git": "0a1b2c3d4e5f",
        "fingerprint": ENVIRONMENT.fingerprint,
        "device_digest": of.device_digest,
    }
    assert expected == {name: found[name] for name in expected}


def test_times_are_taken_over_the_samples_of_every_process() -> None:
    of = session()
    first = Series((10, 20, 60), (9, 19, 59), (0,) * 3, (0,) * 3, (3,))
    second = Series((30, 40), (8, 39), (0,) * 2, (0,) * 2, (1, 1))

    found = only(frame([(of, measurement(of, runs=(Run(first), Run(second))))]))

    times = [found[name] * 1e6 for name in ("wall_median_ms", "cpu_min_ms", "cpu_median_ms")]
    assert pytest.approx([30, 8, 19]) == times
    assert (5, 2) == (found["samples"], found["processes"])


def test_tails_are_told_only_where_the_samples_allow() -> None:
    of = session()
    wall = tuple(range(1, 131))
    series = Series(wall, wall, (0,) * 130, (0,) * 130, (130,))

    found = only(frame([(of, measurement(of, runs=(Run(series),)))]))

    tails = [found[f"wall_p{q}_ms"] * 1e6 for q in (90, 95, 99)]
    assert pytest.approx([117, 124, nan], nan_ok=True) == tails


def test_the_latency_is_the_label_on_the_level_of_the_session_s_anchor() -> None:
    of, other = session(0), session(1)
    rows = [(of, measurement(of, 1)), (of, measurement(of, 2)), (other, measurement(other, 3))]

    table = frame(rows)

    levels = stats.references((place(s), row) for s, row in rows)
    labels = [stats.label(row, levels, place(s)) for s, row in rows]
    assert [label.latency_ms for label in labels] == list(table["latency_ms"])
    assert [label.error for label in labels] == list(table["error"])
    assert {("cpu", True)} == set(zip(table["clock"], table["anchored"], strict=True))


def test_a_ledger_gives_its_current_rows() -> None:
    ledger = Ledger(FIXTURE)

    table = frame(ledger)

    assert [row.id for _, row in ledger.measurements(current=True)] == list(table["id"])
    assert 5 == len(table)


def test_a_foreign_model_has_no_sizes() -> None:
    of = session()
    row = measurement(of, subject=Subject(None, "fp32", "onnxruntime", "m.onnx@sha256:1"))

    table = frame([(of, row)])

    sizes = ["depth", "hidden", "heads", "qkv", "ffn", "parameters", "macs"]
    assert table[sizes].isna().all(axis=None)
    assert ("", "[]") == (table["architecture"][0], table["ffn_per_layer"][0])


def test_an_empty_table_has_the_columns_of_a_full_one() -> None:
    of = session()
    full, empty = frame([(of, measurement(of))]), frame([])

    assert list(COLUMNS) == list(empty.columns) == list(full.columns)
    assert full.dtypes.equals(empty.dtypes)


@pytest.mark.parametrize("rows", ["fixture", "none"])
def test_a_table_survives_parquet(tmp_path, rows) -> None:
    table = frame(Ledger(FIXTURE) if rows == "fixture" else [])

    write(table, tmp_path / "rows.parquet")

    pd.testing.assert_frame_equal(table, pd.read_parquet(tmp_path / "rows.parquet"))


def test_a_table_survives_csv(tmp_path) -> None:
    table = frame(Ledger(FIXTURE))

    write(table, tmp_path / "rows.CSV")

    back = pd.read_csv(
        tmp_path / "rows.CSV",
        dtype=COLUMNS,
        keep_default_na=False,
        na_values={name: [""] for name, kind in COLUMNS.items() if kind != "str"},
    )
    pd.testing.assert_frame_equal(table, back)


def test_a_json_file_is_a_list_of_objects_with_every_digit(tmp_path) -> None:
    table = frame(Ledger(FIXTURE))

    write(table, tmp_path / "rows.json")

    back = json.loads((tmp_path / "rows.json").read_text())
    assert [json.loads(line) for line in json_lines(table)] == back
    assert list(table["latency_ms"]) == [row["latency_ms"] for row in back]
    assert [None if pd.isna(x) else x for x in table["hidden"]] == [row["hidden"] for row in back]
    assert [True] * 5 == [isinstance(row["batch"], int) for row in back]


def test_a_number_json_does_not_know_is_null() -> None:
    of = session()
    once = Series((10,), (9,), (0,), (0,), (1,))

    table = frame([(of, measurement(of, runs=(Run(once),)))])

    assert math.inf == table["error"][0]
    assert json.loads(json_lines(table)[0])["error"] is None


def imported() -> tuple[Session, Measurement]:
    of = session(seed=None)
    once = Series((10_000_000,), (), (), (), (1,))
    unknown = dict.fromkeys(("cold", "seed", "model_bytes", "peak_rss_bytes"))
    procedure = Procedure(profile="deployed")
    return of, measurement(of, runs=(Run(once, steady=None),), procedure=procedure, **unknown)


NOT_KNOWN = (
    *("cpu_min_ms", "cpu_median_ms", "build_ms", "load_ms", "first_ms"),
    *("model_bytes", "peak_rss_bytes", "seed"),
)


def test_what_is_not_known_is_missing_from_the_table_and_null_in_json() -> None:
    table = frame([imported()])

    assert table[list(NOT_KNOWN)].isna().all(axis=None)
    assert (10.0, 10.0) == (table["latency_ms"][0], table["wall_median_ms"][0])
    told = json.loads(json_lines(table)[0])
    assert [None] * len(NOT_KNOWN) == [told[name] for name in NOT_KNOWN]


def test_what_is_not_known_survives_parquet_beside_what_is(tmp_path) -> None:
    of = session(1)
    table = frame([imported(), (of, measurement(of))])

    write(table, tmp_path / "rows.parquet")

    pd.testing.assert_frame_equal(table, pd.read_parquet(tmp_path / "rows.parquet"))
    assert [True, False] == list(table["model_bytes"].isna())


def test_the_seeds_format_gives_back_networks_and_latencies(tmp_path) -> None:
    of = session()
    networks = (TINY, UNEVEN)
    subjects = [Subject(network, "fp32", "torch") for network in networks]
    table = frame([(of, measurement(of, n, subject=x)) for n, x in enumerate(subjects, 1)])

    write(table, tmp_path / "rows.tsv")

    expected = list(zip(networks, table["latency_ms"], strict=True))
    assert expected == read_latency_tsv(tmp_path / "rows.tsv")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"subject": Subject(TINY, "int8-dynamic", "torch")}, "scheme fp32 from int8-dynamic"),
        ({"subject": Subject(TINY, "fp32", "onnxruntime")}, "runtime onnxruntime from torch"),
        ({"device": "pi"}, "device laptop from pi"),
        ({"workload": Workload(tokens=64)}, "tokens 64 from 128"),
        ({"subject": Subject(None, "fp32", "torch", "a.onnx")}, "what network .*-2 is"),
        ({"subject": Subject(replace(TINY, vocab=99), "fp32", "torch")}, "what network .*-2 is"),
    ],
)
def test_the_seeds_format_refuses_rows_it_could_not_tell_apart(tmp_path, second, message) -> None:
    of = session()
    plain = {"subject": Subject(TINY, "fp32", "torch")}
    table = frame([(of, measurement(of, n, **x)) for n, x in ((1, plain), (2, plain | second))])

    with pytest.raises(BadInputError, match=message) as caught:
        write(table, tmp_path / "rows.tsv")

    assert "\n" not in str(caught.value)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["rows.xlsx", "rows", "rows.jsonl", ".csv"])
def test_another_kind_of_file_is_refused(tmp_path, name) -> None:
    with pytest.raises(BadInputError, match=r"must end in \.csv, \.parquet, \.json, \.tsv"):
        write(frame([]), tmp_path / name)

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json", ".tsv"])
def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path, suffix) -> None:
    (tmp_path / f"folder{suffix}").mkdir()

    for name in (f"missing/rows{suffix}", f"folder{suffix}"):
        with pytest.raises(BadInputError, match=f"cannot export to .*{name}"):
            write(frame([]), tmp_path / name)

    assert [f"folder{suffix}"] == [path.name for path in tmp_path.iterdir()]


def test_an_export_that_fails_keeps_the_file_that_was_there(tmp_path) -> None:
    target = tmp_path / "rows.csv"
    target.write_text("precious")
    target.with_name(".rows.csv.part").mkdir()

    with pytest.raises(BadInputError, match="cannot export"):
        write(frame([]), target)

    assert "precious" == target.read_text()


def test_a_package_that_was_not_installed_has_no_version() -> None:
    bare = replace(ENVIRONMENT, software=replace(ENVIRONMENT.software, packages={}))
    of = session(environment=bare)

    found = only(frame([(of, measurement(of, subject=Subject(TINY, "fp32", "onnxruntime")))]))

    assert ("", "") == (found["torch"], found["onnxruntime"])
    assert Procedure().profile == found["profile"]

"""`bench fit`: from rows to a card of predictors, with errors on networks that were held out."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import cli, fitting
from bench.fit_chart import MOST, _figure
from bench.fit_report import headings, lines, ranges, to_json
from bench.fitting import Asked, Fitted, fit_one, plan, setting_of
from bench.numerics import numerics_of
from bench.training import Wanted
from nas import command_line
from predictors.card import Card, read_card
from predictors.columns import Columns
from predictors.physics import Physics
from results.measurement import Procedure, Subject, Workload
from results.store import Ledger
from tests.law_ledger import keep, law_ms, networks, row, rows
from tests.ledger_rows import session

PHYSICS = ("--family", "physics")
PAIR = ("fp32", "int8-dynamic")
UNSEEN = networks(40)[30:]

Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(tmp_path, monkeypatch, capfd) -> Bench:
    """Exit code, standard output and standard error of `bench fit --device laptop`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        command_line, "require_own_packages", lambda: None
    )  # takes a tenth of a second

    def run(*more: object, device: str = "laptop") -> tuple[int, str, str]:
        words = ["bench", "fit", "--device", device, *map(str, more)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return int(left.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def filled(tmp_path) -> Path:
    """14 networks in two schemes, wrong by up to 3 %; where `bench` looks."""
    of = session()
    keep(tmp_path / "results/data", of, rows(of, networks(14), PAIR, error=0.03))
    return tmp_path


def card(folder: Path) -> Card:
    return read_card(folder / "results/data/cards/laptop.json")


def found(folder: Path, family: str = "physics", **wanted: Any) -> list[Fitted]:
    asked = Asked(Wanted("laptop", **wanted), family)
    return [fit_one(x, asked) for x in plan(Ledger(folder / "results/data"), asked).sets]


def test_the_law_behind_the_rows_is_found_again(tmp_path, bench) -> None:
    of = session()
    keep(tmp_path / "results/data", of, rows(of, networks(30), PAIR))

    code, stdout, _ = bench(*PHYSICS, "--json")

    assert 0 == code
    assert [True] * 3 == [x["error"]["mape"] < 0.01 for x in json.loads(stdout)["predictors"]]
    for scheme in PAIR:
        entry = card(tmp_path).find("onnxruntime", scheme)
        columns = Columns.of(UNSEEN, [Workload()] * 10, numerics_of(scheme))
        expected = [law_ms(a, scheme) for a in UNSEEN]
        assert entry
        assert pytest.approx(expected, rel=0.02) == entry.calibrated().forecast(columns).ms


@pytest.mark.usefixtures("filled")
def test_there_is_a_line_for_each_predictor_and_sentences_below(bench) -> None:
    code, stdout, stderr = bench(*PHYSICS)

    assert (0, "") == (code, stderr)
    title, header, *body = stdout.splitlines()
    assert "laptop: errors on networks that were held out" == title.strip()
    expected = "runtime scheme family rows networks MAPE median <5% <10% tau ±90% holds"
    assert expected == " ".join(header.split())
    assert [
        ["onnxruntime", "fp32", "physics", "14", "14"],
        ["onnxruntime", "int8-dynamic", "physics", "14", "14"],
        ["onnxruntime", "mixed", "physics", "28", "14"],
    ] == [line.split()[:5] for line in body[:3]]
    assert re.fullmatch(r"fitted to depth 1-6, .*, batch 1, tokens 128, threads 1", body[3])
    assert [
        "card: results/data/cards/laptop.json",
        "next: bench predict --device laptop --layers 4 --hidden 312 --heads 12",
    ] == body[4:]


def test_the_printed_errors_are_those_of_the_card(filled, bench) -> None:
    _, stdout, _ = bench(*PHYSICS, "--runtime", "onnxruntime", "--scheme", "fp32")

    (entry,) = card(filled).entries
    e = entry.error
    expected = [
        *("14", "14", f"{e.mape:.1%}", f"{e.median:.1%}", f"{e.within_5:.0%}"),
        *(f"{e.within_10:.0%}", f"{e.kendall_tau:.3f}", f"{e.half_width:.1%}"),
        "-",
    ]
    assert math.isnan(e.coverage)
    assert expected == stdout.splitlines()[2].split()[3:]


def test_errors_are_those_of_predictors_that_have_not_seen_the_network(filled) -> None:
    (x,) = found(filled, schemes=("fp32",))

    rows_, setting = x.rows.rows, x.rows.setting()
    for i in range(len(rows_)):
        others = np.arange(len(rows_)) != i
        alone = Physics.fit(rows_.take(others), setting).predict(rows_.columns.take(~others))
        assert pytest.approx(x.made.held_out[i], rel=1e-9) == alone[0]
    errors = np.abs(x.made.held_out / rows_.ms - 1)
    assert pytest.approx([errors.mean(), np.median(errors)]) == [
        x.made.error.mape,
        x.made.error.median,
    ]


def test_a_card_tells_what_its_predictors_come_from(filled, bench) -> None:
    bench(*PHYSICS, "--seed", 3)

    told = [entry.provenance for entry in card(filled).entries]
    (record,) = Ledger(filled / "results/data").sessions()
    assert [(record.session.id,)] * 3 == [x.sessions for x in told]
    assert [(14, 3), (14, 3), (28, 3)] == [(x.rows, x.seed) for x in told]
    assert {"family": "physics", "noisy rows left out": "0"} == told[0].notes


def test_the_seed_reaches_the_fit(filled) -> None:
    asked = Asked(Wanted("laptop"), "physics", seed=3)

    sets = plan(Ledger(filled / "results/data"), asked).sets

    assert [3] * 3 == [setting_of(x, asked).seed for x in sets]


def test_a_second_run_keeps_the_predictors_of_the_first(filled, bench) -> None:
    bench(*PHYSICS, "--scheme", "fp32")
    bench(*PHYSICS, "--scheme", "int8-dynamic")

    assert ["fp32", "int8-dynamic"] == [entry.key.scheme for entry in card(filled).entries]


@pytest.mark.usefixtures("filled")
def test_the_same_seed_gives_the_same_errors(bench) -> None:
    first, second, other = (bench(*PHYSICS, "--seed", n, "--json")[1] for n in (1, 1, 2))

    assert first == second
    assert 2 == json.loads(other)["seed"]


def test_what_is_stopped_keeps_and_prints_the_predictors_it_has(
    filled, bench, monkeypatch
) -> None:
    fit, calls = fitting.fit_one, []

    def stopped(rows, asked):
        calls.append(rows)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(rows, asked)

    monkeypatch.setattr(fitting, "fit_one", stopped)
    code, stdout, _ = bench(*PHYSICS)

    assert 130 == code
    assert 2 == stdout.count("physics")
    assert ["fp32", "int8-dynamic"] == [entry.key.scheme for entry in card(filled).entries]


def test_a_set_with_too_few_networks_is_left_out_with_what_to_do(tmp_path, bench) -> None:
    of = session()
    taken = [*rows(of, networks(9)), *rows(of, networks(7), runtime="torch", first=50)]
    keep(tmp_path / "results/data", of, taken)

    code, stdout, _ = bench(*PHYSICS)
    told = json.loads(bench(*PHYSICS, "--json")[1])

    sentence = (
        "torch fp32: 7 architectures are too few to fit to: measure 2 more, with "
        "`bench profile --device laptop --for-predictor --runtime torch --scheme fp32`"
    )
    assert 0 == code
    assert f"left out: {sentence}" == stdout.splitlines()[0]
    assert [sentence] == told["left_out"]
    assert ["onnxruntime"] == [x["runtime"] for x in told["predictors"]]


def test_too_few_networks_for_all_is_bad_input(tmp_path, bench) -> None:
    of = session()
    deployed = Procedure(profile="deployed")
    keep(tmp_path / "results/data", of, rows(of, networks(3), PAIR, procedure=deployed))

    code, _, stderr = bench()

    assert 2 == code
    assert "3 architectures are too few to fit to: measure 6 more, with `bench profile" in stderr
    assert stderr.endswith("--scheme fp32 --deployed`; and so with 2 more sets of rows\n")
    assert not (tmp_path / "results/data/cards").exists()


def test_what_was_imported_cannot_be_measured_here(tmp_path, bench) -> None:
    of = session()
    taken = rows(of, networks(3), origin="seed-tsv")
    keep(tmp_path / "results/data", of, taken)

    assert bench()[2].endswith("measure 6 more, and import them with `bench rows import`\n")


def test_noisy_rows_are_counted_once_and_a_scheme_of_nothing_else_is_left_out(
    tmp_path, bench
) -> None:
    of = session()
    taken = [
        *rows(of, networks(9), PAIR),
        *rows(of, networks(20)[9:11], first=20, flags=("wide",)),
        *rows(of, networks(9), ("ptq",), first=30, flags=("wide",)),
    ]
    keep(tmp_path / "results/data", of, taken)

    _, stdout, _ = bench(*PHYSICS)

    assert re.search(r"left out: onnxruntime ptq: 0 arch.* \(9 noisy rows are not fitted", stdout)
    assert "\nnoisy rows left out: 2\n" in stdout


def test_the_same_latency_for_all_networks_is_bad_input(tmp_path, bench) -> None:
    of = session()
    pairs = enumerate(networks(9), 1)
    taken = [row(of, n, 5.0, subject=Subject(a, "fp32", "onnxruntime")) for n, a in pairs]
    keep(tmp_path / "results/data", of, taken)

    code, _, stderr = bench()

    assert 2 == code
    assert stderr.startswith("bench: onnxruntime fp32: all 9 rows say 5 ms whatever the network")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--family", "oracle"), "unknown family 'oracle': choose one of auto, physics,"),
        (("--seed", -1), "--seed -1 is out of range"),
        (("--plot", "chart.pdf"), r"--plot chart.pdf: a chart ends in .png or .html"),
        (("--plot", "no/chart.png"), "there is no folder .*no; create it first"),
        (("--card", "card.yaml"), "a device card is a JSON file"),
        (("--card", "results"), "a device card is a JSON file"),
        (("--card", "old.json"), "old.json is no device card"),
        (("--scheme", "ptq:smooth=9"), "smooth is '9' and must be a number from 0 to 1"),
        (("--scheme", "int4"), "no row of the device 'laptop' like int4"),
        (("--runtime", "tensorrt"), "no row of the device 'laptop' like tensorrt"),
        (("--session", "2031"), "no row of the device 'laptop' like 2031"),
        (("--results", "nowhere"), "the ledger nowhere holds no row"),
        (("--speed",), "No such option"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_fitted(
    filled, bench, monkeypatch, words, message
) -> None:
    (filled / "old.json").write_text("{}")
    monkeypatch.setattr(fitting, "fit_one", None)

    code, stdout, stderr = bench(*words)

    assert (2, "") == (code, stdout)
    assert re.match(f"bench: .*{message}", stderr)
    assert 1 == stderr.count("\n")
    assert not (filled / "results/data/cards").exists()


@pytest.mark.usefixtures("filled")
def test_an_unknown_device_is_named_with_those_that_there_are(bench) -> None:
    code, _, stderr = bench(device="pi")

    assert 2 == code
    assert "holds no row of the device 'pi' (it has laptop)" in stderr


def test_the_card_of_another_device_is_refused(filled, bench) -> None:
    of = session(60, device="pi")
    keep(filled / "results/data", of, rows(of, networks(9)))
    bench(*PHYSICS, "--card", "one.json")

    code, _, stderr = bench(*PHYSICS, "--card", "one.json", device="pi")

    assert 2 == code
    assert "one.json is the card of laptop, not of pi" in stderr


@pytest.mark.usefixtures("filled")
def test_a_family_whose_package_is_missing_says_what_to_install(bench, monkeypatch) -> None:
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="xgboost")

    monkeypatch.setattr("predictors.families.import_module", missing)

    code, _, stderr = bench("--family", "xgboost")

    assert 2 == code
    assert "the family xgboost needs xgboost, which is not installed: install subbert" in stderr


def test_int8_is_every_scheme_of_integers_and_settings_are_spelled_as_in_rows(
    tmp_path, bench
) -> None:
    of = session()
    schemes = ("fp32", "bf16", "int8-dynamic", "ptq:keep=0+5.ffn-out", "of-others-int8")
    keep(tmp_path / "results/data", of, rows(of, networks(9), schemes))

    def schemes_of(*words: str) -> list[str]:
        given = [x for word in words for x in ("--precision", word)]
        return [
            x["scheme"] for x in json.loads(bench(*PHYSICS, "--json", *given)[1])["predictors"]
        ]

    assert ["int8-dynamic", "mixed", "of-others-int8", "ptq:keep=0+5.ffn-out"] == schemes_of(
        "int8"
    )
    assert ["ptq:keep=0+5.ffn-out"] == schemes_of("ptq:keep=5.ffn-out+0")
    assert ["of-others-int8"] == schemes_of("of-others-int8")


def test_a_damaged_line_is_refused_unless_told_otherwise(filled, bench) -> None:
    (path,) = (filled / "results/data").glob("*/*.jsonl")
    with path.open("ab") as file:
        file.write(b"\0\n")

    assert (2, True) == (bench(*PHYSICS)[0], "--skip-damaged" in bench(*PHYSICS)[2])
    code, _, stderr = bench(*PHYSICS, "--skip-damaged")
    assert (0, True) == (code, stderr.startswith("bench: passed over"))


def test_a_page_has_the_error_card_and_fetches_nothing(filled, bench) -> None:
    _, stdout, _ = bench(*PHYSICS, "--plot", "fit.html")

    page = (filled / "fit.html").read_text(encoding="utf-8")
    cells = stdout.splitlines()[2].split()
    assert "".join(f"<td>{cell}</td>" for cell in cells) in page
    assert "<svg" in page
    assert not re.search(r"(src|href)=.?(https?:|//)", page)
    assert "chart: fit.html" == stdout.splitlines()[-1]


def test_a_picture_is_a_picture(filled, bench) -> None:
    bench(*PHYSICS, "--scheme", "fp32", "--plot", "fit.png")

    assert b"\x89PNG" == (filled / "fit.png").read_bytes()[:4]


def test_points_are_predictions_of_held_out_networks(filled) -> None:
    (x,) = found(filled, schemes=("fp32",))

    left, right = _figure([x], "laptop").axes

    measured, predicted = left.lines[-1].get_data()
    assert (list(x.rows.rows.ms), list(x.made.held_out)) == (list(measured), list(predicted))
    off = 100 * (x.made.held_out / x.rows.rows.ms - 1)
    assert pytest.approx(off) == right.lines[-1].get_ydata()
    assert "onnxruntime fp32: physics" == left.get_title(loc="left")


@pytest.mark.parametrize(("count", "expected"), [(1, 2), (4, 8), (5, 10), (MOST, 2 * MOST)])
def test_each_predictor_has_two_panels(filled, count, expected) -> None:
    (x,) = found(filled, schemes=("fp32",))

    panels = [axes for axes in _figure([x] * count, "laptop").axes if axes.axison]

    assert expected == len(panels)


def test_without_bounds_there_is_a_dash_a_null_and_no_band(filled) -> None:
    (x,) = found(filled, schemes=("fp32",))
    error = replace(x.made.error, half_width=float("inf"), kendall_tau=float("nan"))
    unsure = replace(x, made=replace(x.made, error=error))

    told = json.loads(to_json([unsure], Asked(Wanted("laptop")), Path("card.json"), []))

    (cells,) = lines([unsure])
    assert ["-", "-"] == cells[9:11]
    assert [None, None] == [
        told["predictors"][0]["error"][k] for k in ("half_width", "kendall_tau")
    ]
    assert [] == list(_figure([unsure], "laptop").axes[1].patches)


def test_what_auto_did_not_choose_is_shown_beside_what_it_did(filled) -> None:
    one, other, *_ = found(filled)
    tried = {"physics": 0.031, "hybrid": 0.042, "xgboost": 0.12}
    compared = replace(one, made=replace(one.made, tried=tried))

    assert "instead of" == headings([compared, other])[-1]
    assert ["hybrid 4.2%", ""] == [cells[-1] for cells in lines([compared, other])]
    assert "instead of" not in headings([other])


def test_auto_tells_what_it_tried_and_prefers_the_simpler_of_equals(
    tmp_path, bench, monkeypatch
) -> None:
    monkeypatch.setattr("predictors.calibrated.AUTO", ("physics", "hybrid"))
    monkeypatch.setattr("predictors.calibrated.FROM", {})
    of = session()
    keep(tmp_path / "results/data", of, rows(of, networks(9), error=0.03))

    (told,) = json.loads(bench("--json")[1])["predictors"]
    _, stdout, _ = bench()

    assert ("physics", {"physics", "hybrid"}) == (told["family"], set(told["tried"]))
    assert told["tried"]["physics"] == told["error"]["mape"]
    assert f"hybrid {told['tried']['hybrid']:.1%}" in stdout.splitlines()[2]


def test_the_range_is_told_once_and_then_who_differs() -> None:
    usual = {"depth": (1.0, 8.0), "heads": (1.0, 12.0), "tokens": (128.0, 128.0)}
    long = usual | {"tokens": (32.0, 512.0)}

    found = list(ranges({"a fp32": usual, "b fp32": long, "a ptq": usual, "b ptq": long}))
    alone = list(ranges({"a fp32": long | {"heads": (1.5, 10.66666)}}))

    assert [
        "fitted to depth 1-8, heads 1-12, tokens 128",
        "  b fp32, b ptq: tokens 32-512",
    ] == found
    assert ["fitted to depth 1-8, heads 1.5-10.67, tokens 32-512"] == alone


def test_the_command_is_there() -> None:
    command = [sys.executable, "-m", "bench.cli", "fit", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "--family" in done.stdout

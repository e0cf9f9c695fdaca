"""`bench predict`: from a device card to latencies with bounds, one network or a whole space."""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from bench import candidates
from bench.numerics import numerics_of
from bench.predict import predict
from nas.space import load_space
from predictors.calibrated import Forecast
from predictors.card import read_card
from predictors.card_fields import Key
from predictors.card_writer import put
from predictors.columns import Columns
from profiler import environment
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.measurement import Workload
from results.notation import write_architectures
from tests.law_cards import PROVENANCE, SEEN, law_card, law_ms, made_of
from tests.ledger_rows import ENVIRONMENT

MIXTURE = "ptq:ffn-out=fp32"
SPACES = {
    "tied": "depth: {from: 1, to: 3}\nhidden: [96, 192]\nheads: [2, 4]\nqkv: {per_head: 32}\n"
    "ffn: [192, 480]",
    "lists": "depth: [2, 5]\nhidden: [128, 192]\nheads: [2, 3]\nqkv: [64, 96, 128]\nffn: [300]",
    "square": "depth: [4]\nhidden: [96, 128, 192]\nheads: [3, 4]\nqkv: hidden\nffn: [200, 700]",
}
UNEVEN = Architecture(192, (Layer(4, 128, 500), Layer(6, 192, 300), Layer(2, 64, 900)))

app = typer.Typer()
app.command()(predict)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with the card of `laptop`."""
    folder = tmp_path_factory.mktemp("results")
    law_card(folder)
    return folder


@pytest.fixture(autouse=True)
def this_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """This host is the laptop."""
    monkeypatch.setattr(environment, "read_hardware", lambda: ENVIRONMENT.hardware)


def run(results: Path, *words: object) -> tuple[str, str]:
    """What is printed, on stdout and on stderr."""
    line = ["--device", "laptop", "--results", str(results), *map(str, words)]
    done = CliRunner().invoke(app, line, catch_exceptions=False)
    assert 0 == done.exit_code
    return done.stdout, done.stderr


def told(results: Path, *words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(results, "--json", *words)[0])
    return found


def rows(results: Path, *words: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told(results, *words)["predictions"]
    return found


def listed(folder: Path, *networks: Architecture) -> Path:
    path = folder / "networks.txt"
    write_architectures(path, networks)
    return path


def own_space(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(f"name: {name}\n{SPACES[name]}\n", encoding="utf-8")
    return path


def one_by_one(
    results: Path,
    networks: Sequence[Architecture],
    scheme: str,
    fitted_to: str = "",
    work: Workload = Workload(),  # noqa: B008 - frozen
    confidence: float = 0.9,
) -> list[Forecast]:
    """What the predictor says of each network alone, by the path that looks at every layer."""
    entry = read_card(results / "cards" / "laptop.json").find("onnxruntime", fitted_to or scheme)
    assert entry is not None
    made, numerics = entry.calibrated(), numerics_of(scheme)
    return [made.forecast(Columns.of([a], [work], numerics), confidence) for a in networks]


def assert_alike(expected: Sequence[Forecast], found: pd.DataFrame) -> None:
    assert len(expected) == len(found)
    for name in ("ms", "lower", "upper", "beyond"):
        values = [float(getattr(forecast, name)[0]) for forecast in expected]
        np.testing.assert_allclose(values, found[name], rtol=1e-12, err_msg=name)


def test_a_network_of_given_sizes_is_predicted_as_the_law_has_it(results: Path) -> None:
    network = ("--layers", 4, "--hidden", 192, "--heads", 6)
    found = rows(results, *network, "--runtime", "onnxruntime", "--batch", 1)

    a = Architecture.uniform(4, 192, 6, 192, 768)
    assert ["fp32", "int8-dynamic", "ptq"] == [row["scheme"] for row in found]
    for row in found:
        assert str(a) == row["architecture"]
        assert a.parameters == row["parameters"]
        assert row["ms"] == pytest.approx(law_ms(a, row["scheme"], Workload()), rel=0.03)
        assert row["lower"] < row["ms"] < row["upper"]
        assert (1.0, "physics", "") == (row["beyond"], row["family"], row["note"])


def test_heads_are_as_wide_as_in_bert_unless_told(results: Path) -> None:
    usual, told_all = (
        rows(results, "--layers", 3, "--hidden", 256, "--scheme", "ptq", *more)
        for more in ((), ("--heads", 2, "--qkv", 64, "--ffn", 300))
    )

    assert "h256 3x(a4 q256 f1024)" == usual[0]["architecture"]
    assert "h256 3x(a2 q64 f300)" == told_all[0]["architecture"]


@pytest.mark.parametrize("name", SPACES)
def test_a_whole_space_is_predicted_as_its_members_one_by_one(
    results: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "PART", 7)
    path = own_space(tmp_path, name)
    space = load_space(str(path))
    file = tmp_path / "all.parquet"
    run(results, "--space", path, "--all", "--runtime", "onnxruntime", "--export", file)

    every = pd.read_parquet(file)
    assert 3 * space.count == len(every)
    assert ["fp32", "int8-dynamic", "ptq"] == list(dict.fromkeys(every["scheme"]))
    networks = list(space)
    for scheme, found in every.groupby("scheme"):
        assert_alike(one_by_one(results, networks, str(scheme)), found)
        assert [a.parameters for a in networks] == found["parameters"].tolist()
        sizes = [(a.depth, a.hidden, *(getattr(a.layers[0], s) for s in candidates.SIZES[2:]))
                 for a in networks]  # fmt: skip
        assert sizes == list(found[list(candidates.SIZES)].itertuples(index=False, name=None))


@pytest.mark.parametrize("order", [(), ("--sort", "-ms")])
def test_how_many_are_in_memory_at_a_time_changes_nothing(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...]
) -> None:
    words = ("--space", own_space(tmp_path, "tied"), "--all", "--limit", 9, *order)
    whole = told(results, *words)
    monkeypatch.setattr(candidates, "PART", 5)

    parts = told(results, *words)
    assert 9 == len(parts["predictions"])
    assert whole["predictions"] == parts["predictions"]
    assert whole["summary"] == parts["summary"]


def test_layers_may_differ(results: Path, tmp_path: Path) -> None:
    alike = Architecture.uniform(2, 96, 2, 64, 300)
    networks = (UNEVEN, alike)
    found = rows(results, "--arch", listed(tmp_path, *networks), "--scheme", "int8-dynamic")

    assert list(map(str, networks)) == [row["architecture"] for row in found]
    assert_alike(one_by_one(results, networks, "int8-dynamic"), pd.DataFrame(found))
    assert (4.0, 128.0, 1700 / 3) == tuple(found[0][s] for s in ("heads", "qkv", "ffn"))
    assert [a.parameters for a in networks] == [row["parameters"] for row in found]


def test_it_matters_which_layer_is_kept_in_floats(results: Path, tmp_path: Path) -> None:
    turned = replace(UNEVEN, layers=UNEVEN.layers[::-1])
    networks = (UNEVEN, turned, Architecture.uniform(2, 96, 2, 64, 300))
    words = ("--arch", listed(tmp_path, *networks), "--scheme")
    plain, kept = (pd.DataFrame(rows(results, *words, s)) for s in ("ptq", "ptq:keep=0"))

    assert plain["ms"][0] == pytest.approx(plain["ms"][1])
    assert kept["ms"][0] != pytest.approx(kept["ms"][1], rel=0.02)
    assert_alike(one_by_one(results, networks, "ptq:keep=0", "mixed"), kept)


def test_a_network_stands_beside_itself_in_the_order_given(results: Path, tmp_path: Path) -> None:
    networks = SEEN[:3]
    found = rows(results, "--arch", listed(tmp_path, *networks, networks[0]))

    runtimes = [("onnxruntime", s) for s in ("fp32", "int8-dynamic", "ptq")] + [("torch", "fp32")]
    expected = [(str(a), *pair) for a in networks for pair in runtimes]
    assert expected == [(r["architecture"], r["runtime"], r["scheme"]) for r in found]


@pytest.mark.parametrize("name", ["minilm", "minilm-layers"])
def test_samples_are_those_that_would_be_measured(results: Path, name: str) -> None:
    found = rows(results, "--space", name, "--samples", 7, "--seed", 3, "--scheme", "ptq")

    drawn = load_space(name).sample_unique(np.random.default_rng(3), 7)
    assert list(map(str, drawn)) == [row["architecture"] for row in found]
    assert_alike(one_by_one(results, drawn, "ptq"), pd.DataFrame(found))


def test_twenty_are_drawn_unless_told_or_all_that_there_are(results: Path, tmp_path: Path) -> None:
    few = own_space(tmp_path, "lists")

    assert 20 == len(rows(results, "--space", "minilm", "--scheme", "ptq"))
    assert load_space(str(few)).count == len(rows(results, "--space", few, "--scheme", "ptq"))


def test_a_folder_is_predicted_by_its_sizes(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    folder.mkdir()
    sizes = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = sizes | {"intermediate_size": 512, "vocab_size": 99}
    config |= {"max_position_embeddings": 512, "type_vocab_size": 2}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    arch = listed(tmp_path, SEEN[0])

    alone = rows(results, "--model", folder, "--scheme", "ptq")
    both = rows(results, "--arch", arch, "--model", folder, "--scheme", "ptq")

    assert ["h128 2x(a4 q128 f512)"] == [row["architecture"] for row in alone]
    assert [str(SEEN[0]), "h128 2x(a4 q128 f512)"] == [row["architecture"] for row in both]
    expected = replace(Architecture.uniform(2, 128, 4, 128, 512), vocab=99).parameters
    assert expected == alone[0]["parameters"]


def test_files_json_and_table_say_the_same(results: Path, tmp_path: Path) -> None:
    words = ("--arch", listed(tmp_path, UNEVEN, *SEEN[:4]), "--sort", "-upper")
    found = rows(results, *words)
    table = run(results, *words)[0]
    files = [tmp_path / f"x{suffix}" for suffix in (".json", ".csv", ".parquet")]
    for file in files:
        out = run(results, *words, "--export", file)[0]
        assert f"20 rows written to {file}" in out.replace("\n", "")

    plain = [{k: v for k, v in row.items() if k != "note"} for row in found]
    assert plain == json.loads(files[0].read_text(encoding="utf-8"))
    for other in (pd.read_csv(files[1]), pd.read_parquet(files[2])):
        pd.testing.assert_frame_equal(pd.DataFrame(plain), other, check_dtype=False, rtol=0)
    lines = [line for line in table.splitlines() if line.startswith("h")]
    assert [row["architecture"] for row in found] == [line.split("  ")[0] for line in lines]
    for row, line in zip(found, lines, strict=True):
        cells = [cell for cell in line.split("  ") if cell]
        work = f"{row['batch']}x{row['tokens']}x{row['threads']}"
        assert [row["runtime"], row["scheme"], work] == [c.strip() for c in cells[1:4]]
        low, high = cells[5].strip().split("-")
        printed = (float(cells[4]), float(low), float(high))
        assert printed == pytest.approx([row[n] for n in ("ms", "lower", "upper")], rel=0.006)


def test_a_whole_space_is_the_same_in_every_format(results: Path, tmp_path: Path) -> None:
    words = ("--space", own_space(tmp_path, "tied"), "--all", "--within", 1.5, "--export")
    files = [tmp_path / f"x{suffix}" for suffix in (".json", ".csv", ".parquet")]
    printed = [run(results, *words, file)[0] for file in files]

    first, *others = pd.read_json(files[0]), pd.read_csv(files[1]), pd.read_parquet(files[2])
    assert all(f"{len(first)} rows written" in out for out in printed)
    assert 0 < len(first) < 4 * load_space(str(own_space(tmp_path, "tied"))).count
    assert (first["upper"] <= 1.5).all()
    for other in others:
        pd.testing.assert_frame_equal(first, other, check_dtype=False, rtol=1e-12)


def test_bounds_hold_more_when_they_are_to_hold_more_often(results: Path, tmp_path: Path) -> None:
    words = ("--arch", listed(tmp_path, SEEN[0]), "--scheme", "ptq", "--confidence")
    found = {c: rows(results, *words, c)[0] for c in (0.5, 0.9, 0.98)}

    assert 1 == len({row["ms"] for row in found.values()})
    widths = [row["upper"] / row["lower"] for row in found.values()]
    assert widths == sorted(set(widths))
    for confidence, row in found.items():
        exact = one_by_one(results, SEEN[:1], "ptq", confidence=confidence)
        assert_alike(exact, pd.DataFrame([row]))
    assert "98 % bounds" in run(results, *words, 0.98)[0]


def test_what_is_out_of_range_is_told_and_how_far(results: Path, tmp_path: Path) -> None:
    far = Architecture.uniform(2, 768, 12, 384, 1536)
    words = ("--arch", listed(tmp_path, SEEN[0], far), "--scheme", "ptq")
    inside, outside = rows(results, *words)

    assert (1.0, "") == (inside["beyond"], inside["note"])
    assert 2.0 == outside["beyond"]
    assert "out of range: hidden 768 is not in 96-384 (2 x)" == outside["note"]
    table = run(results, *words)[0]
    assert outside["note"] in table
    assert 1 == table.count("out of range:")


def test_a_workload_without_rows_is_out_of_range(results: Path) -> None:
    words = ("--layers", 2, "--hidden", 128, "--heads", 4, "--runtime", "torch")
    (row,) = rows(results, *words, "--tokens", 512, "--batch", 4, "--threads", 3)

    assert (4, 512, 3, 3.0) == tuple(row[n] for n in ("batch", "tokens", "threads", "beyond"))
    for word in ("tokens 512", "batch 4", "threads 3"):
        assert word in row["note"]


def test_layers_that_differ_are_in_range_by_their_mean(results: Path, tmp_path: Path) -> None:
    wide = Architecture(192, (Layer(4, 128, 4000), *UNEVEN.layers))
    (row,) = rows(results, "--arch", listed(tmp_path, UNEVEN, wide), "--scheme", "ptq")[:1]

    assert 1.0 == row["beyond"]
    narrow = Architecture(192, (Layer(2, 32, 500), Layer(2, 32, 500)))
    (row,) = rows(results, "--arch", listed(tmp_path, narrow), "--scheme", "ptq")
    assert row["note"].startswith("out of range: qkv 32 is not in 64-384; head width 16 is not")


def test_a_mixture_is_predicted_by_the_rows_of_several_schemes(results: Path) -> None:
    words = ("--layers", 4, "--hidden", 192, "--heads", 6, "--scheme")
    found = told(results, *words, MIXTURE)
    (row,) = found["predictions"]

    a = Architecture.uniform(4, 192, 6, 192, 768)
    assert_alike(one_by_one(results, [a], MIXTURE, "mixed"), pd.DataFrame([row]))
    assert row["ms"] == pytest.approx(law_ms(a, MIXTURE, Workload()), rel=0.04)
    assert ["mixed"] == [x["fitted_to"] for x in found["predictors"]]
    assert "rows of several schemes (mixed)" in run(results, *words, MIXTURE)[0]
    own = told(results, *words, "ptq")
    assert ["ptq"] == [x["fitted_to"] for x in own["predictors"]]
    assert "several" not in run(results, *words, "ptq")[0]


def test_layers_that_are_kept_in_floats_are_counted(results: Path) -> None:
    words = ("--layers", 4, "--hidden", 192, "--heads", 6, "--scheme")
    ms = {s: rows(results, *words, s)[0]["ms"] for s in ("ptq", "ptq:keep=0+9", "ptq:keep=0+2")}

    assert ms["ptq"] < ms["ptq:keep=0+9"] < ms["ptq:keep=0+2"]


def test_int8_is_every_scheme_of_integers_and_a_spelling_is_the_rows_own(results: Path) -> None:
    words = ("--layers", 2, "--hidden", 128, "--heads", 4, "--precision")

    assert ["int8-dynamic", "ptq"] == [r["scheme"] for r in rows(results, *words, "int8")]
    spelled = rows(results, *words, "ptq:ffn-in=int8-static")
    assert ["ptq"] == [r["scheme"] for r in spelled]


def test_a_named_runtime_that_lacks_a_scheme_is_left_out_and_told(results: Path) -> None:
    words = ["--layers", 2, "--hidden", 128, "--heads", 4, "--scheme", "ptq"]
    named = ["--runtime", "torch", "--runtime", "onnxruntime"]

    assert "bench: left out torch ptq" in run(results, "--json", *words, *named)[1]
    assert ["onnxruntime"] == [r["runtime"] for r in rows(results, *words, *named)]
    assert "left out" not in run(results, "--json", *words)[1]
    assert "left out" not in run(results, "--json", *words[:-2], *named)[1]


def test_what_is_not_told_of_the_work_is_as_in_the_rows(results: Path) -> None:
    network = ("--layers", 2, "--hidden", 128, "--heads", 4, "--scheme", "fp32")
    found = rows(results, *network)
    works = [tuple(row[n] for n in ("runtime", "batch", "tokens", "threads")) for row in found]

    assert [("onnxruntime", 1, 128, 1), ("torch", 2, 128, 1)] == works
    several = rows(results, *network, "--runtime", "torch", "--tokens", 64, "--tokens", 256)
    assert [(2, 64), (2, 256)] == [(row["batch"], row["tokens"]) for row in several]
    a = Architecture.uniform(2, 128, 4, 128, 512)
    for row in several:
        exact = law_ms(a, "fp32", Workload(2, row["tokens"]))
        assert row["ms"] == pytest.approx(exact, rel=0.04)


def test_latencies_as_served_are_other_predictors(results: Path) -> None:
    network = ("--layers", 4, "--hidden", 192, "--heads", 6, "--scheme", "fp32")
    (row,) = rows(results, *network, "--deployed")

    assert ("torch", 128) == (row["runtime"], row["tokens"])
    a = Architecture.uniform(4, 192, 6, 192, 768)
    assert row["ms"] == pytest.approx(3 * law_ms(a, "fp32", Workload()), rel=0.03)
    assert "as served" in run(results, *network, "--deployed")[0]
    assert "deployed" == told(results, *network, "--deployed")["profile"]


def test_a_budget_keeps_what_surely_holds_it(results: Path, tmp_path: Path) -> None:
    words = ("--arch", listed(tmp_path, *SEEN[:12]), "--scheme", "ptq")
    every = rows(results, *words)
    budget = 1.001 * sorted(row["ms"] for row in every)[5]
    kept = told(results, *words, "--within", budget)

    assert [r for r in every if r["upper"] <= budget] == kept["predictions"]
    assert 5 == len(kept["predictions"])
    (line,) = kept["summary"]
    assert (12, 5) == (line["networks"], line["kept"])
    out = run(results, *words, "--within", budget)[0]
    assert "5 of 12 predictions are within" in out
    assert "41.7%" in out


def test_no_network_within_the_budget_is_no_error(results: Path, tmp_path: Path) -> None:
    words = ("--arch", listed(tmp_path, *SEEN[:3]), "--within", 1e-6)
    for suffix in (".csv", ".parquet", ".json"):
        assert "0 rows written" in run(results, *words, "--export", tmp_path / f"no{suffix}")[0]

    assert [] == rows(results, *words)
    assert [] == json.loads((tmp_path / "no.json").read_text(encoding="utf-8"))
    for empty in (pd.read_csv(tmp_path / "no.csv"), pd.read_parquet(tmp_path / "no.parquet")):
        assert {"ms", "lower", "upper"} < set(empty.columns)
        assert empty.empty


@pytest.mark.parametrize("sort", ["ms", "-parameters", "architecture", "-hidden"])
def test_rows_are_sorted_and_limited(results: Path, tmp_path: Path, sort: str) -> None:
    words = ("--arch", listed(tmp_path, *SEEN[:15]), "--runtime", "onnxruntime")
    plain = pd.DataFrame(rows(results, *words))
    name = sort.removeprefix("-")
    expected = plain.sort_values(name, ascending=name == sort, kind="stable")

    found = rows(results, *words, "--sort", sort, "--limit", 11)
    assert expected.to_dict("records")[:11] == found


def test_the_first_of_a_whole_space_are_those_of_its_sorted_file(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.predictions.SPARE", 3)
    monkeypatch.setattr(candidates, "PART", 4)
    words = ("--space", own_space(tmp_path, "lists"), "--all", "--runtime", "onnxruntime")
    run(results, *words, "--export", tmp_path / "all.csv")
    first = rows(results, *words, "--sort", "-lower", "--limit", 6)

    every = pd.read_csv(tmp_path / "all.csv")
    expected = every.sort_values("lower", ascending=False, kind="stable").head(6)
    found = pd.DataFrame(first)[list(every.columns)]
    pd.testing.assert_frame_equal(expected.reset_index(drop=True), found, rtol=1e-12)
    names = [f"h{r['hidden']} {r['depth']}x(a{r['heads']} q{r['qkv']} f{r['ffn']})" for r in first]
    assert names == [row["architecture"] for row in first]


def test_the_summary_is_of_all_networks(results: Path, tmp_path: Path) -> None:
    words = ("--space", own_space(tmp_path, "tied"), "--all", "--runtime", "onnxruntime")
    found = told(results, *words, "--export", tmp_path / "all.parquet")

    every = pd.read_parquet(tmp_path / "all.parquet")
    assert "predictions" not in found
    assert ["fp32", "int8-dynamic", "ptq"] == [line["scheme"] for line in found["summary"]]
    for line in found["summary"]:
        ms = every[every["scheme"] == line["scheme"]]
        expected = (ms["ms"].min(), ms["ms"].median(), ms["ms"].max())
        assert expected == pytest.approx((line["min_ms"], line["median_ms"], line["max_ms"]))
        assert (len(ms), len(ms)) == (line["networks"], line["kept"])
        assert (ms["beyond"] > 1).sum() == line["out_of_range"]
    assert any(line["out_of_range"] < line["networks"] for line in found["summary"])


def test_it_is_told_of_which_device_and_by_whom(results: Path) -> None:
    out, _ = run(results, "--layers", 2, "--hidden", 128, "--heads", 4)

    header, *lines = out.splitlines()
    assert header.startswith("laptop (AMD EPYC 9B14): predicted latency in ms")
    assert lines[0].startswith("onnxruntime fp32: physics, from 60 rows, error 0.8% on networks")
    assert "another CPU" not in out
    assert lines[-1].startswith("4 predictions in ")


def test_on_another_cpu_it_is_told_so(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(ENVIRONMENT.hardware, cpu="Pentium")
    monkeypatch.setattr(environment, "read_hardware", lambda: other)
    words = ("--layers", 2, "--hidden", 128, "--heads", 4)

    expected = "This host has another CPU (Pentium): the predictions are for AMD EPYC 9B14."
    assert expected in run(results, *words)[0]
    out, err = run(results, *words, "--json")
    assert expected in err
    assert json.loads(out)["cpu"] == "AMD EPYC 9B14"


def test_the_card_may_be_anywhere(results: Path, tmp_path: Path) -> None:
    card = tmp_path / "mine.json"
    card.write_bytes((results / "cards" / "laptop.json").read_bytes())
    line = ["--card", str(card), "--layers", "2", "--hidden", "128", "--json"]
    done = CliRunner().invoke(app, line, catch_exceptions=False)

    assert rows(results, "--layers", 2, "--hidden", 128) == json.loads(done.stdout)["predictions"]


NETWORK = ("--layers", 2, "--hidden", 128)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--device", "desktop", *NETWORK), "bench fit --device desktop.*--for-predictor"),
        ((), "which networks.*--arch FILE, --model FOLDER, --space NAME"),
        (("--layers", 2), "--layers alone is no network: give --hidden"),
        (("--ffn", 200), "--ffn alone is no network: give --layers"),
        (("--arch", "x.txt", "--hidden", 128), "--arch and --hidden both say which"),
        (("--space", "minilm", "--heads", 2), "--space and --heads both say which"),
        (("--space", "minilm", "--arch", "x.txt"), "--arch and --space both say which"),
        (("--space", "minilm", "--model", "x"), "--model and --space both say which"),
        ((*NETWORK, "--samples", 3), "--samples is for a space"),
        ((*NETWORK, "--all"), "--all is for a space"),
        (("--space", "minilm", "--all", "--samples", 3), "--samples and --all contradict"),
        (("--space", "minilm", "--samples", 0), "--samples 0 of minilm: .* 1 to 5,400"),
        (("--space", "minilm", "--samples", 5401), "--samples 5401 of minilm"),
        (("--space", "minilm-layers", "--all"), "layers are alike, and those of minilm-layers"),
        (("--space", "minilm", "--all", "--sort", "ms"), "--sort with --all needs --limit"),
        (("--space", "nowhere"), "no search space 'nowhere'"),
        (("--layers", 2, "--hidden", 200), "qkv 200 is not made of heads of 64 columns.*--heads"),
        ((*NETWORK, "--heads", 3), "qkv 128 is not divisible by 3 heads"),
        ((*NETWORK, "--layers", 0), "depth must be from 1 to"),
        ((*NETWORK, "--ffn", -1), "ffn must be a whole number from 1"),
        ((*NETWORK, "--heads", 0), "heads must be a whole number from 1"),
        ((*NETWORK, "--runtime", "tvm"), "no predictor for runtime 'tvm': it has onnxruntime"),
        ((*NETWORK, "--scheme", "int9"), "no predictor for scheme 'int9'.*it has onnxruntime"),
        ((*NETWORK, "--scheme", "mixed"), "'mixed'.*fp32, int8-dynamic, ptq and mixtures of them"),
        ((*NETWORK, "--scheme", "bf16"), "no predictor for scheme 'bf16'"),
        ((*NETWORK, "--runtime", "torch", "--scheme", "int8"), "no predictor for scheme 'int8'"),
        ((*NETWORK, "--runtime", "torch", "--scheme", MIXTURE), f"no predictor for .*{MIXTURE}"),
        ((*NETWORK, "--scheme", "ptq:depth=3"), "'depth=3' is no setting"),
        (
            (*NETWORK, "--scheme", "ptq:zero-point=free"),
            "no predictor for .*'ptq:zero-point=free'",
        ),
        ((*NETWORK, "--confidence", "nan"), "--confidence nan is out of range"),
        ((*NETWORK, "--confidence", 0.995), "--confidence 0.995 is out of range: .*0.5 to 0.99"),
        ((*NETWORK, "--confidence", 0.99), "60 rows are too few .* 99 % .*99 are.*0.983"),
        ((*NETWORK, "--within", "nan"), "--within nan is no budget"),
        ((*NETWORK, "--within", 0), "--within 0 is no budget"),
        ((*NETWORK, "--within", "inf"), "--within inf is no budget"),
        ((*NETWORK, "--tokens", 513), "513 tokens do not fit the 512 positions"),
        ((*NETWORK, "--batch", 0), "batch must be from 1 to 4096, not 0: change --batch"),
        ((*NETWORK, "--threads", 0), "threads must be from 1"),
        ((*NETWORK, "--sort", "macs"), "cannot sort by 'macs': choose one of architecture, depth"),
        ((*NETWORK, "--export", "x.txt"), "x.txt: the name must end in .csv, .parquet, .json"),
        ((*NETWORK, "--export", "nowhere/x.csv"), "cannot export to nowhere/x.csv"),
        (("--model", "x.onnx"), "an ONNX file does not say its sizes"),
        (("--model", "nowhere"), "nowhere has no config.json"),
        (("--arch", "nowhere.txt"), "there is no such file"),
    ],
    ids=str,
)
def test_bad_input_is_one_sentence(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Any, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match=sentence) as caught:
        run(results, *words)

    assert "\n" not in str(caught.value)
    assert [] == list(tmp_path.iterdir())


def test_neither_device_nor_card_is_refused() -> None:
    with pytest.raises(BadInputError, match="--device, or a card with --card"):
        CliRunner().invoke(app, ["--layers", "2"], catch_exceptions=False)


def test_the_card_of_another_device_is_refused(results: Path) -> None:
    card = results / "cards" / "laptop.json"
    line = ["--device", "desktop", "--card", str(card), "--layers", "2", "--hidden", "128"]

    with pytest.raises(BadInputError, match="is the card of laptop, not of desktop"):
        CliRunner().invoke(app, line, catch_exceptions=False)


def test_texts_longer_than_a_network_takes_are_refused(results: Path, tmp_path: Path) -> None:
    short = replace(SEEN[1], positions=100)

    with pytest.raises(BadInputError, match="128 tokens do not fit the 100 positions"):
        run(results, "--arch", listed(tmp_path, SEEN[0], short), "--runtime", "onnxruntime")


@pytest.mark.parametrize(
    ("per_layer", "how"),
    [("false", ("--all",)), ("false", ("--samples", 2)), ("true", ("--samples", 2))],
)
def test_another_space_is_refused_unless_told(
    results: Path, tmp_path: Path, per_layer: str, how: tuple[object, ...]
) -> None:
    path = tmp_path / "far.yaml"
    text = "name: far\ndepth: [2]\nhidden: [512]\nheads: [8]\nqkv: [256]\nffn: [300, 600]\n"
    path.write_text(f"{text}per_layer: {per_layer}\n", encoding="utf-8")
    file = tmp_path / "x.csv"
    words = ("--space", path, *how)

    with pytest.raises(BadInputError, match=r"no network of the space far .*hidden 512 is not in"):
        run(results, *words, "--export", file)
    assert [path] == list(tmp_path.iterdir())
    run(results, *words, "--export", file, "--extrapolate")
    assert (pd.read_csv(file)["beyond"] > 1.3).all()


def test_a_space_that_is_partly_in_range_is_not_another(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.yaml"
    text = "name: half\ndepth: [2]\nhidden: [192, 512]\nheads: [4]\nqkv: [128]\nffn: [300]\n"
    path.write_text(text, encoding="utf-8")
    found = {
        rows(results, "--space", path, "--samples", 1, "--seed", seed, "--scheme", "ptq")[0][
            "beyond"
        ]
        for seed in range(8)
    }

    assert {1.0, 512 / 384} == found
    assert rows(results, "--space", path, "--tokens", 512, "--scheme", "ptq")[0]["beyond"] == 4.0


def test_without_the_extra_it_is_told_what_to_install(results: Path) -> None:
    code = "import sys; sys.modules['scipy'] = None; from bench.cli import main; main()"
    line = ["predict", "--device", "laptop", "--results", str(results), *map(str, NETWORK)]
    command = [sys.executable, "-c", code, *line]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert 2 == done.returncode
    assert "scipy" in done.stderr
    assert "pip" in done.stderr
    assert 1 == len(done.stderr.splitlines())


def test_an_export_that_fails_leaves_the_old_file(results: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("old", encoding="utf-8")

    with pytest.raises(BadInputError):
        run(results, *NETWORK, "--tokens", 9000, "--export", file)
    assert ["x.csv"] == [path.name for path in tmp_path.iterdir()]
    assert "old" == file.read_text(encoding="utf-8")


def test_floats_that_no_row_had_are_not_predicted(tmp_path: Path) -> None:
    integers = "ptq:attention=int8-static"
    made = made_of([integers])
    keys = [Key("torch", scheme) for scheme in (integers, "mixed")]
    card = tmp_path / "cards" / "laptop.json"
    put(card, "laptop", ENVIRONMENT, [(key, made, PROVENANCE) for key in keys])

    assert 1 == len(rows(tmp_path, *NETWORK, "--scheme", integers))
    with pytest.raises(BadInputError, match=r"no predictor for scheme .*keep=0"):
        run(tmp_path, *NETWORK, "--scheme", f"{integers}:keep=0")


def test_a_predictor_of_few_rows_says_what_it_can_promise(tmp_path: Path) -> None:
    few = tmp_path / "cards" / "laptop.json"
    made = made_of(["fp32"], SEEN[:12])
    put(few, "laptop", ENVIRONMENT, [(Key("torch", "fp32"), made, PROVENANCE)])

    (row,) = rows(tmp_path, *NETWORK, "--confidence", 0.92)
    assert math.isfinite(row["upper"])
    with pytest.raises(
        BadInputError, match=r"12 rows are too few.*95 %.*19 are.*--confidence 0.923"
    ):
        run(tmp_path, *NETWORK, "--confidence", 0.95)
    assert math.isfinite(rows(tmp_path, *NETWORK, "--confidence", 0.923)[0]["upper"])

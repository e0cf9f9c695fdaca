"""`nas compare-searches`: the table that ships, tables of one's own, and runs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from bench.search import benchmark, comparison
from bench.search.benchmark import TableCost, load
from bench.search.benchmark_table import build_table
from bench.search.command_compare import compare_searches
from nas.columns import sizes_at
from nas.pareto import front, hypervolume
from nas.space import load_space
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Subject
from results.searches import Run
from results.store import Ledger
from tests.ledger_rows import measurement, session
from tests.made_runs import made_search, made_trials
from tests.test_score_rows import score

MINILM = load_space("minilm")
NETWORKS = [MINILM.at(i) for i in range(0, MINILM.count, 90)]
"""60 of them."""

APP = typer.Typer()
APP.command()(compare_searches)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("table"))


def accuracy(a: Architecture) -> float:
    return round(a.depth * a.hidden / 2304 * 100) / 100


def built(folder: Path, **changes: object) -> Path:
    """A table out of a ledger; the last network has no `ptq` score."""
    of = session()
    with Ledger(folder / "ledger").begin(of) as writer:
        number = 0
        for a in NETWORKS:
            for scheme in ("fp32", "ptq"):
                number += 2
                if a is not NETWORKS[-1] or scheme == "fp32":
                    metrics = {"accuracy": accuracy(a)}
                    facts = {"architecture": a, "scheme": scheme, "metrics": metrics} | changes
                    writer.append(score(of, number, **facts))
                subject = Subject(a, scheme, "onnxruntime")
                writer.append(measurement(of, number + 1, subject=subject))
        writer.end("complete")
    out = folder / "table.parquet"
    build_table(folder / "ledger", folder / "ledger", out)
    return out


def test_a_table_has_what_the_ledger_has_and_says_where_it_is_from(table) -> None:
    full, quantised = load("fp32", table), load("ptq", table)

    assert (60, 59) == (len(full), len(quantised))
    wanted = {(a.depth, a.hidden, *_layer(a)): accuracy(a) for a in NETWORKS}
    found = dict(zip(map(tuple, full.sizes.tolist()), full.scores.tolist(), strict=True))
    assert wanted == found
    assert full.costs.min() > 0
    assert full.provenance["supernet"] == "supernet@sha256:0123456789abcdef"
    assert full.provenance["device"] == "laptop"
    assert full.provenance["fingerprint"] == session().environment.fingerprint


def _layer(a: Architecture) -> tuple[int, int, int]:
    return a.layers[0].heads, a.layers[0].qkv, a.layers[0].ffn


def test_rows_of_two_supernets_are_no_table(tmp_path) -> None:
    built(tmp_path)
    of = session(5)
    with Ledger(tmp_path / "ledger").begin(of) as writer:
        writer.append(score(of, 1, architecture=NETWORKS[0], source="other@sha256:0"))
        writer.end("complete")

    with pytest.raises(BadInputError, match=r"more than one supernet: other@sha256:0, supernet@"):
        build_table(tmp_path / "ledger", tmp_path / "ledger", tmp_path / "t.parquet")


def test_the_shipped_table_has_thousands_of_members_of_one_supernet() -> None:
    shipped = load("fp32")

    assert len(shipped) >= 2500
    assert len({tuple(x) for x in shipped.sizes.tolist()}) == len(shipped)
    assert shipped.scores.max() <= 1
    assert {"supernet", "split_sha256", "cpu", "fingerprint"} <= set(shipped.provenance)
    assert all(_member(x) in MINILM for x in shipped.sizes[::50].tolist())


def _member(row: list[int]) -> Architecture:
    return Architecture.uniform(*row)


def test_a_cost_is_the_table_s_by_member_and_by_column_and_infinite_elsewhere() -> None:
    numbers = np.array([3, 700, 5000])
    known = [MINILM.at(int(i)) for i in numbers]
    keys = [(a.depth, a.hidden, *_layer(a)) for a in known[:2]]
    cost = TableCost(keys, np.array([1.5, 2.5]))

    assert [1.5, 2.5, np.inf] == cost.of(known).tolist()
    assert [1.5, 2.5, np.inf] == cost.of_sizes(sizes_at(MINILM, numbers)).tolist()


def test_whoever_proposes_all_reaches_all_and_the_reference_is_the_worst_corner(table) -> None:
    full = load("fp32", table)
    played = full.play("random", 0, 1000)
    reached = full.reached(played)

    assert len(played.costs) == 60
    assert sorted(full.costs.tolist()) == sorted(played.costs.tolist())
    assert np.isclose(reached[-1], 1)
    assert (np.diff(reached) >= 0).all()
    assert (full.costs.max(), full.scores.min()) == full.reference
    kept = front(full.costs, full.scores)
    alone = hypervolume(full.costs[kept], full.scores[kept], full.reference)
    assert np.isclose(alone, full.hypervolume)


def test_curves_are_alike_with_the_same_seeds_and_even_out(monkeypatch, table) -> None:
    monkeypatch.setattr(comparison, "load", lambda precision: load(precision, table))
    first, again = (comparison.played(["surrogate"], "fp32", 1, 20)[0] for _ in range(2))

    assert first.reached.tolist() == again.reached.tolist()
    assert (1, 20) == first.reached.shape


def test_needed_is_the_first_evaluation_at_the_level() -> None:
    curve = comparison.Curve("x", np.array([[0.1, 0.5, 0.9], [0.2, 0.3, 0.4]]))

    assert [2, np.inf] == curve.needed(0.5).tolist()
    assert curve.after(3) == (pytest.approx(0.65), pytest.approx(0.25))
    assert curve.after(99) == curve.after(3)


def a_run(folder: Path, name: str, seed: int) -> Path:
    run = Run(folder / name)
    run.folder.mkdir()
    search = made_search(name, scheme="fp32")
    run.begin(search)
    run.restart(made_trials(search, 12, seed))
    return run.folder


def test_runs_are_measured_by_the_front_of_all_of_them(tmp_path) -> None:
    folders = [a_run(tmp_path, "a", 0), a_run(tmp_path, "b", 1)]

    one, other = comparison.of_runs(folders)
    (alone,) = comparison.of_runs(folders[:1])

    assert ("a", "b") == (one.name, other.name)
    assert 0 < max(one.reached[0, -1], other.reached[0, -1]) <= 1
    assert np.isclose(alone.reached[0, -1], 1)


def test_trials_in_another_scheme_count_and_add_nothing(tmp_path) -> None:
    folder = a_run(tmp_path, "a", 0)
    run = Run(folder)
    trials = run.trials()
    scheme = run.search.scheme
    ours = [replace(t, scheme=scheme) for t in trials[6:]]
    strangers = [replace(t, scheme="bf16", metrics={"accuracy": 1.0}) for t in trials[:6]]
    run.restart([*strangers, *ours])

    (curve,) = comparison.of_runs([folder])

    assert [0.0] * 6 == curve.reached[0, :6].tolist()
    assert np.isclose(curve.reached[0, -1], 1)


def test_the_command_prints_and_draws_runs(tmp_path) -> None:
    folders = [str(a_run(tmp_path, name, i)) for i, name in enumerate("ab")]
    plot = tmp_path / "hv.html"

    done = CliRunner().invoke(APP, [*folders, "--plot", str(plot)], catch_exceptions=False)

    assert done.exit_code == 0
    assert "hypervolume" in done.stdout
    assert "<svg" in plot.read_text()
    answer = CliRunner().invoke(APP, [*folders, "--json"], catch_exceptions=False)
    assert ["a", "b"] == [x["searcher"] for x in json.loads(answer.stdout)["searchers"]]


def test_the_command_plays_the_shipped_table(tmp_path) -> None:
    options = ["--searcher", "random", "--seeds", "1", "--evaluations", "40"]
    plot = str(tmp_path / "hv.png")

    done = CliRunner().invoke(
        APP, [*options, "--precision", "fp32", "--plot", plot], catch_exceptions=False
    )

    assert done.exit_code == 0
    assert "random" in done.stdout
    assert Path(plot).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--precision", "int4"], "no precision 'int4': choose fp32 or ptq"),
        (["--searcher", "magic"], "no searcher is called 'magic'"),
        (["--plot", "x.svg"], "ends in .png or .html"),
        (["nowhere"], "no search's folder"),
    ],
)
def test_bad_input_is_one_sentence(options, words) -> None:
    with pytest.raises(BadInputError, match=words):
        CliRunner().invoke(APP, ["--seeds", "1", *options], catch_exceptions=False)


def test_a_file_that_is_no_table_is_refused(tmp_path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")

    for path in (tmp_path / "x.parquet", tmp_path / "none.parquet"):
        with pytest.raises(BadInputError, match="is no table of a supernet's sub-models"):
            load("fp32", path)
    assert benchmark.SHIPPED.endswith(".parquet")

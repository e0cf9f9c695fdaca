"""`nas front`: what searches found is told whole, drawn where it lies, and safe to open."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import typer
from typer.testing import CliRunner, Result

from bench.search.command_front import front
from results.choice import Limit, Outcome, Search, Swing, Tried
from results.errors import BadInputError
from results.notation import parse_architecture, read_architectures
from results.searches import Run
from results.seed_results import read_seed_results
from tests.made_runs import BOARD, CPU, made_outcome, made_run, made_search, made_trials

Ask = Callable[..., Result]

EVIL = "<script>alert(1)</script>"
TWO = made_search(
    "two",
    limits=(
        Limit(kind="latency", value=10.0, device=CPU, asked="10ms"),
        Limit(kind="latency", value=30.0, device=BOARD, asked="3x", tokens=128, baseline_ms=90.0),
        Limit(kind="size", value=20.0, asked="20MB"),
        Limit(kind="accuracy", value=0.8, asked="0.8"),
    ),
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger's folder with four searches."""
    folder = tmp_path_factory.mktemp("ledger")
    made_run(folder, made_search("one"))
    made_run(folder, made_search("floats", "fp32"), trials=80, seed=1)
    made_run(folder, made_search("going"), trials=60, ended=False)
    made_run(folder, TWO, trials=80)
    return folder


def run_of(results: Path, name: str) -> Run:
    return Run(results / "searches" / name)


def ended(run: Run) -> Outcome:
    assert run.outcome is not None
    return run.outcome


@pytest.fixture
def ask() -> Ask:
    app = typer.Typer()
    app.command()(front)

    def asked(*line: object) -> Result:
        return CliRunner().invoke(app, [str(x) for x in line])

    return asked


@pytest.fixture
def show(ask: Ask, results: Path) -> Callable[..., str]:
    def shown(*line: object) -> str:
        result = ask("--results", results / "data", *line)
        assert 0 == result.exit_code, result.exception
        return result.stdout

    return shown


@pytest.fixture
def refused(ask: Ask) -> Callable[..., str]:
    def told(*line: object) -> str:
        error = ask(*line).exception
        assert isinstance(error, BadInputError), repr(error)
        return str(error)

    return told


def unbeaten(trials: list[Tried], cost: Callable[[Tried], float]) -> list[int]:
    """The front, pair by pair."""
    score = {x.n: x.metrics["accuracy"] for x in trials}
    kept = [
        x
        for x in trials
        if not any(
            cost(y) <= cost(x)
            and score[y.n] >= score[x.n]
            and (cost(y), score[y.n]) != (cost(x), score[x.n])
            for y in trials
        )
    ]
    return [x.n for x in sorted(kept, key=cost)]


def sections(text: str) -> dict[str, list[str]]:
    """The lines under each heading of the terminal's text; the first is the table's header."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    return {lines[0]: lines[1:] for lines in blocks}


# The table


def test_the_first_lines_tell_what_was_asked_and_what_it_took(show: Callable[..., str]) -> None:
    told = show("--name", "one").splitlines()[:4]

    judged = "judged by accuracy on trec6 dev (535 examples)"
    assert [
        f"one: ptq on onnxruntime, {judged}, searcher evolution, seed 3",
        "budget: 10 ms on cpu-avx512; bounds hold in 95% of the cases",
        "300 trials (264 full-precision, 36 quantised) in 312 s, 0.5% of it the searcher's",
    ] == told[:3]
    assert told[3].startswith("the fastest that exists: ")


def test_winners_stand_with_predicted_measured_and_both_accuracies(
    show: Callable[..., str], results: Path
) -> None:
    _, *lines = sections(show("--name", "one"))["winners, measured"]

    for line, x in zip(lines, ended(run_of(results, "one")).winners, strict=True):
        predicted, measured = x.predicted[0], x.measured[0]
        cells = [
            *(str(x.rank), str(x.architecture), "ptq", f"{predicted.ms:.3g}"),
            *(f"{predicted.lower:.3g}-{predicted.upper:.3g}", f"{measured.ms:.3g}"),
            f"{measured.lower:.3g}-{measured.upper:.3g}",
            *(f"{x.full_metrics['accuracy']:.4f}", f"{x.metrics['accuracy']:.4f}"),
            *(f"{x.megabytes:.2f}", f"{x.memory_megabytes:.1f}"),
        ]
        assert cells == re.split(r"\s{2,}", line.strip())


def test_the_front_is_that_of_the_last_stage_pair_by_pair(
    show: Callable[..., str], results: Path
) -> None:
    heading = "front of the quantised trials: none of the same search is both cheaper and better"
    _, *lines = sections(show("--name", "one"))[heading]

    last = [x for x in run_of(results, "one").trials() if x.stage == "quantised"]
    assert unbeaten(last, lambda x: x.cost) == [int(line.split()[0]) for line in lines]


def test_dropped_finalists_tell_why(show: Callable[..., str], results: Path) -> None:
    _, *lines = sections(show("--name", "one"))["finalists that were dropped"]

    dropped = ended(run_of(results, "one")).dropped
    assert len(dropped) == 2
    assert [x.why for x in dropped] == [re.split(r"\s{2,}", line)[0] for line in lines]


def test_a_winner_has_a_line_for_each_device(show: Callable[..., str]) -> None:
    header, *lines = sections(show("--name", "two"))["winners, measured"]

    assert {"device", "tokens"} <= set(header.split())
    assert [CPU, BOARD] * 3 == [re.split(r"\s{2,}", line.strip())[-10 if n % 2 == 0 else 0]
                                for n, line in enumerate(lines)]  # fmt: skip


def test_every_limit_is_told(show: Callable[..., str]) -> None:
    budget = next(x for x in show("--name", "two").splitlines() if x.startswith("budget"))

    for word in ("10 ms on cpu-avx512", "30 ms (3x) on cpu-arm at 128", "20 MB of size", "0.8"):
        assert word in budget


def test_a_search_that_goes_on_is_shown_as_far_as_it_is(
    show: Callable[..., str], tmp_path: Path
) -> None:
    text = show("--name", "going", "--html", tmp_path / "x.html", "--plot", tmp_path / "x.png")

    assert "not ended: it still runs, or was stopped" in text
    assert "front of the quantised trials" in text
    assert "winners" not in text
    assert "not ended: it still runs" in (tmp_path / "x.html").read_text("utf-8")


def test_a_torn_last_line_is_no_damage(ask: Ask, tmp_path: Path) -> None:
    run = made_run(tmp_path, trials=30, ended=False)
    with (run.folder / "trials.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"n": 31, "sta')

    assert "30 trials" in ask(run.folder).stdout


def test_a_search_that_just_began_has_a_summary_and_no_tables(
    ask: Ask, refused: Callable[..., str], tmp_path: Path
) -> None:
    run = Run(tmp_path)
    run.begin(made_search("young"))

    text = ask(tmp_path).stdout

    assert "no trial yet, 0 s of scoring" in text
    assert "front" not in text
    for option in ("--html=x.html", "--plot=x.png"):
        assert refused(tmp_path, option) == (
            "there is nothing to draw yet: no trial of young has a score"
        )


def test_winners_are_shown_although_the_trials_are_gone(ask: Ask, tmp_path: Path) -> None:
    run = made_run(tmp_path, trials=30)
    run.restart()

    text = ask(run.folder).stdout

    assert "judged by accuracy" in text
    assert 1 + 3 == len(sections(text)["winners, measured"])


def test_no_winner_is_said(ask: Ask, tmp_path: Path) -> None:
    run = made_run(tmp_path, trials=30)
    run.end(Outcome(winners=(), seconds=0.0))

    assert "no winner: nothing that was measured kept every limit" in ask(run.folder).stdout


@pytest.mark.parametrize(("slowest", "said"), [(1.25, True), (1.04, False)])
def test_a_device_that_is_not_steady_is_told_with_a_budget_that_holds(
    ask: Ask, tmp_path: Path, slowest: float, *, said: bool
) -> None:
    run = made_run(tmp_path, trials=30)
    assert run.outcome is not None
    device = run.search.limits[0].device
    swing = Swing(device=device, slowest=slowest, fastest=0.8, sessions=7)
    run.end(replace(run.outcome, swings=(swing, replace(swing, device="elsewhere", slowest=1.0))))

    text = " ".join(ask(run.folder).stdout.split())

    assert said == (f"{device} is not steady: by the anchors of 7 sessions" in text)
    assert said == ("needs a budget of 8 ms" in text)
    assert "elsewhere is not" not in text


def test_a_device_that_has_no_budget_of_time_is_not_told(ask: Ask, tmp_path: Path) -> None:
    search = replace(made_search(), limits=(Limit(kind="size", value=20.0, asked="20MB"),))
    run = made_run(tmp_path, search, trials=30)
    assert run.outcome is not None
    swing = Swing(device=CPU, slowest=1.25, fastest=0.8, sessions=7)
    run.end(replace(run.outcome, swings=(swing,)))

    told = ask(run.folder).stdout

    assert "budget: " in told
    assert "steady" not in told


def test_several_searches_stand_together(show: Callable[..., str], results: Path) -> None:
    folders = [run_of(results, name).folder for name in ("one", "floats")]
    header, *lines = sections(show(*folders, folders[0]))["winners, measured"]

    assert "search" == header.split()[0]
    assert ["one"] * 3 + ["floats"] * 3 == [line.split()[0] for line in lines]


def test_searches_of_one_name_are_told_by_their_folders(ask: Ask, tmp_path: Path) -> None:
    folders = [made_run(tmp_path / x, trials=30).folder for x in "ab"]

    text = ask(*folders).stdout

    assert all(f"{folder}: ptq on" in text for folder in folders)


def test_json_has_the_words_of_the_folder(show: Callable[..., str], results: Path) -> None:
    one, going = (
        json.loads(x) for x in show("--name", "one", "--name", "going", "--json").splitlines()
    )

    run = run_of(results, "one")
    assert json.loads((run.folder / "search.json").read_text()) == one["search"]
    assert json.loads((run.folder / "outcome.json").read_text()) == one["outcome"]
    assert {"full": 264, "quantised": 36} == one["trials"]
    assert (True, False) == (one["ended"], going["ended"])
    assert 1.5 / 312.5 == one["searcher_share"]
    last = [x for x in run.trials() if x.stage == "quantised"]
    assert unbeaten(last, lambda x: x.cost) == [x["n"] for x in one["front"]]
    assert (None, None) == (going["outcome"], going["searcher_share"])


# The page


def page_of(ask: Ask, path: Path, *line: object) -> str:
    result = ask(*line, "--html", path)
    assert 0 == result.exit_code, result.exception
    assert result.stdout.endswith(f"page: {path}\n")
    return path.read_text("utf-8")


def figures(page: str) -> list[tuple[str, list[dict[str, Any]], dict[str, Any]]]:
    """Of each: its id, its traces, its layout."""
    found = []
    for at in re.finditer(r'Plotly\.newPlot\(\s*(?="figure)', page):
        decode, place, parts = json.JSONDecoder().raw_decode, at.end(), []
        for _ in range(3):
            part, place = decode(page, place)
            parts.append(part)
            place += len(page[place:]) - len(page[place:].lstrip(", \n"))
        found.append(tuple(parts))
    return found  # type: ignore[return-value]


def named(traces: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(x for x in traces if x["name"] == name)


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def two_page(results: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    app = typer.Typer()
    app.command()(front)
    path = tmp_path_factory.mktemp("page") / "two.html"
    CliRunner().invoke(app, [str(run_of(results, "two").folder), "--html", str(path)])
    return path.read_text("utf-8")


def test_a_page_needs_nothing_else(two_page: str) -> None:
    tags = Tags(two_page).found

    assert not [x for x in tags if {"src", "href"} & set(x[1])]
    assert not [tag for tag, _ in tags if tag in ("link", "iframe", "img", "base")]
    assert 1 == two_page.count("plotly.js v")


def test_a_page_has_a_tab_for_each_device_and_one_of_the_limited_size(two_page: str) -> None:
    tags = Tags(two_page).found
    tabs = [x for tag, x in tags if x.get("role") == "tab"]
    panels = [x for tag, x in tags if x.get("role") == "tabpanel"]

    assert [CPU, BOARD, "size"] == re.findall(r'<button role="tab"[^>]*>([^<]*)<', two_page)
    assert [x["id"] for x in panels] == [x["aria-controls"] for x in tabs]
    assert [False, True, True] == ["hidden" in x for x in panels]
    assert ["figure-0", "figure-1", "figure-2"] == [x[0] for x in figures(two_page)]


def test_each_tab_draws_its_own_latencies_budget_and_front(two_page: str, results: Path) -> None:
    run = run_of(results, "two")
    drawn = figures(two_page)
    outcome = ended(run)
    for n, budget in enumerate((10.0, 30.0)):
        _, traces, layout = drawn[n]
        for stage, name, line in (
            ("full", "trials in full precision", "front of the full-precision trials"),
            ("quantised", "quantised trials", "front of the quantised trials"),
        ):
            ms = {x.n: x.predicted[n].ms for x in run.trials() if x.stage == stage}
            trials = [x for x in run.trials() if x.stage == stage]
            assert list(ms.values()) == named(traces, name)["x"]
            assert [x.metrics["accuracy"] for x in trials] == named(traces, name)["y"]
            best = unbeaten(trials, lambda x, ms=ms: ms[x.n])  # type: ignore[misc]
            assert [ms[i] for i in best] == named(traces, line)["x"]
        winners = named(traces, "winners, measured")
        measured = [x.measured[n] for x in outcome.winners]
        assert [x.ms for x in measured] == winners["x"]
        assert [x.upper for x in measured] == pytest.approx(
            [a + b for a, b in zip(winners["x"], winners["error_x"]["array"], strict=True)]
        )
        assert [x.lower for x in measured] == pytest.approx(
            [a - b for a, b in zip(winners["x"], winners["error_x"]["arrayminus"], strict=True)]
        )
        dropped = named(traces, "dropped, measured")
        assert [x.measured[n].ms for x in outcome.dropped] == dropped["x"]
        assert [budget] == [x["x0"] for x in layout["shapes"] if x["x0"] == x["x1"]]
        assert [0.8] == [x["y0"] for x in layout["shapes"] if x["y0"] == x["y1"]]
    assert [x.megabytes for x in outcome.winners] == named(drawn[2][1], "winners, measured")["x"]
    assert [20.0] == [x["x0"] for x in drawn[2][2]["shapes"] if x["x0"] == x["x1"]]


def test_sizes_are_drawn_where_no_latency_is_known(ask: Ask, tmp_path: Path) -> None:
    small = (Limit(kind="memory", value=90.0, asked="90MB"),)
    run = made_run(tmp_path, made_search(limits=small), trials=20)

    page = page_of(ask, tmp_path / "x.html", run.folder)

    ((_, traces, _),) = figures(page)
    assert 'role="tab"' not in page
    full = [x.megabytes for x in run.trials() if x.stage == "full"]
    assert full == named(traces, "trials in full precision")["x"]


def test_a_budget_is_one_line_however_it_was_written(ask: Ask, tmp_path: Path) -> None:
    folders = [
        made_run(
            tmp_path,
            made_search(asked, limits=(Limit(kind="latency", value=ms, device=CPU, asked=asked),)),
            trials=20,
        ).folder
        for asked, ms in (("10ms", 10.0), ("0.01s", 10.0), ("5ms", 5.0))
    ]

    ((_, _, layout),) = figures(page_of(ask, tmp_path / "x.html", *folders))

    assert [10.0, 5.0] == [x["x0"] for x in layout["shapes"]]
    assert ["10 ms on cpu-avx512", "5 ms on cpu-avx512"] == [
        x["text"] for x in layout["annotations"]
    ]


def test_what_is_under_the_mouse_is_told_whole(two_page: str, results: Path) -> None:
    winner = ended(run_of(results, "two")).winners[0]
    texts = named(figures(two_page)[0][1], "winners, measured")["text"]

    lines = texts[0].split("<br>")

    ms = [*winner.predicted, *winner.measured]
    wanted = [
        str(winner.architecture),
        f"ptq: accuracy {winner.metrics['accuracy']:.4f}",
        f"fp32: accuracy {winner.full_metrics['accuracy']:.4f}",
        *(f" {x.ms:.3g} ms ({x.lower:.3g}-{x.upper:.3g}) on {x.device}" for x in ms),
        f"{winner.megabytes:.2f} MB, {winner.memory_megabytes:.1f} MB of memory",
    ]
    assert all(any(part in line for line in lines) for part in wanted), lines


def test_a_page_tells_where_everything_comes_from(two_page: str, results: Path) -> None:
    asked = run_of(results, "two").search
    wanted = [
        asked.supernet,
        *asked.cards.values(),
        *asked.fingerprints.values(),
        "evolution, seed 3",
        "trec6, dev split, 535 examples",
        "onnxruntime 1.31.0, torch 2.13.0",
        "0.1.0, git 0a1b2c3d4e5f",
        "sha256:" + "1" * 64,
    ]

    assert [] == [text for text in wanted if text not in two_page]


def evil(word: str) -> tuple[Search, list[Tried], Outcome]:
    """A search whose every word is `word`."""
    asked = replace(
        made_search(),
        name=word.replace("/", "_"),
        task=word,
        scheme=word,
        searcher=word,
        runtime=word,
        supernet=word,
        options={word: word},
        packages={word: word},
        limits=(Limit(kind="latency", value=10.0, device=word, asked="10ms"),),
        cards={word: word},
        git=word,
    )
    tried = [
        replace(
            x,
            scheme=word,
            searcher=word,
            metrics={word: x.metrics["accuracy"]},
            predicted=tuple(replace(p, device=word, runtime=word) for p in x.predicted),
        )
        for x in made_trials(made_search(), 30)
    ]
    outcome = made_outcome(made_search(), made_trials(made_search(), 30))
    finalists = [*outcome.winners, *outcome.dropped]
    changed = [
        replace(
            x,
            scheme=word,
            metrics={word: 0.5},
            measured=tuple(replace(m, device=word, runtime=word) for m in x.measured),
            **({"why": word} if n >= len(outcome.winners) else {"full_metrics": {word: 0.5}}),
        )
        for n, x in enumerate(finalists)
    ]
    count = len(outcome.winners)
    ended_so = replace(outcome, winners=tuple(changed[:count]), dropped=tuple(changed[count:]))  # type: ignore[arg-type]
    return asked, tried, ended_so


@pytest.mark.parametrize(
    "word", [EVIL, "</script><b>x", "'\"><img src=x onerror=alert(1)>", "a&lt;b"]
)
def test_no_word_of_a_search_becomes_a_tag(ask: Ask, tmp_path: Path, word: str) -> None:
    runs = []
    for name, used in (("tame", "word"), ("evil", word)):
        asked, tried, outcome = evil(used)
        run = Run(tmp_path / name)
        with run.locked():
            run.begin(asked)
            run.restart(tried)
            run.end(outcome)
        runs.append(run.folder)

    tame, wild = (page_of(ask, tmp_path / "x.html", folder) for folder in runs)

    assert [tag for tag, _ in Tags(tame).found] == [tag for tag, _ in Tags(wild).found]
    assert word not in wild
    for (_, traces, layout), (_, kept, _) in zip(figures(wild), figures(tame), strict=True):
        shown = [x["name"] for x in traces]
        shown += [text for x in traces for text in x.get("text", [])]
        shown += [x["text"] for x in layout["annotations"]]
        shown += [layout[axis]["title"]["text"] for axis in ("xaxis", "yaxis")]
        assert not any(set(re.findall("<[^>]*>", text)) - {"<br>"} for text in shown)
        assert len(kept) == len(traces)


def test_no_name_of_a_folder_becomes_a_tag(ask: Ask, tmp_path: Path) -> None:
    folders = [made_run(tmp_path / name, trials=20).folder for name in ("<i>a", "<i>b")]

    page = page_of(ask, tmp_path / "x.html", *folders)

    assert "i" not in {tag for tag, _ in Tags(page).found}
    ((_, traces, _),) = figures(page)
    assert all("&lt;i&gt;" in x["name"] and "<" not in x["name"] for x in traces)


def test_several_searches_are_drawn_together_in_their_own_colours(
    ask: Ask, results: Path, tmp_path: Path
) -> None:
    folders = [run_of(results, name).folder for name in ("one", "floats", "going")]

    ((_, traces, layout),) = figures(page_of(ask, tmp_path / "x.html", *folders))

    winners = [x for x in traces if x["name"].startswith("winners")]
    assert ["winners, measured: one", "winners, measured: floats"] == [x["name"] for x in winners]
    assert 2 == len({x["marker"]["color"] for x in winners})
    assert 1 == len([x for x in layout["shapes"] if x["x0"] == x["x1"]])  # one and the same


# The picture


@pytest.mark.parametrize("names", [("two",), ("one", "floats")])
def test_a_picture_is_drawn(
    show: Callable[..., str], tmp_path: Path, names: tuple[str, ...]
) -> None:
    path = tmp_path / "x.png"
    asked = [part for name in names for part in ("--name", name)]

    assert f"plot: {path}" in show(*asked, "--plot", path)

    assert b"\x89PNG\r\n\x1a\n" == path.read_bytes()[:8]


def test_no_word_of_a_search_is_a_formula(ask: Ask, tmp_path: Path) -> None:
    folders = []
    for name in ("_$\\frac$", "$x^$"):
        run = Run(tmp_path / name)
        with run.locked():
            run.begin(replace(made_search(), name=name))
            run.restart(made_trials(made_search(), 30))
        folders.append(run.folder)

    result = ask(*folders, "--plot", tmp_path / "x.png")

    assert 0 == result.exit_code, result.exception


# Files


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_every_trial_is_exported_with_its_numbers(
    show: Callable[..., str], results: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"trials{suffix}"

    assert f"80 trials: {path}" in show("--name", "two", "--export", path)

    rows = rows_of(path)
    wanted = [(x, p) for x in run_of(results, "two").trials() for p in x.predicted]
    assert len(wanted) == len(rows)
    for row, (x, p) in zip(rows, wanted, strict=True):
        assert x.architecture == parse_architecture(row["architecture"])
        assert ("two", str(x.n), x.stage, x.scheme, p.device, str(p.tokens)) == tuple(
            str(row[key]) for key in ("search", "trial", "stage", "scheme", "device", "tokens")
        )
        numbers = (p.ms, p.lower, p.upper, x.metrics["accuracy"], x.loss, x.megabytes, x.cost)
        names = ("predicted_ms", "predicted_lower", "predicted_upper", "accuracy", "loss",
                 "megabytes", "cost")  # fmt: skip
        assert numbers == tuple(float(row[key]) for key in names)


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    if path.suffix == ".json":
        found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
        return found
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_winners_alone_are_exported_with_what_was_measured(
    show: Callable[..., str], results: Path, tmp_path: Path
) -> None:
    path = tmp_path / "winners.json"

    assert f"3 winners: {path}" in show("--name", "one", "--export", path, "--winners")

    for row, x in zip(rows_of(path), ended(run_of(results, "one")).winners, strict=True):
        measured = x.measured[0]
        assert (x.rank, measured.ms, measured.lower, measured.upper, x.memory_megabytes) == tuple(
            row[key]
            for key in (
                "rank",
                "measured_ms",
                "measured_lower",
                "measured_upper",
                "memory_megabytes",
            )
        )
        assert x.full_metrics["accuracy"] == row["accuracy fp32"]
        assert x.sha256 == row["sha256"]
        assert row["file"].endswith(f"one/{x.folder}/{x.file}")


def test_the_seeds_get_each_architecture_once(
    show: Callable[..., str], results: Path, tmp_path: Path
) -> None:
    show("--name", "one", "--export", tmp_path / "x.cands")

    tried = run_of(results, "one").trials()
    assert tuple(dict.fromkeys(x.architecture for x in tried)) == read_architectures(
        tmp_path / "x.cands"
    )


def test_the_seeds_get_one_score_for_each_architecture_quantised_where_it_was(
    show: Callable[..., str], results: Path, tmp_path: Path
) -> None:
    path = tmp_path / "subbert.results"
    show("--name", "one", "--export", path)

    found = read_seed_results(path)

    last = {x.architecture: x for x in run_of(results, "one").trials()}
    assert () == found.notes
    assert {a: {"trec6": x.metrics["accuracy"]} for a, x in last.items()} == {
        a: {task: x.scores["best"] for task, x in own.items()}
        for a, own in found.by_architecture().items()
    }
    assert {a: x.predicted[0].ms for a, x in last.items()} == {
        x.architecture: x.ms_per_batch for x in found.records
    }


def test_the_seeds_get_answers_in_texts_in_per_cent(ask: Ask, tmp_path: Path) -> None:
    run = Run(tmp_path)
    tried = made_trials(made_search(), 12)
    run.begin(made_search())
    run.restart([replace(x, metrics={"span-f1": 0.875, "exact": 0.75}) for x in tried])

    ask(tmp_path, "--export", tmp_path / "x.results")

    scores = [x.scores for x in read_seed_results(tmp_path / "x.results").records]
    assert [{"f1": 87.5, "em": 75.0}] * len(scores) == scores


# Bad input


def test_a_folder_that_is_no_search_s_is_refused(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    assert refused(tmp_path).startswith(f"{tmp_path} is no search's folder: it has no search.json")
    assert "is no search's folder" in refused("--results", tmp_path / "data", "--name", "none")


def test_without_a_name_the_only_search_is_shown(
    ask: Ask, refused: Callable[..., str], results: Path, tmp_path: Path
) -> None:
    told = refused("--results", tmp_path / "data")
    assert told.endswith("has no search: `nas search` makes one")
    assert refused("--results", results / "data").endswith(
        "has several searches: choose with --name (floats, going, one, two)"
    )

    made_run(tmp_path, trials=20)
    assert ask("--results", tmp_path / "data").stdout.startswith("trec6-ptq-10ms: ptq on")


def test_a_damaged_line_is_told_by_its_number(refused: Callable[..., str], tmp_path: Path) -> None:
    run = made_run(tmp_path, trials=20)
    path = run.folder / "trials.jsonl"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{}\n", *lines[4:]]), "utf-8")

    assert refused(run.folder).startswith(f"{path} line 4 is damaged")


@pytest.mark.parametrize("name", ["search.json", "outcome.json"])
def test_a_damaged_file_is_refused(refused: Callable[..., str], tmp_path: Path, name: str) -> None:
    run = made_run(tmp_path, trials=20)
    (run.folder / name).write_text('{"format": 1, "winners"', "utf-8")

    assert refused(run.folder).startswith(f"{run.folder / name} is damaged")


def test_a_winner_without_the_metric_is_damage(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    run = made_run(tmp_path, trials=20)
    outcome = ended(run)
    run.end(replace(outcome, winners=(replace(outcome.winners[0], metrics={"f1": 1.0}),)))

    assert "is damaged: something was scored without accuracy" in refused(run.folder)


def test_searches_judged_by_different_scores_are_not_mixed(
    refused: Callable[..., str], results: Path, tmp_path: Path
) -> None:
    other = made_run(tmp_path, replace(made_search("other"), task="mrpc"), trials=20)

    assert (
        "these searches chose by different scores (one: trec6 dev accuracy; other: mrpc dev "
        "accuracy): show them apart"
    ) == refused(run_of(results, "one").folder, other.folder)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--html", "x.png"], "--html x.png: the name must end in .html"),
        (["--plot", "x.html"], "--plot x.html: the name must end in .png"),
        (["--export", "x.txt"], "--export x.txt: the name must end in .csv, .parquet, .json, "),
        (["--html", "no/where/x.html"], "--html no/where/x.html: there is no folder "),
        (["--plot", "no/where/x.png"], "--plot no/where/x.png: there is no folder "),
        (["--export", "no/where/x.csv"], "--export no/where/x.csv: there is no folder "),
        (["--html", "folder.html"], "--html folder.html: that is a folder; name a file in it"),
        (["--winners"], "--winners says what to --export: name a file for it too"),
        (
            ["--name", "going", "--winners", "--export", "x.csv"],
            "--export x.csv: there are no win",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_sentence(
    refused: Callable[..., str],
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    asked = options if "--name" in options else ["--name", "one", *options]

    assert refused("--results", results / "data", *asked).startswith(said)
    assert ["folder.html"] == [x.name for x in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("option", "suffix"),
    [("--html", ".html"), ("--plot", ".png"), ("--export", ".cands"), ("--export", ".results")],
)
def test_a_full_disk_is_one_sentence(
    refused: Callable[..., str], results: Path, tmp_path: Path, option: str, suffix: str
) -> None:
    path = tmp_path / f"x{suffix}"
    path.symlink_to("/dev/full")

    told = refused("--results", results / "data", "--name", "one", option, path)

    assert "No space left on device" in told


def test_the_command_loads_no_engine_before_it_is_asked() -> None:
    heavy = "'torch', 'pandas', 'plotly', 'matplotlib', 'onnxruntime', 'jinja2'"
    probe = (
        f"import sys, bench.search.command_front; sys.exit(bool({{{heavy}}} & set(sys.modules)))"
    )

    assert 0 == subprocess.run([sys.executable, "-c", probe], check=False).returncode

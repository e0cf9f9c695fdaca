"""What ships is the better of two, keeps its budget when measured, and says where it is from."""

import ast
import json
import re
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import typer
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from bench.search import measure, ship_costs
from bench.search.command_ship import ship as command
from bench.search.measure import measured_of
from bench.search.model_card_base import Base, base_of
from bench.search.model_card_code import snippet
from bench.search.ship import Asked, Shipped, ship
from bench.search.ship_costs import Costs, broken, require_devices
from bench.search.ship_steps import Candidate, better
from nas.commands.extract import extract as extract_command
from nas.data import tasks
from nas.data.task import Task
from nas.data.tokens import tokenizer_of
from nas.extract.extraction import Wish, extract
from nas.extract.folder import origin_of
from nas.folder import read
from nas.predict import load
from nas.score.content import file_digest
from profiler import device
from quant.scheme import FP32
from results.choice import Limit, Measured, Outcome
from results.errors import BadInputError
from results.stats import label
from results.store import Ledger
from tests.ledger_rows import ENVIRONMENT, measurement, session
from tests.made_supernet import made_folder, made_task
from tests.made_winner import LIMITS, SUB, World, made_winner

TRAINING: Any = {
    "trust": 0.0,
    "recipe": ("--epochs", "9", "--rate", "0.01", "--batch", "16", "--dropout", "0"),
}


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """One process and a wide interval, as no test asserts a time."""
    real = ship_costs.How

    def quick(**given: Any) -> measure.How:
        return real(**given, processes=1, target_error=0.4)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ship_costs, "How", quick)
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return made_winner(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def done(made: World, _quick: None) -> tuple[World, Shipped, list[str]]:
    said: list[str] = []
    return made, ship(Asked(made.run.folder, **TRAINING), said.append), said


def task_of(world: World) -> Task:
    return tasks.load(str(world.root / "table.csv"), say=lambda _: None)


def answers(folder: Path, scheme: str, task: Task, split: str) -> list[int]:
    """By the file alone, text by text."""
    name = "model.onnx" if scheme == "fp32" else f"model-{scheme}.onnx"
    session = onnxruntime.InferenceSession(folder / "onnx" / name)
    tokenizer = tokenizer_of(folder)
    tokenizer.enable_truncation(32)
    found = []
    for text in task.splits[split].texts:
        one = tokenizer.encode(text)
        columns = {"input_ids": one.ids, "attention_mask": one.attention_mask,
                   "token_type_ids": one.type_ids}  # fmt: skip
        feed = {name: np.array([column], np.int64) for name, column in columns.items()}
        found.append(int(session.run(["logits"], feed)[0].argmax()))
    return found


def test_what_ships_is_better_on_dev_than_what_does_not(
    done: tuple[World, Shipped, list[str]],
) -> None:
    _, shipped, said = done
    dev = {
        (x.weights, x.scheme): x.metrics["accuracy"]
        for x in shipped.card.judgements
        if x.split == "dev"
    }

    assert {(w, s) for w in ("inherited", "trained") for s in ("fp32", "ptq")} == set(dev)
    other = {"inherited": "trained", "trained": "inherited"}[shipped.card.weights]
    assert dev[shipped.card.weights, "ptq"] >= dev[other, "ptq"]
    assert "trained" == shipped.card.weights  # this training does help
    assert any("the trained weights ship" in line for line in said)


def test_every_figure_of_the_card_is_that_of_the_file(
    done: tuple[World, Shipped, list[str]],
) -> None:
    world, shipped, _ = done
    task, card = task_of(world), shipped.card

    assert () == shipped.broken
    assert world.run.folder / "shipped/1" == shipped.folder
    for one in card.judgements:
        if one.weights == card.weights:
            found = answers(shipped.folder, one.scheme, task, one.split)
            right = np.mean(np.array(found) == np.array(task.splits[one.split].labels))
            assert right == pytest.approx(one.metrics["accuracy"]), one
            assert one.interval is not None
            assert one.interval[0] <= right <= one.interval[1]
    file = shipped.folder / card.file
    assert (file_digest(file), file.stat().st_size / 1e6) == (card.sha256, card.megabytes)
    rows = {row.id: row for _, row in Ledger(world.ledger).measurements()}
    for measured in card.measured:
        row = rows[measured.rows[-1]]
        assert f"{file.name}@sha256:{card.sha256[:4]}"[:-4] in row.subject.source
        assert file.stat().st_size == row.model_bytes
    assert ((8, SUB.macs(8)),) == tuple(card.macs.items())
    assert card.origin.same_file
    assert "9" == card.origin.training["epochs"]


def test_the_test_split_is_read_for_what_ships_alone(
    done: tuple[World, Shipped, list[str]],
) -> None:
    world, shipped, _ = done
    tested = [s for _, s in Ledger(world.ledger).scores() if s.split == "test"]

    assert [shipped.card.weights] * 2 == [
        x.weights for x in shipped.card.judgements if x.split == "test"
    ]
    assert {x.row for x in shipped.card.judgements if x.split == "test"} == {s.id for s in tested}
    assert 1 == shipped.card.tested


def test_a_second_call_does_nothing_again(done: tuple[World, Shipped, list[str]]) -> None:
    world, shipped, _ = done
    said: list[str] = []

    def state() -> tuple[int, int, dict[str, int]]:
        ledger = Ledger(world.ledger)
        work = world.run.folder / "ship"
        files = {str(p): p.stat().st_mtime_ns for p in work.rglob("*") if p.suffix != ".lock"}
        files = {p: t for p, t in files.items() if Path(p).is_file()}
        return len(list(ledger.scores())), len(list(ledger.measurements())), files

    before = state()
    again = ship(Asked(world.run.folder, **TRAINING), said.append)

    assert before == state()
    assert shipped.card.sha256 == again.card.sha256
    assert shipped.card.judgements == again.card.judgements
    assert not any("making" in line for line in said)


def test_the_readme_is_what_the_hub_reads(done: tuple[World, Shipped, list[str]]) -> None:
    _, shipped, _ = done
    card = shipped.card

    read_back = ModelCard.load(shipped.folder / "README.md")

    assert "text-classification" == read_back.data.pipeline_tag
    (result,) = read_back.data.eval_results
    (test,) = [x for x in card.judgements if (x.split, x.scheme) == ("test", "ptq")]
    assert ("accuracy", "test") == (result.metric_type, result.dataset_split)
    assert test.metrics["accuracy"] == pytest.approx(result.metric_value, abs=1e-6)
    assert all(row in read_back.text for x in card.measured for row in x.rows)
    assert "find out before you publish" in read_back.text
    kept = json.loads((shipped.folder / "card.json").read_text("utf-8"))
    assert ("made", 1, card.sha256) == (
        kept["origin"]["search"], kept["origin"]["winner"], kept["sha256"],
    )  # fmt: skip


def test_nothing_that_ships_names_a_folder_of_this_machine(
    done: tuple[World, Shipped, list[str]],
) -> None:
    world, shipped, _ = done

    for path in shipped.folder.rglob("*"):
        if path.suffix in (".md", ".json"):
            told = path.read_text("utf-8").replace(str(world.root / "table.csv"), "")
            assert str(world.root) not in told, path


def test_the_lines_of_the_readme_answer_as_the_folder_does(
    done: tuple[World, Shipped, list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, shipped, _ = done
    text = (shipped.folder / "README.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)

    assert {"json", "numpy", "onnxruntime", "tokenizers"} == imported(code)
    printed = ran(code, shipped.folder, capsys, monkeypatch)

    (text,) = re.findall(r"encode\('(.*)'\)", code)
    found = load(shipped.folder, scheme="ptq").probabilities(text)
    assert max(found, key=lambda label: found[label]) == printed
    assert text in task_of(world).splits["dev"].texts


def imported(code: str) -> set[str]:
    nodes = [x for x in ast.walk(ast.parse(code)) if isinstance(x, ast.Import | ast.ImportFrom)]
    return {
        name
        for node in nodes
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [x.name for x in node.names]
        )
        if name
    }


def ran(
    code: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    script = folder.parent / "script.py"
    script.write_text(code, encoding="utf-8")
    monkeypatch.chdir(folder)
    capsys.readouterr()
    runpy.run_path(str(script))
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize("kind", ["score", "span"])
def test_numbers_and_answers_have_lines_of_their_own(
    kind: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = made_folder(tmp_path / "source", kind)
    task, folder = made_task(kind), tmp_path / "out"
    extract(read(source), origin_of(source), None, folder, Wish((FP32,)))
    tokenizer_of(folder).save(str(folder / "tokenizer.json"))
    card: Any = SimpleNamespace(
        data=SimpleNamespace(kind=kind, most_tokens=64), file="onnx/model.onnx", works={}
    )

    code = snippet(card, task)
    printed = ran(code, folder, capsys, monkeypatch)

    (text,) = re.findall(r"encode\('(.*?)'", code)
    predictor = load(folder)
    if kind == "score":
        assert predictor.score(text) == pytest.approx(float(printed), abs=1e-6)
    else:
        (context,) = re.findall(r"CONTEXT = '(.*)'", code)
        assert printed
        assert printed in context


def test_what_breaks_the_budget_does_not_ship_and_is_not_tested(
    tmp_path: Path,
) -> None:
    tight = replace(LIMITS[0], value=1e-6)
    world = made_winner(tmp_path, limits=(tight, *LIMITS[1:]))

    found = called(world.run.folder, "--no-training")

    assert 1 == found.exit_code
    assert "it does not ship" in found.stderr
    assert "where 1e-06 ms on cpu-any at 8 tokens are kept" in found.stderr
    assert not (world.run.folder / "shipped").exists()
    assert {"dev"} == {score.split for _, score in Ledger(world.ledger).scores()}
    (kept,) = (world.run.folder / "ship").glob("1-*/inherited/onnx/model-ptq.onnx")
    assert kept.stat().st_size


def called(search: Path, *more: object) -> Any:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, ["--search", str(search), *map(str, more)])


def test_inherited_weights_ship_where_no_training_is_wanted(made: World, tmp_path: Path) -> None:
    found = called(made.run.folder, "--no-training", "--output", tmp_path / "out", "--json")

    assert 0 == found.exit_code, found.output
    card = json.loads(found.stdout)
    assert ("inherited", {}) == (card["weights"], card["origin"]["training"])
    assert (
        len({s.source for _, s in Ledger(made.ledger).scores() if s.split == "test"})
        == (card["tested"])
    )
    assert file_digest(tmp_path / "out" / card["file"]) == card["sha256"]
    winner = made.run.outcome
    assert winner is not None
    assert winner.winners[0].sha256 == card["sha256"]  # what was searched is what ships


def test_a_cluster_measures_what_ships_where_this_host_cannot(
    made: World, nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "refusals", lambda *_: ["nobody can"])  # the node is not asked so
    data, there = tmp_path / "data", ("--ray", nodes.address)
    words = ("--no-training", "--json", "--output", tmp_path / "out", "--results", data)

    here = called(made.run.folder, *words)
    found, again = (called(made.run.folder, *words, *there) for _ in range(2))

    assert "this host cannot be it: nobody can" in str(here.exception)
    assert 0 == found.exit_code == again.exit_code, found.output
    card = json.loads(found.stdout)
    ((session, row),) = Ledger(data).measurements()
    ((measured,), (once_more,)) = card["measured"], json.loads(again.stdout)["measured"]
    assert [row.id] == measured["rows"] == once_more["rows"]
    assert (8, SUB, "ptq") == (row.workload.tokens, row.subject.architecture, row.subject.scheme)
    assert session.environment.hardware.cpu == card["cpu"]
    assert {"cpu-any": [1, 1]} == card["works"]
    assert 0 < card["memory_megabytes"] < 2000


def test_a_cluster_that_cannot_measure_is_told_before_anything_is_done(
    nodes: Any, tmp_path: Path
) -> None:
    how = measure.How(device="cpu-avx2", tokens=(8,), results=tmp_path)

    with pytest.raises(BadInputError, match=r"no node .* has the resource cpu-avx2"):
        require_devices([how], nodes.address)
    with pytest.raises(BadInputError, match="unknown device 'cpu-none'"):
        require_devices([replace(how, device="cpu-none")], nodes.address)
    with pytest.raises(BadInputError, match=r"no Ray cluster at 127\.0\.0\.1:1 "):
        require_devices([replace(how, device="cpu-any")], "127.0.0.1:1")


def test_a_winner_is_extracted_bit_for_bit(made: World, tmp_path: Path) -> None:
    extract_command(search=made.run.folder, winner=1, output=tmp_path / "out")

    outcome = made.run.outcome
    assert outcome is not None
    assert outcome.winners[0].sha256 == file_digest(tmp_path / "out/onnx/model-ptq.onnx")
    assert (tmp_path / "out/onnx/model.onnx").is_file()


def test_what_a_search_says_is_not_said_twice(made: World, tmp_path: Path) -> None:
    out, search = tmp_path / "out", made.run.folder
    for given, said in (
        ({"search": search, "arch": "h1"}, "says what --arch says"),
        ({"search": search, "supernet": search}, "says what --supernet says"),
        ({"winner": 2, "supernet": search}, "give --search too"),
        ({}, "what is extracted from"),
        ({"search": search, "winner": 7}, "--winner 7: .* has 1"),
    ):
        with pytest.raises(BadInputError, match=said):
            extract_command(output=out, **given)
    assert not out.exists()


def refused(world: World, **changes: Any) -> str:
    with pytest.raises(BadInputError) as said:
        ship(Asked(world.run.folder, **changes), lambda _: None)
    assert "\n" not in str(said.value)
    return str(said.value)


def test_a_winner_that_is_not_there_is_a_sentence(made: World, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")

    assert "--winner 2: " in refused(made, winner=2)
    assert "the search is of cpu-any" in refused(made, only=("cpu-any", "cuda"))
    assert "no search's folder" in refused(World(tmp_path))
    assert "holds something else" in refused(made, output=tmp_path / "full")
    assert "--no-training" in refused(made, teacher=tmp_path / "gone")
    assert "mine" == (tmp_path / "full/notes.txt").read_text()


def test_a_search_that_lost_its_ground_is_a_sentence(tmp_path: Path) -> None:
    world = made_winner(tmp_path)
    run, search, outcome = world.run, world.run.search, world.run.outcome
    assert outcome is not None

    (run.folder / "outcome.json").unlink()
    assert "has not ended" in refused(world)
    run.end(Outcome(winners=()))
    assert "has no winner" in refused(world)
    elsewhere = replace(outcome.winners[0].measured[0], device="cuda")
    run.end(Outcome(winners=(replace(outcome.winners[0], measured=(elsewhere,)),)))
    assert "this host cannot be it" in refused(world)
    run.end(outcome)
    weights = (world.supernet / "model.safetensors").read_bytes()
    (world.supernet / "model.safetensors").write_bytes(weights[:-4] + b"\0\0\0\1")
    assert "is not the one that was searched" in refused(world)
    run.begin(replace(search, supernet_folder=str(tmp_path / "gone")))
    assert "is not there any more" in refused(world)
    assert not (run.folder / "ship").exists()


def test_the_better_one_has_more_right_then_less_loss_then_more_training() -> None:
    def candidate(name: str, accuracy: float, loss: float) -> Candidate:
        score: Any = SimpleNamespace(metrics={"accuracy": accuracy, "f1": 0.0}, loss=loss)
        full: Any = SimpleNamespace(metrics={"accuracy": 1 - accuracy}, loss=0.0)
        return Candidate(name, Path(), {"fp32": full, "ptq": score})

    for first, second, wanted in (
        ((0.9, 0.1), (0.8, 0.0), "first"),
        ((0.8, 0.0), (0.9, 0.1), "second"),
        ((0.9, 0.1), (0.9, 0.2), "first"),
        ((0.9, 0.1), (0.9, 0.1), "second"),
    ):
        several = [candidate("first", *first), candidate("second", *second)]
        assert wanted == better(several, "ptq").name


def test_each_limit_is_kept_by_the_upper_end_of_what_was_measured() -> None:
    def latency(ms: float, upper: float, tokens: int = 8, device: str = "here") -> Measured:
        return Measured(
            device=device, runtime="onnxruntime", tokens=tokens, ms=ms, lower=ms, upper=upper,
            rows=(),
        )  # fmt: skip

    def said(limit: Limit, *measured: Measured) -> list[str]:
        costs = Costs(measured, noisy=False, memory_megabytes=30, megabytes=11, works={})
        return list(broken([limit], costs, 0.9))

    ten = Limit(kind="latency", value=10.0, device="here", tokens=8)
    assert [] == said(ten, latency(9, 10.0), latency(50, 60, tokens=9))
    assert 1 == len(said(ten, latency(9.9, 10.1)))
    assert 1 == len(said(ten, latency(5, float("nan"))))
    assert "nothing was measured on here" in said(ten, latency(1, 1, device="there"))[0]
    there = Costs((), noisy=False, memory_megabytes=1, megabytes=1, works={},
                  elsewhere=(latency(99, 99),))  # fmt: skip
    assert [] == list(broken([ten], there, 0.9))  # the search has measured it
    for kind, kept, lost in (("size", 11.0, 10.9), ("memory", 30, 29), ("accuracy", 0.9, 0.91)):
        assert [] == said(Limit(kind=kind, value=kept))
        assert 1 == len(said(Limit(kind=kind, value=lost)))


def test_the_cpu_of_a_card_is_that_of_its_rows(tmp_path: Path) -> None:
    ledger, taken = Ledger(tmp_path), []
    for number, (name, cpu) in enumerate((("a", "Xeon"), ("b", "Arm"), ("c", "Other"))):
        hardware = replace(ENVIRONMENT.hardware, cpu=cpu)
        there = session(number, device=name, environment=replace(ENVIRONMENT, hardware=hardware))
        with ledger.begin(there) as writer:
            writer.append(row := measurement(there, device=name))
        taken.append(measured_of([(row, label(row))]))

    assert "Arm" == ship_costs.cpu_of(ledger, taken[1:2])
    assert "Xeon (a) and Arm (b)" == ship_costs.cpu_of(ledger, taken[:2])


def test_a_base_model_is_what_its_folder_says_and_nothing_else(tmp_path: Path) -> None:
    teacher, supernet = tmp_path / "teacher", tmp_path / "supernet"
    for folder in (teacher, supernet):
        folder.mkdir()

    assert Base() == base_of([teacher, supernet])
    (teacher / "tokenizer_config.json").write_text('{"name_or_path": "/home/me/model"}')
    (supernet / "config.json").write_text('{"_name_or_path": "org/base"}')
    (supernet / "LICENSE").write_text("free")
    assert Base("org/base", "", ("LICENSE",)) == base_of([teacher, supernet])
    (teacher / "README.md").write_text("---\nlicense: mit\nbase_model: 'a/b'\n---\nlicense: gpl\n")
    assert Base("a/b", "mit", ("LICENSE",)) == base_of([teacher, supernet])

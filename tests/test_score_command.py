"""`nas score` from files to a table, and every way in which it can be asked in vain."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nas.cli import app, main
from results.errors import BadInputError
from results.notation import write_architectures
from results.store import Ledger
from tests.made_supernet import LABELS, LARGEST, SUBS, made_folder, made_task

Ask = Callable[..., Result]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("net"), labels=tuple(sorted(LABELS)))


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables whose labels are words."""
    folder = tmp_path_factory.mktemp("task")
    for name, split in made_task().splits.items():
        rows = zip(split.texts, (LABELS[int(x)] for x in split.labels), strict=True)
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    return folder


@pytest.fixture
def ask(net: Path, task: Path, tmp_path: Path) -> Ask:
    def asked(*options: object) -> Result:
        given = ["score", "--supernet", net, "--task", task, "--results", tmp_path / "ledger"]
        return CliRunner().invoke(app, [str(x) for x in (*given, *options)])

    return asked


@pytest.fixture
def archs(tmp_path: Path) -> Path:
    write_architectures(tmp_path / "archs.txt", SUBS)
    return tmp_path / "archs.txt"


def told(result: Result) -> list[dict[str, object]]:
    assert 0 == result.exit_code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_table_has_a_line_for_each_sub_model_and_scheme(ask: Ask, archs: Path) -> None:
    shown = ask("--arch", archs, "--scheme", "fp32", "--scheme", "int8-dynamic")

    assert 0 == shown.exit_code, shown.output
    lines = shown.stdout.splitlines()
    assert "accuracy 95 %" in lines[2]
    assert 2 * len(SUBS) == len(lines) - 3
    assert all(str(a) in line for a, line in zip(SUBS * 2, lines[3:], strict=True))


def test_json_has_what_the_ledger_has_but_the_answers(
    ask: Ask, archs: Path, tmp_path: Path
) -> None:
    rows = told(ask("--arch", archs, "--json"))

    kept = [row for _, row in Ledger(tmp_path / "ledger").scores()]
    assert [row.id for row in kept] == [row["id"] for row in rows]
    assert [row.metrics for row in kept] == [row["metrics"] for row in rows]
    assert [list(row.interval or ()) for row in kept] == [row["interval"] for row in rows]
    assert [a.parameters for a in SUBS] == [row["parameters"] for row in rows]
    assert [a.macs(128) for a in SUBS] == [row["macs"] for row in rows]
    assert rows == told(ask("--arch", archs, "--json"))


@pytest.mark.parametrize("column", ["accuracy", "loss", "parameters", "macs", "bytes", "seconds"])
def test_rows_can_be_sorted_both_ways(ask: Ask, archs: Path, column: str) -> None:
    up = told(ask("--arch", archs, "--json", "--sort", column))
    down = told(ask("--arch", archs, "--json", "--sort", f"-{column}"))

    name = {"bytes": "weight_bytes"}.get(column, column)
    for rows, reverse in ((up, False), (down, True)):
        values = [{**row, **row["metrics"]}[name] for row in rows]  # type: ignore[dict-item]
        assert sorted(values, reverse=reverse) == values


def test_without_architectures_the_whole_network_is_scored(ask: Ask) -> None:
    (row,) = told(ask("--json"))

    assert LARGEST.parameters == row["parameters"]


def test_architectures_are_drawn_from_a_space_by_the_seed(ask: Ask, tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(
        "name: small\ndepth: [1, 2]\nhidden: [8, 16]\nheads: [2]\nqkv: [8, 12]\nffn: [10, 20]\n"
    )

    three = told(ask("--space", space, "--samples", 3, "--json"))
    again = told(ask("--space", space, "--samples", 3, "--json"))
    other = told(ask("--space", space, "--samples", 3, "--json", "--seed", 1))

    assert 3 == len({row["key"] for row in three})
    assert three == again
    assert {row["key"] for row in three} != {row["key"] for row in other}


def test_sizes_in_the_notation_of_the_seeds_share_the_supernets_tables(
    ask: Ask, tmp_path: Path
) -> None:
    file = tmp_path / "seed.txt"
    file.write_text(
        "{'sample_layer_num': 1, 'sample_num_attention_heads': [2], 'sample_hidden_size': 16, "
        "'sample_intermediate_sizes': [20], 'sample_qkv_sizes': [12]}\n"
    )

    (row,) = told(ask("--arch", file, "--json"))

    architecture = row["architecture"]
    assert isinstance(architecture, dict)
    assert (16, LARGEST.vocab) == (architecture["hidden"], architecture["vocab"])


def test_a_part_of_the_examples_and_another_split(ask: Ask) -> None:
    (few,) = told(ask("--json", "--limit", 7))
    (other,) = told(ask("--json", "--split", "test"))

    assert (7, "dev") == (few["examples"], few["split"])
    assert (10, "test") == (other["examples"], other["split"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--scheme", "fp33"], "unknown scheme 'fp33'"),
        (["--scheme", "fp32", "--scheme", "bf16"], "bf16 cannot be scored"),
        (["--split", "valid"], "has no split 'valid'"),
        (["--sort", "speed"], "cannot sort by 'speed': choose one of accuracy"),
        (["--arch", "nowhere.txt"], "there is no such file"),
        (["--space", "nowhere"], "no search space 'nowhere'"),
        (["--space", "bigger-faster"], "is not in the supernet: hidden"),
        (["--task", "nothing"], "there is no task 'nothing'"),
        (["--supernet", "nowhere"], "nowhere has no config.json"),
        (["--most-tokens", "65"], "65 tokens do not fit"),
    ],
    ids=str,
)
def test_bad_input_is_told_before_anything_is_scored(
    ask: Ask, tmp_path: Path, options: list[str], sentence: str
) -> None:
    found = ask(*options)

    assert isinstance(found.exception, BadInputError)
    assert sentence in str(found.exception)
    assert [] == list(Ledger(tmp_path / "ledger").scores())


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "supernet.json", "vocab.txt"]
)
def test_a_damaged_folder_is_told_of_with_its_file(ask: Ask, tmp_path: Path, name: str) -> None:
    folder = made_folder(tmp_path / "net", labels=tuple(sorted(LABELS)))
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    if name == "vocab.txt":
        (folder / name).unlink()

    found = ask("--supernet", folder)

    assert isinstance(found.exception, BadInputError)
    expected = str(folder) if name == "vocab.txt" else str(folder / name)
    assert expected in str(found.exception)


def test_the_command_leaves_with_one_sentence_and_code_2(
    net: Path, task: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["nas", "score", "--supernet", str(net), "--task", str(task), "--split", "valid"]
    monkeypatch.setattr("sys.argv", command)

    with pytest.raises(SystemExit) as left:
        main()

    assert 2 == left.value.code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nas: ")

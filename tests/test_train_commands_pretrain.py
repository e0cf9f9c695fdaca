"""`nas train mlm`, `kd`, `further`: folders that go on, killed trainings that end alike."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nas.cli import app
from nas.folder import read
from nas.network import Head
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from tests.made_text import LARGEST, TABLES, WORDS, data_in, model_in, space_in, words_in

SHORT = ("--epochs", "2", "--precision", "fp32", "--evaluations", "1", "--threads", "1")
WIDE = Architecture(24, (Layer(2, 24, 32),) * 2, **TABLES)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words, data, a model and a teacher of them, and a table of sentences."""
    path = tmp_path_factory.mktemp("home")
    data_in(path, words_in(path / "words"))
    model_in(path / "model")
    model_in(path / "teacher", architecture=WIDE, seed=1)
    space_in(path)
    rows = [f"{a} {b},{'same' if a[0] == b[0] else 'other'}" for a in WORDS[:15] for b in WORDS]
    (path / "pairs.csv").write_text("\n".join(["text,label", *rows]) + "\n", "utf-8")
    return path


def train(verb: str, *words: object, fails: bool = False) -> str:
    """The last line, or the refusal."""
    done = CliRunner().invoke(app, ["train", verb, *map(str, words)])
    if fails:
        assert isinstance(done.exception, BadInputError), (done.output, done.exception)
        return str(done.exception)
    assert 0 == done.exit_code, (done.output, done.exception)
    return done.stdout


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_a_supernet_from_nothing_has_a_head_that_transformers_reads(
    tmp_path: Path, home: Path
) -> None:
    import torch
    from transformers import BertForMaskedLM

    out = tmp_path / "out"
    asked = ("--data", home / "data", "--tokenizer", home / "words", "--output", out, *SHORT)
    line = train("mlm", *asked, "--space", home / "tiny.yaml")

    saved = read(out)
    ids = torch.arange(5, 13)[None]
    ours = saved.network().eval()
    theirs = BertForMaskedLM.from_pretrained(out, attn_implementation="eager").eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, ours(ids), rtol=1e-4, atol=1e-5)
    assert "accuracy" in line
    assert "held-out text" in line
    assert Head("mlm", TABLES["vocab"]) == saved.head
    assert TABLES["vocab"] == saved.architecture.vocab
    assert saved.rule is not None
    what = json.loads((out / "train.json").read_text())["what"]
    assert 5e-4 == what["recipe"]["rate"]
    assert (
        "trained already"
        in CliRunner()
        .invoke(app, ["train", "mlm", *map(str, asked), "--space", str(home / "tiny.yaml")])
        .stderr
    )
    refusal = train("mlm", *asked, "--space", home / "tiny.yaml", "--whole-word", fails=True)
    assert "holds another training" in refusal


def test_weights_of_a_folder_learn_at_their_own_rate_and_a_supernet_stays_one(
    tmp_path: Path, home: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    asked = ("--data", home / "data", *SHORT, "--sampling", "one", "--slicing", "prefix")
    asked = (*asked, "--space", home / "tiny.yaml")
    train("mlm", "--model", home / "model", "--output", first, *asked)
    train("mlm", "--model", first, "--output", second, "--data", home / "data", *SHORT)

    what = [json.loads((x / "train.json").read_text())["what"] for x in (first, second)]
    assert 1e-4 == what[0]["recipe"]["rate"]
    assert ["one", "sandwich"] == [x["options"]["sampling"] for x in what]
    assert "prefix" == read(first).rule.heads == read(second).rule.heads


def test_sizes_can_be_given_and_are_of_the_tokenizers_vocabulary(
    tmp_path: Path, home: Path
) -> None:
    out = tmp_path / "out"
    asked = ("--data", home / "data", "--tokenizer", home / "words", "--output", out)
    train("mlm", *asked, *SHORT, "--arch", "h8 2x(a2 q8 f12)", "--rate", "0.002")

    saved = read(out)
    assert (8, 2, TABLES["vocab"]) == (
        saved.architecture.hidden, saved.architecture.depth, saved.architecture.vocab
    )  # fmt: skip
    assert saved.rule is None
    assert 0.002 == json.loads((out / "train.json").read_text())["what"]["recipe"]["rate"]


@pytest.mark.parametrize("layers", ["last", "all"])
def test_what_distillation_leaves_can_learn_a_task(tmp_path: Path, home: Path, layers) -> None:
    out, taught = tmp_path / "out", tmp_path / "taught"
    asked = ("--data", home / "data", "--teacher", home / "teacher", "--output", out, *SHORT)
    line = train("kd", *asked, "--space", home / "tiny.yaml", "--layers", layers)
    saved = read(out)

    assert "nearness" in line
    assert Head("fit", 24) == saved.head
    assert saved.rule is not None
    if layers == "all":
        return
    task = ("--task", home / "pairs.csv", "--text-column", "text", "--label-column", "label")
    train("teacher", "--model", out, *task, "--output", taught, *SHORT[2:], "--epochs", "0.1")
    assert "classes" == read(taught).head.work


def test_a_model_learns_a_task_further_alone_and_by_a_teacher(tmp_path: Path, home: Path) -> None:
    task = ("--task", home / "pairs.csv", "--text-column", "text", "--label-column", "label")
    short = (*task, *SHORT[2:], "--epochs", "0.2")
    train("teacher", "--model", home / "teacher", *short, "--output", tmp_path / "teacher")
    ways = {
        "alone": (),
        "taught": ("--teacher", tmp_path / "teacher"),
        "trusting": ("--teacher", tmp_path / "teacher", "--trust", "1"),
        "wary": ("--teacher", tmp_path / "teacher", "--trust", "0"),
    }
    for name, more in ways.items():
        train("further", "--model", home / "model", *short, *more, "--output", tmp_path / name)

    assert 3 == len({weights(tmp_path / name) for name in ways})
    assert weights(tmp_path / "alone") == weights(tmp_path / "wary")
    refusal = train(
        "further", "--model", home / "model", *short, "--teacher", home / "teacher",
        "--output", tmp_path / "x", fails=True,
    )  # fmt: skip
    assert "has no head, so it cannot answer" in refusal


def test_a_model_reads_further(tmp_path: Path, home: Path) -> None:
    out = tmp_path / "out"
    train("further", "--model", home / "model", "--data", home / "data", "--output", out, *SHORT)

    assert "mlm" == read(out).head.work
    assert read(out).rule is None


def test_a_killed_training_ends_in_the_same_bytes(tmp_path: Path, home: Path) -> None:
    """Killed at once after its first state; states follow each other without a pause here."""
    program = (
        "import sys, torch; torch.set_num_threads(1); from nas.train import loop; "
        "loop.SAVE_S = 0.0; from nas.cli import app; app()"
    )

    def start(out: Path) -> subprocess.Popen[bytes]:
        words = ["train", "mlm", "--data", home / "data", "--model", home / "model"]
        words += ["--space", home / "tiny.yaml", "--output", out, *SHORT, "--dropout", "0.1"]
        words += ["--epochs", "6", "--batch", "16"]
        return subprocess.Popen(
            [sys.executable, "-c", program, *map(str, words)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    whole = start(tmp_path / "whole")
    killed = start(tmp_path / "killed")
    state = tmp_path / "killed" / "state"
    end = time.monotonic() + 120
    while not list(state.glob("step-*[0-9]")) and time.monotonic() < end:
        assert killed.poll() is None, killed.stderr.read()
        time.sleep(0.005)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "killed" / "result.json").exists()
    again = start(tmp_path / "killed")
    assert b"" != again.communicate(timeout=120)[1]
    whole.communicate(timeout=120)

    assert (0, 0) == (again.returncode, whole.returncode)
    assert weights(tmp_path / "whole") == weights(tmp_path / "killed")
    results = [
        json.loads((tmp_path / name / "result.json").read_text()) | {"seconds": 0}
        for name in ("whole", "killed")
    ]
    assert results[0] == results[1]


def test_what_cannot_be_trained_is_refused_in_one_sentence(tmp_path: Path, home: Path) -> None:
    other = model_in(tmp_path / "other", words=WORDS[::-1])
    few = model_in(tmp_path / "few", architecture=Architecture(16, LARGEST.layers, 40, 8, 2))
    supernet = tmp_path / "supernet"
    shutil.copytree(home / "model", supernet)
    (supernet / "supernet.json").write_text(
        '{"heads": "per-head", "depth": "first", "kept": {}, "space": null}'
    )
    data, out = ("--data", home / "data"), ("--output", tmp_path / "out")
    mlm, kd = (*data, *out), (*data, *out, "--teacher", home / "teacher")
    said = {
        "another vocabulary": train("mlm", *mlm, "--model", other, fails=True),
        "has 8 positions": train("mlm", *mlm, "--model", few, fails=True),
        "who shall learn": train("mlm", *mlm, "--tokenizer", home / "words", fails=True),
        "leave --arch out": train(
            "mlm", *mlm, "--model", home / "model", "--arch", "h8 1x(a2 q8 f8)", fails=True
        ),
        "name a --space": train(
            "mlm", *mlm, "--model", home / "model", "--sampling", "one", fails=True
        ),
        "different vocabularies": train("kd", *kd, "--model", other, fails=True),
        "is a supernet": train("further", *mlm, "--model", supernet, fails=True),
        "name a --task or --data": train("further", "--model", home / "model", *out, fails=True),
        "use nas train kd": train(
            "further", *mlm, "--model", home / "model", "--teacher", home / "teacher", fails=True
        ),
        "no such folder": train(
            "mlm", "--data", tmp_path / "none", *out, "--model", home / "model", fails=True
        ),
        "pretraining.json": train(
            "mlm", "--data", home / "model", *out, "--model", home / "model", fails=True
        ),
        "larger than the supernet's": train(
            "mlm", *mlm, "--model", home / "model", "--space", "minilm", fails=True
        ),
    }

    for words, refusal in said.items():
        assert words in refusal, refusal
        assert "\n" not in refusal
    assert not (tmp_path / "out" / "model.safetensors").exists()

"""`nas train teacher` and `supernet` as a person meets them: killed, in two processes, refused."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from nas.cli import app
from nas.command_line import run
from tests.made_training import (
    asked,
    called,
    environment,
    lines_of,
    made_model,
    made_space,
    made_table,
    made_teacher,
    outcome,
)

RECIPE = ("--batch", 8, "--precision", "fp32", "--threads", 1, "--rate", 0.01)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a teacher, a task and a space."""
    folder = tmp_path_factory.mktemp("made")
    made_model(folder / "model")
    made_teacher(folder / "teacher")
    made_table(folder / "task.csv", 90)
    made_space(folder / "tiny.yaml")
    return folder


def teacher(place: Path, output: Path, *more: object) -> tuple[object, ...]:
    return (
        "train", "teacher", "--task", place / "task.csv", "--model", place / "model",
        "--output", output, *RECIPE, *more,
    )  # fmt: skip


def supernet(place: Path, output: Path, *more: object) -> tuple[object, ...]:
    return (
        "train", "supernet", "--task", place / "task.csv", "--teacher", place / "teacher",
        "--space", place / "tiny.yaml", "--output", output, *RECIPE, *more,
    )  # fmt: skip


def killed_once_it_has(step: int, words: tuple[object, ...], output: Path) -> None:
    """Kill -9 when so many steps are on the disk."""
    child = subprocess.Popen(asked(*words), env=environment(), stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not any(
            int(path.name[5:]) >= step
            for path in (output / "state").glob("step-*")
            if path.name[5:].isdigit()
        ):
            assert child.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()


@pytest.mark.parametrize("kind", [teacher, supernet])
def test_a_killed_training_ends_as_if_nothing_had_happened(kind, place, tmp_path) -> None:
    more = ("--epochs", 4, "--dropout", 0.2, "--accumulation", 2, "--evaluations", 2)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert 0 == called(asked(*kind(place, whole, *more))).returncode

    killed_once_it_has(3, kind(place, cut, *more), cut)
    again = called(asked(*kind(place, cut, *more)))

    assert 0 == again.returncode, again.stderr
    assert not (cut / "state").exists()
    assert outcome(whole) == outcome(cut)


@pytest.mark.parametrize("kind", [teacher, supernet])
def test_two_processes_compute_what_one_does_with_twice_the_accumulation(
    kind, place, tmp_path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"

    alone = called(asked(*kind(place, one, "--epochs", 3, "--accumulation", 2, "--rate", 1e-3)))
    both = called(asked(*kind(place, two, "--epochs", 3, "--rate", 1e-3), processes=2))

    assert 0 == alone.returncode, alone.stderr
    assert 0 == both.returncode, both.stderr
    weights, others = (load_file(x / "model.safetensors") for x in (one, two))
    for name, value in weights.items():
        if not name.endswith("key.bias"):  # softmax forgets it: its gradient is rounding alone
            np.testing.assert_allclose(value, others[name], atol=2e-4, err_msg=name)
    losses, theirs = ([x["losses"] for x in lines_of(f) if "losses" in x] for f in (one, two))
    assert len(losses) == len(theirs)
    for mine, other in zip(losses, theirs, strict=True):
        assert mine == pytest.approx(other, abs=1e-4)


def test_a_teacher_learns_what_can_be_learned(place, tmp_path) -> None:
    table = made_table(tmp_path / "more.csv", 300)
    more = ("--task", table, "--epochs", 15, "--dropout", 0, "--rate", 1e-3)

    done = called(asked(*teacher(place, tmp_path / "t", *more)))

    assert 0 == done.returncode, done.stderr
    assert max(x["scores"]["accuracy"] for x in lines_of(tmp_path / "t") if "scores" in x) > 0.9


def refusal(words: tuple[object, ...], monkeypatch, capsys) -> str:
    """The one sentence that bad input gets."""
    monkeypatch.setattr("sys.argv", ["nas", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        run(app, "nas")
    told = capsys.readouterr().err.strip().splitlines()
    assert 2 == left.value.code
    return told[-1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--epochs", 0), "epochs must be above 0"),
        (("--precision", "fp16"), "fp16 is for GPUs"),
        (("--precision", "fp8"), "precision 'fp8'"),
        (("--model", "nowhere"), "nowhere has no"),
        (("--task", "nothing"), "there is no task 'nothing'"),
    ],
)
def test_bad_options_of_a_teacher_get_one_sentence(
    more, said, place, tmp_path, monkeypatch, capsys
) -> None:
    assert said in refusal(teacher(place, tmp_path / "t", *more), monkeypatch, capsys)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--teacher", "model"), "has no head, so it cannot answer"),
        (("--space", "minilm"), "is larger than the supernet's, 16"),
        (("--slicing", "none"), "slicing must be one of"),
        (("--sampling", "none"), "'none' is not one of 'sandwich', 'one'"),
        (("--answers", "largest", "--largest-every", 2), "add --largest-every 1"),
    ],
)
def test_bad_options_of_a_supernet_get_one_sentence(
    more, said, place, tmp_path, monkeypatch, capsys
) -> None:
    more = tuple(place / x if x == "model" else x for x in more)

    assert said in refusal(supernet(place, tmp_path / "s", *more), monkeypatch, capsys)


def test_texts_of_one_class_are_refused(place, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "one.csv").write_text("text,label\n" + "the cat,a\nthe dog,a\n" * 9, "utf-8")
    words = teacher(place, tmp_path / "t", "--task", tmp_path / "one.csv")

    assert "one.csv" in refusal(words, monkeypatch, capsys)


def test_another_training_in_the_same_folder_is_refused(
    place, tmp_path, monkeypatch, capsys
) -> None:
    assert 0 == called(asked(*teacher(place, tmp_path / "t", "--epochs", 1))).returncode

    told = refusal(teacher(place, tmp_path / "t", "--epochs", 2), monkeypatch, capsys)

    assert "epochs is 1.0 there and 2.0 here" in told

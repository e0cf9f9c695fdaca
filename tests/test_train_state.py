"""A training's folder: what is kept when a disk is full, and what is refused in one sentence."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from nas.train import loop, state
from nas.train.recipe import Recipe
from nas.train.run import finished, run
from nas.train.state import Progress
from results.errors import BadInputError
from tests.made_training import ALONE, Killed, Toy, loop_of, weights_of

RECIPE = Recipe(epochs=2, batch=4, rate=0.05)
WHAT = {"kind": "toy", "task": "made", "recipe": RECIPE.as_dict()}


def trained(folder: Path, toy: Toy | None = None, **changes: Any) -> dict[str, Any]:
    given = {"what": WHAT, "say": lambda _: None} | changes
    return run(toy or Toy(), RECIPE, folder, ALONE, **given)


def stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training that was killed after its third step; the folder of its state."""
    monkeypatch.setattr(loop, "SAVE_S", 0.0)
    with pytest.raises(Killed):
        trained(folder, Toy(dies_at=4))
    return folder / "state" / "step-3"


def half_then_full(tensors: dict[str, torch.Tensor], path: Path) -> None:
    save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:200])
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_the_state_before_and_a_rerun_goes_on_from_it(
    tmp_path, monkeypatch
) -> None:
    trained(tmp_path / "whole")
    last = stopped(tmp_path / "full", monkeypatch)
    before = {path.name: path.read_bytes() for path in last.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr("safetensors.torch.save_file", half_then_full)
        with pytest.raises(BadInputError, match="the state after step 4 cannot be written to"):
            trained(tmp_path / "full")

    assert [last] == list(last.parent.iterdir())
    assert before == {path.name: path.read_bytes() for path in last.iterdir()}
    toy = Toy()
    trained(tmp_path / "full", toy)
    assert 3 == toy.seen[0].step
    whole, full = (tmp_path / name / "model.safetensors" for name in ("whole", "full"))
    assert whole.read_bytes() == full.read_bytes()


def test_a_full_disk_under_the_best_network_is_one_sentence(tmp_path, monkeypatch) -> None:
    def full(_toy: Toy, _folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Toy, "keep", full)
        with pytest.raises(BadInputError, match="the network of step 6 cannot be written to"):
            trained(tmp_path)

    assert 12 == trained(tmp_path)["steps"]


def test_a_disk_that_safetensors_finds_full_is_one_sentence(tmp_path) -> None:
    with (
        pytest.raises(BadInputError, match="the state cannot be written to"),
        state.writing("the state", tmp_path),
    ):
        save_file({"x": torch.zeros(1)}, tmp_path / "nowhere" / "x.safetensors")
    with (
        pytest.raises(BadInputError, match="it goes on from the state before"),
        state.writing("the state", tmp_path),
    ):
        raise SafetensorError("No space left on device")


def test_an_error_of_ours_is_not_taken_for_a_full_disk(tmp_path) -> None:
    with pytest.raises(KeyError), state.writing("it", tmp_path):
        raise KeyError


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def foreign(path: Path) -> None:
    save_file({"0.weight": torch.zeros(1, 1)}, path)


def narrow(path: Path) -> None:
    save_file({name: value[..., :1].clone() for name, value in load_file(path).items()}, path)


DAMAGE = {
    "weights of a narrow network": ("weights.safetensors", narrow),
    "weights cut": ("weights.safetensors", cut),
    "moments cut": ("optimiser.safetensors", cut),
    "weights of another network": ("weights.safetensors", foreign),
    "weights gone": ("weights.safetensors", Path.unlink),
    "facts cut": ("state.json", cut),
    "facts of something else": ("state.json", lambda path: path.write_text("[]")),
    "facts without a step": ("state.json", lambda path: path.write_text('{"best": 1}')),
}


@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_a_damaged_state_is_one_sentence(tmp_path, monkeypatch, name) -> None:
    file, damage = DAMAGE[name]
    last = stopped(tmp_path, monkeypatch)
    damage(last / file)

    with pytest.raises(BadInputError, match="step-3 is damaged or of another training") as told:
        trained(tmp_path)

    assert "\n" not in str(told.value)


def test_a_state_is_read_as_it_was_written(tmp_path) -> None:
    toy = Toy()
    training = loop_of(toy, RECIPE, tmp_path)
    training.step(0)
    wanted = Progress(7, 0.25, 6, 1.5)
    state.save(tmp_path / "state", toy.network, training.optimiser, wanted)
    other = Toy()
    fresh = loop_of(other, RECIPE, tmp_path)

    assert wanted == state.load(tmp_path / "state", other.network, fresh.optimiser)
    assert weights_of(toy) == weights_of(other)
    for mine, theirs in zip(toy.network.parameters(), other.network.parameters(), strict=True):
        for key, value in training.optimiser.state[mine].items():
            assert torch.equal(value, fresh.optimiser.state[theirs][key])


def test_a_state_before_any_score_is_json(tmp_path) -> None:
    toy = Toy()
    training = loop_of(toy, RECIPE, tmp_path)
    state.save(tmp_path / "state", toy.network, training.optimiser, Progress(1))

    facts = (tmp_path / "state" / "step-1" / "state.json").read_text("utf-8")

    assert None is json.loads(facts, parse_constant=pytest.fail)["best"]
    assert Progress(1) == state.load(tmp_path / "state", toy.network, training.optimiser)


def test_of_two_states_the_later_one_counts_and_the_other_goes(tmp_path) -> None:
    toy = Toy()
    training, folder = loop_of(toy, RECIPE, tmp_path), tmp_path / "state"
    for step in (9, 10):
        state.save(folder, toy.network, training.optimiser, Progress(step))
        assert [f"step-{step}"] == [path.name for path in folder.iterdir()]
    (folder / "step-10").rename(tmp_path / "kept")
    state.save(folder, toy.network, training.optimiser, Progress(9))
    (tmp_path / "kept").rename(folder / "step-10")
    for unfinished in ("step-11.new", "step-12.new"):
        (folder / unfinished).mkdir()

    assert 10 == state.load(folder, toy.network, training.optimiser).step
    state.save(folder, toy.network, training.optimiser, Progress(12))
    assert ["step-12"] == [path.name for path in folder.iterdir()]


def test_a_finished_training_is_not_touched(tmp_path) -> None:
    result = trained(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    toy = Toy()

    assert result == finished(tmp_path, WHAT)
    assert result == trained(tmp_path, toy)  # it was finished while this one read its data

    assert [] == toy.seen
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_the_same_settings_go_on(tmp_path, monkeypatch) -> None:
    stopped(tmp_path, monkeypatch)
    toy = Toy()
    record = (tmp_path / "train.json").stat().st_mtime_ns

    assert None is finished(tmp_path, WHAT)
    trained(tmp_path, toy)

    assert 3 == toy.seen[0].step
    assert record == (tmp_path / "train.json").stat().st_mtime_ns


def test_other_settings_are_refused_by_name(tmp_path, monkeypatch) -> None:
    stopped(tmp_path, monkeypatch)
    other = WHAT | {"recipe": replace(RECIPE, rate=0.5).as_dict()}

    with pytest.raises(BadInputError, match=r"rate is 0\.05 there and 0\.5 here"):
        finished(tmp_path, other)
    with pytest.raises(BadInputError, match=r"rate is 0\.05 there and 0\.5 here"):
        trained(tmp_path, what=other)
    with pytest.raises(BadInputError, match="teacher is None there and new here"):
        finished(tmp_path, WHAT | {"teacher": "new"})
    with pytest.raises(BadInputError, match="task is made there and None here"):
        finished(tmp_path, {"kind": "toy", "recipe": RECIPE.as_dict()})
    assert None is finished(tmp_path, WHAT)


def test_what_was_asked_is_compared_as_json_has_it(tmp_path) -> None:
    what = WHAT | {"labels": ("a", "b"), "kept": {2: (0, 1)}}

    trained(tmp_path, what=what)

    assert 12 == finished(tmp_path, what)["steps"]  # type: ignore[index]
    record = json.loads((tmp_path / "train.json").read_text("utf-8"))
    assert "made" == record["task"]
    assert not (tmp_path / "tensorboard").exists()


def test_a_second_process_is_told_to_wait(tmp_path) -> None:
    tmp_path.joinpath("train").mkdir()
    with FileLock(tmp_path / "train" / ".lock"):
        with pytest.raises(BadInputError, match="another process trains in"):
            trained(tmp_path / "train")

        assert None is finished(tmp_path / "train", WHAT)
    assert 12 == trained(tmp_path / "train")["steps"]


def test_a_process_that_just_begins_is_no_foreign_folder(tmp_path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / "train.json.new").touch()

    assert None is finished(tmp_path, WHAT)


def test_other_folders_and_files_are_refused(tmp_path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch()
    folder.mkdir()
    (folder / "letter.txt").touch()

    with pytest.raises(BadInputError, match="is no folder: name another"):
        finished(file, WHAT)
    with pytest.raises(BadInputError, match="holds no training: name another"):
        finished(folder, WHAT)
    assert None is finished(tmp_path / "new", WHAT)


@pytest.mark.parametrize("file", ["train.json", "result.json"])
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"what": []}', '"\udcff"', '{"score": []}']
)
def test_damaged_records_are_one_sentence(tmp_path, file, text) -> None:
    trained(tmp_path)
    (tmp_path / file).write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(BadInputError, match=r"is damaged|holds another training") as told:
        finished(tmp_path, WHAT)

    assert "\n" not in str(told.value)


def test_tensorboard_reads_what_was_written(tmp_path, monkeypatch) -> None:
    stopped_at = 3
    monkeypatch.setattr(loop, "SAVE_S", 0.0)
    monkeypatch.setattr("nas.train.journal.EVERY_S", 0.0)
    with pytest.raises(Killed):
        trained(tmp_path, Toy(dies_at=stopped_at + 1), tensorboard=True)
    trained(tmp_path, tensorboard=True)

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(tmp_path / "tensorboard")).Reload()

    assert {"loss/loss", "rate", "score/score"} == set(reader.Tags()["scalars"])
    assert list(range(1, 13)) == [event.step for event in reader.Scalars("loss/loss")]
    assert [6, 12] == [event.step for event in reader.Scalars("score/score")]


def test_without_tensorboard_it_is_said_in_one_sentence(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with pytest.raises(BadInputError, match=r"install subbert\[tensorboard\]"):
        trained(tmp_path, tensorboard=True)


def test_weights_in_a_state_are_those_of_the_network(tmp_path, monkeypatch) -> None:
    last = stopped(tmp_path, monkeypatch)

    found = load_file(last / "weights.safetensors")

    assert {name for name, _ in Toy().network.named_parameters()} == set(found)

"""The folder of a search: what was kept comes back, and what was torn or changed is told."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from results.choice import FORMAT
from results.errors import BadInputError
from results.searches import OUTCOME, SEARCH, TRIALS, Run, searches_of
from tests.made_runs import made_run, made_search


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return made_run(tmp_path, trials=20)


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    run = Run(tmp_path / "one")
    with run.locked():
        run.begin(made_search("one"))

    assert run.exists
    assert made_search("one") == run.search
    assert () == run.trials()
    assert run.outcome is None


def test_trials_are_kept_one_by_one_in_order(run: Run) -> None:
    trials = run.trials()
    run.restart(trials[:3])

    for trial in trials[3:]:
        run.add(trial)

    assert trials == run.trials()


def test_a_trial_torn_by_a_kill_is_passed_over(run: Run) -> None:
    path, trials = run.folder / TRIALS, run.trials()
    path.write_bytes(path.read_bytes()[:-20])

    assert trials[:-1] == run.trials()


def test_a_damaged_trial_is_told_with_its_line(run: Run) -> None:
    path = run.folder / TRIALS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "{}\n", *lines[2:]]))

    with pytest.raises(BadInputError, match=rf"{TRIALS} line 2 is damaged"):
        run.trials()


@pytest.mark.parametrize("name", [SEARCH, OUTCOME])
def test_a_file_of_a_newer_version_is_refused(run: Run, name: str) -> None:
    path = run.folder / name
    content = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    path.write_bytes(msgspec.json.encode(content | {"format": FORMAT + 1}))

    with pytest.raises(BadInputError, match="newer subbert"):
        _ = run.search if name == SEARCH else run.outcome


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": 3}', b"\xff", b"[" * 100_000])
def test_a_damaged_search_is_told(run: Run, content: bytes) -> None:
    (run.folder / SEARCH).write_bytes(content)

    with pytest.raises(BadInputError, match=SEARCH):
        _ = run.search


def test_a_folder_of_something_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is no search's folder"):
        _ = Run(tmp_path).search


def test_two_processes_never_search_in_one_folder(tmp_path: Path) -> None:
    run = Run(tmp_path / "one")
    probe = (
        "import sys; from pathlib import Path; from results.searches import Run\n"
        "with Run(Path(sys.argv[1])).locked(): pass"
    )
    command = [sys.executable, "-c", probe, str(run.folder)]

    with run.locked():
        during = subprocess.run(command, check=False, capture_output=True, text=True)
    after = subprocess.run(command, check=False, capture_output=True, text=True)

    assert "in use by another process" in during.stderr
    assert 0 == after.returncode, after.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_nobody_may_write_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(BadInputError, match="cannot write"), Run(tmp_path / "one").locked():
        pass


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("")

    with pytest.raises(BadInputError, match="cannot write"), Run(tmp_path / "one").locked():
        pass


def test_notes_come_back_and_damaged_ones_are_as_if_never_made(run: Run) -> None:
    assert run.noted("near") is None
    run.note("near", {"shift": 0.5, "errors": [1.0, 2.0]})

    assert {"shift": 0.5, "errors": [1.0, 2.0]} == run.noted("near")

    (run.folder / "near.json").write_text("{")
    assert run.noted("near") is None


def test_searches_are_beside_the_ledger() -> None:
    assert Path("results/searches") == searches_of(Path("results/data"))

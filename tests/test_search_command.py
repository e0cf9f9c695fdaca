"""A whole search, from nothing but a supernet to verified files, in real processes."""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from bench.nas_cli import main
from bench.search import provide
from bench.search.meter import Bench
from bench.search.sweeps import labelled
from bench.subjects import source_of
from nas.elastic import Rule
from nas.folder import read, write
from nas.predict import load
from nas.space import SearchSpace
from nas.spaces.layers import PerHead
from results.choice import Outcome, Search, Tried
from results.measurement import Measurement, Subject
from results.searches import Run
from results.stats import Label
from results.store import Ledger
from tests.exact_sums import CUT
from tests.made_supernet import LARGEST, TABLES, made_folder, made_task

ROOT = Path(__file__).parent.parent
LABELS = ("animal", "colour", "place")
DEVICES = """version: 1
devices:
  here:
    tokens: [16]
    runtimes:
      onnxruntime: [fp32, ptq]
  there:
    machine: aarch64
    runtimes:
      onnxruntime: [fp32, ptq]
"""
SPACE = SearchSpace(
    name="tiny", depth=(1, 2, 3), hidden=(8, 16, 24), heads=(1, 2, 4), qkv=PerHead(6),
    ffn=(8, 16, 24, 40), **TABLES,
)  # fmt: skip
SMALL = ("--evaluations", "12", "--refinements", "6", "--winners", "2", "--probe", "10")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a supernet, a task and devices; nothing is measured there yet."""
    folder = tmp_path_factory.mktemp("place")
    plain = made_folder(folder / "plain", labels=LABELS)
    write(read(plain).network(), folder / "supernet", tokenizer=plain, labels=LABELS, rule=Rule(),
          space=SPACE)  # fmt: skip
    (folder / "words").mkdir()
    for part, split in made_task().splits.items():
        with (folder / "words" / f"{part}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["text", "label"])
            rows.writerows(
                (f"{text} {number}", LABELS[int(label)])
                for number, (text, label) in enumerate(zip(split.texts, split.labels, strict=True))
            )
    (folder / "devices.yaml").write_text(DEVICES)
    return folder


def command(*more: str) -> list[str]:
    """The words after `nas`."""
    usual = {"--task": "words", "--device": "here", "--supernet": "supernet", "--workers": "1"}
    given = [x for pair in usual.items() if pair[0] not in more for x in pair]
    return ["search", *given, *SMALL, *more]


START = [sys.executable, "-P", "-m", "bench.nas_cli"]


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def call(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `nas search` in this process, in the folder."""

    def run(*more: str) -> Done:
        monkeypatch.chdir(place)
        monkeypatch.setattr(sys, "argv", ["nas", *command(*more)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Done(int(left.value.code or 0), said.out, said.err)

    return run


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def searched(place: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A search that made the predictors it needed, by two workers."""
    words = command("--latency", "50ms", "--auto", "--name", "one", "--json", "--workers", "2")
    return place, subprocess.run(
        [*START, *words], cwd=place, check=False, capture_output=True, text=True,
        env=environment(), timeout=300,
    )  # fmt: skip


def run_of(place: Path, name: str = "one") -> Run:
    return Run(place / "results" / "searches" / name)


def outcome_of(place: Path, name: str = "one") -> Outcome:
    found = run_of(place, name).outcome
    assert found is not None
    return found


Searched = tuple[Path, subprocess.CompletedProcess[str]]


def test_one_command_measures_fits_scores_verifies_and_tells(searched: Searched) -> None:
    place, done = searched

    assert 0 == done.returncode, done.stderr
    told = json.loads(done.stdout)
    found = outcome_of(place)
    assert 2 == len(found.winners)
    assert {"full", "quantised"} == {t.stage for t in run_of(place).trials()}
    assert [12, 6] == [
        sum(t.stage == stage for t in run_of(place).trials()) for stage in ("full", "quantised")
    ]
    assert "every one of" in done.stderr
    assert CUT == ("cuts sums of products of ptq" in done.stderr)
    assert told
    assert ["here"] == [x.device for x in found.swings]


def test_a_winner_s_latency_is_that_of_its_own_file_in_rows_of_the_ledger(
    searched: Searched,
) -> None:
    place, _ = searched
    rows = {row.id: row for _, row in Ledger(place / "results" / "data").measurements()}

    for winner in outcome_of(place).winners:
        (one,) = winner.measured
        row = rows[one.rows[-1]]
        assert winner.architecture == row.subject.architecture
        assert "ptq" == row.subject.scheme == winner.scheme
        file = run_of(place).folder / winner.folder / winner.file
        assert source_of(file).label == row.subject.source
        assert hashlib.sha256(file.read_bytes()).hexdigest() == winner.sha256
        assert 3 == len(row.runs)
        assert one.lower <= one.ms <= one.upper <= 50
        assert 16 == one.tokens


def test_what_was_scored_is_what_the_file_answers(searched: Searched) -> None:
    place, _ = searched
    scores = {x.id: x for _, x in Ledger(place / "results" / "data").scores()}
    trials = {(t.architecture, t.scheme): t for t in run_of(place).trials()}
    with (place / "words" / "dev.csv").open() as file_of_texts:
        dev = list(csv.DictReader(file_of_texts))

    for winner in outcome_of(place).winners:
        score = scores[trials[winner.architecture, winner.scheme].score]
        folder = run_of(place).folder / winner.folder
        file = load(folder, "onnxruntime", winner.scheme)
        shares = [file.probabilities(row["text"]) for row in dev]
        assert list(score.predictions) == [int(np.argmax(list(x.values()))) for x in shares]
        assert winner.metrics == score.metrics


def test_every_trial_is_a_row_of_the_ledger(searched: Searched) -> None:
    place, _ = searched
    scores = {x.id: x for _, x in Ledger(place / "results" / "data").scores()}

    for trial in run_of(place).trials():
        score = scores[trial.score]
        assert (trial.architecture, trial.metrics) == (score.architecture, score.metrics)
        assert ("fp32" if trial.stage == "full" else "ptq") == trial.scheme == score.scheme


def test_a_second_call_tells_the_same_and_does_nothing(searched: Searched, call: Call) -> None:
    place, first = searched
    before = len(list(Ledger(place / "results" / "data").sessions()))

    again = call("--latency", "50ms", "--name", "one", "--json")

    assert (0, first.stdout) == (again.code, again.out)
    assert "searched already" in again.err
    assert before == len(list(Ledger(place / "results" / "data").sessions()))


def test_a_search_that_was_killed_goes_on_to_the_same_end(searched: Searched, call: Call) -> None:
    place, _ = searched
    stopped = subprocess.Popen(
        [*START, *command("--latency", "50ms", "--name", "two")], cwd=place,
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    trials = run_of(place, "two").folder / "trials.jsonl"
    deadline = time.monotonic() + 120
    while not (trials.is_file() and trials.read_bytes().count(b"\n") > 4):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stopped.send_signal(signal.SIGKILL)
    stopped.wait()

    done = call("--latency", "50ms", "--name", "two")

    assert 0 == done.code, done.err
    assert "measuring 10 networks" not in done.err  # that was kept
    one, two = (run_of(place, name) for name in ("one", "two"))
    path = [[(t.architecture, t.scheme, t.score) for t in x.trials()] for x in (one, two)]
    assert path[0] == path[1]
    assert [w.sha256 for w in outcome_of(place).winners] == [
        w.sha256 for w in outcome_of(place, "two").winners
    ]


def test_a_folder_in_use_is_refused(searched: Searched, call: Call) -> None:
    place, _ = searched
    run = run_of(place, "busy")

    with run.locked():
        done = call("--latency", "50ms", "--name", "busy")

    assert 2 == done.code
    assert "in use by another process" in one_sentence(done)


def one_sentence(done: Done) -> str:
    """The last line of what was said, and no traceback."""
    assert "Traceback" not in done.err
    return [line for line in done.err.splitlines() if line.strip()][-1]


BAD: Sequence[tuple[Sequence[str], str]] = [
    (("--latency", "0.0001ms"), "nothing in tiny keeps 0.0001 ms on here"),
    (("--latency", "50ms", "--name", "one", "--seed", "1"), "holds another search: its seed is 0"),
    (("--latency", "40ms", "--name", "one"), "another budget"),
    (("--latency", "50ms", "--device", "nowhere"), "unknown device 'nowhere'"),
    (("--latency", "50ms", "--device", "there"), "cannot be there"),
    (("--latency", "50ms", "--supernet", "plain"), "says nothing of its search space"),
    (("--latency", "50ms", "--supernet", "nosuch"), "no folder of a supernet"),
    (("--latency", "50ms", "--supernet", "words"), "no folder of a supernet"),
    (("--latency", "50ms", "--quant", "int3"), "unknown scheme 'int3'"),
    (("--latency", "50ms", "--quant", "ptq-bf16"), "leave -bf16 out"),
    (("--latency", "50ms", "--quant", "int8-dynamic"), "missing: predictors of here"),
    (("--latency", "50ms", "--tokens", "32"), "missing: predictors of here"),
    (("--latency", "50ms", "--tokens", "many"), "a number of tokens, or `task`"),
    (("--latency", "50ms", "--runtime", "abacus"), "abacus"),
    (("--latency", "50ms", "--searcher", "oracle"), "no searcher is called 'oracle'"),
    (("--latency", "50ms", "--confidence", "1"), "--confidence 1 is out of range"),
    (("--latency", "50ms", "--winners", "9"), "fewer than --winners 9"),
    (("--latency", "50ms", "--min-accuracy", "100%"), "nothing is as accurate"),
    ((), "what may it cost"),
]


@pytest.mark.parametrize(("more", "says"), BAD, ids=[" ".join(more) for more, _ in BAD])
def test_bad_input_is_one_sentence(
    searched: Searched, call: Call, more: Sequence[str], says: str
) -> None:
    assert not searched[1].returncode

    done = call("--no-auto", *more)

    assert 2 == done.code, done.err
    assert says in one_sentence(done)


def changed(path: Path, *places: str, to: object) -> None:
    """Put something else at a place of a JSON file."""
    whole = json.loads(path.read_text())
    inner = whole
    for place in places[:-1]:
        inner = inner[place]
    inner[places[-1]] = to
    path.write_text(json.dumps(whole))


@pytest.mark.parametrize(
    ("places", "to", "says"),
    [
        (
            ("environment", "software", "packages", "onnxruntime"),
            "1.0",
            "packages.onnxruntime was '1.0'",
        ),
        (("environment", "hardware", "cpu"), "abacus", "hardware.cpu was 'abacus'"),
        (("device",), "there", "is the card of there, not of here"),
    ],
)
def test_a_card_of_elsewhere_is_no_card(
    searched: Searched, call: Call, places: Sequence[str], to: object, says: str
) -> None:
    card = searched[0] / "results" / "data" / "cards" / "here.json"
    before = card.read_text()

    try:
        changed(card, *places, to=to)
        done = call("--no-auto", "--latency", "50ms", "--name", "elsewhere")
    finally:
        card.write_text(before)

    assert 2 == done.code
    assert says in one_sentence(done)
    assert "bench profile --device here --for-predictor" in one_sentence(done)


def test_a_supernet_of_another_task_is_refused(searched: Searched, call: Call) -> None:
    place, _ = searched
    (place / "moods").mkdir(exist_ok=True)
    for part in ("train", "dev", "test"):
        rows = [f"the cat {part} {n},{('good', 'bad')[n % 2]}" for n in range(20)]
        (place / "moods" / f"{part}.csv").write_text("\n".join(["text,label", *rows, ""]))

    done = call("--no-auto", "--task", "moods", "--latency", "50ms")

    assert 2 == done.code
    assert "tells 3 labels apart" in one_sentence(done)


def test_what_is_missing_is_told_with_the_commands_that_make_it(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "command", lambda *more: ["search", *more])

    done = call("--task", "words", "--device", "here", "--latency", "5", "--results", "empty/data",
                "--no-auto")  # fmt: skip

    told = one_sentence(done)
    assert 2 == done.code
    assert "bench profile --device here --for-predictor --space minilm" in told
    assert "nas train teacher --task words" in told
    assert "nas train supernet --task words --teacher empty/models/words/teacher" in told


def test_the_words_of_a_run_come_back(searched: Searched) -> None:
    place, _ = searched
    run = run_of(place)
    search: Search = run.search
    trial: Tried = run.trials()[0]

    assert ("one", "ptq", "surrogate", 40) == (
        search.name, search.scheme, search.searcher, search.examples,
    )  # fmt: skip
    assert search.cards.keys() == {"here"} == search.fingerprints.keys()
    assert trial.predicted[0].lower <= trial.predicted[0].ms <= trial.predicted[0].upper


def test_files_of_winners_load_where_only_a_runtime_is(searched: Searched) -> None:
    place, _ = searched
    (first, *_) = outcome_of(place).winners
    path = run_of(place).folder / first.folder / first.file
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed: dict[str, Any] = {
        name: np.ones((1, 5), np.int64)
        for name in ("input_ids", "attention_mask", "token_type_ids")
    }
    (logits,) = session.run(None, feed)

    assert (1, 3) == logits.shape


def test_what_comes_next_is_told_with_the_cluster(searched: Searched, call: Call) -> None:
    place, _ = searched

    done = call("--latency", "50ms", "--name", "one", "--ray", "127.0.0.1:1")  # it is searched

    folder = run_of(place).folder.relative_to(place)
    assert f"next: nas ship --search {folder} --winner 1 --ray 127.0.0.1:1" in done.out


def test_a_cluster_measures_the_baseline_and_is_not_needed_when_that_is_done(
    searched: Searched, call: Call, nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, _ = searched
    ledger = Ledger(place / "results" / "data")
    before = {record.session.id for record in ledger.sessions()}
    monkeypatch.setattr(provide, "Bench", partial(Bench, target_error=0.4))  # never noisy
    node = nodes.add_node(num_cpus=1, resources={"here": 1})
    nodes.wait_for_nodes()
    few = ("--evaluations", "6", "--refinements", "2", "--winners", "1", "--name", "far", "--json")

    done = call("--latency", "1.1x", *few, "--ray", nodes.address)
    nodes.remove_node(node)
    again = call("--latency", "1.1x", *few, "--ray", "127.0.0.1:1")

    assert run_of(place, "far").outcome is not None, done.err
    assert (done.code, done.out) == (again.code, again.out)
    assert "searched already" in again.err
    assert "measuring the baseline" not in again.err
    first = min({record.session.id for record in ledger.sessions()} - before)
    (row, label) = the_row_of(first, ledger, tmp_path)
    assert Subject(LARGEST, "fp32", "onnxruntime") == row.subject
    (limit,) = run_of(place, "far").search.limits
    assert (label.latency_ms, label.latency_ms / 1.1) == (limit.baseline_ms, limit.value)


def the_row_of(session: str, ledger: Ledger, then: Path) -> tuple[Measurement, Label]:
    """Of a session with one row, on the scale of the sessions up to it."""
    for file in ledger.root.glob("*/*.jsonl"):
        if file.stem <= session:
            (then / file.parent.name).mkdir(exist_ok=True)
            shutil.copy(file, then / file.parent.name)
    rows = [row.id for taken, row in Ledger(then).measurements() if taken.id == session]
    (found,) = labelled(Ledger(then), rows).values()
    return found

"""Sub-models are scored by several processes as by one, and nothing that came is lost."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.search import workers
from bench.search.exam import Exam, Order, TaskName, exam_of, order_in, reply, request, serve
from bench.search.workers import Processes, ScoringPool
from nas.data.columns import Columns
from nas.data.task import Task
from nas.folder import read, write
from nas.score.scorer import Options, Scorer
from profiler.isolate import Worker
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.score import Score
from results.store import Ledger
from tests.made_supernet import LARGEST, RULE, SUBS, TABLES, made_folder, made_task
from tests.scripted_score_worker import DIES, HANGS, SCRIPT, asked_for

HERE = Path(__file__).parent
RIGHT = "right"
LABELS = ("animal", "colour", "place")
SCHEMES = ("fp32", "ptq", "int8-dynamic", "fp32")
OUTSIDE = Architecture(24, (Layer(4, 24, 41),), **TABLES)


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("supernet"), labels=LABELS)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> TaskName:
    return TaskName(str(made_tables(tmp_path_factory.mktemp("words"))))


def made_tables(folder: Path) -> Path:
    """A folder of tables with made-up sentences, in columns of no usual names."""
    for part, split in made_task().splits.items():
        with (folder / f"{part}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["text", "label"])
            rows.writerows(
                (f"{text} {number % 7 * 'dog '}", LABELS[int(label)])
                for number, (text, label) in enumerate(zip(split.texts, split.labels, strict=True))
            )
    return folder


def task_of(named: TaskName) -> Task:
    return named.load(lambda _line: None)


def scorer_of(supernet: Path, named: TaskName, results: Path | None = None) -> Scorer:
    return Scorer(read(supernet), task_of(named), results=results, options=Options(calibration=20))


class Made:
    """A crew that gives what it is told, in that order."""

    def __init__(self, exam: Exam, scores: Sequence[Score] = ()) -> None:
        self.exam, self.scores, self.asked = exam, scores, list[Order]()

    def compute(self, orders: Sequence[Order]) -> Generator[Score]:
        self.asked += orders
        yield from self.scores

    def close(self) -> None:
        self.asked.clear()


# Any number of workers


def test_scores_do_not_depend_on_how_many_workers_there_are(
    supernet: Path, named: TaskName, tmp_path: Path
) -> None:
    found: list[list[Score]] = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        with (
            scorer_of(supernet, named, folder) as scorer,
            ScoringPool(scorer, Processes(scorer, named, number)) as pool,
        ):
            found.append(pool.score(SUBS, SCHEMES))
            assert found[-1] == pool.score(SUBS, SCHEMES)
        kept = [row for _, row in Ledger(folder).scores()]
        assert sorted(found[-1], key=lambda x: x.id) == sorted(kept, key=lambda x: x.id)
        assert ["complete"] == [record.status for record in Ledger(folder).sessions()]

    one, two = ([what_counts(score) for score in scores] for scores in found)
    assert one == two
    assert list(zip(SUBS, SCHEMES, strict=True)) == [(x.architecture, x.scheme) for x in found[1]]


def what_counts(score: Score) -> Score:
    return replace(score, id="", session="", seconds=0, scored_utc="")


def test_a_pool_scores_as_the_scorer_does(supernet: Path, named: TaskName) -> None:
    alone, scorer = scorer_of(supernet, named), scorer_of(supernet, named)
    pool = ScoringPool(scorer, Processes(scorer, named, 1))

    found = pool.score(SUBS, ["fp32"] * len(SUBS))

    expected = alone.score(SUBS)
    assert [x.predictions for x in expected] == [x.predictions for x in found]
    assert [x.key for x in expected] == [x.key for x in found]


# The ledger


def test_what_the_ledger_has_is_asked_of_nobody(
    supernet: Path, named: TaskName, tmp_path: Path
) -> None:
    with scorer_of(supernet, named, tmp_path) as scorer:
        before = scorer.score(SUBS[:2]) + scorer.score(SUBS[:1], "int8-dynamic")
    with scorer_of(supernet, named, tmp_path) as scorer:
        (new,) = [scorer.compute(SUBS[2])]
        crew = Made(exam_of(scorer, named), [new])

        first, second, third, fourth = ScoringPool(scorer, crew).score(
            [SUBS[0], SUBS[2], SUBS[1], SUBS[0]],
            ["int8-dynamic:weights=channel", "fp32", "fp32", "fp32"],
        )

    assert [before[2], before[1], before[0]] == [first, third, fourth]
    assert [Order(crew.exam, SUBS[2], "fp32")] == crew.asked
    assert what_counts(new) == what_counts(second)
    assert 4 == len(list(Ledger(tmp_path).scores()))


def test_what_is_asked_for_twice_is_computed_once(supernet: Path, named: TaskName) -> None:
    scorer = scorer_of(supernet, named)
    crew = Made(exam_of(scorer, named), [scorer.compute(SUBS[1], "int8-dynamic")])

    one, other = ScoringPool(scorer, crew).score(
        [SUBS[1], SUBS[1]], ["int8-dynamic", "int8-dynamic:weights=channel"]
    )

    assert one == other
    assert 1 == len(crew.asked)


def test_a_score_that_came_is_on_the_disk_before_the_next_one(
    supernet: Path, named: TaskName, tmp_path: Path
) -> None:
    scorer = scorer_of(supernet, named, tmp_path)
    last_first = [scorer.compute(sub) for sub in reversed(SUBS)]
    counts: list[int] = []

    class Watched(Made):
        def compute(self, orders: Sequence[Order]) -> Generator[Score]:
            for score in super().compute(orders):
                counts.append(len(list(Ledger(tmp_path).scores())))
                yield score

    pool = ScoringPool(scorer, Watched(exam_of(scorer, named), last_first))
    found = pool.score(SUBS, ["fp32"] * 4)

    assert [0, 1, 2, 3] == counts
    assert list(SUBS) == [x.architecture for x in found]
    rows = [row for _, row in Ledger(tmp_path).scores()]
    assert list(reversed(SUBS)) == [x.architecture for x in rows]
    assert [f"{x.session}-{n}" for n, x in enumerate(rows, 1)] == [x.id for x in rows]


def test_a_score_of_another_supernet_is_refused(
    supernet: Path, named: TaskName, tmp_path: Path
) -> None:
    other = scorer_of(made_folder(tmp_path / "other", seed=1, labels=LABELS), named)
    scorer = scorer_of(supernet, named, tmp_path / "rows")
    crew = Made(exam_of(scorer, named), [other.compute(SUBS[1])])

    with pytest.raises(BadInputError, match=r"h16 .* in fp32 was scored on other conditions"):
        ScoringPool(scorer, crew).score([SUBS[1]], ["fp32"])

    assert [] == list(Ledger(tmp_path / "rows").scores())


@pytest.mark.parametrize(
    ("architecture", "scheme", "sentence"),
    [(OUTSIDE, "fp32", "is not in the supernet"), (LARGEST, "bf16", "bf16 cannot be scored")],
)
def test_nothing_is_computed_if_one_cannot_be(
    supernet: Path, named: TaskName, architecture: Architecture, scheme: str, sentence: str
) -> None:
    scorer = scorer_of(supernet, named)
    crew = Made(exam_of(scorer, named))

    with pytest.raises(BadInputError, match=sentence):
        ScoringPool(scorer, crew).score([SUBS[1], architecture], ["fp32", scheme])

    assert [] == crew.asked


# Processes that are told what to say


class Stage:
    """Scripted workers, and what they were asked."""

    def __init__(self, scorer: Scorer, named: TaskName, folder: Path) -> None:
        self.scorer, self.named, self.folder = scorer, named, folder
        self.workers: list[Worker] = []
        self.exam = exam_of(scorer, named)

    def play(self, *lines: list[object]) -> None:
        """What is answered to each of SUBS, one after the other; to the others what is right."""
        script = {}
        for number, sub in enumerate(SUBS):
            order = Order(self.exam, sub, "fp32")
            said = lines[number] if number < len(lines) else [RIGHT]
            right = reply(order) if RIGHT in said else None
            script[asked_for(request(order))] = [right if x == RIGHT else x for x in said]
        (self.folder / "script").write_text(json.dumps(script))

    def asked(self) -> list[str]:
        path = self.folder / "asked"
        return path.read_text("utf-8").splitlines() if path.exists() else []


@pytest.fixture
def stage(
    supernet: Path, named: TaskName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    folder = tmp_path / "stage"
    folder.mkdir()
    made = Stage(scorer_of(supernet, named, tmp_path / "rows"), named, folder)

    def started(_module: str, variables: dict[str, str], cpus: None) -> Worker:
        assert "1" == variables["OMP_NUM_THREADS"]
        given = variables | {"PYTHONPATH": str(HERE), SCRIPT: str(folder / "script")}
        made.workers.append(Worker("scripted_score_worker", given, cpus))
        return made.workers[-1]

    monkeypatch.setattr(workers, "Worker", started)
    yield made
    for worker in made.workers:
        worker.close()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[-1].split()[0] != "Z"


def test_a_worker_that_dies_is_followed_by_another(stage: Stage) -> None:
    stage.play([RIGHT], [DIES, RIGHT])

    with ScoringPool(stage.scorer, Processes(stage.scorer, stage.named, 2)) as pool:
        found = pool.score(SUBS, ["fp32"] * 4)

    assert list(SUBS) == [x.architecture for x in found]
    assert 3 == len(stage.workers)
    assert 5 == len(stage.asked())
    assert sorted(found, key=lambda x: x.id) == [x for _, x in Ledger(ledger(stage)).scores()]


def ledger(stage: Stage) -> Path:
    return stage.folder.parent / "rows"


def test_who_ends_two_processes_is_named_and_the_others_are_kept(stage: Stage) -> None:
    stage.play([RIGHT], [RIGHT], [DIES])

    with (
        pytest.raises(BadInputError, match=r"h24 1x\(a4 q8 f40\) in fp32: .*twice.*the reason"),
        ScoringPool(stage.scorer, Processes(stage.scorer, stage.named, 2)) as pool,
    ):
        pool.score(SUBS, ["fp32"] * 4)

    kept = [x.architecture for _, x in Ledger(ledger(stage)).scores()]
    assert {SUBS[0], SUBS[1]} <= set(kept)
    deadly = asked_for(request(Order(stage.exam, SUBS[2], "fp32")))
    assert 2 == sum(line.endswith(deadly) for line in stage.asked())
    assert not any(is_there(worker.pid) for worker in stage.workers)


def test_what_a_worker_refuses_is_refused_in_its_words(stage: Stage) -> None:
    stage.play([RIGHT], [{"refused": "its weights are damaged"}])

    with (
        pytest.raises(BadInputError, match=r"^its weights are damaged$"),
        ScoringPool(stage.scorer, Processes(stage.scorer, stage.named, 2)) as pool,
    ):
        pool.score(SUBS, ["fp32"] * 4)

    assert not any(is_there(worker.pid) for worker in stage.workers)


def test_workers_are_asked_again_and_again(stage: Stage) -> None:
    stage.play()

    with ScoringPool(stage.scorer, Processes(stage.scorer, stage.named, 2)) as pool:
        pool.score(SUBS[:2], ["fp32"] * 2)
        pool.score(SUBS[2:], ["fp32"] * 2)

    assert 2 == len(stage.workers)
    assert 2 == len({line.split()[0] for line in stage.asked()})


def test_a_worker_that_dies_between_two_batches_is_no_harm(stage: Stage) -> None:
    stage.play()

    with ScoringPool(stage.scorer, Processes(stage.scorer, stage.named, 2)) as pool:
        pool.score(SUBS[:2], ["fp32"] * 2)
        for worker in stage.workers:
            os.kill(worker.pid, signal.SIGKILL)
        while any(is_there(worker.pid) for worker in stage.workers):
            time.sleep(0.01)
        found = pool.score(SUBS[2:], ["fp32"] * 2)

    assert list(SUBS[2:]) == [x.architecture for x in found]


@pytest.mark.parametrize(
    ("number", "cpus", "asked", "started"),
    [(None, 1, 4, 0), (None, 3, 4, 3), (None, 8, 4, 4), (2, 8, 4, 2), (2, 1, 1, 0), (0, 8, 4, 0)],
)
def test_there_are_as_many_workers_as_cpus_and_no_more_than_sub_models(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    number: int | None,
    cpus: int,
    asked: int,
    started: int,
) -> None:
    stage.play()
    monkeypatch.setattr(workers, "allowed_cpus", lambda: tuple(range(cpus)))

    with ScoringPool(stage.scorer, Processes(stage.scorer, stage.named, number)) as pool:
        found = pool.score(SUBS[:asked], ["fp32"] * asked)

    assert list(SUBS[:asked]) == [x.architecture for x in found]
    assert started == len(stage.workers)


def test_ctrl_c_ends_the_workers_and_keeps_what_came(stage: Stage) -> None:
    stage.play([RIGHT], [HANGS], [HANGS])

    def interrupted() -> None:
        with ScoringPool(stage.scorer, Processes(stage.scorer, stage.named, 3)) as pool:
            scores = pool.scores(SUBS, ["fp32"] * 4)
            next(scores)
            signal.raise_signal(signal.SIGINT)
            next(scores)

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert 3 == len(stage.workers)
    assert not any(is_there(worker.pid) for worker in stage.workers)
    assert SUBS[0] in [x.architecture for _, x in Ledger(ledger(stage)).scores()]


ORPHANS = """
import sys
from pathlib import Path

from bench.search import workers
from bench.search.exam import TaskName
from profiler.isolate import Worker
from tests.made_supernet import SUBS
from tests.test_search_workers import scorer_of

def started(_module, variables, cpus):
    return Worker("scripted_score_worker", variables, cpus)

workers.Worker = started
named = TaskName(sys.argv[2])
scorer = scorer_of(Path(sys.argv[1]), named)
workers.ScoringPool(scorer, workers.Processes(scorer, named, 2)).score(SUBS, ["fp32"] * 4)
"""


def test_a_killed_parent_leaves_no_worker_behind(stage: Stage) -> None:
    stage.play([HANGS], [HANGS])
    paths = os.pathsep.join([str(HERE), str(HERE.parent), *sys.path])
    variables = os.environ | {"PYTHONPATH": paths, SCRIPT: str(stage.folder / "script")}
    given = [str(stage.scorer.saved.folder), stage.named.name]
    with subprocess.Popen([sys.executable, "-c", ORPHANS, *given], env=variables) as parent:
        while len(stage.asked()) < 2:
            assert None is parent.poll()
            time.sleep(0.02)
        pids = {int(line.split()[0]) for line in stage.asked()}
        assert all(is_there(pid) for pid in pids)
        parent.kill()

    deadline = time.monotonic() + 10
    while any(is_there(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert 2 == len(pids)
    assert not any(is_there(pid) for pid in pids)


# What crosses


def test_an_order_is_the_same_on_the_other_side(
    supernet: Path, named: TaskName, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(named.name)
    monkeypatch.chdir(path.parent)
    columns = Columns(text="text", label="label")
    answers: list[dict[str, object]] = []
    scorer = scorer_of(supernet, named)
    exam = exam_of(scorer, TaskName(path.name, Path("there"), columns))
    plain: Any = json.loads(json.dumps(request(Order(exam, SUBS[3], "ptq"))))

    assert str(path) == plain["exam"]["task"]["name"]
    assert str(path.parent / "there") == plain["exam"]["task"]["folder"]
    assert {"text": "text", "pair": None, "label": "label"} == plain["exam"]["task"]["columns"]
    assert 20 == plain["exam"]["options"]["calibration"]
    assert Order(exam, SUBS[3], "ptq") == order_in(plain)
    serve(plain, answers.append)
    assert f"{path} is not read from a folder given apart" in str(answers[0]["refused"])


@pytest.mark.parametrize("name", ["trec6", "glue/sst2", "hub:x:y"])
def test_names_of_no_files_stay_what_they_are(name: str) -> None:
    assert TaskName(name) == TaskName(name).absolute()


def test_bad_input_in_a_worker_is_a_sentence_in_its_reply(
    supernet: Path, named: TaskName, tmp_path: Path
) -> None:
    saved = read(supernet)
    damaged = saved.weights["bert.encoder.layer.0.output.dense.bias"]
    damaged[20] = np.nan
    write(saved.network(), tmp_path, tokenizer=supernet, labels=LABELS, rule=RULE)
    exam = exam_of(scorer_of(supernet, named), named)

    replied = reply(Order(replace(exam, supernet=str(tmp_path)), LARGEST, "fp32"))

    assert "h24 1x(a4 q24 f40) 1x(a4 q24 f48) 1x(a4 q24 f40) in fp32" in str(replied["refused"])
    assert "no numbers" in str(replied["refused"])

"""A Ray cluster scores and measures as this machine does; a node that dies takes nothing along."""

import os
import shutil
import socket
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.search import ray_link
from bench.search.exam import TaskName
from bench.search.measure import How, ModelFile
from bench.search.ray_ledger import full_priority
from bench.search.ray_link import Job, Link, connected
from bench.search.ray_measure import measure_there
from bench.search.ray_pool import Cluster, Parcel, digest_of, files_of, unpacked
from bench.search.workers import Processes, ScoringPool
from nas.folder import read
from nas.score.scorer import Options, Scorer
from quant.graph import emit, save
from quant.scheme import parse
from quant.weights import RandomWeights
from results.architecture import Architecture
from results.errors import BadInputError
from results.store import Ledger
from tests import ray_jobs
from tests.made_supernet import SUBS, made_folder
from tests.ray_jobs import DEVICE
from tests.test_search_workers import LABELS, made_tables, what_counts

SMALL = Architecture.uniform(1, 24, 2, 24, 32)


# Without a cluster


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(BadInputError, match=r"pip install 'subbert\[ray\]'"), connected("auto"):
        pass


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_is_not_there_is_a_sentence_at_once(scheme: str) -> None:
    pytest.importorskip("ray", reason="needs ray")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{nobody.getsockname()[1]}"

        with pytest.raises(BadInputError, match=f"no Ray cluster at {address} .*refused"):
            connected(address).__enter__()


def test_files_that_are_sent_are_the_same_files_under_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "node"))
    (tmp_path / "node").mkdir()
    folder = made_folder(tmp_path / "supernet")
    parcel = Parcel(str(folder), digest_of(folder))
    content = {file.name: file.read_bytes() for file in files_of(folder)}

    first, again = unpacked(parcel, content), unpacked(parcel, content)

    assert first == again != folder
    assert "supernet" == first.name
    assert parcel.digest == digest_of(first)
    assert content == {file.name: file.read_bytes() for file in first.iterdir()}
    (first / "vocab.txt").write_text("[PAD]\n")
    assert parcel.digest == digest_of(unpacked(parcel, content))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "supernet.json"])
def test_every_file_that_matters_is_in_the_digest(tmp_path: Path, name: str) -> None:
    folder = made_folder(tmp_path)
    before = digest_of(folder)

    (folder / name).write_bytes((folder / name).read_bytes() + b" ")

    assert before != digest_of(folder)


@pytest.mark.parametrize(("niceness", "may"), [(0, False), (15, True), (15, False)])
def test_what_ray_does_to_priorities_is_undone_or_refused(
    monkeypatch: pytest.MonkeyPatch, niceness: int, *, may: bool
) -> None:
    seen: list[int] = []

    def change(_what: int, _who: int, to: int) -> None:
        if not may:
            raise PermissionError
        seen.append(to)

    monkeypatch.setattr(os, "getpriority", lambda *_: niceness)
    monkeypatch.setattr(os, "setpriority", change)

    if niceness and not may:
        with pytest.raises(BadInputError, match="RAY_worker_niceness=0 ray start"):
            full_priority().__enter__()
        return
    with full_priority():
        assert ([0] if niceness else []) == seen
    assert ([0, 15] if niceness else []) == seen


# With one


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("world") / "supernet", labels=LABELS)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> TaskName:
    return TaskName(str(made_tables(tmp_path_factory.mktemp("words"))))


def jobs_of(log: Path, count: int, seconds: float, device: str = "") -> list[Job]:
    return [Job(f"job {n}", (str(log), str(n), seconds), device) for n in range(count)]


def test_no_two_jobs_are_done_at_once_on_one_device(link: Link, tmp_path: Path) -> None:
    found = dict(link.each(ray_jobs.sleep, jobs_of(tmp_path / "log", 4, 0.2, DEVICE)))

    assert ["0", "1", "2", "3"] == [found[n]["name"] for n in range(4)]
    assert all({DEVICE: 1} == x["needs"] for x in found.values())
    times = sorted((x["began"], x["ended"]) for x in found.values())
    assert all(ended <= began for (_, ended), (began, _) in pairwise(times))


def test_a_device_that_no_node_has_is_told_at_once(link: Link, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no node .* has the resource dev-b: .*\"dev-b\": 1"):
        list(link.each(ray_jobs.sleep, jobs_of(tmp_path / "log", 1, 0, "dev-b")))

    assert not (tmp_path / "log").exists()


def test_what_a_job_raises_is_a_sentence(link: Link) -> None:
    with pytest.raises(BadInputError, match=r"^the job: .*the reason"):
        list(link.each(ray_jobs.fail, [Job("the job", ("",), DEVICE)]))


def test_a_job_that_ends_its_processes_is_named(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_link, "TRIES", 1)

    with pytest.raises(BadInputError, match=r"^the job: the Ray cluster could not do it"):
        list(link.each(ray_jobs.die, [Job("the job", ("",), DEVICE)]))


def test_a_device_that_is_gone_for_good_is_given_up(
    link: Link, nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_link, "POLL_S", 0.2)
    monkeypatch.setattr(ray_link, "PATIENCE_S", 0.5)
    node, log = nodes.add_node(num_cpus=0, resources={"dev-c": 1}), tmp_path / "log"
    nodes.wait_for_nodes()
    jobs = link.each(ray_jobs.first_only, [Job(n, (str(log), n), "dev-c") for n in ("a", "b")])

    first = next(jobs)[1]["name"]  # in whatever order the cluster takes them
    nodes.remove_node(node)

    with pytest.raises(BadInputError, match=r"has the resource dev-c: .*what was done is kept"):
        list(jobs)
    assert f"ends {first}" in log.read_text("utf-8")


def test_a_node_that_dies_takes_no_job_along(link: Link, nodes: Any, tmp_path: Path) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    first = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    three = [Job(f"job {n}", (str(log), str(n), str(go))) for n in range(3)]
    jobs = link.each(ray_jobs.first_only, three)

    found = [next(jobs)]
    while not (running := at_work(log, first.node_id)):
        time.sleep(0.02)
    nodes.remove_node(first, allow_graceful=False)
    second = nodes.add_node(num_cpus=1)
    go.touch()
    found += jobs
    nodes.remove_node(second)

    assert [0, 1, 2] == sorted(index for index, _ in found)
    lines = [line.split() for line in log.read_text("utf-8").splitlines()]
    begun = [node for what, name, node in lines if [what, name] == ["begins", running[0]]]
    assert [first.node_id, second.node_id] == begun


def at_work(log: Path, node: str) -> list[str]:
    """The jobs that began on a node and did not end."""
    lines = [line.split() for line in log.read_text("utf-8").splitlines()]
    ended = {name for what, name, _ in lines if what == "ends"}
    return [n for what, n, there in lines if what == "begins" and n not in ended and there == node]


def test_every_score_is_kept_once_though_a_node_dies(
    link: Link, nodes: Any, supernet: Path, named: TaskName, tmp_path: Path
) -> None:
    options = Options(batch_tokens=1)
    task = named.load(lambda _line: None)
    first = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    subs = [replace(SUBS[0], hidden=hidden) for hidden in range(8, 13)]
    with (
        Scorer(read(supernet), task, results=tmp_path, options=options) as scorer,
        ScoringPool(scorer, Cluster(scorer, named, link)) as pool,
    ):
        parcel = Parcel(str(supernet), digest_of(supernet))
        shutil.rmtree(unpacked(parcel, {}).parent)  # of another run
        away = supernet.rename(supernet.parent / "away")  # the nodes need not have it
        scores = pool.scores(subs, ["fp32"] * len(subs))
        found = [next(scores)]
        nodes.remove_node(first, allow_graceful=False)
        second = nodes.add_node(num_cpus=1)
        found += scores
    nodes.remove_node(second)
    away.rename(supernet)

    assert subs == [x.architecture for x in found]
    kept = [row for _, row in Ledger(tmp_path).scores()]
    assert sorted(found, key=lambda x: x.id) == sorted(kept, key=lambda x: x.id)
    assert ["complete"] == [record.status for record in Ledger(tmp_path).sessions()]
    with Scorer(read(supernet), task, options=options) as here:
        alone = ScoringPool(here, Processes(here, named, 1)).score(subs, ["fp32"] * len(subs))
    assert [what_counts(x) for x in alone] == [what_counts(x) for x in found]


def model_in(folder: Path, scheme: str = "fp32") -> ModelFile:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    save(emit(SMALL, parse(scheme), RandomWeights(0)), path)
    return ModelFile(path, SMALL, scheme)


def test_what_a_device_measured_is_kept_here_and_not_measured_again(
    link: Link, tmp_path: Path
) -> None:
    files = [model_in(tmp_path / "a"), model_in(tmp_path / "b", "int8-dynamic")]
    how = How(
        device=DEVICE, tokens=(16, 8), results=tmp_path / "data", processes=1, target_error=0.4
    )

    (first,) = measure_there(link, files, [how], memory=True)
    (again,) = measure_there(link, files, [how])
    (anew,) = measure_there(link, files[:1], [replace(how, resume=False)])

    assert {2} == {len({*x.rows}) for x in anew[0][0].measured} or again[0][0].noisy
    assert files == [timed.file for timed, _ in first]
    assert all(0 < need < 2000 for _, need in first if need is not None)
    assert [x for x, _ in first if not x.noisy] == [x for x, _ in again if not x.noisy]
    ledger = Ledger(how.results)
    rows = {row.id: (session, row) for session, row in ledger.measurements()}
    for timed, need in first:
        assert need is not None
        assert [16, 8] == [x.tokens for x in timed.measured]
        for x in timed.measured:
            session, row = rows[x.rows[0]]
            assert DEVICE == session.device == row.device
            assert "model.onnx" == row.subject.source.split("@")[0]
            assert x.lower < x.ms < x.upper
            assert Path(sys.argv[0]).name == session.argv[0]
            assert "PASSIVE" == session.environment.settings.variables["OMP_WAIT_POLICY"]


def test_a_node_that_is_not_the_device_says_so(link: Link, tmp_path: Path) -> None:
    definitions = tmp_path / "devices.yaml"
    definitions.write_text(
        "version: 1\ndevices:\n  cpu-any:\n    isa: [no_such_flag]\n"
        "    runtimes:\n      onnxruntime: [fp32]\n"
    )
    how = How(device=DEVICE, tokens=(8,), results=tmp_path / "data", devices=definitions)

    with pytest.raises(BadInputError, match=r"node that is cpu-any says: this host cannot be"):
        measure_there(link, [model_in(tmp_path)], [how])

    assert not list(Ledger(how.results).sessions())

"""The parent's side of a worker: talking, waiting, and what remains of it."""

import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from profiler.contention import read, since
from profiler.cpus import allowed_cpus, disturbance, reserved_cpus
from profiler.isolate import ALLOCATOR, Worker, WorkerError, out_of_the_way, stable_variables

HERE = str(Path(__file__).parent)


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker("echo_worker", {**os.environ, "PYTHONPATH": HERE}, None) as started:
        yield started


def test_answers_come_in_order_up_to_done(worker: Worker) -> None:
    for word in ("a", "ü\n", "x" * 200_000):
        assert [{"event": "row", "said": word}] == [*worker.ask({"do": "echo", "word": word}, 20)]


def test_a_dead_worker_is_reported_with_its_last_words(worker: Worker) -> None:
    with pytest.raises(WorkerError, match="exit code 7: the reason"):
        [*worker.ask({"do": "die"}, 20)]

    with pytest.raises(WorkerError):
        [*worker.ask({"do": "echo", "word": "a"}, 20)]


def test_a_silent_worker_is_given_up(worker: Worker) -> None:
    with pytest.raises(WorkerError, match="silent"):
        [*worker.ask({"do": "sleep"}, 0.3)]


def test_closing_ends_the_process_at_once(worker: Worker) -> None:
    worker.close()

    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


def test_the_parent_sleeps_while_it_waits(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    real = select.select

    def counted(*given: Any) -> Any:
        waits.append(given[-1])
        return real(*given)

    monkeypatch.setattr(select, "select", counted)
    with pytest.raises(WorkerError, match="silent"):
        [*worker.ask({"do": "sleep"}, 0.5)]

    assert [0.5] == [pytest.approx(w, abs=0.1) for w in waits]  # a polling parent waits often


def test_a_stable_worker_inherits_no_secret_and_no_setting() -> None:
    base = {"PATH": "/bin", "AWS_SECRET": "x", "OMP_NUM_THREADS": "64", "KMP_BLOCKTIME": "200"}

    variables = stable_variables(base, 2, {"ONEDNN_MAX_CPU_ISA": "AVX2"})

    assert {"PATH": "/bin", "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"} == {
        name: variables.get(name) for name in ("PATH", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")
    }
    assert "AVX2" == variables["ONEDNN_MAX_CPU_ISA"]
    assert not {"AWS_SECRET", "KMP_BLOCKTIME"} & set(variables)


def test_a_worker_gets_the_variables_it_is_given_and_no_others() -> None:
    given = stable_variables(os.environ, 1, {}) | {"PYTHONPATH": HERE}

    with Worker("echo_worker", given, None) as started:
        (seen,) = started.ask({"do": "environment"}, 20)

    assert set(given) <= set(seen)
    assert set(seen) - set(given) <= {"event", "LC_CTYPE"}  # CPython sets LC_CTYPE itself


def test_all_three_allocator_settings_come_together() -> None:
    assert 3 == len(ALLOCATOR)
    assert ALLOCATOR.items() <= stable_variables({}, 1, {}).items()


@pytest.mark.skipif(len(allowed_cpus()) < 2, reason="needs two CPUs")
def test_the_parent_leaves_the_worker_s_cpu_and_comes_back() -> None:
    first, *others = before = allowed_cpus()

    with pytest.raises(KeyError), out_of_the_way([first]):  # noqa: PT012
        assert tuple(others) == allowed_cpus()
        raise KeyError

    assert before == allowed_cpus()


def test_a_probe_leaves_the_affinity_alone_and_finds_at_least_the_work() -> None:
    before = allowed_cpus()

    assert disturbance(before[-1], 2_000_000) >= 0.99
    assert before == allowed_cpus()


@pytest.mark.skipif(len(allowed_cpus()) < 2, reason="needs two CPUs")
def test_two_profilers_take_different_cpus_while_there_are_any(tmp_path: Path) -> None:
    with reserved_cpus(1, tmp_path) as one, reserved_cpus(1, tmp_path) as other:
        assert not set(one) & set(other)


def test_cpus_are_shared_when_none_is_free(tmp_path: Path) -> None:
    everything = len(allowed_cpus())

    with reserved_cpus(everything, tmp_path), reserved_cpus(1, tmp_path) as late:
        assert 1 == len(late)


def test_steal_and_pressure_are_read_from_proc(tmp_path: Path) -> None:
    (tmp_path / "pressure").mkdir()
    (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 80 9 10\ncpu0 1\n")
    (tmp_path / "pressure/cpu").write_text("some avg10=0.00 avg60=0.0 avg300=0.0 total=500\n")
    before = read(tmp_path)
    (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 93 9 10\ncpu0 1\n")
    (tmp_path / "pressure/cpu").write_text("some avg10=0.00 avg60=0.0 avg300=0.0 total=777\n")

    found = since(before, tmp_path)

    assert (13, 277) == (found.steal_ticks, found.pressure_us)


def test_a_system_that_shows_no_counters_is_no_error(tmp_path: Path) -> None:
    found = since(read(tmp_path), tmp_path)

    assert (None, None) == (found.steal_ticks, found.pressure_us)

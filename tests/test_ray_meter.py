"""What nodes of a cluster measure is in the asker's ledger, once, whatever becomes of a node."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.search.meter import Bench, HereMeter, Wanted
from bench.search.ray_link import Link
from bench.search.ray_meter import ClusterMeter
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Measurement
from results.session import Session
from results.store import Ledger
from tests.ray_jobs import DEVICE

BOARD = "board"
DEVICES = f"""version: 1
devices:
  {DEVICE}:
    runtimes:
      onnxruntime: [fp32, ptq]
  {BOARD}:
    runtimes:
      onnxruntime: [fp32, ptq]
"""
NETWORKS = tuple(Architecture.uniform(1, 24, 2, 24, ffn) for ffn in (16, 24, 32))


def wanted_of(folder: Path, device: str = DEVICE, tokens: tuple[int, ...] = (16,)) -> Wanted:
    (folder / "devices.yaml").write_text(DEVICES)
    bench = Bench(device, "onnxruntime", folder / "data", folder / "devices.yaml", remote=True)
    return Wanted(replace(bench, target_error=0.4), NETWORKS, ("ptq",), tokens)  # never noisy


def rows_of(folder: Path) -> list[tuple[Session, Measurement]]:
    return list(Ledger(folder / "data").measurements())


def test_networks_that_a_node_measured_are_kept_here_and_not_measured_again(
    link: Link, tmp_path: Path
) -> None:
    wanted, meter = wanted_of(tmp_path), ClusterMeter(lambda: link)
    first = replace(wanted, networks=NETWORKS[:1])

    (one,) = meter.latencies([first])
    (found,) = meter.latencies([wanted])
    rows = rows_of(tmp_path)
    (again,) = meter.latencies([wanted])

    assert rows == rows_of(tmp_path)
    assert [(a, "ptq", 16) for a in NETWORKS[:1]] == list(one)
    assert {(a, "ptq", 16) for a in NETWORKS} == set(found)
    measured = [row.subject.architecture for _, row in rows]
    assert (NETWORKS[0], set(NETWORKS[1:]), 3) == (measured[0], set(measured[1:]), len(measured))
    assert {(DEVICE, Path(sys.argv[0]).name)} == {(s.device, s.argv[0]) for s, _ in rows}
    here = replace(wanted, bench=replace(wanted.bench, remote=False))
    assert [found] == [again] == HereMeter().latencies([here])  # the scale is this ledger's


def test_a_cluster_is_not_asked_where_nothing_is_wanted() -> None:
    def nobody() -> Link:
        raise AssertionError

    assert [] == ClusterMeter(nobody).latencies([])


def test_what_a_node_refuses_is_a_sentence(link: Link, tmp_path: Path) -> None:
    wanted = replace(wanted_of(tmp_path), schemes=("bf16",))

    with pytest.raises(
        BadInputError, match=f"^the node that is {DEVICE} says: .*bf16 cannot be had"
    ):
        ClusterMeter(lambda: link).latencies([wanted])

    assert not rows_of(tmp_path)


@pytest.fixture
def boards(nodes: Any, tmp_path: Path) -> Iterator[dict[Path, Any]]:
    """Two nodes that are the same device, by the folders in which each measures."""
    found = {}
    with pytest.MonkeyPatch.context() as patched, ExitStack() as left:
        patched.delenv("TMPDIR", raising=False)
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            patched.setenv("TEMP", str(folder))
            found[folder] = nodes.add_node(num_cpus=0, resources={BOARD: 1})
            left.callback(_removed, nodes, found[folder])
        nodes.wait_for_nodes()
        yield found


def _removed(nodes: Any, node: Any) -> None:
    if node in nodes.worker_nodes:
        nodes.remove_node(node)


def test_a_node_that_dies_while_it_measures_leaves_every_row_once(
    link: Link, nodes: Any, boards: dict[Path, Any], tmp_path: Path
) -> None:
    lengths = tuple(range(9, 17))  # a block each: time to die in
    wanted = wanted_of(tmp_path, BOARD, lengths)
    meter = ClusterMeter(lambda: link)

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(meter.latencies, [wanted])
        (dies,) = wait(lambda: [folder for folder in boards if half_done(folder)])
        nodes.remove_node(boards[dies], allow_graceful=False)
        lost = half_done(dies)
        (found,) = asked.result()

    rows = [row for _, row in rows_of(tmp_path)]
    cells = Counter((row.subject.architecture, "ptq", row.workload.tokens) for row in rows)
    assert dict.fromkeys(((a, "ptq", n) for a in NETWORKS for n in lengths), 1) == cells
    assert set(cells) == set(found)
    assert ["complete"] == [record.status for record in Ledger(tmp_path / "data").sessions()]
    assert lost
    assert not {row.id for row in rows} & {row.id for row in lost}


def half_done(folder: Path) -> list[Measurement]:
    """The rows that a node at work has, once there are some."""
    return [
        row for data in folder.glob("subbert-*/data") for _, row in Ledger(data).measurements()
    ]


def wait(found: Callable[[], list[Path]]) -> list[Path]:
    deadline = time.monotonic() + 100
    while not (there := found()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return there

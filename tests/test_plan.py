"""What a sweep will measure, and in which company."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.plan import BLOCK, BLOCK_BYTES, Network, blocks, tasks_for
from bench.subjects import ANCHORS, Source, anchor_for
from results.architecture import Architecture
from results.measurement import Procedure, Workload

RUNTIMES = {"torch": ["fp32", "int8-dynamic"], "onnxruntime": ["fp32", "int8-dynamic"]}

architectures = st.builds(
    Architecture.uniform,
    depth=st.integers(1, 12),
    hidden=st.integers(1, 64).map(lambda n: 12 * n),
    heads=st.sampled_from([1, 2, 4, 12]),
    qkv=st.integers(1, 64).map(lambda n: 12 * n),
    ffn=st.integers(1, 3072),
)
plans = given(st.lists(architectures, min_size=1, max_size=25, unique=True), st.integers(0, 9))


@plans
@settings(deadline=None, max_examples=40)
def test_every_task_is_in_exactly_one_block(networks: list[Architecture], seed: int) -> None:
    workloads = (Workload(tokens=32), Workload(tokens=128))
    tasks = tasks_for([Network(a) for a in networks], RUNTIMES, workloads, Procedure())

    found = [task for block in blocks(tasks, seed) for task in block.tasks]

    assert len(networks) * 8 == len(tasks)
    assert sorted(map(repr, tasks)) == sorted(map(repr, found))


@plans
@settings(deadline=None, max_examples=40)
def test_a_block_is_small_of_one_runtime_and_holds_all_schemes(
    networks: list[Architecture], seed: int
) -> None:
    tasks = tasks_for([Network(a) for a in networks], RUNTIMES, (Workload(),), Procedure())

    for block in blocks(tasks, seed):
        members = {task.subject.architecture for task in block.tasks}
        sizes = [4 * a.parameters for a in members if a]
        assert len(members) <= BLOCK
        assert len(members) == 1 or sum(sizes) <= BLOCK_BYTES
        assert {block.runtime} == {task.subject.runtime for task in block.tasks}
        assert 2 * len(members) == len(block.tasks)


@plans
@settings(deadline=None, max_examples=40)
def test_networks_of_a_block_are_neighbours_in_work(
    networks: list[Architecture], seed: int
) -> None:
    tasks = tasks_for(
        [Network(a) for a in networks], {"torch": ["fp32"]}, (Workload(),), Procedure()
    )

    ranges = sorted(
        (min(macs), max(macs))
        for block in blocks(tasks, seed)
        if (
            macs := [
                t.subject.architecture.macs(128) for t in block.tasks if t.subject.architecture
            ]
        )
    )

    assert all(before[1] <= after[0] for before, after in pairwise(ranges))


def test_a_block_of_small_networks_is_full_and_no_more() -> None:
    networks = [Network(Architecture.uniform(1, 12 * n, 12, 12 * n, 64)) for n in range(1, 21)]
    tasks = tasks_for(networks, {"torch": ["fp32"]}, (Workload(),), Procedure())

    sizes = sorted(len(block.tasks) for block in blocks(tasks, 0))

    assert [2, BLOCK, BLOCK, BLOCK] == sizes


def test_the_seed_decides_the_order_of_blocks() -> None:
    networks = [Network(Architecture.uniform(1, 12 * n, 12, 12 * n, 64)) for n in range(1, 60)]
    tasks = tasks_for(networks, RUNTIMES, (Workload(),), Procedure())

    assert blocks(tasks, 1) == blocks(tasks, 1)
    assert blocks(tasks, 1) != blocks(tasks, 2)


def test_a_foreign_graph_runs_as_it_is_and_only_where_graphs_run() -> None:
    foreign = Network(None, Source("/m.onnx", "m.onnx@sha256:0"))

    tasks = tasks_for([foreign], RUNTIMES, (Workload(),), Procedure())

    assert [("onnxruntime", "as-is")] == [(t.subject.runtime, t.subject.scheme) for t in tasks]


@given(st.floats(1e6, 1e11))
def test_the_anchor_is_the_nearest_in_ratio(macs: float) -> None:
    chosen = anchor_for(int(macs), 128).macs(128) / macs
    others = [a.macs(128) / macs for a in ANCHORS.values()]

    assert max(chosen, 1 / chosen) <= min(max(r, 1 / r) for r in others) * 1.000001

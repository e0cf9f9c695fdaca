"""What a sweep will measure, in which blocks: pure arithmetic, no clock, no file, no process."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from bench.subjects import Source
from bench.theirs import AS_IS, ENGINE
from profiler.device import Device
from profiler.runtimes.runtime import load_runtime
from results.architecture import Architecture
from results.environment import digest
from results.measurement import Procedure, Subject, Workload

BLOCK = 6
"""Networks measured side by side. The anchor costs one more visit a round, so 1/6 of the time."""

BLOCK_BYTES = 300_000_000
"""Float32 weights of the networks of one block, together: keeps a sweep's memory flat."""


@dataclass(frozen=True, slots=True)
class Task:
    """One row to be: a network in a scheme on a runtime, under a workload."""

    subject: Subject
    workload: Workload
    procedure: Procedure
    source: Source = field(default_factory=Source)
    """An ONNX file of ours is loaded as it is; the subject has the sizes and scheme of it."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network to be measured: an architecture with random weights, or a source."""

    architecture: Architecture | None
    source: Source = field(default_factory=Source)
    theirs: tuple[str, ...] = ()
    """Schemes in which tools of others quantise the source, for ONNX Runtime."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a session set out to measure."""

    device: Device
    runtimes: tuple[str, ...]
    tasks: tuple[Task, ...]
    procedure: Procedure
    seed: int
    cap: str = ""

    @property
    def digest(self) -> str:
        """Equal plans measure the same things the same way."""
        tasks = [(asdict(t.subject), asdict(t.workload)) for t in self.tasks]
        return digest(self.device.digest, self.cap, tasks, asdict(self.procedure), self.seed)


@dataclass(frozen=True, slots=True)
class Block:
    """Tasks of one runtime and workload that share a rotation."""

    runtime: str
    workload: Workload
    tasks: tuple[Task, ...]


def tasks_for(
    networks: Sequence[Network],
    runtimes: dict[str, list[str]],
    workloads: Sequence[Workload],
    procedure: Procedure,
) -> tuple[Task, ...]:
    """Every network x workload x runtime x scheme that makes sense, in that order.

    A foreign ONNX file runs as it is, where graphs run, and as others quantise it.
    """
    return tuple(
        Task(
            Subject(network.architecture, scheme, runtime, network.source.label),
            workload,
            procedure,
            network.source,
        )
        for network in networks
        for workload in workloads
        for runtime, schemes in runtimes.items()
        for scheme in _schemes(network, runtime, schemes)
    )


def _schemes(network: Network, runtime: str, ours: Sequence[str]) -> list[str]:
    """A foreign graph runs as it is beside fp32, and beside what others make of it."""
    theirs = network.theirs if runtime == ENGINE else ()
    if network.architecture:
        return [*ours, *theirs]
    runs = load_runtime(runtime).takes == "graph" and ("fp32" in ours or theirs)
    return [AS_IS, *theirs] if runs else []


def blocks(tasks: Iterable[Task], seed: int) -> list[Block]:
    """Networks of similar size together, in a random order, so that what is done is a sample.

    All schemes of a network on a runtime are in one block: they are compared side by side.
    """
    networks: dict[tuple[object, ...], list[Task]] = {}
    for task in tasks:
        key = (task.workload, task.subject.architecture, task.subject.source)
        networks.setdefault(key, []).append(task)
    groups = sorted(networks.values(), key=lambda group: _work(group[0]))
    chunks = list(_chunks(groups))
    random.Random(seed).shuffle(chunks)  # noqa: S311 - an order of work, no secret
    return [block for chunk in chunks for block in _by_runtime(chunk)]


def by_network(block: Block) -> list[Block]:
    """The block taken apart: one for each of its networks, in all its schemes."""
    parts: dict[tuple[object, str], list[Task]] = {}
    for task in block.tasks:
        parts.setdefault((task.subject.architecture, task.subject.source), []).append(task)
    return [Block(block.runtime, block.workload, tuple(tasks)) for tasks in parts.values()]


def _work(task: Task) -> tuple[Workload, int]:
    architecture = task.subject.architecture
    return task.workload, architecture.macs(task.workload.tokens) if architecture else 0


def _chunks(groups: Sequence[list[Task]]) -> Iterator[list[Task]]:
    chunk: list[list[Task]] = []
    for group in groups:
        full = len(chunk) == BLOCK or sum(map(_bytes, chunk)) + _bytes(group) > BLOCK_BYTES
        if chunk and (full or chunk[0][0].workload != group[0].workload):
            yield [task for member in chunk for task in member]
            chunk = []
        chunk.append(group)
    if chunk:
        yield [task for member in chunk for task in member]


def _bytes(group: Sequence[Task]) -> int:
    architecture = group[0].subject.architecture
    return 4 * architecture.parameters if architecture else 0


def _by_runtime(chunk: Sequence[Task]) -> Iterator[Block]:
    for runtime in dict.fromkeys(task.subject.runtime for task in chunk):
        tasks = tuple(t for t in chunk if t.subject.runtime == runtime)
        yield Block(runtime, tasks[0].workload, tasks)

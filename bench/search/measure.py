"""The very ONNX files that ship, measured as `bench profile` measures. Chooses no network."""

import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean

from bench.foreign import require_encoder_graph
from bench.plan import Plan, Task
from bench.request import Asked, Ground, ground_of
from bench.search.sweeps import asked_of, is_open, named
from bench.sitting import measure, prepare
from bench.subjects import Source, source_of
from bench.summary import scaled
from bench.watch import Silent, Watch
from profiler.device import this_host
from profiler.environment import read_hardware
from profiler.isolate import ALLOCATOR, Worker, WorkerError, stable_variables
from profiler.runtimes.runtime import load_runtime
from quant.scheme import parse
from results.architecture import Architecture
from results.choice import Measured
from results.errors import BadInputError
from results.measurement import Measurement, Subject, Workload
from results.stats import Label
from results.stats import label as own_label

PROCESSES = 3
"""Fresh ones a row is measured in: the lottery of memory layout shows between them."""

TARGET = 0.015
"""Half-width of the interval at which a file leaves the rotation; half of `bench profile`'s."""

PATIENCE_S = 300

Known = tuple[Measurement, Label]
"""A row, and what it says on the scale of all sessions."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file of ours, and what was put into it."""

    path: Path
    architecture: Architecture
    scheme: str


@dataclass(frozen=True, slots=True)
class Timed:
    """What came of one file."""

    file: ModelFile
    measured: tuple[Measured, ...] = ()
    """One for each number of tokens, in the order asked for; none where one of them failed."""
    noisy: bool = False
    """Did an interval stay wider than twice the target, in every try?"""
    failure: str = ""
    """Why there is no latency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """Where and how files are measured."""

    device: str
    tokens: tuple[int, ...]
    results: Path
    """Folder of the ledger."""
    runtime: str = "onnxruntime"
    devices: Path | None = None
    """File of device definitions; the usual one where None."""
    processes: int = PROCESSES
    target_error: float = TARGET
    seed: int = 0
    """Of the token ids and of the order of visits."""
    resume: bool = True
    """Rows count that the ledger has of the same file, from this machine in this condition."""


def measure_files(files: Sequence[ModelFile], how: How, watch: Watch | None = None) -> list[Timed]:
    """What each file costs, in that order; files of similar size are measured in turn.

    Every file has the anchor of its sizes and scheme beside it. The rows go into the ledger with
    the file's digest; those that it has already are not measured again, noisy ones apart. All that
    the ledger has of a file counts, so that nobody measures until a number pleases.

    Raises:
        BadInputError: this host is not the device, the runtime cannot run a scheme, or a file is
            missing, no encoder, or has too few positions.
    """
    if not files:
        return []
    asked = _asked(files, how)
    ground = ground_of(asked, this_host(read_hardware()))
    tasks = {file: _tasks(file, ground, how) for file in files}
    together = tuple(dict.fromkeys(task for found in tasks.values() for task in found))
    plan = Plan(ground.device, (how.runtime,), together, ground.procedure, how.seed, ground.cap)
    sitting = named(prepare(asked, plan))
    failures: dict[Task, str] = {}
    if is_open(sitting):
        failures = dict(measure(sitting, watch or Silent()).failures)
    labels = scaled(sitting.ledger.measurements(), sitting.session).labels
    found: dict[tuple[Subject, Workload], list[Known]] = defaultdict(list)
    for row in sitting.history(together):
        found[row.subject, row.workload].append((row, labels[row.id]))
    return [_timed(file, tasks[file], found, failures) for file in files]


def _asked(files: Sequence[ModelFile], how: How) -> Asked:
    if not how.tokens:
        raise BadInputError("no number of tokens to measure at: give one")
    return asked_of(
        how,
        [file.scheme for file in files],
        how.tokens,
        target_error=how.target_error,
        processes=how.processes,
        resume=how.resume,
    )


def _tasks(file: ModelFile, ground: Ground, how: How) -> list[Task]:
    most, there = max(how.tokens), file.architecture.positions
    if most > there:
        raise BadInputError(
            f"{most} tokens do not fit the {there} positions of {file.path}: give fewer"
        )
    if load_runtime(how.runtime).takes != "graph":
        raise BadInputError(
            f"{how.runtime} reads no ONNX file: choose onnxruntime or openvino as --runtime"
        )
    source = source_of(file.path)
    require_encoder_graph(file.path, ground.device.batch, how.tokens)
    subject = Subject(file.architecture, parse(file.scheme).name, how.runtime, source.label)
    return [
        Task(subject, workload, ground.procedure, Source(source.path, source.label))
        for workload in ground.device.workloads()
    ]


def _timed(
    file: ModelFile,
    tasks: Sequence[Task],
    found: Mapping[tuple[Subject, Workload], Sequence[Known]],
    failures: Mapping[Task, str],
) -> Timed:
    if why := next((failures[task] for task in tasks if task in failures), ""):
        return Timed(file, failure=why)
    keys = [(task.subject, task.workload) for task in tasks]
    each = [found[key] for key in keys if key in found]
    noisy = any(all(row.noisy for row, _ in known) for known in each)
    return Timed(file, tuple(measured_of(known) for known in each), noisy)


def measured_of(found: Sequence[Known]) -> Measured:
    """What the rows of one file at one length say together: geometric means, of quiet ones.

    Each is on the scale of all sessions, and its ends hold in the time of its own too: a scale
    from few sessions moves as more come. So an hour in which the machine is slow counts against a
    promise, and one in which it is fast makes none.
    """
    quiet = [(row, label) for row, label in found if not row.noisy] or list(found)
    row = quiet[-1][0]
    return Measured(
        device=row.device,
        runtime=row.subject.runtime,
        tokens=row.workload.tokens,
        ms=geometric_mean(label.latency_ms for _, label in quiet),
        lower=geometric_mean(min(_ends(known, -1)) for known in quiet),
        upper=geometric_mean(max(_ends(known, 1)) for known in quiet),
        rows=tuple(row.id for row, _ in quiet),
    )


def _ends(known: Known, sign: int) -> list[float]:
    """Of the interval, on the scale of all sessions and in the time of its own."""
    row, label = known
    return [x.latency_ms * math.exp(sign * x.error) for x in (label, own_label(row))]


def memory_of(path: Path, runtime: str = "onnxruntime", tokens: int = 128) -> float:
    """Megabytes (10^6 bytes) that a process needs for a file, beside those of the runtime itself.

    The most that was resident while a fresh process loaded it and answered, one thread, batch 1,
    less what was resident when the runtime had been imported. Loading may need more than answers.

    Raises:
        BadInputError: there is no such file, or it cannot be loaded.
    """
    if not path.is_file():
        raise BadInputError(f"{path} is no file: name the .onnx file whose memory is meant")
    variables = stable_variables(os.environ, 1, {})
    plain = {name: value for name, value in variables.items() if name not in ALLOCATOR}
    request = {"path": str(path.resolve()), "runtime": runtime, "tokens": tokens}
    with Worker("bench.search.measure_worker", plain, None) as worker:
        try:
            (answer,) = worker.ask(request, PATIENCE_S)
        except WorkerError as error:
            raise BadInputError(f"{path} cannot be loaded by {runtime}: {error}") from None
    return float(str(answer["bytes"])) / 1e6

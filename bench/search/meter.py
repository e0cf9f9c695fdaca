"""Networks with random weights, measured as `bench profile` measures. Chooses none of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.plan import Network, Plan, tasks_for
from bench.request import Asked, Ground, ground_of
from bench.search.sweeps import asked_of, is_open, labelled, named
from bench.sitting import measure, prepare
from bench.watch import Silent, Watch
from profiler.device import devices_file, find_device, load_devices, this_host
from profiler.environment import read_hardware
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Measurement, Procedure
from results.store import Ledger

Cell = tuple[Architecture, str, int]
"""A network, a scheme and a number of tokens."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where is measured."""

    device: str
    runtime: str
    results: Path
    """Folder of the ledger."""
    devices: Path | None = None
    seed: int = 0
    target_error: float = 0.03
    """Half-width of the interval at which a network leaves the rotation, as of `bench profile`."""
    remote: bool = False
    """Is it elsewhere, so that nothing can be measured here?"""

    def asked(self, schemes: Sequence[str], tokens: Sequence[int]) -> Asked:
        """As `bench profile` would be asked; rows of before count."""
        return asked_of(self, schemes, tokens, target_error=self.target_error)

    def ground(self, schemes: Sequence[str], tokens: Sequence[int] = ()) -> Ground:
        """The device as this host can be it.

        Raises:
            BadInputError: it cannot, or the runtime has no such scheme.
        """
        if self.remote:
            return self._elsewhere(schemes, tokens)
        ground = ground_of(self.asked(schemes, tokens), this_host(read_hardware()))
        has = ground.schemes.get(self.runtime, [])
        if lacking := [s for s in schemes if s not in has]:
            raise BadInputError(
                f"{self.runtime} on {self.device} has no {lacking[0]}: choose another --runtime "
                "or --quant"
            )
        return ground

    def _elsewhere(self, schemes: Sequence[str], tokens: Sequence[int]) -> Ground:
        """As the file of devices says; whether it can be had is for its node to tell."""
        path = devices_file(self.devices)
        device = find_device(load_devices(path), self.device, path)
        if tokens:
            device = device.model_copy(update={"tokens": list(tokens)})
        return Ground(device, {self.runtime: list(schemes)}, Procedure(), "", [])


@dataclass(frozen=True, slots=True)
class Wanted:
    """Networks to be measured on a device, each in every scheme at every length."""

    bench: Bench
    networks: tuple[Architecture, ...]
    schemes: tuple[str, ...]
    tokens: tuple[int, ...]


class Meter(Protocol):
    """Measures networks: here, or wherever the devices are."""

    def latencies(self, wanted: Sequence[Wanted]) -> list[Mapping[Cell, float]]:
        """Of each: milliseconds on the scale of all sessions, by network, scheme and length.

        What stayed noisy or failed is left out, and measured anew when it is asked for again;
        what else the ledger has is not.

        Raises:
            BadInputError: nothing can be measured as asked.
        """
        ...


def _nobody() -> None:
    return None


@dataclass(frozen=True, slots=True)
class HereMeter:
    """Measures on this host, each device in turn."""

    watcher: Callable[[], Watch | None] = _nobody

    def latencies(self, wanted: Sequence[Wanted]) -> list[Mapping[Cell, float]]:
        """As `Meter` says."""
        return [
            cells(one.bench.results, [row.id for row in quiet_rows(one, self.watcher())])
            for one in wanted
        ]


def quiet_rows(wanted: Wanted, watch: Watch | None = None) -> list[Measurement]:
    """The rows that came out quiet, of now or of before; the ledger keeps them all.

    Raises:
        BadInputError: nothing can be measured as asked.
    """
    bench = wanted.bench
    if bench.remote:
        raise ValueError(f"{bench.device} is elsewhere")
    ground = bench.ground(wanted.schemes, wanted.tokens)
    runtimes = {bench.runtime: list(wanted.schemes)}
    known = [Network(a) for a in dict.fromkeys(wanted.networks)]
    tasks = tasks_for(known, runtimes, ground.device.workloads(), ground.procedure)
    plan = Plan(ground.device, tuple(runtimes), tasks, ground.procedure, bench.seed, ground.cap)
    sitting = named(prepare(bench.asked(wanted.schemes, wanted.tokens), plan))
    if is_open(sitting):
        measure(sitting, watch or Silent())
    return [row for row in sitting.rows(tasks) if not row.noisy]


def cells(results: Path, rows: Sequence[str]) -> dict[Cell, float]:
    """What rows of a ledger say, by their ids."""
    found = labelled(Ledger(results), rows)
    return {_cell(row): label.latency_ms for row, label in found.values()}


def _cell(row: Measurement) -> Cell:
    if row.subject.architecture is None:
        raise ValueError(f"{row.subject} has no sizes")
    return row.subject.architecture, row.subject.scheme, row.workload.tokens

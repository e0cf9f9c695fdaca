"""What the file that ships takes, and whether that keeps the limits. Trains and writes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.search.limits import told
from bench.search.measure import How, ModelFile, Timed, measure_files, memory_of
from bench.search.ray_link import connected
from bench.search.ray_measure import measure_there
from bench.watch import Watch
from nas.extract.found import Found
from results.architecture import Architecture
from results.choice import Limit, Measured
from results.errors import BadInputError
from results.store import Ledger

if TYPE_CHECKING:
    from profiler.device import Device


@dataclass(frozen=True, slots=True)
class Costs:
    """What the file that ships takes, measured."""

    measured: tuple[Measured, ...]
    noisy: bool
    memory_megabytes: float
    megabytes: float
    """Of the ONNX file."""
    works: dict[str, tuple[int, int]]
    """Batch and threads of each device."""
    elsewhere: tuple[Measured, ...] = ()
    """On devices that are not measured now: what the search measured, of the inherited weights."""
    cpu: str = ""
    """On which it was measured; with their devices where there are several."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where is measured."""

    results: Path
    devices: Path | None
    watch: Watch | None = None
    only: tuple[str, ...] = ()
    """Devices of the search; all of them where none is named."""
    ray: str | None = None
    """Address of a Ray cluster whose nodes measure; this host does where None."""


def hows(found: Found, place: Place) -> list[How]:
    """How each device is measured.

    Raises:
        BadInputError: one is named that the search is not of.
    """
    search = found.search
    there = list(dict.fromkeys(one.device for one in found.winner.measured))
    for name in place.only:
        if name not in there:
            raise BadInputError(f"--device {name}: the search is of {', '.join(there)}")
    lengths: dict[str, dict[int, None]] = {}
    for one in found.winner.measured:
        lengths.setdefault(one.device, {})[one.tokens] = None
    return [
        How(
            device=device,
            tokens=tuple(tokens),
            results=place.results,
            runtime=search.runtime,
            devices=place.devices,
            seed=search.seed,
        )
        for device, tokens in lengths.items()
        if device in (place.only or there)
    ]


def costs(found: Found, path: Path, architecture: Architecture, place: Place) -> Costs:
    """Measure the file on every device of the search; rows of the ledger are taken.

    Raises:
        BadInputError: nobody is one of them, or the file cannot be measured.
    """
    file = ModelFile(path, architecture, found.winner.scheme)
    asked = hows(found, place)
    timed, memory = (_here if place.ray is None else _there)(file, asked, place)
    measured = tuple(x for one in timed for x in one.measured)
    devices = {how.device: device_of(how) for how in asked}
    return Costs(
        measured=measured,
        noisy=any(one.noisy for one in timed),
        memory_megabytes=memory,
        megabytes=path.stat().st_size / 1e6,
        works={name: (device.batch, device.threads) for name, device in devices.items()},
        elsewhere=tuple(x for x in found.winner.measured if x.device not in devices),
        cpu=cpu_of(Ledger(place.results), measured),
    )


def _here(file: ModelFile, asked: Sequence[How], place: Place) -> tuple[list[Timed], float]:
    """What came of each device, and the megabytes that are needed."""
    timed = [one for how in asked for one in measure_files([file], how, place.watch)]
    _require_measured(timed)
    tokens = max((x.tokens for one in timed for x in one.measured), default=128)
    return timed, memory_of(file.path, asked[0].runtime, tokens)


def _there(file: ModelFile, asked: Sequence[How], place: Place) -> tuple[list[Timed], float]:
    """The same on a cluster, where the node counts that needs most."""
    with connected(place.ray or "") as link:
        found = [one for (one,) in measure_there(link, [file], asked, memory=True)]
    timed = [one for one, _ in found]
    _require_measured(timed)
    return timed, max(memory for _, memory in found if memory is not None)


def _require_measured(timed: Sequence[Timed]) -> None:
    for one in timed:
        if one.failure:
            raise BadInputError(f"{one.file.path} could not be measured: {one.failure}")


def cpu_of(ledger: Ledger, measured: Sequence[Measured]) -> str:
    """The CPU of the rows; where there are several, each with its device."""
    wanted = {name for one in measured for name in one.rows}
    cpus = {
        row.device: session.environment.hardware.cpu
        for session, row in ledger.measurements()
        if row.id in wanted
    }
    if len(set(cpus.values())) > 1:
        return " and ".join(f"{cpu} ({device})" for device, cpu in cpus.items())
    return next(iter(cpus.values()), "")


def broken(limits: Sequence[Limit], found: Costs, accuracy: float) -> Iterator[str]:
    """Which limits a measured file breaks, a clause each: the upper end of an interval counts."""
    elsewhere = {one.device for one in found.elsewhere}
    for limit in limits:
        if limit.kind == "latency" and limit.device not in elsewhere:
            here = [x for x in found.measured if _is_of(x, limit)]
            if not here:
                yield f"nothing was measured on {limit.device} where {told(limit)} are to be kept"
            for one in here:
                if not one.upper <= limit.value:
                    yield f"{one.ms:.3g} ms (up to {one.upper:.3g}) where {told(limit)} are kept"
            continue
        value = {"size": found.megabytes, "memory": found.memory_megabytes}.get(limit.kind)
        if value is not None and not value <= limit.value:
            yield f"{value:.3g} MB where the limit is {told(limit)}"
        if limit.kind == "accuracy" and not accuracy >= limit.value:
            yield f"{accuracy:.4f} where {told(limit)} is wanted"


def _is_of(one: Measured, limit: Limit) -> bool:
    return one.device == limit.device and limit.tokens in (None, one.tokens)


def require_devices(asked: Sequence[How], ray: str | None) -> None:
    """Find out before hours of training whether all of them can be measured.

    Raises:
        BadInputError: there is no such device, or nobody can be it.
    """
    if ray is None:
        for how in asked:
            _require_host(how)
        return
    for how in asked:
        device_of(how)
    with connected(ray) as link:
        for how in asked:
            link.require(how.device)


def device_of(how: How) -> "Device":
    """As the file of devices says.

    Raises:
        BadInputError: there is no such device.
    """
    from profiler.device import devices_file, find_device, load_devices

    path = devices_file(how.devices)
    return find_device(load_devices(path), how.device, path)


def _require_host(how: How) -> None:
    from profiler.device import refusals, this_host
    from profiler.environment import read_hardware

    if why := refusals(device_of(how), this_host(read_hardware())):
        raise BadInputError(
            f"the budget is of {how.device} and this host cannot be it: {'; '.join(why)}: ship "
            "on that device or through a cluster that has it (--ray), or name with --device "
            "those of the search that this host can be"
        )

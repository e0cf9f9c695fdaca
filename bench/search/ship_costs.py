"""What the file that ships takes, and whether that keeps the limits. Trains and writes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.search.limits import told
from bench.search.measure import How, ModelFile, measure_files, memory_of
from bench.watch import Watch
from nas.extract.found import Found
from results.architecture import Architecture
from results.choice import Limit, Measured
from results.errors import BadInputError


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


@dataclass(frozen=True, slots=True)
class Place:
    """Where is measured."""

    results: Path
    devices: Path | None
    watch: Watch | None = None
    only: tuple[str, ...] = ()
    """Devices of the search; all of them where none is named."""


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
        BadInputError: this host is not one of them, or the file cannot be measured.
    """
    file = ModelFile(path, architecture, found.winner.scheme)
    asked = hows(found, place)
    timed = [one for how in asked for one in measure_files([file], how, place.watch)]
    if failed := next((one.failure for one in timed if one.failure), ""):
        raise BadInputError(f"{path} could not be measured: {failed}")
    measured = tuple(x for one in timed for x in one.measured)
    tokens = max((x.tokens for x in measured), default=128)
    memory = memory_of(path, found.search.runtime, tokens)
    megabytes = path.stat().st_size / 1e6
    works = {how.device: require_device(how) for how in asked}
    elsewhere = tuple(x for x in found.winner.measured if x.device not in works)
    noisy = any(one.noisy for one in timed)
    return Costs(measured, noisy, memory, megabytes, works, elsewhere)


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


def require_device(how: How) -> tuple[int, int]:
    """Batch and threads of the device; asked for before hours of training.

    Raises:
        BadInputError: there is no such device, or this host cannot be it.
    """
    from profiler.device import devices_file, find_device, load_devices, refusals, this_host
    from profiler.environment import read_hardware

    path = devices_file(how.devices)
    device = find_device(load_devices(path), how.device, path)
    if why := refusals(device, this_host(read_hardware())):
        raise BadInputError(
            f"the budget is of {how.device} and this host cannot be it: {'; '.join(why)}: ship "
            "on that device, or name with --device those of the search that this host can be"
        )
    return device.batch, device.threads

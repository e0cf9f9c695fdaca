"""What else the machine does: steal, pressure and load, read before and after a block."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from results.measurement import Contention


@dataclass(frozen=True, slots=True)
class Reading:
    """The machine's counters at one moment; None where the system does not show them."""

    at_ns: int
    steal_ticks: int | None
    pressure_us: int | None


def read(proc: Path = Path("/proc")) -> Reading:
    """The counters now."""
    return Reading(time.monotonic_ns(), _steal(proc / "stat"), _pressure(proc / "pressure/cpu"))


def since(before: Reading, proc: Path = Path("/proc")) -> Contention:
    """What happened on the whole machine since `before`."""
    now = read(proc)
    load1 = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Contention(
        seconds=(now.at_ns - before.at_ns) / 1e9,
        steal_ticks=_difference(now.steal_ticks, before.steal_ticks),
        pressure_us=_difference(now.pressure_us, before.pressure_us),
        load1=load1,
    )


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


def _steal(path: Path) -> int | None:
    """The eighth number of the `cpu` line: ticks the hypervisor ran somebody else (proc(5))."""
    try:
        fields = path.read_text(encoding="ascii").split("\n", 1)[0].split()
        return int(fields[8])
    except (OSError, ValueError, IndexError):
        return None


def _pressure(path: Path) -> int | None:
    """`some ... total=N`: microseconds in which a runnable task waited (PSI)."""
    try:
        line = path.read_text(encoding="ascii").split("\n", 1)[0]
        return int(line.rpartition("total=")[2])
    except (OSError, ValueError):
        return None

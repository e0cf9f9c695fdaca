"""Budgets as a person writes them, and what they mean. Measures nothing."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from results.choice import Limit
from results.errors import BadInputError

MILLISECONDS = {"": 1.0, "ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}
MEGABYTES = {
    "": 1.0,
    "mb": 1.0,
    "kb": 1e-3,
    "gb": 1e3,
    "mib": 2**20 / 1e6,
    "kib": 2**10 / 1e6,
    "gib": 2**30 / 1e6,
}
NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([a-zA-Zµ%]*)\s*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line, still as text."""

    devices: tuple[str, ...]
    latency: tuple[str, ...] = ()
    size: str | None = None
    memory: str | None = None
    accuracy: str | None = None


def limits(wanted: Wanted) -> tuple[Limit, ...]:
    """Every limit, those of latency first; a speed-up has no value yet.

    Raises:
        BadInputError: a text is no budget, or there are not as many as devices.
    """
    found = _latencies(wanted.devices, wanted.latency)
    for kind, text in (("size", wanted.size), ("memory", wanted.memory)):
        if text is not None:
            found.append(Limit(kind=kind, value=megabytes(f"--max-{kind}", text), asked=text))
    if wanted.accuracy is not None:
        value = share("--min-accuracy", wanted.accuracy)
        found.append(Limit(kind="accuracy", value=value, asked=wanted.accuracy))
    if not found or all(limit.kind == "accuracy" for limit in found):
        raise BadInputError(
            "what may it cost? give a budget: --latency 10ms, --latency 3x, --max-size 20MB or "
            "--max-memory 100MB"
        )
    return tuple(found)


def _latencies(devices: Sequence[str], texts: Sequence[str]) -> list[Limit]:
    if not texts:
        return []
    if len(set(devices)) < len(devices):
        raise BadInputError("--device names one device twice: name each once")
    if len(texts) not in (1, len(devices)):
        raise BadInputError(
            f"--latency has {len(texts)} budgets for {len(devices)} devices: give one for each, "
            "in the same order, or one for all"
        )
    several = list(texts) * len(devices) if len(texts) == 1 else list(texts)
    return [_latency(device, text) for device, text in zip(devices, several, strict=True)]


def _latency(device: str, text: str) -> Limit:
    number, unit = _parts("--latency", text, "10, 10ms, 0.5s or 3x")
    if unit == "x":
        if number <= 1:
            raise BadInputError(f"--latency {text}: a speed-up is above 1x: give such as 3x")
        return Limit(kind="latency", value=math.inf, device=device, asked=text)
    if unit not in MILLISECONDS:
        raise BadInputError(f"--latency {text}: {unit!r} is no unit of time: write ms, s or x")
    return Limit(kind="latency", value=number * MILLISECONDS[unit], device=device, asked=text)


def speed_up(limit: Limit) -> float | None:
    """Of a latency that is relative to a baseline; None of another."""
    number, unit = _parts("--latency", limit.asked, "3x") if limit.asked else (0.0, "")
    return number if limit.kind == "latency" and unit == "x" else None


def megabytes(option: str, text: str) -> float:
    """Of `20MB`, `500kB`, `1GiB`; of a bare number too."""
    number, unit = _parts(option, text, "20MB, 500kB or 1GB")
    if unit.lower() not in MEGABYTES:
        raise BadInputError(f"{option} {text}: {unit!r} is no unit of size: write kB, MB or GB")
    return number * MEGABYTES[unit.lower()]


def share(option: str, text: str) -> float:
    """Of `0.9` or `90%`."""
    number, unit = _parts(option, text, "0.9 or 90%")
    value = number / 100 if unit == "%" else number
    if unit not in ("", "%") or not 0 < value <= 1:
        raise BadInputError(f"{option} {text} is no share: give such as 0.9 or 90%")
    return value


def _parts(option: str, text: str, example: str) -> tuple[float, str]:
    found = NUMBER.fullmatch(text)
    if found is None or not 0 < float(found[1]) < math.inf:
        raise BadInputError(f"{option} {text!r} is no budget: write {example}")
    return float(found[1]), found[2]


def told(limit: Limit) -> str:
    """In words: `10 ms on cpu-avx512 at 128 tokens`."""
    if limit.kind == "latency":
        relative = f" ({limit.asked})" if limit.asked.endswith("x") else ""
        tokens = f" at {limit.tokens} tokens" if limit.tokens is not None else ""
        return f"{limit.value:.4g} ms{relative} on {limit.device}{tokens}"
    if limit.kind == "accuracy":
        return f"an accuracy of {limit.value:g}"
    return f"{limit.value:.4g} MB of {limit.kind}"

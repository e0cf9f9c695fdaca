"""Finalists become files, files are measured, and what breaks a limit is dropped.

What is measured is what ships: the ONNX file of a sub-model with its head, quantised by ranges
that were observed on the text that its score was calibrated on.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench.search.limits import told
from bench.search.oracle import Oracle
from nas.extract.extraction import Wish, extract
from nas.extract.folder import RECORD, Origin
from nas.extract.names import file_of
from quant.scheme import parse
from results.architecture import Architecture
from results.choice import Limit, Measured, Tried, Winner
from results.notation import format_architecture

if TYPE_CHECKING:
    from nas.extract.onnx_files import Observed
    from nas.folder import Saved

MODELS = "models"


@dataclass(frozen=True, slots=True)
class Finalist:
    """A sub-model as a folder."""

    trial: Tried
    folder: str
    """Within the run's folder."""
    file: str
    """The ONNX file within it."""
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What measuring a finalist said."""

    measured: tuple[Measured, ...]
    memory_megabytes: float | None = None
    failure: str = ""


class Judge(Protocol):
    """Measures files: here, or wherever the devices are."""

    def judge(
        self, run: Path, finalists: Sequence[Finalist], *, anew: bool = False
    ) -> list[Judged]:
        """One for each, in order; `anew`: measured once more, all that the ledger has counts."""
        ...


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes finalists."""

    saved: "Saved"
    origin: Origin
    text: "Observed | None"
    run: Path

    def make(self, trial: Tried) -> Finalist:
        """The folder of a trial's sub-model; one that is there already is taken as it is."""
        scheme = parse(trial.scheme)
        name = f"{MODELS}/{_name(trial)}"
        folder, file = self.run / name, file_of(scheme.name)
        digest = _digest_of(folder, file)
        if digest is None:
            wish = Wish((scheme,), self.text if scheme.calibrated else None)
            extract(self.saved, self.origin, trial.architecture, folder, wish)
            digest = _sha256(folder / file)
        return Finalist(trial, name, file, digest, (folder / file).stat().st_size)


def broken(finalist: Finalist, found: Judged, limits: Sequence[Limit]) -> Iterator[str]:
    """Which limits a measured file breaks, a clause each: the upper end of an interval counts."""
    for limit in limits:
        if limit.kind == "latency":
            yield from _slow(found, limit)
        elif limit.kind == "size" and not finalist.bytes / 1e6 <= limit.value:
            yield f"its file has {finalist.bytes / 1e6:.3g} MB, the limit is {told(limit)}"
        elif limit.kind == "memory":
            yield from _hungry(found, limit)


def in_a_slow_hour(finalist: Finalist, found: Judged, limits: Sequence[Limit]) -> bool:
    """Does it break limits by the ends of intervals alone? Another hour may tell more."""
    if found.failure or not list(broken(finalist, found, limits)):
        return False
    middles = tuple(replace(one, upper=one.ms) for one in found.measured)
    return not list(broken(finalist, replace(found, measured=middles), limits))


def excess(finalist: Finalist, found: Judged, limits: Sequence[Limit]) -> float:
    """How many times the limit that it breaks most; infinite where something was not measured."""
    parts = [0.0]
    for limit in limits:
        if limit.kind == "latency":
            there = [x.upper for x in found.measured if _is_of(x, limit)]
            parts.append(max(there, default=math.inf) / limit.value)
        elif limit.kind == "size":
            parts.append(finalist.bytes / 1e6 / limit.value)
        elif limit.kind == "memory":
            needed = found.memory_megabytes
            parts.append(math.inf if needed is None else needed / limit.value)
    return max(parts)


def _is_of(one: Measured, limit: Limit) -> bool:
    return (one.device, one.tokens) == (limit.device, limit.tokens)


def _slow(found: Judged, limit: Limit) -> Iterator[str]:
    here = [x for x in found.measured if _is_of(x, limit)]
    if not here:
        yield f"nobody measured it where {told(limit)} are kept"
    for one in here:
        if not one.upper <= limit.value:
            yield f"{one.ms:.3g} ms (up to {one.upper:.3g}) where {told(limit)} are kept"


def _hungry(found: Judged, limit: Limit) -> Iterator[str]:
    if found.memory_megabytes is None:
        yield "nobody measured its memory"
    elif not found.memory_megabytes <= limit.value:
        yield f"it takes {found.memory_megabytes:.3g} MB, the limit is {told(limit)}"


def winners(
    standing: Sequence[Finalist],
    judged: Sequence[Judged],
    oracle: Oracle,
    full: dict[Architecture, dict[str, float]],
) -> tuple[Winner, ...]:
    """What stands, the best first; `full`: the metrics in float32."""
    return tuple(
        Winner(
            rank=place,
            architecture=one.trial.architecture,
            scheme=one.trial.scheme,
            metrics=one.trial.metrics,
            full_metrics=full[one.trial.architecture],
            predicted=oracle.in_scheme(parse(one.trial.scheme)).predicted(one.trial.architecture),
            measured=found.measured,
            megabytes=one.bytes / 1e6,
            memory_megabytes=found.memory_megabytes,
            folder=one.folder,
            file=one.file,
            sha256=one.sha256,
        )
        for place, (one, found) in enumerate(zip(standing, judged, strict=True), 1)
    )


def _name(trial: Tried) -> str:
    text = f"{format_architecture(trial.architecture)} {trial.scheme}"
    short = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"h{trial.architecture.hidden}-l{trial.architecture.depth}-{short}"


def _digest_of(folder: Path, file: str) -> str | None:
    """Of an ONNX file that is whole: its record says what it is."""
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        wanted = str(record["files"][file]["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return wanted if (folder / file).is_file() and _sha256(folder / file) == wanted else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

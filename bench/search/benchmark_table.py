"""From rows of the ledger to the table of the benchmark. Scores and measures nothing.

`python -m bench.search.benchmark_table SCORES LATENCIES OUT`, two folders of a ledger and a file.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from bench.search.benchmark import PRECISIONS, PROVENANCE, SIZES
from bench.training import Labelled, labelled
from results.architecture import Architecture
from results.errors import BadInputError
from results.score import Score
from results.session import Session
from results.store import Ledger

METRIC = "accuracy"
SHOWN = ("torch", "onnxruntime", "transformers", "numpy", "subbert")
"""Packages whose versions are kept."""

COLUMNS = tuple(f"{what}_{p}" for p in PRECISIONS for what in (METRIC, "loss", "ms"))


class _Scored(NamedTuple):
    session: Session
    row: Score


def build_table(scores: Path, latencies: Path, out: Path, space: str = "minilm") -> int:
    """Write the table of the networks that have a score and a latency; returns how many.

    Both are folders of a ledger. A network that lacks one precision has nulls there.

    Raises:
        BadInputError: they have no network in common, or are of several supernets or splits.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    scored = [_Scored(*x) for x in Ledger(scores).scores() if METRIC in x[1].metrics]
    timed = labelled(Ledger(latencies))
    found: dict[Architecture, dict[str, float]] = {}
    for x in scored:
        cells = found.setdefault(x.row.architecture, {})
        cells[f"{METRIC}_{x.row.scheme}"] = x.row.metrics[METRIC]
        cells[f"loss_{x.row.scheme}"] = x.row.loss
    for y in timed:
        network = y.row.subject.architecture
        if network in found:
            found[network][f"ms_{y.row.subject.scheme}"] = round(y.ms, 6)
    whole = {a: c for a, c in sorted(found.items()) if any(_has(c, p) for p in PRECISIONS)}
    if not whole:
        raise BadInputError(f"{scores} and {latencies} have no network in common")
    columns = {name: pa.array(x, pa.int16()) for name, x in _sizes(whole).items()}
    columns |= {
        name: pa.array([c.get(name) for c in whole.values()], pa.float64()) for name in COLUMNS
    }
    origin = json.dumps(_provenance(scored, timed) | {"space": space})
    table = pa.table(columns).replace_schema_metadata({PROVENANCE: origin})
    pq.write_table(table, out, compression="zstd", compression_level=19)
    return len(whole)


def _has(cells: Mapping[str, float], precision: str) -> bool:
    return all(f"{what}_{precision}" in cells for what in (METRIC, "ms"))


def _sizes(networks: Iterable[Architecture]) -> dict[str, list[int]]:
    rows = []
    for a in networks:
        first = a.layers[0]
        if len(set(a.layers)) > 1:
            raise BadInputError(f"the layers of {a} differ: the table is of networks alike")
        rows.append((a.depth, a.hidden, first.heads, first.qkv, first.ffn))
    return {
        name: list(column) for name, column in zip(SIZES, zip(*rows, strict=True), strict=True)
    }


def _provenance(scored: Iterable[_Scored], timed: Iterable[Labelled]) -> dict[str, str]:
    """Where the numbers are from, as text."""
    rows = [x.row for x in scored]
    subjects = [y.row for y in timed]
    first = next(iter(scored)).session
    measured = {y.session.id: y.session for y in timed}
    machine = next(iter(measured.values()))
    packages = machine.environment.software.packages
    return {
        "supernet": _one("supernet", {r.source for r in rows}),
        "task": _one("task", {r.task for r in rows}),
        "data": _one("data", {r.data for r in rows}),
        "split": _one("split", {r.split for r in rows}),
        "split_sha256": _one("split", {r.split_digest for r in rows}),
        "examples": _one("number of examples", {str(r.examples) for r in rows}),
        "score_seed": _one("seed", {str(r.seed) for r in rows}),
        "score_runtime": ", ".join(sorted({f"{r.scheme}: {r.runtime}" for r in rows})),
        "calibration": ", ".join(sorted({r.calibration for r in rows if r.calibration})),
        "scored_utc": first.started_utc,
        "latency_runtime": _one("runtime", {r.subject.runtime for r in subjects}),
        "latency_workload": _one("workload", {str(r.workload) for r in subjects}),
        "latency_profile": _one("profile", {r.procedure.profile for r in subjects}),
        "latency_seed": ", ".join(sorted({str(s.seed) for s in measured.values()})),
        "device": machine.device,
        "cpu": machine.environment.hardware.cpu,
        "fingerprint": machine.environment.fingerprint,
        "measured_utc": machine.started_utc,
        "packages": ", ".join(f"{name} {packages[name]}" for name in SHOWN if name in packages),
        "git": machine.environment.git or "not recorded",
    }


def _one(what: str, values: set[str]) -> str:
    if len(values) != 1:
        shown = ", ".join(sorted(values))
        raise BadInputError(f"the rows are of more than one {what}: {shown}")
    return values.pop()


if __name__ == "__main__":
    build_table(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))

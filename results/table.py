"""Rows as a flat table, and the table as a file. Here alone the ledger knows pandas."""

import json
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from math import nan
from pathlib import Path
from statistics import fmean, median
from typing import Any

import msgspec
import pandas as pd

from results import stats
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.measurement import Cold, Measurement
from results.notation import seed_dict
from results.session import Places, Session
from results.store import Ledger

Rows = Iterable[tuple[Session, Measurement]]

ALIKE = ("device", "runtime", "scheme", "batch", "tokens", "threads", "profile")
"""What all rows of a latency data set of the seeds share, since no line of it says so."""

COLUMNS = {
    **dict.fromkeys(("id", "session", "device", "runtime", "scheme", "source", "origin"), "str"),
    **dict.fromkeys(("supersedes", "measured_utc", "architecture"), "str"),
    # Unknown of a foreign ONNX file or of an imported row, hence not plain integers.
    **dict.fromkeys(("depth", "hidden", "parameters", "macs"), "Int64"),
    **dict.fromkeys(("heads", "qkv", "ffn"), "float64"),
    **dict.fromkeys(("heads_per_layer", "qkv_per_layer", "ffn_per_layer"), "str"),
    **dict.fromkeys(("batch", "tokens", "threads"), "int64"),
    **dict.fromkeys(("latency_ms", "error"), "float64"),
    "clock": "str",
    "anchored": "bool",
    **dict.fromkeys(("wall_median_ms", "cpu_min_ms", "cpu_median_ms"), "float64"),
    # Not a number where the samples are too few to say, or nobody knows: CPU and cold times.
    **dict.fromkeys(("wall_p90_ms", "wall_p95_ms", "wall_p99_ms"), "float64"),
    **dict.fromkeys(("samples", "processes"), "int64"),
    "profile": "str",
    "noisy": "bool",
    "flags": "str",
    **dict.fromkeys(("build_ms", "load_ms", "first_ms"), "float64"),
    **dict.fromkeys(("model_bytes", "peak_rss_bytes", "seed"), "Int64"),
    **dict.fromkeys(("isa", "cpu", "torch", "onnxruntime", "git", "tool", "plan"), "str"),
    **dict.fromkeys(("device_digest", "fingerprint"), "str"),
}
"""The columns in their order, and what is in them; an empty table has them too."""

SUFFIXES = (".csv", ".parquet", ".json", ".tsv")


def frame(rows: Ledger | Rows, *, current: bool = True) -> pd.DataFrame:
    """One line per row, in the order given; of a ledger the current ones, or all.

    `latency_ms` and `error` are the row's label, on the scale of all sessions at its place: a
    ledger's rows all count for the scale, shown or not.
    """
    given = list(rows.measurements(current=current) if isinstance(rows, Ledger) else rows)
    every = rows.measurements() if isinstance(rows, Ledger) else given
    scales = Places()
    levels = stats.references((scales[session], row) for session, row in every)
    sessions = {session.id: session for session, _ in given}
    fingerprints = {name: session.environment.fingerprint for name, session in sessions.items()}
    records = [
        _names(session, row)
        | _shape(row)
        | _latency(row, stats.label(row, levels, scales[session]))
        | _circumstances(session, row)
        | {"fingerprint": fingerprints[session.id]}
        for session, row in given
    ]
    return pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV, Parquet or a JSON list of objects, whichever the suffix says.

    With .tsv as the seeds' latency data set, which knows one subject, one workload, BERT's tables.

    Raises:
        BadInputError: another suffix, rows that the seeds' format cannot tell apart, or the file
            cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BadInputError(f"cannot export to {path}: the name must end in {', '.join(SUFFIXES)}")
    latencies = _latencies(table) if suffix == ".tsv" else []
    part = path.with_name(f".{path.name}.part")
    try:
        if suffix == ".csv":
            table.to_csv(part, index=False)
        elif suffix == ".parquet":
            table.to_parquet(part, index=False)
        elif suffix == ".tsv":
            part.write_text("".join(f"{line}\n" for line in latencies), encoding="utf-8")
        else:
            part.write_bytes(b"[\n" + b",\n".join(json_lines(table)) + b"\n]\n")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        reason = error.strerror or str(error)
        raise BadInputError(f"cannot export to {path} ({reason}): choose another file") from error


def json_lines(table: pd.DataFrame) -> list[bytes]:
    """Each row as a JSON object with every digit; null where nothing or no finite number is."""
    known = table.astype(object).where(table.notna(), None)
    return [msgspec.json.encode(record) for record in known.to_dict("records")]


def _latencies(table: pd.DataFrame) -> list[str]:
    """The seeds' lines: a dict, a tab and milliseconds."""
    for column in ALIKE:
        values = sorted(table[column].unique())
        if len(values) > 1:
            raise BadInputError(
                f"a .tsv file cannot tell {column} {' from '.join(map(str, values))}: "
                "choose rows with --device, --runtime, --scheme or --session, or write a .csv file"
            )
    return [_latency_line(row) for row in table.to_dict("records")]


def _latency_line(row: Mapping[Hashable, Any]) -> str:
    sizes = (json.loads(row[f"{name}_per_layer"]) for name in ("heads", "qkv", "ffn"))
    layers = tuple(Layer(*layer) for layer in zip(*sizes, strict=True))
    network = Architecture(int(row["hidden"]), layers) if layers else None
    if network is None or network.parameters != row["parameters"]:
        raise BadInputError(
            f"a .tsv file cannot say what network {row['id']} is, only one of known sizes with "
            "BERT's vocabulary and positions: leave it out, or write a .csv file"
        )
    return f"{seed_dict(network)}\t{row['latency_ms']}"


def _names(session: Session, row: Measurement) -> dict[str, Any]:
    return {
        "id": row.id,
        "session": session.id,
        "device": row.device,
        "runtime": row.subject.runtime,
        "scheme": row.subject.scheme,
        "source": row.subject.source,
        "origin": row.origin,
        "supersedes": row.supersedes,
        "measured_utc": row.measured_utc,
    }


def _shape(row: Measurement) -> dict[str, Any]:
    """Sizes of the network and of the work; per layer as a mean and as a JSON list."""
    network, work = row.subject.architecture, row.workload
    shape: dict[str, Any] = {
        "architecture": "" if network is None else str(network),
        "depth": None if network is None else network.depth,
        "hidden": None if network is None else network.hidden,
    }
    for name in ("heads", "qkv", "ffn"):
        sizes = [] if network is None else [getattr(layer, name) for layer in network.layers]
        shape[name] = fmean(sizes) if sizes else None
        shape[f"{name}_per_layer"] = json.dumps(sizes)
    return shape | {
        "parameters": None if network is None else network.parameters,
        "macs": None if network is None else network.macs(work.tokens, work.batch),
        "batch": work.batch,
        "tokens": work.tokens,
        "threads": work.threads,
    }


def _latency(row: Measurement, label: stats.Label) -> dict[str, Any]:
    wall = [ns for run in row.runs for ns in run.subject.wall_ns]
    cpu = [ns for run in row.runs for ns in run.subject.cpu_ns]
    return {
        "latency_ms": label.latency_ms,
        "error": label.error,
        "clock": label.clock,
        "anchored": label.anchored,
        "wall_median_ms": median(wall) / 1e6,
        "cpu_min_ms": min(cpu) / 1e6 if cpu else nan,
        "cpu_median_ms": median(cpu) / 1e6 if cpu else nan,
        **{f"wall_p{q * 100:.0f}_ms": _tail_ms(wall, q) for q in stats.TAIL_NEEDS},
        "samples": len(wall),
        "processes": len(row.runs),
        "profile": row.procedure.profile,
        "noisy": row.noisy,
        "flags": "; ".join(row.flags),
        **_cold(row.cold),
    }


def _cold(cold: Cold | None) -> dict[str, float]:
    return {
        "build_ms": nan if cold is None else cold.build_ns / 1e6,
        "load_ms": nan if cold is None else cold.load_ns / 1e6,
        "first_ms": nan if cold is None else cold.first_ns / 1e6,
    }


def _tail_ms(wall_ns: list[int], q: float) -> float:
    found = stats.percentile(wall_ns, q)
    return nan if found is None else found / 1e6


def _circumstances(session: Session, row: Measurement) -> dict[str, Any]:
    environment, packages = session.environment, session.environment.software.packages
    return {
        "model_bytes": row.model_bytes,
        "peak_rss_bytes": row.peak_rss_bytes,
        "seed": row.seed,
        "isa": row.isa,
        "cpu": environment.hardware.cpu,
        "torch": packages.get("torch", ""),
        "onnxruntime": packages.get("onnxruntime", ""),
        "git": environment.git,
        "tool": session.tool,
        "plan": session.plan,
        "device_digest": session.device_digest,
    }

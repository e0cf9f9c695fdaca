"""Trials or winners of searches as a file of rows, or as the seeds' files. Draws nothing."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.prediction_file import SUFFIXES as ROWS
from bench.prediction_file import PredictionFile
from bench.search.front import Found, Place
from results.choice import Measured, Predicted, Tried, Winner
from results.errors import BadInputError
from results.notation import format_architecture, write_architectures
from results.seed_results import SeedResult, write_seed_results

if TYPE_CHECKING:
    from results.architecture import Architecture

CANDIDATES, RESULTS = ".cands", ".results"
SUFFIXES = (*ROWS, CANDIDATES, RESULTS)
SPAN = ("span-f1", "exact")
"""Metrics that the seeds tell together, in per cent."""


def export(found: Sequence[Found], path: Path, *, winners: bool) -> str:
    """Write the trials, or the winners alone; tells what was written.

    Raises:
        BadInputError: there are none, or the file cannot be written or cannot say them.
    """
    what = "winners" if winners else "trials"
    rows = [(one, x) for one in found for x in (_winners(one) if winners else one.trials)]
    if not rows:
        raise BadInputError(f"--export {path}: there are no {what} yet")
    suffix = path.suffix.lower()
    if suffix == CANDIDATES:
        several = dict.fromkeys(x.architecture for _, x in rows)
        write_architectures(path, several, "seed")
        return f"{len(several)} architectures"
    if suffix == RESULTS:
        records = _records(rows)
        write_seed_results(path, records)
        return f"{len(records)} results"
    _write(path, [line for one, x in rows for line in _lines(one, x)])
    return f"{len(rows)} {what}"


def _winners(one: Found) -> Sequence[Winner]:
    return one.outcome.winners if one.outcome else ()


def _records(rows: Sequence[tuple[Found, Tried | Winner]]) -> list[SeedResult]:
    """One for each task and architecture: of its trials the last one, quantised where it was."""
    last: dict[tuple[str, Architecture], tuple[Found, Tried | Winner]] = {
        (one.search.task, x.architecture): (one, x) for one, x in rows
    }
    return [_record(one, x) for one, x in last.values()]


def _record(one: Found, x: Tried | Winner) -> SeedResult:
    """The time is the latency at the first workload, and who was measured counts its rows."""
    measured = x.measured[:1] if isinstance(x, Winner) else ()
    times: Sequence[Predicted | Measured] = [*measured, *x.predicted[:1]]
    return SeedResult(
        task=one.search.task,
        architecture=x.architecture,
        parameters=x.architecture.parameters,
        scores=_scores(one, x.metrics),
        ms_per_batch=times[0].ms if times else None,
        batches=sum(len(each.rows) for each in measured),
    )


def _scores(one: Found, metrics: Mapping[str, float]) -> dict[str, float]:
    if all(name in metrics for name in SPAN):
        f1, exact = (100 * metrics[name] for name in SPAN)
        return {"f1": f1, "em": exact}
    return {"best": one.score(dict(metrics))}


def _lines(one: Found, x: Tried | Winner) -> Iterator[dict[str, object]]:
    """One for each workload; one without latencies where none is known."""
    both: list[Predicted | Measured] = [
        *x.predicted,
        *(x.measured if isinstance(x, Winner) else ()),
    ]
    first, last = _about(one, x), _scored(one, x)
    for place in dict.fromkeys(Place.of(each) for each in both) or [None]:
        where = {name: getattr(place, name, None) for name in ("device", "runtime", "tokens")}
        times = _times("predicted", place.find(x.predicted) if place else None)
        if isinstance(x, Winner):
            times |= _times("measured", place.find(x.measured) if place else None)
        yield first | where | times | last


def _about(one: Found, x: Tried | Winner) -> dict[str, object]:
    own = (
        {"rank": x.rank}
        if isinstance(x, Winner)
        else {"trial": x.n, "stage": x.stage, "searcher": x.searcher}
    )
    return {
        "search": one.label,
        **own,
        "architecture": format_architecture(x.architecture),
        "network": str(x.architecture),
        "scheme": x.scheme,
    }


def _times(name: str, x: Predicted | Measured | None) -> dict[str, object]:
    return {
        f"{name}_ms": x.ms if x else None,
        f"{name}_lower": x.lower if x else None,
        f"{name}_upper": x.upper if x else None,
    }


def _scored(one: Found, x: Tried | Winner) -> dict[str, object]:
    told: dict[str, object] = dict(x.metrics)
    if isinstance(x, Winner):
        told |= {f"{name} fp32": value for name, value in x.full_metrics.items()}
        told |= {"megabytes": x.megabytes, "memory_megabytes": x.memory_megabytes}
        return told | {"file": str(one.folder / x.folder / x.file), "sha256": x.sha256}
    return told | {
        "loss": x.loss,
        "megabytes": x.megabytes,
        "cost": x.cost,
        "seconds": x.seconds,
        "score": x.score,
    }


def _write(path: Path, lines: Sequence[dict[str, object]]) -> None:
    import pyarrow as pa

    names = list(dict.fromkeys(name for line in lines for name in line))
    table = pa.table({name: [line.get(name) for line in lines] for name in names})
    with PredictionFile(path, names) as file:
        file.write(table)

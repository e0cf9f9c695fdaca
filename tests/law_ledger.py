"""A ledger of networks whose latencies obey a law, so that tests know them without measuring."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from results.architecture import Architecture
from results.measurement import Measurement, Run, Series, Subject, Workload
from results.session import Session
from results.store import Ledger
from tests.ledger_rows import measurement

ANCHOR_NS = 4_000_000

NS_A_MAC: Mapping[str, float] = {"fp32": 0.02, "int8-dynamic": 0.008, "ptq": 0.006}


def networks(count: int, seed: int = 0) -> list[Architecture]:
    """As many, all different."""
    rng = np.random.default_rng(seed)
    drawn = (_network(rng) for _ in range(100 * count))
    return list(dict.fromkeys(drawn))[:count]


def law_ms(a: Architecture, scheme: str = "fp32", work: Workload = Workload()) -> float:  # noqa: B008
    """A call, the layers, and the multiply-accumulates of their matrices."""
    macs = a.depth * a.hidden * (4 * a.layers[0].qkv + 2 * a.layers[0].ffn)
    macs *= work.tokens * work.batch
    return (50_000 + 30_000 * a.depth + NS_A_MAC.get(scheme, 0.01) * macs) / 1e6


def steady(ns: int, visits: int = 6) -> Series:
    """The same time in every visit."""
    same = (ns,) * visits
    return Series(same, same, (0,) * visits, (0,) * visits, (1,) * visits)


def row(
    of: Session, number: int, ms: float, anchor_ns: int = ANCHOR_NS, **changes: Any
) -> Measurement:
    """One whose label is so many milliseconds, where all anchors are alike."""
    run = Run(steady(round(ms * 1e6)), steady(anchor_ns), anchor_name="h1 1x(a1 q1 f1)")
    return measurement(of, number, runs=(run,), **changes)


def rows(
    of: Session,
    found: Sequence[Architecture],
    schemes: Sequence[str] = ("fp32",),
    error: float = 0.0,
    **changes: Any,
) -> Iterator[Measurement]:
    """Of each network in each scheme, wrong by up to `error`; the changes are those of a row."""
    rng = np.random.default_rng(7)
    runtime = changes.pop("runtime", "onnxruntime")
    first, work = changes.pop("first", 1), changes.pop("workload", Workload())
    pairs = [(a, scheme) for a in found for scheme in schemes]
    for number, (a, scheme) in enumerate(pairs, first):
        ms = law_ms(a, scheme, work) * (1 + rng.uniform(-error, error))
        subject = Subject(a, scheme, runtime)
        yield row(of, number, ms, subject=subject, workload=work, **changes)


def keep(folder: Path, of: Session, taken: Iterable[Measurement]) -> Ledger:
    """The ledger in that folder, with one more session."""
    ledger = Ledger(folder)
    with ledger.begin(of) as writer:
        writer.extend(taken)
        writer.end("complete")
    return ledger


def _network(rng: np.random.Generator) -> Architecture:
    heads = int(rng.integers(1, 9))
    return Architecture.uniform(
        int(rng.integers(1, 7)),
        48 * int(rng.integers(2, 12)),
        heads,
        heads * 32,
        64 * int(rng.integers(2, 20)),
    )

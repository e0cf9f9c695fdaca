"""Device cards of a made-up device whose latencies obey a law, for the tests of predictions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.numerics import numerics_of
from nas.space import SearchSpace, load_space
from predictors.calibrated import Calibrated, calibrate
from predictors.card_fields import Key, Provenance
from predictors.card_writer import Made, put
from predictors.columns import Columns
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.terms import terms_for
from results.architecture import Architecture
from results.measurement import Workload
from tests.ledger_rows import ENVIRONMENT

NS_A_MAC = {
    "fp32": 0.02,
    "int8-dynamic": 0.008,
    "int8-static/middle/smooth": 0.004,
}
"""By kind of arithmetic; the last is that of ptq."""

SPACE: SearchSpace = load_space("minilm")
SEEN = SPACE.sample_unique(np.random.default_rng(5), 60)

PROVENANCE = Provenance(
    sessions=("20250131T093000123-4f5a6b",),
    rows=60,
    seed=0,
    fitted_utc="2025-02-01T08:00:00.000+00:00",
    tool="0.2.0",
)


def law_ms(a: Architecture, scheme: str, work: Workload) -> float:
    """A call, its layers, and the multiply-accumulates of each linear layer in its arithmetic."""
    numerics = numerics_of(scheme)
    ns = 50_000.0
    for i, layer in enumerate(a.layers):
        ns += 30_000.0
        widths = {"qkv": 3 * layer.qkv, "attention-output": layer.qkv}
        widths |= {"ffn-in": layer.ffn, "ffn-out": layer.ffn}
        for group, width in widths.items():
            macs = work.batch * work.tokens * a.hidden * width
            ns += NS_A_MAC[numerics.kind(i, group)] * macs
    return ns / 1e6


def made_of(
    schemes: Sequence[str],
    seen: Sequence[Architecture] = SEEN,
    works: Sequence[Workload] = (Workload(),),
    factor: float = 1.0,
) -> Calibrated:
    """Fitted to `law_rows`."""
    rows, setting = law_rows(schemes, seen, works, factor)
    return calibrate(rows, "physics", setting)


def law_rows(
    schemes: Sequence[str],
    seen: Sequence[Architecture] = SEEN,
    works: Sequence[Workload] = (Workload(),),
    factor: float = 1.0,
) -> tuple[Rows, Setting]:
    """Every network in all these schemes, `factor` times as slow as the law, wrong by 1 %."""
    rows = [(a, w, s) for s in schemes for a in seen for w in works]
    columns = Columns.of(
        [a for a, _, _ in rows], [w for _, w, _ in rows], [numerics_of(s) for _, _, s in rows]
    )
    noise = np.random.default_rng(1).normal(0, 0.01, len(rows))
    ms = np.array([factor * law_ms(a, s, w) for a, w, s in rows]) * np.exp(noise)
    found = Rows(columns, ms, tuple(a for a, _, _ in rows))
    return found, Setting(terms_for(columns))


def law_card(folder: Path) -> Path:
    """The card of `laptop`: two runtimes, one of them in three schemes, and a few others.

    onnxruntime: fp32, int8-dynamic, ptq, mixed. torch: fp32 of 64 and 256 tokens, and fp32 as
    served, three times as slow.
    """
    schemes = ("fp32", "int8-dynamic", "ptq")
    works = (Workload(2, 64), Workload(2, 256))
    made: list[Made] = [
        (Key("onnxruntime", scheme), made_of([scheme]), PROVENANCE) for scheme in schemes
    ]
    made.append((Key("onnxruntime", "mixed"), made_of(schemes), PROVENANCE))
    made.append((Key("torch", "fp32"), made_of(["fp32"], works=works), PROVENANCE))
    served = made_of(["fp32"], factor=3.0)
    made.append((Key("torch", "fp32", "deployed"), served, PROVENANCE))
    path = folder / "cards" / "laptop.json"
    put(path, "laptop", ENVIRONMENT, made)
    return path

"""How wrong predictors are on networks they have not seen, by the rows they were fitted to.

`python -m tests.benchmarks.predictor_errors LEDGER DEVICE` prints the tables; nothing is measured.
With a third word, `seeds`, the seeds' own predictor is fitted beside ours.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from bench.training import MIXED, TrainingSet, Wanted, training_sets
from predictors.calibrated import Calibrated, calibrate
from predictors.families import family
from predictors.rows import Rows
from results.store import Ledger

DRAWS = 20
SIZES = (20, 50, 100)
SEEDS_FROM = 1000
LEAST_TEST = 40
"""Networks that must be left to judge by."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One predictor on networks it has not seen; in percent, but tau."""

    mape: float
    median: float
    within_5: float
    within_10: float
    tau: float
    coverage: float
    half_width: float
    over_by_point: float
    """Of the networks chosen for a budget by what is predicted: how many break it."""
    over_by_bound: float
    """Chosen by the upper bound."""

    @classmethod
    def of(cls, made: Calibrated, test: Rows) -> "Judged":
        found = made.forecast(test.columns)
        errors = np.abs(found.ms / test.ms - 1)
        inside = (found.lower <= test.ms) & (test.ms <= found.upper)
        return cls(
            100 * errors.mean(),
            100 * float(np.median(errors)),
            100 * (errors < 0.05).mean(),
            100 * (errors < 0.1).mean(),
            float(kendalltau(test.ms, found.ms).statistic),
            100 * inside.mean(),
            100 * ((found.upper - found.lower) / 2 / found.ms).mean(),
            over(test.ms, found.ms),
            over(test.ms, found.upper),
        )


def over(ms: np.ndarray, by: np.ndarray) -> float:
    """For 50 budgets: the slowest five networks that `by` lets pass; how many of them break it."""
    broken = []
    for budget in np.quantile(ms, np.linspace(0.2, 0.95, 50)):
        passed = np.flatnonzero(by <= budget)
        slowest = passed[np.argsort(-by[passed])[:5]]
        broken += (ms[slowest] > budget).tolist()
    return 100 * float(np.mean(broken))


def drawn(found: TrainingSet, family: str, size: int, draws: int = DRAWS) -> list[Judged]:
    """Fitted to so many networks drawn at random, judged on all others."""
    networks = list(dict.fromkeys(found.rows.groups))
    judged = []
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(len(networks))
        chosen = {networks[i] for i in order[:size]}
        seen = np.array([group in chosen for group in found.rows.groups])
        made = calibrate(found.rows.take(seen), family, found.setting(seed))
        judged.append(Judged.of(made, found.rows.take(~seen)))
    return judged


def told(judged: Sequence[Judged]) -> str:
    """Medians, and the tenth worst of a hundred draws of the mean error."""
    middle = [float(np.median([getattr(j, name) for j in judged])) for name in Judged.__slots__]
    p90 = float(np.percentile([j.mape for j in judged], 90))
    mape, median, five, ten, tau, coverage, width, point, bound = middle
    return (
        f"{mape:6.2f} {p90:6.2f} {median:6.2f} {five:5.0f} {ten:6.1f} {tau:6.3f} "
        f"{coverage:6.1f} {width:6.2f} {point:6.0f} {bound:6.1f}"
    )


HEADINGS = "  MAPE    p90 median  <5 %  <10 %    tau  holds   +-90  over: point, bound"


def usual_workload(found: TrainingSet) -> TrainingSet:
    """The rows of the token length that most have."""
    tokens = found.rows.columns.tokens
    (most, _), *_ = Counter(tokens.tolist()).most_common(1)
    return _part(found, tokens == most)


def _part(found: TrainingSet, mask: np.ndarray) -> TrainingSet:
    return TrainingSet(found.key, found.rows.take(mask), found.sessions, found.environment)


def by_size(sets: Sequence[TrainingSet], family: str, sizes: Sequence[int]) -> Iterator[str]:
    for found in map(usual_workload, sets):
        for size in sizes:
            if found.rows.architectures >= size + LEAST_TEST:
                name = f"{found.key.runtime} {found.key.scheme}"
                yield f"{name:32s} {family:8s} {size:5d} {told(drawn(found, family, size))}"


def split(
    sets: Sequence[TrainingSet], of: Callable[[Rows], np.ndarray], family: str
) -> Iterator[str]:
    """Fitted to the rows that `of` picks, judged on the others."""
    for found in sets:
        seen = of(found.rows)
        if found.rows.take(seen).architectures >= 20 and (~seen).sum() >= LEAST_TEST:
            rows = found.rows.take(seen)
            made = calibrate(rows, family, found.setting())
            test = found.rows.take(~seen)
            outside = 100 * (made.domain.beyond(test.columns) > 1).mean()
            name = f"{found.key.runtime} {found.key.scheme}"
            yield (
                f"{name:32s} {family:8s} {len(rows):5d} {told([Judged.of(made, test)])}"
                f"   {outside:.0f} % told to be out of range"
            )


def some_tokens(rows: Rows) -> np.ndarray:
    return np.isin(rows.columns.tokens, (32, 128, 384))


def shallow(rows: Rows) -> np.ndarray:
    return rows.columns.depth <= 3


def only(found: TrainingSet, tokens: Sequence[int]) -> TrainingSet:
    """Networks that were measured with several token lengths, and these lengths."""
    groups = Counter(found.rows.groups)
    several = np.array([groups[group] >= len(tokens) - 1 for group in found.rows.groups])
    return _part(found, several & np.isin(found.rows.columns.tokens, tokens))


def against_seeds(found: TrainingSet, seen: int = 2000) -> Iterator[str]:
    """`mlp-seed` fitted to many rows, ours to fifty of the same; judged on the same others."""
    networks = list(dict.fromkeys(found.rows.groups))
    seen = min(seen, len(networks) - 2 * LEAST_TEST)
    order = np.random.default_rng(0).permutation(len(networks))
    many = {networks[i] for i in order[:seen]}
    mask = np.array([group in many for group in found.rows.groups])
    train, test = found.rows.take(mask), found.rows.take(~mask)
    judged = []
    for seed in range(DRAWS):
        chosen = train.take(np.random.default_rng(seed).permutation(len(train))[:50])
        judged.append(Judged.of(calibrate(chosen, "physics", found.setting(seed)), test))
    name = f"{found.key.runtime} {found.key.scheme}"
    yield f"{name:32s} physics {50:6d} {told(judged)}"
    theirs = family("mlp-seed").fit(train, found.setting()).predict(test.columns)
    errors = np.abs(theirs / test.ms - 1)
    tau = kendalltau(test.ms, theirs).statistic
    yield (
        f"{name:32s} mlp-seed {len(train):5d} {100 * errors.mean():6.2f} {'':6s} "
        f"{100 * np.median(errors):6.2f} {100 * (errors < 0.05).mean():5.0f} "
        f"{100 * (errors < 0.1).mean():6.1f} {tau:6.3f}"
    )


def report(ledger: Path, device: str) -> Iterator[str]:
    sets = training_sets(Ledger(ledger), Wanted(device))
    plain = [found for found in sets if found.key.scheme != MIXED]
    yield f"random networks, {DRAWS} draws{' ' * 22} rows {HEADINGS}"
    yield from by_size(plain, "physics", SIZES)
    yield "fitted at 32, 128, 384 tokens, judged at 64, 256, 512"
    lengths = [only(found, (32, 64, 128, 256, 384, 512)) for found in plain]
    yield from split([x for x in lengths if len(x.rows)], some_tokens, "physics")
    yield "fitted to at most 3 layers, judged on more"
    yield from split([usual_workload(found) for found in plain], shallow, "physics")


def seeds(ledger: Path, device: str) -> Iterator[str]:
    """Takes about ten minutes a scheme: the seeds' network has twelve million parameters."""
    yield f"{'':45s} rows {HEADINGS}"
    for found in training_sets(Ledger(ledger), Wanted(device, ("onnxruntime",))):
        if found.key.scheme != MIXED and found.rows.architectures > SEEDS_FROM:
            yield from against_seeds(usual_workload(found))


if __name__ == "__main__":
    ledger, device, *more = sys.argv[1:]
    for sentence in (seeds if more == ["seeds"] else report)(Path(ledger), device):
        print(sentence, flush=True)

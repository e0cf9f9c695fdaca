"""What one search stands on: supernet, limits in milliseconds, predictors. Tries nothing."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec

from bench.search import parts
from bench.search.limits import speed_up
from bench.search.meter import Bench, Meter, Wanted
from bench.search.oracle import Latency, Oracle
from bench.search.provide import task_tokens
from bench.search.request import MIXED, Asked
from bench.search.talk import Talk
from nas.data.task import DEV
from nas.score.scorer import Scorer
from profiler.environment import read_software, revision
from quant.scheme import parse
from results.choice import Limit, Search
from results.errors import BadInputError

if TYPE_CHECKING:
    from nas.data.task import Task
    from nas.folder import Saved
    from nas.space import SearchSpace


@dataclass(frozen=True, slots=True)
class Given:
    """What was asked for, and the parts that were found."""

    asked: Asked
    saved: "Saved"
    task: "Task"
    benches: Mapping[str, Bench]
    """By device."""
    meter: Meter
    before: Sequence[Limit] = ()
    """Of the same search, where it began before."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a search stands on."""

    given: Given
    space: "SearchSpace"
    oracle: Oracle
    tokens: Mapping[str, tuple[int, ...]]
    """Lengths of text by device; the first one is limited."""
    search: Search

    @property
    def limits(self) -> tuple[Limit, ...]:
        """In milliseconds and megabytes."""
        return self.search.limits


@dataclass(frozen=True, slots=True)
class _Limited:
    """One latency limit with what predicts it."""

    limit: Limit
    latencies: tuple[Latency, ...]
    card: str
    """SHA-256 of the predictor in the device's card."""
    fingerprint: str


def scene_of(given: Given, scorer: Scorer, talk: Talk) -> Scene:
    """Read the cards, measure the baseline where a limit is relative.

    Raises:
        BadInputError: a part does not fit the others.
    """
    asked, saved = given.asked, given.saved
    space = parts.space_of(saved, asked)
    lengths = (asked.fixed_tokens,) if asked.fixed_tokens else task_tokens(asked)
    tokens = {d: lengths or _usual(bench) for d, bench in given.benches.items()}
    limited = {
        limit.device: _limited(limit, given, space, tokens[limit.device], talk)
        for limit in asked.limits
        if limit.kind == "latency"
    }
    others = [limit for limit in asked.limits if limit.kind != "latency"]
    sizes = [limit.value for limit in others if limit.kind in ("size", "memory")]
    whole = saved.architecture
    oracle = Oracle(
        parse(asked.scheme),
        tuple(one for found in limited.values() for one in found.latencies),
        min(sizes, default=math.inf),
        (whole.vocab, whole.positions, whole.types),
        outputs=0 if saved.head is None else saved.head.outputs,
    )
    search = _described(
        given, space, scorer, limited, [x.limit for x in limited.values()] + others
    )
    return Scene(given, space, oracle, tokens, search)


def _usual(bench: Bench) -> tuple[int, ...]:
    """The first length of a device's own."""
    return tuple(bench.ground(()).device.tokens[:1])


def _limited(
    limit: Limit, given: Given, space: "SearchSpace", tokens: Sequence[int], talk: Talk
) -> _Limited:
    asked, bench = given.asked, given.benches[limit.device]
    ground = bench.ground(parts.schemes_of(asked))
    forecaster = parts.forecaster_of(asked, ground, space, tokens)
    card = parts.card_of(asked, limit.device)
    kept = _absolute(limit, given, tokens[0], talk)
    found = tuple(
        Latency(
            kept if not place else replace(kept, value=math.inf, tokens=work.tokens),
            asked.runtime,
            forecaster.made,
            work,
            asked.confidence,
        )
        for place, work in enumerate(forecaster.workloads)
    )
    entry = card.find(asked.runtime, forecaster.fitted_to)
    fields = b"" if entry is None else msgspec.json.encode(entry.fields)
    return _Limited(kept, found, hashlib.sha256(fields).hexdigest(), card.fingerprint)


def _described(
    given: Given,
    space: "SearchSpace",
    scorer: Scorer,
    limited: Mapping[str, _Limited],
    limits: Sequence[Limit],
) -> Search:
    asked = given.asked
    return Search(
        name=asked.run_folder.name,
        task=asked.task,
        scheme=asked.quant if asked.quant == MIXED else asked.scheme,
        searcher=asked.searcher,
        seed=asked.seed,
        limits=tuple(limits),
        confidence=asked.confidence,
        runtime=asked.runtime,
        space=space.name,
        supernet=scorer.source,
        supernet_folder=str(given.saved.folder),
        teacher_folder=str(parts.teacher_of(asked)),
        cards={device: one.card for device, one in limited.items()},
        fingerprints={device: one.fingerprint for device, one in limited.items()},
        examples=len(given.task.splits[DEV]),
        split=DEV,
        evaluations=asked.effort.evaluations,
        options=_options(asked),
        packages=dict(read_software().packages),
        tool=version("subbert"),
        git=revision(),
        started_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _options(asked: Asked) -> dict[str, str]:
    effort = {name: str(value) for name, value in asdict(asked.effort).items()}
    given = {"folder": asked.folder, "text-column": asked.columns.text,
             "pair-column": asked.columns.pair, "label-column": asked.columns.label,
             "tokens": asked.tokens, "devices": asked.devices}  # fmt: skip
    named = {name: str(value) for name, value in given.items() if value is not None}
    return effort | {"calibration": str(asked.calibration)} | named


def _absolute(limit: Limit, given: Given, tokens: int, talk: Talk) -> Limit:
    """A speed-up as milliseconds: of what the whole supernet takes in float32, measured once."""
    factor = speed_up(limit)
    limit = replace(limit, tokens=tokens)
    if factor is None:
        return limit
    what = (limit.asked, limit.device, limit.tokens)
    known = [x for x in given.before if what == (x.asked, x.device, x.tokens)]
    if known:
        return known[0]
    whole = given.saved.architecture
    talk.say(f"measuring the baseline, {whole} in float32, on {limit.device}")
    wanted = Wanted(given.benches[limit.device], (whole,), ("fp32",), (tokens,))
    (cells,) = given.meter.latencies([wanted])
    if not cells:
        raise BadInputError(
            f"the baseline could not be measured on {limit.device}: run again on a quieter "
            "machine, or give --latency in ms"
        )
    (ms,) = cells.values()
    return replace(limit, value=ms / factor, baseline_ms=ms)

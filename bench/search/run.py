"""A whole search: parts, budget, two stages, verification, a folder of what came out."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np

from bench.search import parts
from bench.search.exam import TaskName
from bench.search.finalists import Judge, Maker
from bench.search.limits import told
from bench.search.near import corrections
from bench.search.oracle import Correction, Oracle
from bench.search.provide import benches_of, provide
from bench.search.request import MIXED, Asked
from bench.search.rounds import Rounds
from bench.search.scene import Given, Scene, scene_of
from bench.search.site import site_of
from bench.search.stages import FULL, Field, Record, Scores, survey
from bench.search.swing import swings
from bench.search.talk import Talk
from bench.search.verification import Verification
from bench.search.workers import ScoringPool
from nas.extract.calibration import of_scorer
from nas.extract.folder import origin_of
from nas.folder import read
from nas.score.engines import sums
from nas.score.scorer import Options, Scorer
from nas.search.searchers import require as require_searcher
from predictors.intervals import Intervals
from results.architecture import Architecture
from results.choice import Outcome, Predicted, Search
from results.errors import BadInputError
from results.searches import Run

NEAR, SPENT = "near", "spent"
"""Notes in the run's folder: what was measured near the budget; seconds of runs before."""

SAME = (
    "task", "scheme", "searcher", "seed", "confidence", "runtime", "space", "supernet", "cards",
    "evaluations", "options",
)  # fmt: skip
"""What two searches share that are the same, beside their limits."""


def search(asked: Asked, talk: Talk) -> tuple[Run, Outcome]:
    """Search, or go on with a search that was stopped.

    Raises:
        BadInputError: it cannot begin, or nothing keeps the budget.
    """
    require_searcher(asked.searcher)
    run, benches = Run(asked.run_folder), benches_of(asked)
    provide(asked, benches, talk)
    saved = read(parts.supernet_of(asked))
    parts.require_task(saved, asked)
    task = TaskName(asked.task, asked.folder, asked.columns).load(talk.say)
    options = Options(calibration=asked.calibration, seed=asked.seed, threads=1)
    with (
        run.locked(),
        Scorer(saved, task, results=asked.results, options=options) as scorer,
        site_of(asked, talk) as site,
    ):
        before = run.search.limits if run.exists else ()
        given = Given(asked, saved, task, benches, site.meter(), before)
        scene = scene_of(given, scorer, talk)
        _begin(run, scene.search)
        if (ended := run.outcome) is not None:
            talk.say(f"{run.folder} is searched already")
            return run, ended
        with _timed(run) as seconds, ScoringPool(scorer, site.crew(scorer)) as pool:
            outcome = _conducted(run, scene, scorer, pool, site.judge(scene.tokens), talk)
            outcome = replace(outcome, seconds=seconds())
            run.end(outcome)
    return run, outcome


def _conducted(
    run: Run, scene: Scene, scorer: Scorer, pool: Scores, judge: Judge, talk: Talk
) -> Outcome:
    """From the budget to the winners."""
    asked, effort = scene.given.asked, scene.given.asked.effort
    oracle = _narrowed(run, scene, talk)
    there = survey(scene.space, oracle, effort.evaluations // 2, asked.seed)
    _require_some(scene, oracle, there)
    _tell_field(scene, there, talk)
    _tell_sums(scene, talk)
    run.restart()
    record = Record(run.add, datetime.now(UTC).isoformat(timespec="milliseconds"))
    check = Verification(scene.limits, effort.winners, _maker(run, scene, scorer), judge, talk.say)
    Rounds(run, scene, oracle, pool, record, check, there.worth, talk).all()
    metrics = _in_full(record, [one.trial.architecture for one, _ in check.standing], pool)
    winners, dropped = check.winners(oracle, metrics), tuple(check.dropped)
    each = [*(one.measured for one in dropped), *(one.measured for one in winners)]
    return Outcome(
        winners=winners,
        dropped=dropped,
        fastest=oracle.predicted(there.cheapest),
        swings=swings(asked.results, chain.from_iterable(each)),
        searcher_seconds=record.thinking_s,
        ended_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _maker(run: Run, scene: Scene, scorer: Scorer) -> Maker:
    saved = scene.given.saved
    text = of_scorer(scorer) if scene.oracle.scheme.calibrated else None
    return Maker(saved, origin_of(saved.folder), text, run.folder)


def _in_full(
    record: Record, wanted: Sequence[Architecture], pool: Scores
) -> dict[Architecture, dict[str, float]]:
    """Metrics in float32 of each; what was not scored so is."""
    known = {t.architecture: t.metrics for t in record.trials if t.stage == FULL}
    lacking = [a for a in dict.fromkeys(wanted) if a not in known]
    scored = pool.scores(lacking, ["fp32"] * len(lacking))
    return known | {score.architecture: score.metrics for score in scored}


def _tell_sums(scene: Scene, talk: Talk) -> None:
    """There is one way out where weights are symmetric, and none yet for mixtures."""
    asked, scheme = scene.given.asked, scene.oracle.scheme
    known = asked.ray is None and asked.quant != MIXED and scheme.symmetric
    if known and sums(scheme) == "saturates":
        talk.say(
            f"this CPU has no VNNI and cuts sums of products of {scheme}, as scores will tell: "
            f"--quant {scheme}:reduce-range=yes is exact on every CPU"
        )


@contextmanager
def _timed(run: Run) -> Iterator[Callable[[], float]]:
    """Seconds of this run and of those before that were stopped."""
    before, began = float((run.noted(SPENT) or {}).get("seconds", 0.0)), time.monotonic()

    def seconds() -> float:
        return before + time.monotonic() - began

    try:
        yield seconds
    finally:
        run.note(SPENT, {"seconds": seconds()})


def _begin(run: Run, now: Search) -> None:
    """Keep what is searched for; a folder of another search is refused."""
    if not run.exists:
        run.begin(now)
        return
    before, ended = run.search, run.outcome is not None
    for name in SAME:
        if name == "cards" and ended:  # nothing is predicted any more
            continue
        if getattr(before, name) != getattr(now, name):
            raise BadInputError(
                f"{run.folder} holds another search: its {name} is {_told(before, name)} and "
                f"{_told(now, name)} here: choose another --name"
            )
    if [x.asked for x in before.limits] != [x.asked for x in now.limits]:
        raise BadInputError(
            f"{run.folder} holds a search for another budget: choose another --name"
        )


def _told(found: Search, name: str) -> str:
    return str(getattr(found, name))[:60]


def _narrowed(run: Run, scene: Scene, talk: Talk) -> Oracle:
    """The oracle with what is measured near the budget; measured once for a search."""
    asked = scene.given.asked
    if not asked.effort.probe or not scene.oracle.latencies:
        return scene.oracle
    noted = run.noted(NEAR)
    if noted is None:
        several = max(asked.effort.probe, 1)
        talk.say(f"measuring {several} networks near the budget")
        given = scene.given
        found = corrections(scene.oracle, scene.space, given.benches, several, given.meter)
        noted = {"corrections": [_as_dict(one) for one in found]}
        run.note(NEAR, noted)
    return scene.oracle.corrected([_from_dict(one) for one in noted["corrections"]])


def _as_dict(one: Correction) -> dict[str, Any]:
    errors = None if one.errors is None else one.errors.scores.tolist()
    return {"shift": one.shift, "errors": errors}


def _from_dict(one: Mapping[str, Any]) -> Correction:
    errors = one["errors"]
    return Correction(one["shift"], None if errors is None else Intervals(np.array(errors)))


def _require_some(scene: Scene, oracle: Oracle, there: Field) -> None:
    if there.within:
        return
    limits = " and ".join(told(x) for x in scene.limits if x.kind != "accuracy")
    fastest = ", ".join(_in_words(x) for x in oracle.predicted(there.cheapest))
    size = f"{oracle.weight_megabytes(there.cheapest):.3g} MB"
    raise BadInputError(
        f"nothing in {scene.space.name} keeps {limits}: the least is {there.cheapest} with "
        f"{fastest or size}: give a larger budget, or a smaller --space"
    )


def _in_words(one: Predicted) -> str:
    return f"{one.ms:.3g} ms ({one.lower:.3g}-{one.upper:.3g}) on {one.device}"


def _tell_field(scene: Scene, there: Field, talk: Talk) -> None:
    if there.within == there.members:
        limits = " and ".join(told(x) for x in scene.limits if x.kind != "accuracy")
        talk.say(
            f"every one of {there.members:,} sub-models keeps {limits}: the budget is no limit, "
            "a tighter one or a larger supernet would use it"
        )
    else:
        talk.say(f"{there.within:,} of {there.members:,} sub-models keep the budget")

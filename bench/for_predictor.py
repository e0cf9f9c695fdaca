"""`bench profile --for-predictor`: measure until the predictors are good enough, then fit."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from bench.fit import Output, fit_and_report
from bench.fitting import Asked as Fit
from bench.fitting import default_card, name_of
from bench.live import Live
from bench.plan import Plan, Task
from bench.request import DEFAULT_SPACE, Asked, Ground, ground_of
from bench.sitting import Sitting, measure, prepare
from bench.study import Study, Target
from bench.sweep import More
from bench.training import Key, Wanted, unlikeness
from bench.warm_start import WarmStart, warm_start
from bench.watch import Silent
from nas.space import SearchSpace, load_space
from profiler.device import this_host
from profiler.environment import read_hardware
from results.environment import digest
from results.errors import BadInputError
from results.measurement import Measurement


@dataclass(frozen=True, slots=True)
class Purpose:
    """When to stop, and what to make of the rows."""

    target: Target
    from_card: Path | None = None
    card: Path | None = None
    plot: Path | None = None
    as_json: bool = False


def run_for_predictor(asked: Asked, purpose: Purpose) -> None:
    """Measure round by round; fit to all rows of this machine, write the card, print it.

    Raises:
        BadInputError: it cannot be measured as asked, or no predictor could be fitted.
    """
    _require_a_space(asked)
    talk = Console(stderr=purpose.as_json, highlight=False, markup=False)
    ground = ground_of(asked, this_host(read_hardware()))
    for sentence in ground.refused:
        talk.print(f"left out: {sentence}")
    space = load_space(asked.chosen.space or DEFAULT_SPACE)
    _require_positions(space, ground)
    began = time.monotonic()
    begin_with = warm_start(purpose.from_card, ground.device.name)
    sitting, study = _prepare(asked, ground, space, purpose.target, begin_with)
    outcome = measure(sitting, Silent() if purpose.as_json else Live(talk), _telling(study, talk))
    for sentence in _remarks(study, outcome.status, time.monotonic() - began):
        talk.print(sentence)
    card = purpose.card or default_card(asked.results, ground.device.name)
    wanted = Wanted(
        ground.device.name,
        tuple(ground.schemes),
        tuple(dict.fromkeys(s for schemes in ground.schemes.values() for s in schemes)),
        _sessions(sitting),
    )
    output = Output(card, purpose.plot, as_json=purpose.as_json)
    made = Fit(wanted, seed=asked.chosen.seed, begin_with=begin_with)
    fit_and_report(sitting.ledger, made, output)


def _prepare(
    asked: Asked, ground: Ground, space: SearchSpace, target: Target, begin_with: WarmStart
) -> tuple[Sitting, Study]:
    """The same request goes on where it was stopped, and counts rows that others left."""
    asked = replace(asked, resume=asked.resume is not False)
    request = digest(
        "for-predictor",
        ground.device.digest,
        ground.schemes,
        ground.cap,
        space.name,
        ground.device.tokens,
        ground.procedure.profile,
        asked.chosen.seed,
    )
    device, seed = ground.device, asked.chosen.seed
    empty = Plan(device, tuple(ground.schemes), (), ground.procedure, seed, ground.cap)
    sitting = prepare(asked, empty, request)
    study = Study(
        ground,
        space,
        sitting.ledger,
        sitting.session,
        target,
        seed,
        begin_with,
        fresh=not asked.resume,
    )
    return replace(sitting, plan=replace(empty, tasks=study.begin())), study


def _sessions(sitting: Sitting) -> tuple[str, ...]:
    """Those whose rows may stand beside the new ones."""
    own = sitting.session
    others = [r.session for r in sitting.ledger.sessions() if r.session.device == own.device]
    return tuple(dict.fromkeys([own.id, *(s.id for s in others if not unlikeness(s, own))]))


def _telling(study: Study, talk: Console) -> More:
    """`study.more`, and a line on how good the predictors are by then."""

    def more(rows: Sequence[Measurement]) -> tuple[Task, ...]:
        tasks = study.more(rows)
        talk.print(_state(study))
        return tasks

    return more


def _state(study: Study) -> str:
    """The predictor that is furthest from its target, and how many are there."""
    good = f"{len(study.keys) - len(study.open)} of {len(study.keys)} predictors good enough"
    known = [key for key in study.keys if key in study.found]
    if not known:
        return good
    worst = max(known, key=lambda key: study.expected(key)[1])
    return f"{good}; {name_of(worst)} {_errors(study, worst)}"


def _errors(study: Study, key: Key) -> str:
    mape, half_width = study.expected(key)
    if math.isinf(mape):
        return "too few quiet rows to fit to"
    networks = study.found[key].error.architectures
    return f"{mape:.1%} ± {half_width:.1%} with {networks} networks"


def _require_a_space(asked: Asked) -> None:
    if asked.chosen.arch is not None or asked.chosen.models:
        raise BadInputError(
            "--for-predictor chooses networks from a space: leave out --arch and --model, or "
            "leave out --for-predictor and fit to those rows with `bench fit`"
        )


def _require_positions(space: SearchSpace, ground: Ground) -> None:
    if (tokens := max(ground.device.tokens)) > space.positions:
        raise BadInputError(
            f"{tokens} tokens do not fit the {space.positions} positions of the space "
            f"{space.name}: give fewer --tokens"
        )


def _remarks(study: Study, status: str, seconds: float) -> Iterator[str]:
    """What became of the target."""
    if not study.open:
        yield f"all predictors are good enough, in {seconds:.0f} s"
        return
    target = study.target
    for key in study.open:
        yield (
            f"not good enough: {name_of(key)}, {_errors(study, key)} where {target.mape:.1%} "
            f"± {target.half_width:.1%} was wanted"
        )
    if status == "budget":
        yield "the time budget is used up: the same command goes on from here"
    else:
        yield f"{study.target.most} networks were measured: more with a larger --samples"

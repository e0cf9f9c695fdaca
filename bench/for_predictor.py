"""`bench profile --for-predictor`: measure until the predictors are good enough, then fit."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from bench.fit import Output, fit_and_report
from bench.fitting import Asked as Fit
from bench.fitting import default_card
from bench.live import Live
from bench.plan import Plan, Task
from bench.request import DEFAULT_SPACE, Asked, Ground, ground_of
from bench.sitting import Sitting, measure, prepare
from bench.study import Study, Target
from bench.study_report import outcome_json, remarks, state
from bench.sweep import More, Outcome
from bench.training import Wanted, unlikeness
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
    plot: Path | None = None
    as_json: bool = False

    @property
    def talk(self) -> Console:
        """For people: all there is to say, or what is said beside the JSON."""
        return Console(stderr=self.as_json, highlight=False, markup=False)


def run_for_predictor(asked: Asked, purpose: Purpose) -> None:
    """Measure round by round; fit to all rows of this machine, write the card, print it.

    Raises:
        BadInputError: it cannot be measured as asked, or no predictor could be fitted.
    """
    _require_a_space(asked)
    talk = purpose.talk
    ground = ground_of(asked, this_host(read_hardware()))
    for sentence in ground.refused:
        talk.print(f"left out: {sentence}", soft_wrap=True)
    space = load_space(asked.chosen.space or DEFAULT_SPACE)
    _require_positions(space, ground)
    began = time.monotonic()
    begin_with = warm_start(purpose.from_card, ground.device.name)
    sitting, study = _prepare(asked, ground, space, purpose.target, begin_with)
    _require_enough(study)
    card = default_card(asked.results, ground.device.name)
    _require_card(card, sitting)
    outcome = _measured(sitting, study, purpose)
    for sentence in remarks(study, outcome, time.monotonic() - began):
        talk.print(sentence, soft_wrap=True)
    if not study.rows and outcome.failures:
        raise BadInputError(f"nothing was measured: {outcome.failures[0][1]}")
    beside = {"study": outcome_json(study, outcome)}
    output = Output(card, purpose.plot, purpose.as_json, beside)
    made = Fit(_wanted(sitting, study), seed=asked.chosen.seed, begin_with=begin_with)
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
    sitting = replace(prepare(asked, empty, request), done={})  # the study knows which rows count
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
    return sitting, study


def _measured(sitting: Sitting, study: Study, purpose: Purpose) -> Outcome:
    """Round after round; no process is started where the rows of before are enough."""
    tasks = study.begin()
    if not tasks:
        return Outcome()
    talk = purpose.talk
    if study.rows:
        talk.print(f"{study.rows} rows of before count", soft_wrap=True)
    sitting = replace(sitting, plan=replace(sitting.plan, tasks=tasks))
    watch = Silent() if purpose.as_json else Live(talk)
    outcome = measure(sitting, watch, _telling(study, talk))
    study.judge()  # the time may have been used up in the middle of a round
    return outcome


def _telling(study: Study, talk: Console) -> More:
    """`study.more`, and a line on how good the predictors are by then."""

    def more(rows: Sequence[Measurement]) -> tuple[Task, ...]:
        tasks = study.more(rows)
        talk.print(state(study), soft_wrap=True)
        return tasks

    return more


def _wanted(sitting: Sitting, study: Study) -> Wanted:
    """All rows that may stand beside those of the study."""
    ground, own = study.ground, sitting.session
    others = [] if study.fresh else [record.session for record in sitting.ledger.sessions()]
    alike = (s.id for s in others if s.device == own.device and not unlikeness(s, own))
    return Wanted(
        ground.device.name,
        tuple(ground.schemes),
        tuple(dict.fromkeys(s for schemes in ground.schemes.values() for s in schemes)),
        tuple(dict.fromkeys([own.id, *alike])),
    )


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


def _require_enough(study: Study) -> None:
    """Refuse what could not be fitted to however well it is measured."""
    if not study.keys:
        raise BadInputError(
            "--for-predictor measures networks of a space in schemes of ours, and none of these "
            "was named: leave out --scheme, or --for-predictor"
        )
    least, most, space = study.least, study.target.most, study.space
    if most < least:
        raise BadInputError(f"--samples {most} are too few: {least} networks are needed to fit to")
    if space.count < least:
        raise BadInputError(
            f"the space {space.name} has {space.count} networks and {least} are needed to fit to: "
            "choose a larger one with --space"
        )


def _require_card(card: Path, sitting: Sitting) -> None:
    """Find out before anything is measured whether a card of before can be written to."""
    from predictors.card_writer import put

    if card.exists():
        put(card, sitting.session.device, sitting.session.environment, [])

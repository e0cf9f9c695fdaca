"""How far a study is, in sentences and as JSON. Measures nothing."""

import math
from collections.abc import Iterator

from bench.fitting import name_of
from bench.study import Study
from bench.sweep import Outcome
from bench.training import Key


def state(study: Study) -> str:
    """How many predictors are good enough, and the one that is furthest from it."""
    good = f"{len(study.keys) - len(study.open)} of {len(study.keys)} predictors good enough"
    known = [key for key in study.keys if key in study.found]
    if not known:
        return good
    worst = max(known, key=lambda key: study.expected(key)[1])
    return f"{good}; {name_of(worst)} {_errors(study, worst)}"


def remarks(study: Study, outcome: Outcome, seconds: float) -> Iterator[str]:
    """What became of the target, and what can be done where it was missed."""
    if not outcome.tasks:
        yield f"nothing new was measured: {study.rows} rows of before count"
    if outcome.failures:
        yield f"{len(outcome.failures)} rows could not be measured: {outcome.failures[0][1]}"
    if not study.open:
        yield f"all predictors are good enough, in {seconds:.0f} s"
        return
    for key in study.open:
        yield f"not good enough: {name_of(key)}, {_errors(study, key)} where {_wanted(study, key)}"
    yield _advice(study, outcome)


def outcome_json(study: Study, outcome: Outcome) -> dict[str, object]:
    """The same for programs: fractions, null for what is not known."""
    return {
        "status": outcome.status,
        "new_rows": len(outcome.rows),
        "failures": len(outcome.failures),
        "rounds": study.rounds,
        "target": {"mape": study.target.mape, "half_width": study.target.half_width},
        "predictors": [_told(study, key) for key in study.keys],
    }


def _told(study: Study, key: Key) -> dict[str, object]:
    mape, half_width = study.expected(key)
    return {
        **key._asdict(),
        "good_enough": key not in study.open,
        "mape": mape,
        "half_width": half_width,
    }


def _errors(study: Study, key: Key) -> str:
    mape, half_width = study.expected(key)
    if math.isinf(mape):
        return "too few quiet rows to fit to"
    networks = study.found[key].error.architectures
    return f"{mape:.1%} ± {half_width:.1%} with {networks} networks"


def _wanted(study: Study, key: Key) -> str:
    if study.target.reached(*study.expected(key)):
        return f"{study.enough(key)} are wanted"
    return f"{study.target.mape:.1%} ± {study.target.half_width:.1%} was wanted"


def _advice(study: Study, outcome: Outcome) -> str:
    if outcome.status == "budget":
        return "the time budget is used up: the same command goes on from here"
    if study.stalled:
        return (
            "no row of the last round is fit to use: the same command goes on from here, best on "
            "a quieter machine"
        )
    if study.is_used_up:
        return (
            f"nothing is left of the {len(study.pool)} candidates of the space "
            f"{study.space.name}: choose a larger one with --space"
        )
    return f"{study.target.most} networks were measured: more with a larger --samples"

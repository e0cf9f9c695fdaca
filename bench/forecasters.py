"""Which predictors of a card answer for which scheme and workload. Knows no network."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bench.choice import INT8
from bench.numerics import numerics_of
from bench.training import MIXED
from quant.scheme import KNOWN, parse
from results.errors import BadInputError
from results.measurement import Workload

if TYPE_CHECKING:
    from predictors.calibrated import Calibrated
    from predictors.card import Card
    from predictors.columns import Numerics

LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.5, 0.99


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line; nothing named is all that the card has."""

    runtimes: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    deployed: bool = False
    batch: int | None = None
    tokens: tuple[int, ...] = ()
    threads: int | None = None
    confidence: float = 0.9

    @property
    def profile(self) -> Literal["stable", "deployed"]:
        """Of the rows that the predictors were fitted to."""
        return "deployed" if self.deployed else "stable"

    def __post_init__(self) -> None:
        if not LEAST_CONFIDENCE <= self.confidence <= MOST_CONFIDENCE:
            raise BadInputError(
                f"--confidence {self.confidence:g} is out of range: give a number from "
                f"{LEAST_CONFIDENCE} to {MOST_CONFIDENCE}"
            )


@dataclass(frozen=True, slots=True)
class Forecaster:
    """One predictor, and what it is asked."""

    runtime: str
    scheme: str
    fitted_to: str
    """The scheme of its rows: the same one, or `mixed`."""
    made: "Calibrated" = field(repr=False)
    numerics: "Numerics" = field(repr=False)
    workloads: tuple[Workload, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """The predictors that answer; and what was named and cannot be had, as `runtime scheme`."""

    forecasters: tuple[Forecaster, ...]
    left_out: tuple[str, ...] = ()


def forecasters(card: "Card", wanted: Wanted) -> Answers:
    """A predictor for every wanted scheme on every wanted runtime of the card.

    A scheme without rows of its own is predicted by the runtime's predictor of mixtures if that
    knows every kind of arithmetic in it.

    Raises:
        BadInputError: the card lacks a runtime or a scheme, or its rows are too few for bounds of
            that confidence.
    """
    has = _has(card, wanted)
    for runtime in wanted.runtimes:
        if runtime not in has:
            raise BadInputError(
                f"the card of {card.device} has no predictor for runtime {runtime!r}: it has "
                f"{_told(has)}"
            )
    found: list[Forecaster] = []
    left_out: list[str] = []
    spelled = tuple(dict.fromkeys(map(_spelled, wanted.schemes)))
    for runtime in dict.fromkeys(wanted.runtimes or has):
        for scheme in _schemes(spelled, has[runtime]):
            forecaster = _forecaster(card, runtime, scheme, wanted)
            if forecaster is not None:
                found.append(forecaster)
            elif wanted.runtimes:
                left_out.append(f"{runtime} {scheme}")
    _require_each(spelled, found, card, has)
    for forecaster in found:
        _require_bounds(forecaster, wanted.confidence)
    return Answers(tuple(found), tuple(left_out))


def of_mixtures(card: "Card", wanted: Wanted, scheme: str) -> Forecaster:
    """The predictor of mixtures of the first wanted runtime, asked of one of them.

    Raises:
        BadInputError: the card has none that knows the arithmetic of the scheme, or its rows are
            too few for the bounds.
    """
    runtime, numerics = wanted.runtimes[0], numerics_of(scheme)
    entry = card.find(runtime, MIXED, wanted.profile)
    if entry is None or not _kinds(numerics) <= set(entry.domain.kinds):
        raise BadInputError(
            f"the card of {card.device} has no predictor of mixtures with {scheme} on {runtime}: "
            "measure rows in each of their schemes"
        )
    work = _workloads(entry.domain.ranges, wanted)
    found = Forecaster(runtime, scheme, MIXED, entry.calibrated(), numerics, work)
    _require_bounds(found, wanted.confidence)
    return found


def _has(card: "Card", wanted: Wanted) -> dict[str, list[str]]:
    """The schemes of the card by runtime, `mixed` among them."""
    has: dict[str, list[str]] = {}
    for entry in card.entries:
        if entry.key.profile == wanted.profile:
            has.setdefault(entry.key.runtime, []).append(entry.key.scheme)
    if not has:
        other = "leave out --deployed" if wanted.deployed else "add --deployed"
        raise BadInputError(
            f"the card of {card.device} has no predictor of {wanted.profile} latencies, but "
            f"{card.names}: {other}"
        )
    return has


def _spelled(scheme: str) -> str:
    """Our own schemes in the spelling of the ledger."""
    ours = scheme.partition(":")[0] in KNOWN
    return parse(scheme).name if ours else scheme


def _schemes(spelled: Sequence[str], has: Sequence[str]) -> list[str]:
    """What is wanted of a runtime that has these."""
    own = [scheme for scheme in has if scheme != MIXED]
    if not spelled:
        return own
    asked = [x for s in spelled for x in (_int8(own) if s == INT8 else [s])]
    return list(dict.fromkeys(asked))


def _int8(own: Sequence[str]) -> list[str]:
    """Those in which some product is computed in int8."""
    return [s for s in own if any("int8" in kind for kind in numerics_of(s).kinds.values())]


def _forecaster(card: "Card", runtime: str, scheme: str, wanted: Wanted) -> Forecaster | None:
    numerics = numerics_of(scheme)
    for fitted_to in (scheme, MIXED):
        entry = card.find(runtime, fitted_to, wanted.profile)
        if entry is not None and scheme != MIXED and _kinds(numerics) <= set(entry.domain.kinds):
            work = _workloads(entry.domain.ranges, wanted)
            return Forecaster(runtime, scheme, fitted_to, entry.calibrated(), numerics, work)
    return None


def _kinds(numerics: "Numerics") -> set[str]:
    return {*numerics.kinds.values(), *([numerics.floats] if numerics.kept else [])}


def _workloads(ranges: Mapping[str, tuple[float, float]], wanted: Wanted) -> tuple[Workload, ...]:
    """What is not asked for is 1 x 128 tokens x 1 thread, or the nearest that the rows had."""
    try:
        return tuple(
            Workload(
                batch=_or_near(wanted.batch, 1, ranges["batch"]),
                tokens=_or_near(tokens, 128, ranges["tokens"]),
                threads=_or_near(wanted.threads, 1, ranges["threads"]),
            )
            for tokens in (tuple(dict.fromkeys(wanted.tokens)) or (None,))
        )
    except ValueError as error:
        raise BadInputError(f"{error}: change --batch, --tokens or --threads") from None


def _or_near(asked: int | None, usual: int, ends: tuple[float, float]) -> int:
    low, high = ends
    return round(min(max(usual, low), high)) if asked is None else asked


def _require_each(
    spelled: Sequence[str],
    found: Sequence[Forecaster],
    card: "Card",
    has: Mapping[str, Sequence[str]],
) -> None:
    """What was named and can be had on no runtime is refused."""
    answered = {forecaster.scheme for forecaster in found}
    answered |= {INT8 for scheme in answered if _int8([scheme])}
    for scheme in spelled:
        if scheme not in answered:
            raise BadInputError(
                f"the card of {card.device} has no predictor for scheme {scheme!r}, and no "
                f"mixture of its rows is one: it has {_told(has)}"
            )
    if not found:
        raise BadInputError(
            f"the card of {card.device} has no predictor of a single scheme: it has {_told(has)}"
        )


def _told(has: Mapping[str, Sequence[str]]) -> str:
    """The predictors of a card in words."""
    return "; ".join(f"{runtime} {_schemes_told(names)}" for runtime, names in has.items())


def _schemes_told(names: Sequence[str]) -> str:
    mixtures = " and mixtures of them" if MIXED in names else ""
    return ", ".join(name for name in names if name != MIXED) + mixtures


def _require_bounds(forecaster: Forecaster, confidence: float) -> None:
    if math.isfinite(forecaster.made.intervals.factor(confidence)):
        return
    from predictors.intervals import least_rows

    n = len(forecaster.made.intervals.scores)
    raise BadInputError(
        f"{forecaster.runtime} {forecaster.scheme}: {n} rows are too few for bounds that hold in "
        f"{100 * confidence:g} % of the cases, {least_rows(confidence)} are needed: measure more, "
        f"or give --confidence {math.floor(1000 * n / (n + 1)) / 1000:g}"
    )

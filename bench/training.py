"""Rows of the ledger as something to fit to: which belong together, and which are refused."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from results import stats
from results.environment import Environment, differences
from results.errors import BadInputError
from results.measurement import Measurement
from results.session import Places, Session
from results.store import Ledger

if TYPE_CHECKING:
    from predictors.prior import Prior
    from predictors.rows import Rows
    from predictors.setting import Setting

UNRELATED = ("host", "git", "software.packages.subbert", "settings.variables.OMP_NUM_THREADS",
             "settings.variables.MKL_NUM_THREADS")  # fmt: skip
"""What may differ between rows of one predictor: threads are a column of their own."""

MOST_SHOWN = 4

MIXED = "mixed"
"""In place of a scheme: fitted to rows of several schemes of one runtime, for their mixtures."""


class Key(NamedTuple):
    """One predictor is fitted for each."""

    runtime: str
    scheme: str
    profile: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows to fit to; nothing named is all."""

    device: str
    runtimes: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    """Parts of session ids."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A row and its latency on the scale of all sessions at its place."""

    session: Session
    row: Measurement
    ms: float


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The rows of one predictor, from one machine."""

    key: Key
    rows: "Rows"
    sessions: tuple[str, ...]
    environment: Environment
    noisy: int = 0
    """Rows that were left out because they were flagged."""
    imported: bool = False
    """Were any taken elsewhere? Then none can be measured here."""
    ids: tuple[str, ...] = field(default=(), repr=False)

    def setting(self, seed: int = 0, prior: "Prior | None" = None) -> "Setting":
        """What is decided before the fit: the terms these rows tell apart, on this hardware."""
        from predictors.setting import Setting
        from predictors.terms import terms_for

        hardware = self.environment.hardware
        caches = (hardware.l2_bytes, hardware.l3_bytes)
        return Setting(terms_for(self.rows.columns, caches), seed, prior)


def training_sets(ledger: Ledger, wanted: Wanted) -> list[TrainingSet]:
    """One for each runtime, scheme and profile that has rows; empty where all of them are noisy.

    Where a runtime has several schemes that share their floats, one more for mixtures of them.

    Raises:
        BadInputError: there are none, or they are of several machines.
    """
    found = [x for x in labelled(ledger) if _is_wanted(x, wanted)]
    _require_rows(ledger, wanted, found)
    _require_one_machine(x for x in found if not x.row.noisy)
    groups: dict[Key, list[Labelled]] = defaultdict(list)
    for x in found:
        groups[_key(x.row)].append(x)
    groups |= _mixed(groups)
    return [_training_set(key, groups[key]) for key in sorted(groups)]


def labelled(ledger: Ledger) -> list[Labelled]:
    """The current rows whose network is known, oldest first; those of our files left out.

    A file has a head behind the encoder, and its latency is what a prediction is held against.
    """
    places = Places()
    levels = stats.references((places[s], row) for s, row in ledger.measurements())
    return [
        Labelled(s, row, stats.label(row, levels, places[s]).latency_ms)
        for s, row in ledger.measurements(current=True)
        if row.subject.architecture is not None and not of_a_file(row)
    ]


def of_a_file(row: Measurement) -> bool:
    """Was an ONNX file timed, and not an encoder that was built for it?"""
    return row.subject.source.partition("@")[0].lower().endswith(".onnx")


def rows_of(found: Sequence[Labelled]) -> "Rows":
    """As columns, in whatever schemes they are."""
    import numpy as np

    from bench.numerics import numerics_of
    from predictors.columns import Columns
    from predictors.rows import Rows

    networks = [x.row.subject.architecture for x in found]
    known = [network for network in networks if network is not None]
    schemes = {x.row.subject.scheme for x in found}
    numerics = {scheme: numerics_of(scheme) for scheme in schemes}
    columns = Columns.of(
        known,
        [x.row.workload for x in found],
        [numerics[x.row.subject.scheme] for x in found],
    )
    return Rows(columns, np.array([x.ms for x in found]), tuple(known))


def _key(row: Measurement) -> Key:
    return Key(row.subject.runtime, row.subject.scheme, row.procedure.profile)


def _mixed(groups: Mapping[Key, list[Labelled]]) -> dict[Key, list[Labelled]]:
    from bench.numerics import numerics_of
    from predictors.columns import FP32

    together: dict[Key, list[list[Labelled]]] = defaultdict(list)
    for key, found in groups.items():
        if numerics_of(key.scheme).floats == FP32 and any(not x.row.noisy for x in found):
            together[key._replace(scheme=MIXED)].append(found)
    return {
        key: [x for found in several for x in found]
        for key, several in together.items()
        if len(several) > 1
    }


def _is_wanted(x: Labelled, wanted: Wanted) -> bool:
    subject = x.row.subject
    return (
        x.row.device == wanted.device
        and subject.runtime in (wanted.runtimes or (subject.runtime,))
        and subject.scheme in (wanted.schemes or (subject.scheme,))
        and (not wanted.sessions or any(part in x.session.id for part in wanted.sessions))
    )


def _training_set(key: Key, found: Sequence[Labelled]) -> TrainingSet:
    quiet = [x for x in found if not x.row.noisy]
    return TrainingSet(
        key,
        rows_of(quiet),
        tuple(dict.fromkeys(x.session.id for x in quiet)),
        (quiet or found)[-1].session.environment,
        len(found) - len(quiet),
        any(x.row.origin != "profile" for x in found),
        tuple(x.row.id for x in quiet),
    )


def _require_rows(ledger: Ledger, wanted: Wanted, found: Sequence[Labelled]) -> None:
    measure = f"`bench profile --device {wanted.device} --for-predictor`"
    if not found:
        asked = [*wanted.runtimes, *wanted.schemes, *wanted.sessions]
        like = f" like {', '.join(asked)}" if asked else ""
        raise BadInputError(
            f"the ledger {ledger.root} holds no row of the device {wanted.device!r}{like}"
            f"{_what_there_is(ledger)}: measure some with {measure}"
        )
    if all(x.row.noisy for x in found):
        raise BadInputError(
            f"all {len(found)} rows of {wanted.device} are noisy and none is fitted to: measure "
            f"them again on a quieter machine with {measure}"
        )


def _what_there_is(ledger: Ledger) -> str:
    devices = sorted({row.device for _, row in ledger.measurements()})
    return f" (it has {', '.join(devices)})" if devices else ""


def _require_one_machine(found: Iterable[Labelled]) -> None:
    sessions = {x.session.id: x.session for x in found}
    newest = max(sessions.values(), key=lambda s: s.id)
    for session in sessions.values():
        if unlike := unlikeness(session, newest):
            shown = [f"{name} {a!r} and {b!r}" for name, (a, b) in unlike.items()]
            more = f" and {len(shown) - MOST_SHOWN} more" if len(shown) > MOST_SHOWN else ""
            raise BadInputError(
                f"the rows are of different machines: sessions {session.id} and {newest.id} "
                f"differ in {', '.join(shown[:MOST_SHOWN])}{more}; choose with --session"
            )


def unlikeness(a: Session, b: Session) -> dict[str, tuple[object, object]]:
    """On what two sessions differ that keeps their rows from one predictor; empty if nothing."""
    return unlike(a.environment, b.environment)


def unlike(a: Environment, b: Environment) -> dict[str, tuple[object, object]]:
    """The same of two environments."""
    found = differences(_comparable(a), _comparable(b))
    return {name: pair for name, pair in found.items() if name not in UNRELATED}


def _comparable(environment: Environment) -> Environment:
    """Memory is what the machine had that day: a virtual one's moves by some pages."""
    return replace(environment, hardware=replace(environment.hardware, memory_bytes=None))

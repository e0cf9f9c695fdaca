"""Fits a predictor to each set of rows that can be fitted to. Prints nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bench.numerics import numerics_of
from bench.training import MIXED, Key, TrainingSet, Wanted, training_sets
from bench.warm_start import WarmStart
from quant.scheme import KNOWN, parse
from results.errors import BadInputError
from results.store import Ledger

if TYPE_CHECKING:
    from predictors.calibrated import Calibrated
    from predictors.card_fields import Provenance
    from predictors.setting import Setting

AUTO = "auto"
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows, and what is to be made of them."""

    wanted: Wanted
    family: str = AUTO
    seed: int = 0
    begin_with: WarmStart = field(default_factory=WarmStart)

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= LARGEST_SEED:
            raise BadInputError(
                f"--seed {self.seed} is out of range: give a number from 0 to {LARGEST_SEED:,}"
            )


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be fitted to, and a sentence for each set of rows that cannot."""

    sets: tuple[TrainingSet, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fitted:
    """A predictor and the rows it comes from."""

    rows: TrainingSet = field(repr=False)
    made: "Calibrated"

    @property
    def key(self) -> Key:
        return self.rows.key

    def provenance(self, asked: Asked) -> "Provenance":
        """From what it was made, and what else was tried."""
        from predictors.card_fields import Provenance
        from profiler.environment import revision

        notes = {"family": asked.family, "noisy rows left out": str(self.rows.noisy)}
        return Provenance(
            sessions=self.rows.sessions,
            rows=len(self.rows.rows),
            seed=asked.seed,
            fitted_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            tool=version("subbert"),
            git=revision(),
            from_card=asked.begin_with.origin if asked.begin_with.of(self.key) else "",
            notes=notes | {f"error of {name}": f"{e:.1%}" for name, e in tried(self.made).items()},
        )


def plan(ledger: Ledger, asked: Asked) -> Plan:
    """The sets of rows that are to be fitted to; reads the ledger, fits nothing.

    Raises:
        BadInputError: an unknown family, no rows, rows of several machines, or no set of rows that
            could be fitted to.
    """
    require_family(asked.family)
    sets, left_out = [], []
    _require_use(asked)
    for found in training_sets(ledger, asked.wanted):
        least = _least(setting_of(found, asked))
        try:
            found.rows.require_fit(least)
            sets.append(found)
        except BadInputError as error:
            left_out.append(_sentence(found, str(error), least, asked.wanted.device))
    if not sets:
        raise BadInputError(left_out[0] + _and_others(len(left_out) - 1))
    return Plan(tuple(sets), tuple(left_out))


def fit_one(found: TrainingSet, asked: Asked) -> Fitted:
    """The predictor of one set of rows.

    Raises:
        BadInputError: a package of that family is not installed.
    """
    try:
        from predictors.calibrated import calibrate

        made = calibrate(found.rows, asked.family, setting_of(found, asked))
    except ModuleNotFoundError as error:
        raise _needs(asked.family, error) from None
    return Fitted(found, made)


def require_card(path: Path, asked: Asked, planned: Plan) -> None:
    """Find out before anything is fitted whether it could be kept.

    Raises:
        BadInputError: it could not; or the card is damaged, or of another device or machine.
    """
    from predictors.card_writer import put

    put(path, asked.wanted.device, planned.sets[-1].environment, [])


def keep(path: Path, asked: Asked, fitted: Fitted) -> None:
    """Write the predictor into the card.

    Raises:
        BadInputError: it cannot be written there.
    """
    from predictors.card_fields import Key as CardKey
    from predictors.card_writer import put

    key = CardKey(*fitted.key)  # type: ignore[arg-type] # a row's profile is one of the two
    entry = (key, fitted.made, fitted.provenance(asked))
    put(path, asked.wanted.device, fitted.rows.environment, [entry])


def default_card(results: Path, device: str) -> Path:
    """Where the predictors of a device are kept unless told otherwise."""
    return results / "cards" / f"{device}.json"


def spelled(ledger: Ledger, schemes: Sequence[str]) -> tuple[str, ...]:
    """As rows spell them; those of other tools as they are, `int8` as every one of integers.

    Raises:
        BadInputError: a setting of a scheme of ours that there is not.
    """
    from bench.choice import INT8

    found: list[str] = []
    for name in schemes:
        if name == INT8:
            seen = {row.subject.scheme for _, row in ledger.measurements()}
            found += sorted(s for s in seen if _of_integers(s)) or [INT8]
        else:
            found.append(parse(name).name if name.partition(":")[0] in KNOWN else name)
    return tuple(dict.fromkeys(found))


def _of_integers(scheme: str) -> bool:
    return not set(numerics_of(scheme).kinds.values()) <= {"fp32", "bf16"}


def setting_of(found: TrainingSet, asked: Asked) -> "Setting":
    """What is decided before the fit."""
    return found.setting(asked.seed, asked.begin_with.of(found.key))


def require_family(name: str) -> None:
    """Refuse a family that there is not, and one whose packages are not installed.

    Raises:
        BadInputError: naming those that there are, or the extra to install.
    """
    try:
        from predictors.families import PLACES, family

        if name != AUTO and name not in PLACES:
            families = ", ".join((AUTO, *PLACES))
            raise BadInputError(f"unknown family {name!r}: choose one of {families}")
        family("physics" if name == AUTO else name)
    except ModuleNotFoundError as error:
        raise _needs(name, error) from None


def _require_use(asked: Asked) -> None:
    from predictors.calibrated import WITH_PRIOR

    if asked.begin_with.origin and asked.family not in (AUTO, *WITH_PRIOR):
        raise BadInputError(
            f"the family {asked.family} cannot begin with the prices of a card: leave --from-card "
            f"out, or choose one of {', '.join(WITH_PRIOR)}"
        )


def _needs(name: str, error: ModuleNotFoundError) -> BadInputError:
    return BadInputError(
        f"the family {name} needs {error.name}, which is not installed: install subbert again, "
        "with all that it depends on"
    )


def name_of(key: Key) -> str:
    """In words."""
    return " ".join([key.runtime, key.scheme, *([] if key.profile == "stable" else [key.profile])])


def tried(made: "Calibrated") -> Mapping[str, float]:
    """The error of each family that `auto` compared but did not choose."""
    return {name: error for name, error in made.tried.items() if name != made.predictor.family}


def facts(found: Fitted) -> dict[str, object]:
    """All that is known of a predictor but its coefficients."""
    made = found.made
    return {
        **found.key._asdict(),
        "family": made.predictor.family,
        "error": asdict(made.error),
        "tried": dict(made.tried),
        "ranges": {name: list(ends) for name, ends in made.domain.ranges.items()},
        "arithmetic": list(made.domain.kinds),
        "noisy_left_out": found.rows.noisy,
        "sessions": list(found.rows.sessions),
    }


def _least(setting: "Setting") -> int:
    """Networks that are needed."""
    from predictors.intervals import least_rows
    from predictors.prior import LEAST_ROWS

    return least_rows() if setting.prior is None else LEAST_ROWS


def _sentence(found: TrainingSet, why: str, least: int, device: str) -> str:
    """What is wrong with these rows, and what to do."""
    named = f"{name_of(found.key)}: {why}"
    noisy = f" ({found.noisy} noisy rows are not fitted to)" if found.noisy else ""
    if found.rows.architectures >= least:
        return named + noisy
    if found.imported:
        return f"{named}{noisy}, and import them with `bench rows import`"
    key = found.key
    only = f" --runtime {key.runtime}"
    only += f" --scheme {key.scheme}" if key.scheme != MIXED else ""
    only += " --deployed" if key.profile == "deployed" else ""
    return f"{named}{noisy}, with `bench profile --device {device} --for-predictor{only}`"


def _and_others(count: int) -> str:
    return f"; and so with {count} more sets of rows" if count else ""

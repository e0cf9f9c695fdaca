"""A device card: all predictors of one device in one JSON file. Knows not how one is written."""

import hashlib
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from predictors.calibrated import Calibrated
from predictors.card_fields import CardFields, EntryFields, Key, Part, Profile, Provenance
from predictors.card_format import CardError, decode
from predictors.domain import Domain
from predictors.error import ErrorCard
from predictors.families import PLACES, Predictor, family
from predictors.intervals import Intervals
from results.environment import Environment
from results.errors import BadInputError
from results.textfile import one_line, read_text


@dataclass(frozen=True, slots=True)
class Entry:
    """One calibrated predictor of a card; its family is loaded when it is asked for."""

    card: Path
    fields: EntryFields
    """As they stand in the file."""

    @property
    def key(self) -> Key:
        """Runtime, scheme and profile."""
        return self.fields.key

    @property
    def family(self) -> str:
        """The name of the family; this version may not know it."""
        return self.fields.family

    @property
    def fingerprint(self) -> str:
        """Of the environment it was fitted in."""
        return self.fields.fingerprint

    @property
    def provenance(self) -> Provenance:
        """From what it was made."""
        return self.fields.provenance

    @property
    def domain(self) -> Domain:
        """Where it has seen rows."""
        return Domain(self.fields.domain.ranges, self.fields.domain.kinds)

    @property
    def error(self) -> ErrorCard:
        """How wrong it is."""
        told = msgspec.structs.asdict(self.fields.error)
        unknown = {"kendall_tau": math.nan, "coverage": math.nan, "half_width": math.inf}
        return ErrorCard(**told | {k: v for k, v in unknown.items() if told[k] is None})

    @property
    def intervals(self) -> Intervals:
        """Its bounds."""
        return Intervals(np.array(self.fields.scores, dtype=np.float64))

    def calibrated(self) -> Calibrated:
        """The predictor as it was fitted: the same predictions and bounds, bit by bit.

        Raises:
            BadInputError: a part is missing or another file; the family is unknown or not
                installed, or refuses the state.
        """
        return Calibrated(self._predictor(), self.intervals, self.domain, self.error)

    def _predictor(self) -> Predictor:
        if self.family not in PLACES:
            unknown = f"is of a family that this subbert does not know ({self.family})"
            raise self._refused(f"{unknown}: upgrade subbert, or fit again")
        try:
            return family(self.family).from_state(self.fields.state, self._parts())
        except BadInputError:
            raise
        except ModuleNotFoundError as error:
            needs = f"needs {error.name}, which is not installed"
            raise self._refused(f"{needs}: install it with pip") from error
        except (ValueError, ArithmeticError, LookupError) as error:  # LookupError: a part lacks
            reason = f"is no {self.family} predictor ({one_line(error)})"
            raise self._refused(f"{reason}: fit it again") from error

    def _parts(self) -> Mapping[str, bytes]:
        return {suffix: self._content(part) for suffix, part in self.fields.parts.items()}

    def _content(self, part: Part) -> bytes:
        path = self.card.parent / part.file
        again = "copy it anew from where the card came from, or fit again"
        try:
            if not path.is_file():
                raise self._refused(f"needs the file {part.file} beside the card: {again}")
            content = path.read_bytes()
        except OSError as error:
            reason = f"needs {part.file}, which cannot be read ({error.strerror})"
            raise self._refused(f"{reason}: {again}") from error
        if hashlib.sha256(content).hexdigest() != part.sha256:
            raise self._refused(f"needs another {part.file} (its sha256 differs): {again}")
        return content

    def _refused(self, why: str) -> BadInputError:
        return BadInputError(f"{self.card}: {one_line(self.key)} {one_line(why, 500)}")


@dataclass(frozen=True, slots=True)
class Card:
    """The predictors of one device."""

    path: Path
    device: str
    environment: Environment
    """The latest that an entry was fitted in."""
    entries: tuple[Entry, ...]
    """In the order of their keys, as they were written."""

    @classmethod
    def of(cls, path: Path, fields: CardFields) -> "Card":
        """What a file at `path` says."""
        entries = tuple(Entry(path, entry) for entry in fields.entries)
        return cls(path, fields.device, fields.environment, entries)

    @property
    def fingerprint(self) -> str:
        """Of the environment."""
        return self.environment.fingerprint

    @property
    def names(self) -> str:
        """What there are predictors for, in words."""
        return ", ".join(str(entry.key) for entry in self.entries) or "nothing"

    def find(self, runtime: str, scheme: str, profile: Profile = "stable") -> Entry | None:
        """The entry for exactly that; None where there is none."""
        wanted = Key(runtime, scheme, profile)
        return next((entry for entry in self.entries if entry.key == wanted), None)


def read_card(path: Path) -> Card:
    """The card in this file; nothing but this file is read.

    Raises:
        BadInputError: there is none, or it is damaged or from a newer version.
    """
    with suppress(OSError):  # reading it says more
        if not path.exists():
            instead = "make it with `bench fit`, or name another with --card"
            raise BadInputError(f"there is no device card {path}: {instead}")
    try:
        return Card.of(path, decode(read_text(path)))
    except CardError as error:
        raise BadInputError(f"{path} {error}") from error

"""The fields of a device card as JSON has them. Knows no file and refuses nothing."""

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from results.environment import Environment

Profile = Literal["stable", "deployed"]
"""That of `results.measurement.Procedure`."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What a predictor speaks about; a card holds one predictor for each."""

    runtime: str
    scheme: str
    """The name of a scheme, or `mixed`."""
    profile: Profile = "stable"

    def __str__(self) -> str:
        return f"{self.runtime} {self.scheme} ({self.profile})"


@dataclass(frozen=True, slots=True)
class Provenance:
    """From what a predictor was made, when, and by what."""

    sessions: tuple[str, ...]
    """Ids of the sessions its rows are from."""
    rows: int
    seed: int
    fitted_utc: str
    tool: str
    """Version of subbert that fitted it."""
    git: str = ""
    """Revision of the working directory, `-dirty` with changes; empty outside a repository."""
    from_card: str = ""
    """Device and fingerprint of the card it was warm-started from; empty when it was not."""
    notes: dict[str, str] = field(default_factory=dict)


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file beside the card."""

    file: str
    """A plain name; the file is in the card's folder."""
    sha256: str


class DomainFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `predictors.domain.Domain`."""

    ranges: dict[str, tuple[float, float]]
    kinds: tuple[str, ...]


class ErrorFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `predictors.error.ErrorCard`; null for what JSON has no number for."""

    mape: float
    median: float
    within_5: float
    within_10: float
    kendall_tau: float | None
    """Null: NaN."""
    coverage: float | None
    """Null: NaN."""
    half_width: float | None
    """Null: infinite."""
    confidence: float
    rows: int
    architectures: int


class EntryFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One calibrated predictor."""

    runtime: str
    scheme: str
    profile: Profile
    family: str
    fingerprint: str
    """Of the environment it was fitted in: the card's own, unless software changed since."""
    provenance: Provenance
    error: ErrorFields
    domain: DomainFields
    scores: tuple[float, ...]
    """Of `predictors.intervals.Intervals`: ascending."""
    state: Any
    """What the family keeps of itself."""
    parts: dict[str, Part]
    """By suffix: what of the state is no JSON."""

    @property
    def key(self) -> Key:
        """What it speaks about."""
        return Key(self.runtime, self.scheme, self.profile)


class CardFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a card, in the order in which it is written."""

    format: str
    schema: int
    device: str
    fingerprint: str
    """Of `environment`, for who reads the file."""
    environment: Environment
    entries: tuple[EntryFields, ...]

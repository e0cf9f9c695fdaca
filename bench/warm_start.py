"""What the card of another device is worth to the rows of this one. Fits nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.training import Key
from results.errors import BadInputError

if TYPE_CHECKING:
    from predictors.calibrated import Calibrated
    from predictors.prior import Prior


@dataclass(frozen=True, slots=True)
class WarmStart:
    """Priors by what they are of; none unless a card was named."""

    origin: str = ""
    """Device and fingerprint of the card."""
    priors: Mapping[Key, "Prior"] = field(default_factory=dict)

    def of(self, key: Key) -> "Prior | None":
        """What the card says of this runtime, scheme and profile, if it says anything."""
        return self.priors.get(key)


def warm_start(card: Path | None, device: str) -> WarmStart:
    """The priors of a card; without one there are none.

    Raises:
        BadInputError: no such card, the device's own, or none of its predictors has prices.
    """
    from predictors.calibrated import WITH_PRIOR
    from predictors.card import read_card

    if card is None:
        return WarmStart()
    if not card.is_file():
        raise BadInputError(
            f"--from-card {card}: there is no such file; name the card of another device, or "
            "leave --from-card out"
        )
    read = read_card(card)
    if read.device == device:
        raise BadInputError(
            f"--from-card {card} is the card of {device} itself: name that of another device, or "
            "leave --from-card out"
        )
    found = {
        Key(entry.key.runtime, entry.key.scheme, entry.key.profile): _prior(entry.calibrated())
        for entry in read.entries
        if entry.family in WITH_PRIOR
    }
    priors = {key: prior for key, prior in found.items() if prior is not None}
    if not priors:
        raise BadInputError(
            f"--from-card {card}: only predictors of the families physics and hybrid have prices "
            "to begin with, and there is none in it; make one with `bench fit --family physics`"
        )
    return WarmStart(f"{read.device} {read.fingerprint}", priors)


def _prior(made: "Calibrated") -> "Prior | None":
    from predictors.hybrid import Hybrid
    from predictors.physics import Physics
    from predictors.prior import Prior

    predictor = made.predictor
    physics = predictor.physics if isinstance(predictor, Hybrid) else predictor
    if not isinstance(physics, Physics):
        return None
    prices = dict(zip(physics.terms.names, physics.prices.tolist(), strict=True))
    return Prior(prices, made.intervals.scores, made.domain)

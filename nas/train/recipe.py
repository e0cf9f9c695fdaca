"""How a network is trained: numbers a person may choose, and the schedule. Knows no network."""

from dataclasses import dataclass, fields
from typing import Literal, get_args

from results.errors import BadInputError

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Defaults are those that fine-tune MiniLM well on a few thousand sentences."""

    epochs: float = 4.0
    """Times that the data is gone through; a part of an epoch is possible."""
    batch: int = 32
    """Examples in a batch."""
    accumulation: int = 1
    """Batches whose gradients are averaged before a step."""
    rate: float = 1e-4
    """Highest learning rate."""
    warmup: float = 0.1
    """Share of the steps in which the rate rises; then it falls to 0, both in a straight line."""
    decay: float = 0.01
    """Weight decay of AdamW (Loshchilov and Hutter, ICLR 2019); none on biases and norms."""
    clip: float = 1.0
    """Largest norm of the gradients of a step; 0 clips nothing."""
    dropout: float = 0.1
    """Share of the entries left out in training."""
    tokens: int = 128
    """Texts are cut after so many tokens."""
    seed: int = 0
    """Of the order of the data, dropout, new heads and sampled sub-models."""
    precision: Precision = "auto"
    """Of matrix products; `auto` is bf16 where the hardware multiplies it natively."""
    evaluations: float = 1.0
    """Evaluations in an epoch."""
    patience: int = 0
    """Evaluations in a row without a better score that end the training; 0 for never."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "accumulation", "rate", "tokens", "evaluations"):
            if not getattr(self, name) > 0:
                message = f"{name} must be above 0, not {getattr(self, name)}"
                raise BadInputError(message)
        for name in ("warmup", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                message = f"{name} is a share, from 0 to below 1, not {getattr(self, name)}"
                raise BadInputError(message)
        for name in ("decay", "clip", "patience", "seed"):
            if not getattr(self, name) >= 0:
                message = f"{name} cannot be negative, as {getattr(self, name)} is"
                raise BadInputError(message)
        if self.precision not in get_args(Precision):
            message = f"precision {self.precision!r}: choose {', '.join(get_args(Precision))}"
            raise BadInputError(message)

    def as_dict(self) -> dict[str, float | int | str]:
        """By name, to be written down."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def rate_at(step: int, steps: int, recipe: Recipe) -> float:
    """The learning rate of a step, counted from 0, of so many."""
    rising = max(1, round(steps * recipe.warmup)) if recipe.warmup else 0
    if step < rising:
        return recipe.rate * (step + 1) / rising
    return recipe.rate * (steps - step) / max(1, steps - rising)

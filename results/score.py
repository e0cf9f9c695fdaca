"""A row of the ledger that says how right a network is, with all its answers. Knows no network."""

from dataclasses import dataclass
from math import sqrt

from results.architecture import Architecture

Z95 = 1.959963984540054
"""The normal distribution has 95 % within so many deviations."""

SHARES = ("accuracy", "exact")
"""Metrics that are shares of examples; of the others no interval is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Every answer is kept: a statistic can be computed again, an answer cannot."""

    id: str
    session: str
    key: str
    """SHA-256 of all that decides the answers: rows of one key say the same."""
    architecture: Architecture
    scheme: str
    runtime: str
    """The engine that computed the encoder."""
    source: str
    """The weights, as `name@sha256:<16 digits>`."""
    task: str
    data: str
    """Where the task's texts came from."""
    split: str
    """`train`, `dev`, `test`, ...: which part of the task the answers are to."""
    examples: int
    split_digest: str
    """SHA-256 of the examples."""
    most_tokens: int
    """Texts were cut after so many."""
    calibration: str
    """Text that ranges were observed on; empty where the scheme needs none."""
    seed: int
    """Of the choice of that text, and of the examples where not all were taken."""
    metrics: dict[str, float]
    """By name, in the order of the task; the first one ranks networks."""
    loss: float
    """Mean cross-entropy in nats, or mean squared error of scores."""
    predictions: tuple[int | float | str, ...]
    """To each example: a class, a score, or the words of an answer."""
    weight_bytes: int
    """Of the encoder's weights as they are stored in the scheme."""
    seconds: float
    """From the sizes to the metrics."""
    scored_utc: str = ""

    def __post_init__(self) -> None:
        if len(self.predictions) != self.examples:
            message = f"{len(self.predictions)} predictions for {self.examples} examples"
            raise ValueError(message)

    @property
    def share(self) -> str:
        """The first metric that is a share of examples; empty where none is."""
        return next((name for name in self.metrics if name in SHARES), "")

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of that share, or None."""
        if not self.share:
            return None
        return wilson(round(self.metrics[self.share] * self.examples), self.examples)


def wilson(right: int, examples: int) -> tuple[float, float]:
    """The shares that `right` out of `examples` does not refute with 95 % confidence.

    Wilson 1927; Brown, Cai and DasGupta 2001, equation 4.
    """
    if not 0 <= right <= examples or not examples:
        message = f"{right} of {examples} is no share"
        raise ValueError(message)
    share, square = right / examples, Z95**2 / examples
    middle = (share + square / 2) / (1 + square)
    half = Z95 / (1 + square) * sqrt(share * (1 - share) / examples + square / examples / 4)
    return max(0.0, middle - half), min(1.0, middle + half)

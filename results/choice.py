"""What a search tried and what it chose, with the origin of each number. Knows no file."""

from dataclasses import dataclass, field

from results.architecture import Architecture

FORMAT = 1
"""Of the files of a search. 1: the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a model must keep."""

    kind: str
    """`latency`, `size`, `memory` or `accuracy`."""
    value: float
    """Milliseconds, megabytes (10^6 bytes), megabytes, or the first metric of the task."""
    device: str = ""
    """Of a latency."""
    asked: str = ""
    """As it was written: `10ms`, `3x`."""
    tokens: int | None = None
    """Of a latency: the length it is kept at."""
    baseline_ms: float | None = None
    """Of a latency given as a speed-up: what was measured of the baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """A latency that nobody measured."""

    device: str
    runtime: str
    tokens: int
    ms: float
    lower: float
    upper: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A latency of the very file that ships."""

    device: str
    runtime: str
    tokens: int
    ms: float
    lower: float
    """Ends of the 95 % interval."""
    upper: float
    rows: tuple[str, ...]
    """Ids of the rows in the ledger, their samples with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One trial."""

    n: int
    """Counted from 1."""
    stage: str
    """`full` precision, or `quantised`."""
    searcher: str
    architecture: Architecture
    scheme: str
    metrics: dict[str, float]
    """By name; the first one ranks."""
    loss: float
    score: str
    """Id of the score's row in the ledger."""
    predicted: tuple[Predicted, ...]
    """In the scheme that is searched for, whatever it was scored in."""
    megabytes: float
    """Of the weights in the scheme that is searched for."""
    cost: float
    """The largest part that it uses of a limit, by prediction; above 1 it breaks one."""
    seconds: float = 0.0
    """Of the scoring; 0 where the ledger had it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """A model that was measured and keeps every limit."""

    rank: int
    architecture: Architecture
    scheme: str
    metrics: dict[str, float]
    """In the scheme, on the split that the search chose by."""
    full_metrics: dict[str, float]
    """The same sub-model in float32."""
    predicted: tuple[Predicted, ...]
    measured: tuple[Measured, ...]
    megabytes: float
    """Of the ONNX file."""
    memory_megabytes: float | None
    """What a process needs more once it is loaded and has answered; None: not measured."""
    folder: str
    """Within the run's folder; the ONNX file is in it."""
    file: str
    """Of the ONNX file, within `folder`."""
    sha256: str
    """Of the ONNX file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A finalist that broke a limit when it was measured."""

    architecture: Architecture
    scheme: str
    metrics: dict[str, float]
    measured: tuple[Measured, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """How far the speed of a device moved between the sessions of its ledger."""

    device: str
    slowest: float
    """Times as long as usual that all took in the slowest session, by its anchors."""
    fastest: float
    """The same of the fastest session."""
    sessions: int
    """That have anchors, of this machine in this condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What was asked for, and where."""

    name: str
    task: str
    scheme: str
    """Of the models that are searched for; `mixed`: several."""
    searcher: str
    seed: int
    limits: tuple[Limit, ...]
    confidence: float
    runtime: str
    space: str
    supernet: str
    """As `name@sha256:<16 digits>`."""
    supernet_folder: str
    teacher_folder: str
    cards: dict[str, str]
    """SHA-256 of the predictor in the card of each device."""
    fingerprints: dict[str, str]
    """Of the environment of each device."""
    examples: int
    """Of the split that it chooses by."""
    split: str
    evaluations: int
    options: dict[str, str] = field(default_factory=dict)
    """Whatever else was asked for, as text."""
    packages: dict[str, str] = field(default_factory=dict)
    tool: str = ""
    git: str = ""
    started_utc: str = ""
    format: int = FORMAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a search ended with."""

    winners: tuple[Winner, ...]
    dropped: tuple[Dropped, ...] = ()
    fastest: tuple[Predicted, ...] = ()
    """Of the fastest member of the space, one for each latency that is limited."""
    swings: tuple[Swing, ...] = ()
    """Of each device on which finalists were measured."""
    seconds: float = 0.0
    """Of all its runs together."""
    searcher_seconds: float = 0.0
    """Of them, what the searcher thought."""
    ended_utc: str = ""
    format: int = FORMAT

"""All that is to be known of a model that ships, each number with its origin. Writes nothing."""

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.search.model_card_base import Base, base_of
from bench.search.ship_costs import Costs
from bench.search.ship_steps import TRAINED, Candidate, Lessons, file_in
from nas.data.task import DEV, TEST, TRAIN, Task
from nas.extract.found import Found
from nas.extract.names import file_of
from nas.score.content import file_digest
from profiler.environment import read_software, revision
from results.architecture import Architecture
from results.choice import Limit, Measured, Predicted
from results.score import Score

FORMAT = 1
"""Of card.json. 1: the first."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What shipping came to."""

    found: Found
    task: Task
    candidates: list[Candidate]
    best: Candidate
    test: dict[str, Score]
    """Of the best, by scheme; empty where it was not read."""
    tested: int
    """Models whose answers to the same test split the ledger has, this one among them."""
    costs: Costs
    lessons: Lessons | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One network in one precision on one split."""

    weights: str
    """`inherited` or `trained`."""
    scheme: str
    split: str
    metrics: dict[str, float]
    share: str
    """The metric that the interval is of; empty where there is none."""
    interval: tuple[float, float] | None
    """95 %, Wilson 1927."""
    loss: float
    examples: int
    row: str
    """Id of the score in the ledger, all answers with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What it was trained, chosen and judged on."""

    task: str
    kind: str
    source: str
    labels: tuple[str, ...]
    examples: dict[str, int]
    """By split."""
    digests: dict[str, str]
    """SHA-256 of the examples, by split."""
    most_tokens: int
    """Texts are cut after so many."""
    calibration: str
    """Text that ranges of activations were observed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """How it came about."""

    search: str
    winner: int
    searcher: str
    seed: int
    space: str
    supernet: str
    evaluations: int
    cards: dict[str, str]
    """SHA-256 of the predictors of each device."""
    same_file: bool
    """Is the file with inherited weights, bit for bit, the one that the search measured?"""
    training: dict[str, str]
    """What was asked of further training; empty where there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """card.json."""

    name: str
    architecture: Architecture
    short: str
    parameters: int
    macs: dict[int, int]
    """Multiply-accumulates of the encoder, by the number of tokens."""
    scheme: str
    runtime: str
    file: str
    sha256: str
    megabytes: float
    memory_megabytes: float
    """Most that a process needs for it, beside those of the runtime."""
    limits: tuple[Limit, ...]
    predicted: tuple[Predicted, ...]
    measured: tuple[Measured, ...]
    elsewhere: tuple[Measured, ...]
    """On devices that were not measured again: of the inherited weights, in the search."""
    noisy: bool
    works: dict[str, tuple[int, int]]
    """Batch and threads of each device."""
    weights: str
    judgements: tuple[Judgement, ...]
    tested: int
    """Models whose answers to this test split the ledger has: the more, the less it says."""
    data: Data
    origin: Origin
    base: Base
    cpu: str
    python: str
    packages: dict[str, str]
    tool: str
    git: str
    made_utc: str
    format: int = FORMAT

    @property
    def bytes(self) -> bytes:
        """As JSON for people too."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def card_of(made: Made) -> Card:
    """Put together what is known."""
    found, best, costs = made.found, made.best, made.costs
    winner, a, software = found.winner, found.winner.architecture, read_software()
    lengths = sorted({x.tokens for x in costs.measured}) or [128]
    taught = made.lessons.teacher if made.lessons else None
    teacher = taught or Path(found.search.teacher_folder)
    return Card(
        name=f"{_plain(made.task.name)}-h{a.hidden}-l{a.depth}-{_plain(winner.scheme)}",
        architecture=a,
        short=str(a),
        parameters=a.parameters,
        macs={tokens: a.macs(tokens) for tokens in lengths},
        scheme=winner.scheme,
        runtime=found.search.runtime,
        file=file_of(winner.scheme),
        sha256=file_digest(file_in(best.folder, winner.scheme)),
        megabytes=costs.megabytes,
        memory_megabytes=costs.memory_megabytes,
        limits=found.search.limits,
        predicted=winner.predicted,
        measured=costs.measured,
        elsewhere=costs.elsewhere,
        noisy=costs.noisy,
        works=costs.works,
        weights=best.name,
        judgements=_judgements(made),
        tested=made.tested,
        data=_data(made),
        origin=_origin(made),
        base=base_of([teacher, found.saved.folder]),
        cpu=costs.cpu,
        python=software.python,
        packages=dict(software.packages),
        tool=version("subbert"),
        git=revision(),
        made_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _judgements(made: Made) -> tuple[Judgement, ...]:
    scores = [(one.name, score) for one in made.candidates for score in one.dev.values()]
    scores += [(made.best.name, score) for score in made.test.values()]
    return tuple(
        Judgement(
            weights=name,
            scheme=score.scheme,
            split=score.split,
            metrics=score.metrics,
            share=score.share,
            interval=score.interval,
            loss=score.loss,
            examples=score.examples,
            row=score.id,
        )
        for name, score in scores
    )


def _data(made: Made) -> Data:
    task, score = made.task, made.best.dev[made.found.winner.scheme]
    splits = {name: task.splits[name] for name in (TRAIN, DEV, TEST) if name in task.splits}
    return Data(
        task=task.name,
        kind=task.kind,
        source=task.source,
        labels=task.labels,
        examples={name: len(split) for name, split in splits.items()},
        digests={name: split.digest for name, split in splits.items()},
        most_tokens=score.most_tokens,
        calibration=score.calibration,
    )


def _origin(made: Made) -> Origin:
    found, lessons = made.found, made.lessons
    search, winner = found.search, found.winner
    inherited = file_in(made.candidates[0].folder, winner.scheme)
    training: dict[str, str] = {}
    if lessons is not None:
        values = dict(zip(lessons.recipe[::2], lessons.recipe[1::2], strict=True))
        training = {name.removeprefix("--"): value for name, value in values.items()}
        training |= {"trust": f"{lessons.trust:g}", "teacher": lessons.teacher_source}
        training["ships"] = "yes" if made.best.name == TRAINED else "no"
    return Origin(
        search=search.name,
        winner=winner.rank,
        searcher=search.searcher,
        seed=search.seed,
        space=search.space,
        supernet=search.supernet,
        evaluations=search.evaluations,
        cards=search.cards,
        same_file=file_digest(inherited) == winner.sha256,
        training=training,
    )


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c == "." else "-" for c in text).strip("-")

"""What is in a task, in numbers: examples, labels, lengths. Knows no tokeniser."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from nas.data.task import TRAIN, Split, Task


@dataclass(frozen=True, slots=True)
class Spread:
    """Numbers, in a few of them."""

    mean: float
    median: float
    p95: float
    """So many, or fewer, 95 % of them are."""
    longest: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Labels that are numbers."""

    least: float
    mean: float
    median: float
    largest: float


@dataclass(frozen=True, slots=True)
class Part:
    """One split."""

    examples: int
    digest: str
    labels: Mapping[str, int]
    """Examples of each class; empty unless there are classes."""
    scores: Scores | None
    words: Mapping[str, Spread]
    """Words, as white space separates them, of `text` and of `pair` if there are any."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An example to look at."""

    label: str
    """What is right: a class, a number or an answer."""
    text: str
    pair: str | None


def parts(task: Task) -> dict[str, Part]:
    """Every split that has examples."""
    return {name: _part(task, split) for name, split in task.splits.items() if len(split)}


def shown(task: Task, each: int) -> list[Shown]:
    """The first `each` examples of every class in train; without classes, the first ones."""
    split = task.splits[TRAIN]
    found: dict[str, list[Shown]] = {label: [] for label in task.labels or ("",)}
    for place, text in enumerate(split.texts):
        label = _label(task, split, place)
        same = found[label if task.labels else ""]
        if len(same) < each:
            same.append(Shown(label, text, split.pairs[place] if split.pairs else None))
    return [example for several in found.values() for example in several]


def spread(texts: Iterable[str]) -> Spread:
    """How many words they have, of at least one text."""
    lengths = sorted(len(text.split()) for text in texts)
    p95 = lengths[-(-95 * len(lengths) // 100) - 1]
    return Spread(fmean(lengths), median(lengths), p95, lengths[-1])


def _part(task: Task, split: Split) -> Part:
    counts = Counter(split.labels) if task.kind == "classes" else Counter()
    words = {"text": spread(split.texts)}
    if split.pairs:
        words["pair"] = spread(split.pairs)
    labels = {label: counts[number] for number, label in enumerate(task.labels)}
    scores = _scores(split.labels) if task.kind == "score" else None
    return Part(len(split), split.digest, labels, scores, words)


def _scores(labels: Sequence[float]) -> Scores:
    return Scores(min(labels), fmean(labels), median(labels), max(labels))


def _label(task: Task, split: Split, place: int) -> str:
    if task.kind == "span":
        return split.answers[place][0].text if split.answers[place] else ""
    label = split.labels[place]
    return task.labels[int(label)] if task.kind == "classes" else f"{label:g}"

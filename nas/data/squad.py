"""Questions about paragraphs: SQuAD 1.1's files and its official scores. Knows no tokeniser.

Rajpurkar et al. 2016; the scores are those of its `evaluate-v1.1.py`.
"""

import json
import re
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from nas.data.holdout import held_out
from nas.data.task import DEV, TEST, TRAIN, Answer, Split, Task
from results.errors import BadInputError
from results.textfile import one_line, read_text

METRICS = ("span-f1", "exact")
FILES = {TRAIN: "train-v1.1.json", DEV: "dev-v1.1.json"}

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def load(source: Path | str) -> Task:
    """A task of spans, from the folder of SQuAD's two files or from one file of that kind.

    SQuAD's test answers are secret. The test split is a tenth of the training questions, 2,000 at
    most, held out by whole paragraphs; so is the dev split, where there is but one file.

    An answer that is not where the file says is taken from the nearest place where it is;
    `Task.source` counts those.

    Raises:
        BadInputError: a missing file, one that is no SQuAD 1.1, or an answer that is nowhere.
    """
    source = Path(source)
    files = {name: source / file for name, file in FILES.items()}
    if not source.is_dir():
        files = {TRAIN: source}
    moved: Counter[str] = Counter()
    splits = {name: _split(path, moved) for name, path in files.items()}
    for part in (DEV, TEST):
        if part not in splits:
            paragraphs = splits[TRAIN].pairs or ()
            splits[TRAIN], splits[part] = held_out(splits[TRAIN], part, groups=paragraphs)
    notes = [f"{count} answers of {file} moved to their text" for file, count in moved.items()]
    return Task("squad", "span", (), METRICS, splits, "; ".join(["SQuAD 1.1", *notes]))


def score_answers(predicted: Sequence[str], split: Split) -> dict[str, float]:
    """`exact` and `span-f1`, each 0 ... 1: means over questions of the best over right answers.

    Args:
        predicted: an answer to each question, "" where there is none.
        split: the questions.
    """
    if len(predicted) != len(split) or not len(split):
        raise BadInputError(f"{len(predicted)} answers to {len(split)} questions; give one each")
    exact = overlap = 0.0
    for text, answers in zip(predicted, split.answers, strict=True):
        exact += max(float(normalised(text) == normalised(a.text)) for a in answers)
        overlap += max(_overlap(normalised(text).split(), a.text) for a in answers)
    return {"exact": exact / len(split), "span-f1": overlap / len(split)}


def normalised(text: str) -> str:
    """In lower case, without punctuation, articles and needless white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def save_predictions(path: Path | str, predicted: Sequence[str], split: Split) -> None:
    """A file as SQuAD's own script reads it: JSON, from the ids of questions to answers.

    Raises:
        BadInputError: questions without ids, or a file that cannot be written.
    """
    if not len(split) == len(split.names) == len(predicted):
        counts = f"{len(predicted)} answers, {len(split)} questions and {len(split.names)} ids"
        raise BadInputError(f"{counts}; a file of predictions needs one of each")
    named = dict(zip(split.names, predicted, strict=True))
    content = json.dumps(named, ensure_ascii=False, indent=1) + "\n"
    try:
        Path(path).write_text(content, encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror}") from error


def _overlap(words: Sequence[str], answer: str) -> float:
    """Harmonic mean of the shares of words that both have."""
    right = normalised(answer).split()
    both = sum((Counter(words) & Counter(right)).values())
    return 2 * both / (len(words) + len(right)) if both else 0.0


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    text: str
    context: str
    answers: tuple[Answer, ...]


def _split(path: Path, moved: Counter[str]) -> Split:
    reader = _Reader(path)
    questions = list(reader.questions())
    if not questions:
        raise BadInputError(f"{path} has no questions; fetch it anew")
    if repeated := [name for name, n in Counter(q.name for q in questions).items() if n > 1]:
        raise BadInputError(f"{path}: two questions have the id {one_line(repeated[0], 40)}")
    if reader.moved:
        moved[path.name] += reader.moved
    return Split(
        tuple(q.text for q in questions),
        tuple(q.context for q in questions),
        answers=tuple(q.answers for q in questions),
        names=tuple(q.name for q in questions),
    )


class _Reader:
    """One file -> questions; every value is looked at before it is believed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.moved = 0
        try:
            self._content = json.loads(read_text(path))
        except (ValueError, RecursionError) as error:
            if isinstance(error, BadInputError):
                raise
            raise BadInputError(f"{path} is no JSON ({error}); fetch it anew") from None

    def questions(self) -> Iterator[_Question]:
        for article in self._list(self._content, "data", "the file"):
            for paragraph in self._list(article, "paragraphs", "an article"):
                context = self._text(paragraph, "context", "a paragraph")
                for question in self._list(paragraph, "qas", "a paragraph"):
                    yield self._question(question, context)

    def _question(self, found: object, context: str) -> _Question:
        name = self._text(found, "id", "a question")
        where = f"question {one_line(name, 40)}"
        if isinstance(found, Mapping) and found.get("is_impossible"):
            self._refuse(f"{where} has no answer, as in SQuAD 2.0; only SQuAD 1.1 can be read")
        text = self._text(found, "question", where)
        answers = self._list(found, "answers", where)
        if not answers:
            self._refuse(f"{where} has no answer; fetch the file anew")
        return _Question(
            name, text, context, tuple(self._answer(a, context, where) for a in answers)
        )

    def _answer(self, found: object, context: str, where: str) -> Answer:
        text = self._text(found, "text", f"an answer to {where}")
        start = found.get("answer_start") if isinstance(found, Mapping) else None
        if type(start) is not int or not text.strip():
            self._refuse(f"an answer to {where} has no text or no answer_start; fetch it anew")
        if start >= 0 and context.startswith(text, start):
            return Answer(text, start)
        places = [match.start() for match in re.finditer(f"(?={re.escape(text)})", context)]
        if not places:
            self._refuse(f"{one_line(text, 40)!r}, an answer to {where}, is not in its paragraph")
        self.moved += 1
        return Answer(text, min(places, key=lambda place: abs(place - start)))

    def _list(self, found: object, key: str, what: str) -> list[object]:
        value = found.get(key) if isinstance(found, Mapping) else None
        if not isinstance(value, list):
            self._refuse(f"{what} has no list {key!r}, so it is no SQuAD 1.1")
        return value

    def _text(self, found: object, key: str, what: str) -> str:
        value = found.get(key) if isinstance(found, Mapping) else None
        if not isinstance(value, str):
            self._refuse(f"{what} has no text {key!r}, so it is no SQuAD 1.1")
        return value

    def _refuse(self, why: str) -> NoReturn:
        raise BadInputError(f"{self._path}: {why}")

"""What shipping does, a step a function, each of which finds what is done already. Prints nothing.

All of it is kept in `<search>/ship/<rank>-<digest>`: `inherited` is the winner as it is in the
supernet, `further-<digest>` its training, `trained-<digest>` what came of that; `inherited`
and `trained` with ONNX files.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.search.parts import Missing, make
from bench.subjects import source_of
from nas.data.task import Task
from nas.extract.extraction import Wish, extract
from nas.extract.folder import RECORD, origin_of
from nas.extract.found import Found
from nas.extract.names import file_of
from nas.extract.onnx_files import Observed
from nas.folder import read
from nas.score.scorer import Options, Scorer
from quant.scheme import FP32, parse
from results.score import Score

INHERITED, TRAINED = "inherited", "trained"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Lessons:
    """How the winner goes on learning."""

    teacher: Path | None
    """Who teaches it; the labels alone do where None."""
    trust: float
    recipe: tuple[str, ...]
    """Options of `nas train further`."""
    task: tuple[str, ...]
    """Options that name the task."""
    threads: int | None = None
    """What comes out does not depend on them."""

    @property
    def teacher_source(self) -> str:
        """As `name@sha256:<16 digits>`; empty where there is none."""
        return "" if self.teacher is None else source_of(self.teacher).label

    def command(self, model: Path) -> list[str]:
        """Without its output."""
        taught = ["--teacher", str(self.teacher), "--trust", f"{self.trust:g}"]
        arguments = [*self.task, *(taught if self.teacher else []), *self.recipe]
        arguments += [] if self.threads is None else ["--threads", str(self.threads)]
        return ["train", "further", "--model", str(model), *arguments]

    @property
    def digest(self) -> str:
        """Other lessons go into another folder."""
        facts = [self.trust, self.recipe, self.task, self.teacher_source]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may ship: a folder with its ONNX files, and what it is worth."""

    name: str
    """`inherited` or `trained`."""
    folder: Path
    dev: dict[str, Score]
    """By scheme, float32 first."""

    def worth(self, scheme: str) -> tuple[float, float]:
        """On the dev split in a scheme: the first metric, then the loss."""
        score = self.dev[scheme]
        return next(iter(score.metrics.values())), -score.loss


def extracted(found: Found, source: Path | None, folder: Path, text: Observed | None) -> Path:
    """The winner's sub-model of the supernet, or the whole network of `source`, with ONNX files.

    What is there whole is taken as it is.
    """
    if (folder / RECORD).is_file():  # a folder appears whole
        return folder
    saved, origin, sub = found.saved, found.origin, found.winner.architecture
    scheme = parse(found.winner.scheme)
    wish = Wish(tuple(dict.fromkeys((FP32, scheme))), text if scheme.calibrated else None)
    if source is None:
        extract(saved, origin, sub, folder, wish)
    else:
        extract(read(source), origin_of(source), None, folder, wish)
    return folder


def trained(model: Path, lessons: Lessons, folder: Path, say: Say) -> Path:
    """The network after further training, which goes on where it was when it was stopped.

    Raises:
        BadInputError: the training failed.
    """
    arguments = (*lessons.command(model), "--output", str(folder))
    part = Missing("the winner with further training", "", "nas.cli", arguments)
    if not (folder / "result.json").is_file():
        make([part], say)
    return folder


def scores(
    folder: Path, task: Task, split: str, schemes: Sequence[str], ledger: Path, options: Options
) -> dict[str, Score]:
    """Of a whole network in each scheme, float32 first; the ledger's where it has them."""
    saved = read(folder)
    wanted = dict.fromkeys((FP32.name, *schemes))
    with Scorer(saved, task, split, results=ledger, options=options) as scorer:
        return {scheme: scorer.score([saved.architecture], scheme)[0] for scheme in wanted}


def better(candidates: Sequence[Candidate], scheme: str) -> Candidate:
    """The best on the dev split in the scheme that ships; of equals the last."""
    return max(reversed(candidates), key=lambda one: one.worth(scheme))


def file_in(folder: Path, scheme: str) -> Path:
    """The ONNX file of a scheme."""
    return folder / file_of(scheme)

"""Scores of sub-models by inherited weights; what was scored before is not scored again."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from nas.checkpoint import TENSORS
from nas.data.batches import Batch
from nas.data.metrics import known
from nas.data.task import DEV, TRAIN, Task
from nas.data.tokens import tokenizer_of
from nas.elastic import Cut, Rule
from nas.folder import Saved
from nas.score import engines
from nas.score.content import Content, file_digest, rule_text
from nas.score.fit import most_tokens, require_head, require_words, split_of
from nas.score.kept import Kept
from nas.score.questions import batches, digest, drawn, questions_of, unpadded
from nas.supernet import Supernet
from quant.scheme import Scheme, parse
from results.architecture import Architecture
from results.errors import BadInputError
from results.score import Score

CALIBRATION_BATCH = 32


@dataclass(frozen=True, slots=True)
class Options:
    """What can be chosen about scores."""

    most_tokens: int | None = None
    """Texts are cut after so many; by default 128, of spans 384, or what has a position."""
    limit: int | None = None
    """Examples, drawn by the seed; all by default."""
    calibration: int = 128
    """Examples of the train split that static ranges are observed on, drawn by the seed."""
    seed: int = 0
    threads: int | None = None
    """As many as torch takes by itself where None."""
    batch_tokens: int = 2048
    """Tokens that are answered at once; what is answered does not depend on it."""


class Scorer:
    """A supernet, a task, and the scores of its sub-models so far; a context manager."""

    def __init__(
        self,
        saved: Saved,
        task: Task,
        split: str = DEV,
        *,
        results: Path | None = None,
        options: Options = Options(),
    ) -> None:
        """Build the supernet and tokenise the split, once.

        Args:
            saved: a supernet, or a network of which no sub-model can be asked for.
            task: what is asked; its splits but this one, and train for calibration, stay unread.
            split: whose examples are answered.
            results: folder of the ledger; nothing is kept beyond this object where None.
            options: the rest.

        Raises:
            BadInputError: network and task do not fit, or the ledger cannot be used.
        """
        self.saved, self.task, self.split, self.options = saved, task, split, options
        self._examples = split_of(task, split)
        require_head(saved, task)
        known(task.metrics)
        self._tokenizer = tokenizer_of(saved.folder)
        require_words(saved, self._tokenizer)
        self.most_tokens = most_tokens(saved, task, options.most_tokens)
        if options.limit is not None:
            self._examples = drawn(self._examples, options.limit, options.seed)
        self._questions = questions_of(task, self._examples, self._tokenizer, self.most_tokens)
        self._batches = batches(self._questions.encoded, options.batch_tokens)
        self.supernet = _built(saved)
        self._weights = engines.plain(self.supernet.network.weights())
        self._kept = Kept(results, options.seed)
        self._content = Content(
            weights=file_digest(saved.folder / TENSORS),
            rule=rule_text(self.supernet.rule),
            metrics=task.metrics,
            split=self._examples.digest,
            tokens=digest(self._questions.encoded),
            most_tokens=self.most_tokens,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kept.end("complete" if kind is None else "interrupted")

    def score(self, architectures: Sequence[Architecture], scheme: str = "fp32") -> list[Score]:
        """A score of each, in that order.

        Raises:
            BadInputError: one is not inside the supernet (nothing is scored then), the scheme
                cannot be had, or outputs are no numbers (what was scored before is kept).
        """
        return list(self.scores(architectures, scheme))

    def scores(
        self, architectures: Sequence[Architecture], scheme: str = "fp32"
    ) -> Iterator[Score]:
        """As `score`, one after the other."""
        wanted = parse(scheme)
        engines.engine_of(wanted)
        cuts = [self._cut(a) for a in architectures]
        for cut in cuts:
            yield self._kept.find(self.key(cut.sub, wanted)) or self._scored(cut, wanted)

    def find(self, architecture: Architecture, scheme: str = "fp32") -> Score | None:
        """The score if it was ever kept; refuses what `score` refuses, and computes nothing."""
        cut, wanted = self._asked(architecture, scheme)
        return self._kept.find(self.key(cut.sub, wanted))

    def compute(
        self, architecture: Architecture, scheme: str = "fp32", *, threads: int | None = None
    ) -> Score:
        """The score, by so many threads rather than those of the options.

        It is not looked for, and has no id and no session before `keep`.
        """
        return self._computed(*self._asked(architecture, scheme), threads or self.options.threads)

    def keep(self, score: Score) -> Score:
        """Number what `compute` gave, here or elsewhere; on return it is on the disk."""
        row, session = self._kept.next()
        numbered = replace(score, id=row, session=session)
        self._kept.add(numbered)
        return numbered

    def key(self, architecture: Architecture, scheme: Scheme) -> str:
        """SHA-256 of all that decides a score: 64 hexadecimal digits."""
        asked = {
            "architecture": asdict(architecture),
            "scheme": scheme.name,
            "engine": engines.engine_of(scheme),
            "sums": engines.sums(scheme),
            "calibration": self.calibration[1] if scheme.calibrated else "",
        }
        return self._content.key(asked)

    def _scored(self, cut: Cut, scheme: Scheme) -> Score:
        self._kept.next()  # the session begins before its first row is computed
        return self.keep(self._computed(cut, scheme, self.options.threads))

    def _computed(self, cut: Cut, scheme: Scheme, wanted: int | None) -> Score:
        began = time.perf_counter()
        with _told(cut.sub, scheme), engines.threads(wanted) as threads:
            ready = self._ready(cut, scheme, threads)
            data = self._questions.encoded
            batches = unpadded(data, 1) if engines.alone(scheme) else self._batches
            outputs = engines.outputs(ready.answer, batches, len(data))
            judged = self._questions.judge(outputs)
        return Score(
            id="",
            session="",
            key=self.key(cut.sub, scheme),
            architecture=cut.sub,
            scheme=scheme.name,
            runtime=engines.engine_of(scheme),
            source=self.source,
            task=self.task.name,
            data=self.task.source,
            split=self.split,
            examples=len(self._examples),
            split_digest=self._content.split,
            most_tokens=self.most_tokens,
            calibration=self.calibration[1] if scheme.calibrated else "",
            seed=self.options.seed,
            metrics=judged.metrics,
            loss=judged.loss,
            predictions=judged.predictions,
            weight_bytes=ready.weight_bytes,
            seconds=time.perf_counter() - began,
            scored_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )

    def _ready(self, cut: Cut, scheme: Scheme, threads: int) -> engines.Ready:
        network = self.supernet.at(cut.sub)
        if scheme.name == "fp32":
            return engines.floats(network)
        weights = engines.sliced(cut, self._weights)
        text = self.calibration[0] if scheme.calibrated else []
        found = engines.calibrated(cut.sub, scheme, weights, text)
        return engines.quantised(network, scheme, weights, found, threads)

    @cached_property
    def source(self) -> str:
        """The weights, as `name@sha256:<16 digits>`."""
        return f"{self.saved.folder.resolve().name}@sha256:{self._content.weights[:16]}"

    @cached_property
    def calibration(self) -> tuple[list[Batch], str]:
        """What static ranges are observed on: batches without padding, and where they are from."""
        chosen = drawn(split_of(self.task, TRAIN), self.options.calibration, self.options.seed)
        asked = questions_of(self.task, chosen, self._tokenizer, self.most_tokens)
        label = f"{self.task.name} {TRAIN} ({len(chosen)})@sha256:{digest(asked.encoded)[:16]}"
        return list(unpadded(asked.encoded, CALIBRATION_BATCH)), label

    def _asked(self, architecture: Architecture, scheme: str) -> tuple[Cut, Scheme]:
        wanted = parse(scheme)
        engines.engine_of(wanted)
        return self._cut(architecture), wanted

    def _cut(self, architecture: Architecture) -> Cut:
        whole = self.saved.architecture
        if self.saved.rule is None and architecture != whole:
            raise BadInputError(
                f"{self.saved.folder} is no supernet, so only its own size can be scored: {whole}"
            )
        try:
            return Cut(whole, architecture, self.supernet.rule)
        except BadInputError as error:
            raise BadInputError(f"{architecture} is not in the supernet: {error}") from None


def _built(saved: Saved) -> Supernet:
    """Without gradients: nothing is learned here."""
    network = saved.network().eval().requires_grad_(requires_grad=False)
    return Supernet(network, saved.rule or Rule())


@contextmanager
def _told(architecture: Architecture, scheme: Scheme) -> Iterator[None]:
    """Bad input is told with the name of what was being scored."""
    try:
        yield
    except BadInputError as error:
        raise BadInputError(f"{architecture} in {scheme}: {error}") from None

"""Scores of many sub-models at once. Who computes knows no ledger, who keeps computes nothing."""

import os
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from select import select
from types import TracebackType
from typing import Protocol, Self

from bench.search.exam import Exam, Order, TaskName, exam_of, request, score_in
from nas.score.scorer import Scorer
from profiler.cpus import allowed_cpus
from profiler.isolate import Worker, WorkerError, stable_variables
from quant.scheme import parse
from results.architecture import Architecture
from results.errors import BadInputError
from results.score import Score

PATIENCE_S = 60
"""Longest silence within an answer that has begun; to compute one may take as long as it takes."""

TRIES = 2
"""Processes that may die of one sub-model."""


class Crew(Protocol):
    """Computes scores, several at once."""

    exam: Exam

    def compute(self, orders: Sequence[Order]) -> Generator[Score]:
        """One for each, as they come; left early, it stops what it began.

        Raises:
            BadInputError: one cannot be computed.
        """
        ...

    def close(self) -> None:
        """Let go of all that computes; a second time does nothing."""
        ...


class ScoringPool:
    """A scorer whose scores a crew computes; a context manager that ends the crew.

    What the scorer's ledger has is not computed again, and what was computed is in it at once.
    """

    def __init__(self, scorer: Scorer, crew: Crew) -> None:
        self._scorer, self._crew = scorer, crew

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._crew.close()

    def score(self, architectures: Sequence[Architecture], schemes: Sequence[str]) -> list[Score]:
        """As `scores`, all of them."""
        return list(self.scores(architectures, schemes))

    def scores(
        self, architectures: Sequence[Architecture], schemes: Sequence[str]
    ) -> Iterator[Score]:
        """A score of each architecture in the scheme beside it, in that order.

        What is asked for twice is computed once. Rows are kept in the order in which they come.

        Raises:
            BadInputError: one is not inside the supernet, a scheme cannot be had (nothing is
                computed then), or one cannot be computed (what was computed before is kept).
        """
        pairs = list(zip(architectures, schemes, strict=True))
        found = [self._scorer.find(*pair) for pair in pairs]
        known = {score.key: score for score in found if score is not None}
        keys = [self._scorer.key(a, parse(scheme)) for a, scheme in pairs]
        orders = {key: Order(self._crew.exam, *p) for key, p in zip(keys, pairs, strict=True)}
        todo = {key: order for key, order in orders.items() if key not in known}
        with closing(self._computed(todo)) as computed:
            for key in keys:
                while key not in known:
                    score = next(computed)
                    known[score.key] = score
                yield known[key]

    def _computed(self, todo: dict[str, Order]) -> Generator[Score]:
        """Each on the disk before it is given on."""
        if not todo:
            return
        with closing(self._crew.compute(list(todo.values()))) as scores:
            for score in scores:
                if score.key not in todo:
                    raise _stranger(score)
                yield self._scorer.keep(score)


def _stranger(score: Score) -> BadInputError:
    return BadInputError(
        f"{score.architecture} in {score.scheme} was scored on other conditions than here: its "
        "process read another supernet or other examples, or its CPU adds int8 products another "
        "way; see that all have the same files, then run the command again"
    )


class Processes:
    """A crew of worker processes on this machine, each with one thread.

    None is started before there are two sub-models to score: one is scored in this process, with
    one thread too, so that no score depends on how many workers there are.
    """

    def __init__(self, scorer: Scorer, task: TaskName, workers: int | None = None) -> None:
        """Start nothing yet.

        Args:
            scorer: whose scores are computed.
            task: how its task was named.
            workers: how many at most; as many as this process may use CPUs where None.
        """
        self.exam = exam_of(scorer, task)
        self._scorer = scorer
        self._most = len(allowed_cpus()) if workers is None else workers
        self._idle: list[Worker] = []
        self._busy: dict[Worker, Order] = {}

    def compute(self, orders: Sequence[Order]) -> Generator[Score]:
        """One for each, as they come; left early, it stops what it began.

        Raises:
            BadInputError: an order is refused, or its worker died twice.
        """
        if min(self._most, len(orders)) <= 1:
            for order in orders:
                yield self._scorer.compute(order.architecture, order.scheme, threads=1)
            return
        waiting, deaths = deque(orders), Counter[Order]()
        try:
            while waiting or self._busy:
                while waiting and len(self._busy) < self._most:
                    self._give(waiting.popleft())
                for worker in select(list(self._busy), [], [])[0]:
                    order = self._busy.pop(worker)
                    if (score := self._taken(worker, order, deaths)) is None:
                        waiting.appendleft(order)
                    else:
                        yield score
        finally:
            _end(self._busy)

    def close(self) -> None:
        """End all workers; a second time does nothing."""
        _end(self._busy)
        _end(self._idle)

    def _taken(self, worker: Worker, order: Order, deaths: Counter[Order]) -> Score | None:
        """What a worker answers; None if it died, for the first time of this order."""
        try:
            (replied,) = worker.answers(PATIENCE_S)
        except WorkerError as error:
            worker.close()
            deaths[order] += 1
            if deaths[order] == TRIES:
                raise _deadly(order, error) from None
            return None
        self._idle.append(worker)
        return score_in(replied)

    def _give(self, order: Order) -> None:
        """To a worker that waits, or to a new one."""
        asked = request(order)
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.send(asked)
            except WorkerError:  # died of nothing that it was asked
                worker.close()
            else:
                self._busy[worker] = order
                return
        variables = dict(os.environ) | stable_variables(os.environ, 1, {})
        worker = Worker("bench.search.score_worker", variables, None)
        self._busy[worker] = order
        with suppress(WorkerError):  # it is told when its answer is read
            worker.send(asked)


def _end(workers: "list[Worker] | dict[Worker, Order]") -> None:
    for worker in workers:
        worker.close()
    workers.clear()


def _deadly(order: Order, error: WorkerError) -> BadInputError:
    return BadInputError(f"{order}: its process ended twice, {error}; give fewer --workers")

"""Search and verify until as many winners stand as are wanted; then, or after some rounds, stop.

Where a device is slower when files are measured than when networks near the budget were, nothing
that uses nearly all of the budget may stand. Then the next round searches where predictions are
lower, by as much as files were over.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.search.oracle import Oracle
from bench.search.request import MIXED
from bench.search.scene import Scene
from bench.search.stages import Record, Scores, Stages, first_metric
from bench.search.talk import Talk
from bench.search.verification import SPARE, Verification
from nas.search.searcher import Ground
from results.choice import Tried
from results.errors import BadInputError
from results.searches import Run

ROUNDS = 4
"""At the most: a machine that is so much slower is no longer the one that was predicted."""

SHARE = 4
"""A further round scores this part of what the first one did."""

TIGHTENED = "tightened"
"""Note in the run's folder: the limits of further rounds, so that a search that goes on repeats
its path."""

WORTH_MIXED = 0.5
"""Lower edge of what is proposed where products in float32 may fill up the budget."""


@dataclass
class Rounds:
    """Of one search."""

    run: Run
    scene: Scene
    oracle: Oracle
    scores: Scores
    record: Record
    check: Verification
    worth: float
    """Lower edge of what is proposed, as a part of the limit."""
    talk: Talk
    _full: list[Tried] = field(default_factory=list)
    _found: list[Tried] = field(default_factory=list)

    def all(self) -> None:
        """Until enough stand.

        Raises:
            BadInputError: nothing is as accurate as was asked for.
        """
        for number, limit in enumerate(self._limits()):
            before = len(self.record.trials)
            self._search(number, limit)
            self.talk.progress(f"{len(self.record.trials)} sub-models scored\n")
            if not number:
                self._require_accurate()
            self.check.take(self._found, limit)
            if len(self.record.trials) == before:
                return

    def _limits(self) -> Iterator[float]:
        """Of each round: the part of the limits that predicted costs may use."""
        limit = 1.0
        yield limit
        noted = list((self.run.noted(TIGHTENED) or {}).get("limits", []))
        for number in range(ROUNDS - 1):
            if self.check.lacking <= 0:
                return
            if number >= len(noted):
                tighter = self.check.tighter(limit)
                if tighter is None:
                    return
                noted.append(tighter)
                self.run.note(TIGHTENED, {"limits": noted})
            limit = noted[number]
            self.talk.say(
                f"{len(self.check.standing)} of {self.check.wanted} winners stand: searching on "
                f"below {limit:.0%} of the budget, as predicted"
            )
            yield limit

    def _search(self, number: int, limit: float) -> None:
        asked = self.scene.given.asked
        evaluations, refinements = asked.effort.evaluations, asked.effort.refinements
        if number:
            evaluations = max(evaluations // SHARE, 1)
            refinements = max(refinements // SHARE, self.check.lacking + SPARE)
        worth = min(self.worth, WORTH_MIXED) if asked.quant == MIXED else self.worth
        ground = Ground(self.scene.space, self.oracle, limit, worth * limit)
        stages = Stages(
            ground, self.oracle, self.scores, self.record, asked.searcher, asked.seed,
            self.talk.progress,
        )  # fmt: skip
        full = stages.full(evaluations, self._full)
        self._found += stages.quantised(full, refinements, asked.quant, self._found)
        self._full += full

    def _require_accurate(self) -> None:
        """Raise BadInputError if an accuracy was asked for that nothing within the budget has."""
        least = next((x for x in self.scene.limits if x.kind == "accuracy"), None)
        best = max((first_metric(t) for t in self._found if t.cost <= 1), default=0.0)
        if least is not None and best < least.value:
            raise BadInputError(
                f"nothing is as accurate as {least.asked} within the budget: the best of "
                f"{len(self._found)} that were scored has {best:.4f}: ask for less, or give a "
                "larger budget"
            )

"""A search goes on below its budget until enough winners stand, and ends anyway."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.search.finalists import Finalist, Judged
from bench.search.oracle import Oracle
from bench.search.request import Effort
from bench.search.rounds import ROUNDS, TIGHTENED, Rounds
from bench.search.stages import FULL, Record
from bench.search.talk import Talk
from bench.search.verification import Verification
from results.choice import Limit, Measured, Tried
from results.errors import BadInputError
from results.searches import Run
from tests.test_search_finalists import Maker
from tests.test_search_oracle import SPACE
from tests.test_search_stages import Made, oracle_of

LIMIT = Limit(kind="latency", value=0.35, device="a", asked="0.35ms", tokens=32)
EFFORT = Effort(16, 8, 2, 0)
SLOW = 3.0


@dataclass
class Slower:
    """Takes so many times as long as the upper bounds of predictions."""

    oracle: Oracle
    factor: float
    measured: list[Finalist] = field(default_factory=list)

    def judge(
        self, _run: Path, finalists: Sequence[Finalist], *, anew: bool = False
    ) -> list[Judged]:
        assert not anew
        self.measured += finalists
        return [Judged((self._one(x),)) for x in finalists]

    def _one(self, finalist: Finalist) -> Measured:
        (cost,) = self.oracle.of([finalist.trial.architecture]).tolist()
        ms = self.factor * cost * LIMIT.value
        return Measured(
            device="a", runtime="onnxruntime", tokens=32, ms=ms, lower=ms, upper=ms, rows=("row",)
        )


@dataclass
class World:
    """A search of a device that is slower than it was."""

    run: Run
    factor: float
    limits: tuple[Limit, ...] = (LIMIT,)
    said: list[str] = field(default_factory=list)
    kept: list[Tried] = field(default_factory=list)

    def search(self) -> Verification:
        oracle = oracle_of(LIMIT.value)
        self.judge = Slower(oracle, self.factor)
        check = Verification(self.limits, EFFORT.winners, Maker(), self.judge)  # type: ignore[arg-type]
        asked = SimpleNamespace(effort=EFFORT, quant="ptq", searcher="surrogate", seed=0)
        scene: Any = SimpleNamespace(
            space=SPACE, limits=self.limits, given=SimpleNamespace(asked=asked)
        )
        self.scores, record, talk = Made(), Record(self.kept.append), Talk(self.said.append)
        Rounds(self.run, scene, oracle, self.scores, record, check, 0.92, talk).all()
        return check


def world(folder: Path, factor: float, **more: Any) -> World:
    folder.mkdir(parents=True, exist_ok=True)
    return World(Run(folder), factor, **more)


def test_where_files_keep_the_budget_there_is_one_round(tmp_path: Path) -> None:
    made = world(tmp_path, 1.0)

    check = made.search()

    assert 0 == check.lacking
    assert (16, 8) == (sum(t.stage == FULL for t in made.kept), len(made.kept) - 16)
    assert [] == made.said
    assert made.run.noted(TIGHTENED) is None


def test_where_files_are_slower_winners_are_found_below_the_budget(tmp_path: Path) -> None:
    made = world(tmp_path, SLOW)

    check = made.search()

    assert EFFORT.winners == len(check.standing)
    assert all(found.measured[0].upper <= LIMIT.value for _, found in check.standing)
    assert check.dropped
    assert "0 of 2 winners stand: searching on below" in made.said[0]
    times = [(x.trial.architecture, x.trial.scheme) for x in made.judge.measured]
    assert len(set(times)) == len(times)
    pairs = [(t.architecture, t.scheme) for t in made.kept]
    assert len(set(pairs)) == len(pairs)


def test_further_rounds_score_less_and_nothing_above_their_limit(tmp_path: Path) -> None:
    made = world(tmp_path, SLOW)

    made.search()

    limits = made.run.noted(TIGHTENED)
    assert limits is not None
    first, later = made.kept[:24], made.kept[24:]
    assert 0 < len(later) <= len(limits["limits"]) * (4 + 4)
    assert max(t.cost for t in first) > limits["limits"][0]
    assert max(t.cost for t in later) <= limits["limits"][0]


def test_a_search_that_goes_on_takes_the_limits_it_had(tmp_path: Path) -> None:
    first = world(tmp_path / "a", SLOW)
    first.search()
    again = world(tmp_path / "b", 1.2 * SLOW)  # the scale has moved
    again.run.note(TIGHTENED, first.run.noted(TIGHTENED) or {})

    again.search()

    path = [(t.architecture, t.scheme) for t in first.kept]
    assert path == [(t.architecture, t.scheme) for t in again.kept][: len(path)]


def test_a_device_that_keeps_nothing_ends_the_search(tmp_path: Path) -> None:
    made = world(tmp_path, 1e6)

    check = made.search()

    assert not check.standing
    assert len(made.said) < ROUNDS


def test_an_accuracy_that_nothing_has_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    made = world(tmp_path, 1.0, limits=(LIMIT, Limit(kind="accuracy", value=0.999, asked="99.9%")))

    with pytest.raises(BadInputError, match=r"nothing is as accurate as 99\.9%"):
        made.search()

    assert not made.judge.measured

"""How long the searchers think: millions filtered by a budget, and eight proposals.

Times are reported (`pytest tests/benchmarks --benchmark-enable`), never asserted.
"""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from nas.search.listed import listed
from nas.search.searcher import Ground, Searcher
from nas.search.searchers import NAMES, searcher
from nas.space import load_space
from tests.made_search import WorkCost, ground, play, trials

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

BATCH, TOLD = 8, 12
"""Proposals at a time; batches that were told before."""


@pytest.mark.parametrize("name", ["minilm", "autotinybert"])
def test_a_space_filtered_by_a_budget(name: str, benchmark: "BenchmarkFixture") -> None:
    where = ground(load_space(name), 0.7)

    found = benchmark(lambda: listed(where, np.random.default_rng(0)))

    benchmark.extra_info["members"] = where.space.count
    assert 0 < len(found.number) < where.space.count


@pytest.mark.parametrize("space", ["minilm", "minilm-layers", "autotinybert"])
@pytest.mark.parametrize("name", NAMES)
def test_eight_proposals(name: str, space: str, benchmark: "BenchmarkFixture") -> None:
    where = Ground(load_space(space), WorkCost())
    rounds = 1 if benchmark.disabled else 10
    one = searcher(name, where, 0)
    play(one, where, rounds=1 if benchmark.disabled else TOLD, n=BATCH)

    proposed = benchmark.pedantic(_asked_and_told, (one, where), rounds=rounds)

    assert len(proposed) == BATCH


def _asked_and_told(one: Searcher, where: Ground) -> list[object]:
    proposed = one.ask(BATCH)
    one.tell(trials(where, proposed))
    return list(proposed)

"""What is measured near a budget: which networks, and what their rows are good for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.search import near
from bench.search.meter import Bench, Cell, HereMeter, Wanted
from bench.search.near import corrections
from bench.search.oracle import Latency, Oracle
from quant.scheme import parse
from results.architecture import Architecture
from results.choice import Limit
from results.errors import BadInputError
from tests.test_search_oracle import ONE, SPACE, TABLES

DEVICES = """version: 1
devices:
  here:
    tokens: [16]
    runtimes:
      onnxruntime: [fp32, ptq]
  far:
    machine: aarch64
    runtimes:
      onnxruntime: [fp32, ptq]
"""


def latency(ms: float) -> Latency:
    return replace(ONE, limit=Limit(kind="latency", value=ms, device="here", tokens=32))


def oracle(ms: float) -> Oracle:
    return Oracle(parse("ptq"), (latency(ms),), tables=TABLES)


def predicted(a: Architecture) -> float:
    return ONE.numbers(a, parse("ptq")).ms


def test_those_are_measured_whose_prediction_is_near_the_budget() -> None:
    found = near.near(latency(0.6), oracle(0.6), SPACE, 5, seed=0)

    away = sorted(abs(np.log(predicted(a) / 0.6)) for a in SPACE)
    assert 5 == len(set(found))
    assert max(abs(np.log(predicted(a) / 0.6)) for a in found) <= away[4 * 5 - 1] + 1e-9


def test_they_are_drawn_by_the_seed() -> None:
    one, again, other = (
        near.near(latency(0.2), oracle(0.2), SPACE, 5, seed) for seed in (0, 0, 1)
    )

    assert one == again != other


def test_layers_that_differ_are_drawn_at_every_depth() -> None:
    layered = replace(SPACE, per_layer=True)

    found = near.near(latency(0.15), oracle(0.15), layered, 20, seed=0)

    assert 20 == len(found)
    assert all(a in layered for a in found)


class Rows:
    """Measures what a rule says."""

    def __init__(self, factor: float, quiet: int = 10**6) -> None:
        self.factor, self.quiet, self.asked = factor, quiet, list[tuple[str, int]]()

    def latencies(self, wanted: Sequence[Wanted]) -> list[Mapping[Cell, float]]:
        self.asked += [(one.bench.device, len(one.networks)) for one in wanted]
        return [
            {
                (a, one.schemes[0], one.tokens[0]): self.factor * predicted(a)
                for a in one.networks[: self.quiet]
            }
            for one in wanted
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "devices.yaml").write_text(DEVICES)
    return Bench("here", "onnxruntime", tmp_path / "data", tmp_path / "devices.yaml")


def test_the_predictor_is_corrected_by_what_it_is_off_there(bench: Bench) -> None:
    rows = Rows(1.07)

    (found,) = corrections(oracle(0.2), SPACE, {"here": bench}, 12, rows)

    assert pytest.approx(np.log(1.07)) == found.shift
    assert found.errors is not None
    assert [("here", 12)] == rows.asked


def test_as_many_are_measured_as_the_confidence_needs(bench: Bench) -> None:
    rows = Rows(1.0)
    sure = Oracle(parse("ptq"), (replace(latency(0.2), confidence=0.95),), tables=TABLES)

    (found,) = corrections(sure, SPACE, {"here": bench}, 4, rows)

    assert [("here", 21)] == rows.asked
    assert found.errors is not None
    assert np.isfinite(found.errors.factor(0.95))


def test_too_few_quiet_rows_leave_the_predictor_as_it_is(bench: Bench) -> None:
    (found,) = corrections(oracle(0.2), SPACE, {"here": bench}, 12, Rows(1.5, quiet=5))

    assert (0.0, None) == (found.shift, found.errors)


def test_where_nothing_is_limited_nothing_is_measured(bench: Bench) -> None:
    rows = Rows(1.07)
    both = replace(oracle(0.2), latencies=(latency(np.inf), latency(0.2)))

    free, limited = corrections(both, SPACE, {"here": bench}, 12, rows)

    assert [("here", 12)] == rows.asked
    assert (0.0, None) == (free.shift, free.errors)
    assert pytest.approx(np.log(1.07)) == limited.shift


def test_a_device_that_this_host_is_not_is_told_and_one_elsewhere_is_taken(bench: Bench) -> None:
    far = replace(bench, device="far")

    with pytest.raises(BadInputError, match="cannot be far"):
        far.ground(("ptq",))

    assert (16,) != tuple(replace(far, remote=True).ground(("ptq",)).device.tokens)
    assert [32] == replace(far, remote=True).ground(("ptq",), (32,)).device.tokens


def test_a_scheme_that_the_runtime_has_not_is_told(bench: Bench) -> None:
    with pytest.raises(BadInputError, match="bf16"):
        bench.ground(("bf16",))


def asked_of(bench: Bench) -> Wanted:
    small = tuple(replace(SPACE.at(i), positions=64) for i in (3, 30))
    return Wanted(bench, small, ("ptq",), (16,))


def test_real_rows_are_measured_once(bench: Bench) -> None:
    wanted = asked_of(replace(bench, target_error=0.4))

    (first,) = HereMeter().latencies([wanted])
    (again,) = HereMeter().latencies([wanted])

    assert {(a, "ptq", 16) for a in wanted.networks} == set(first)
    assert first == again
    assert 1 == len(list(bench.results.rglob("*.jsonl")))


def test_rows_that_were_noisy_are_measured_when_they_are_asked_for_again(bench: Bench) -> None:
    never_quiet, quiet = (
        replace(asked_of(replace(bench, target_error=x)), networks=(SPACE.at(3),))
        for x in (0.001, 0.4)
    )

    (first,) = HereMeter().latencies([never_quiet])
    (again,) = HereMeter().latencies([quiet])

    assert {} == first
    assert set(quiet.networks) == {a for a, _, _ in again}

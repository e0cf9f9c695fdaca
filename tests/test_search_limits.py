"""Budgets mean what a person wrote, and what is no budget is told in a sentence."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.search.limits import Wanted, limits, megabytes, share, speed_up, told
from bench.search.request import Asked
from results.choice import Limit
from results.errors import BadInputError

HERE = ("cpu-any",)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("10", 10), ("10ms", 10), (" 2.5 ms ", 2.5), ("0.5s", 500), ("900us", 0.9), ("700µs", 0.7)],
)
def test_a_latency_is_in_milliseconds_whatever_its_unit(text: str, ms: float) -> None:
    (limit,) = limits(Wanted(HERE, (text,)))

    assert pytest.approx(ms) == limit.value
    assert ("latency", "cpu-any", None) == (limit.kind, limit.device, speed_up(limit))


def test_a_speed_up_has_no_milliseconds_before_a_baseline_is_measured() -> None:
    (limit,) = limits(Wanted(HERE, ("3x",)))

    assert (3.0, math.inf) == (speed_up(limit), limit.value)


def test_each_device_has_its_own_budget_in_the_order_given() -> None:
    found = limits(Wanted(("a", "b"), ("10", "25ms")))

    assert [("a", 10), ("b", 25)] == [(x.device, x.value) for x in found]


def test_one_budget_is_for_all_devices() -> None:
    assert [10, 10] == [x.value for x in limits(Wanted(("a", "b"), ("10",)))]


@pytest.mark.parametrize(
    ("text", "value"),
    [("20", 20), ("20MB", 20), ("500kB", 0.5), ("1gb", 1000), ("1MiB", 1.048576)],
)
def test_sizes_are_in_millions_of_bytes(text: str, value: float) -> None:
    assert pytest.approx(value) == megabytes("--max-size", text)


def test_a_share_is_a_share_in_either_spelling() -> None:
    assert (0.9, 0.9) == (share("--min-accuracy", "0.9"), share("--min-accuracy", "90%"))


def test_all_kinds_of_limits_go_together() -> None:
    found = limits(Wanted(HERE, ("10",), "20MB", "100MB", "90%"))

    kinds = ["latency", "size", "memory", "accuracy"]
    assert list(zip(kinds, [10, 20, 100, 0.9], strict=True)) == [(x.kind, x.value) for x in found]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Wanted(HERE), "what may it cost"),
        (Wanted(HERE, accuracy="0.9"), "what may it cost"),
        (Wanted(HERE, ("10 parsecs",)), "no unit of time"),
        (Wanted(HERE, ("ten",)), "no budget: write 10"),
        (Wanted(HERE, ("0",)), "no budget"),
        (Wanted(HERE, ("-3",)), "no budget"),
        (Wanted(HERE, ("1x",)), "above 1x"),
        (Wanted(HERE, ("1", "2")), "2 budgets for 1 devices"),
        (Wanted(("a", "a"), ("1",)), "one device twice"),
        (Wanted(HERE, (), "20ms"), "no unit of size"),
        (Wanted(HERE, ("1",), accuracy="130%"), "no share"),
        (Wanted(HERE, ("1",), accuracy="5"), "no share"),
    ],
)
def test_what_is_no_budget_is_told(wanted: Wanted, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        limits(wanted)


@given(st.text(max_size=12))
def test_any_text_is_a_budget_or_bad_input(text: str) -> None:
    try:
        (limit,) = limits(Wanted(HERE, (text,)))
    except BadInputError:
        return
    assert 0 < limit.value


def test_a_limit_is_told_with_its_device_and_length() -> None:
    limit = Limit(kind="latency", value=7.9, device="cpu-any", asked="3x", tokens=128)

    assert "7.9 ms (3x) on cpu-any at 128 tokens" == told(limit)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "trec6-cpu-any-ptq-10ms"),
        ({"quant": "fp32"}, "trec6-cpu-any-fp32-10ms"),
        ({"tokens": "task"}, "trec6-cpu-any-ptq-10ms-task-tokens"),
        ({"space": "of/mine.yaml"}, "trec6-cpu-any-ptq-10ms-mine"),
        ({"searcher": "random", "seed": 3}, "trec6-cpu-any-ptq-10ms-random-seed-3"),
        ({"name": "mine"}, "mine"),
    ],
)
def test_searches_for_different_things_have_different_names(
    more: dict[str, Any], name: str
) -> None:
    wanted = Wanted(HERE, ("10",))

    asked = Asked("trec6", wanted, limits(wanted), results=Path("results/data"), **more)

    assert Path("results/searches") / name == asked.run_folder


def test_budgets_of_all_kinds_are_in_the_name() -> None:
    wanted = Wanted(("a", "b"), ("10", "3x"), "20MB", accuracy="90%")

    asked = Asked("my task.csv", wanted, limits(wanted))

    assert "my-task.csv-a-b-ptq-10ms-3x-20MB-size-90-accuracy" == asked.run_folder.name

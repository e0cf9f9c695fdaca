"""Candidates as columns: two ways in, and sums over layers written down a second time."""

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.columns import FP32, GROUPS, Columns, Floats, Numerics
from results.architecture import Architecture, Layer
from results.measurement import Workload
from tests.predictor_rows import (
    INT8,
    MIXED,
    PLAIN,
    WORDS,
    architectures,
    columns,
    layers,
    networks,
    numerics,
    workloads,
)

MATRICES = {"qkv": 3, "attention-output": 1, "ffn-in": 1, "ffn-out": 1, "attention": 0}

PARTS = ("widths", "layers")
"""The columns that are several."""

one_candidate = st.tuples(architectures, workloads, numerics())
alike = st.tuples(st.integers(1, 12), st.integers(1, 1024), layers)


def written(c: Columns) -> dict[str, Floats | dict[tuple[str, str], list[float]]]:
    """What can be compared; parts that no candidate has say nothing."""
    found = {f.name: getattr(c, f.name) for f in fields(c)}
    for name in PARTS:
        found[name] = {p: x.tolist() for p, x in found[name].items() if x.any()}
    return {k: x if isinstance(x, dict) else x.tolist() for k, x in found.items()}


def brute_force(a: Architecture, w: Workload, n: Numerics) -> Counter[object]:
    """One layer after the other, one group after the other."""
    found: Counter[object] = Counter(depth=0, hidden=a.hidden)
    found |= Counter(batch=w.batch, tokens=w.tokens, threads=w.threads)
    for i, layer in enumerate(a.layers):
        found["depth"] += 1
        for name in ("heads", "qkv", "ffn"):
            found[name] += getattr(layer, name)
        for group in GROUPS:
            kind = n.floats if i in n.kept.get(group, ()) else n.kinds[group]
            width = layer.ffn if group in ("ffn-in", "ffn-out") else layer.qkv
            found["widths", group, kind] += width
            found["layers", group, kind] += 1
            found["weight_bytes"] += MATRICES[group] * a.hidden * width * n.weight_bytes[kind]
    return found


@given(st.lists(one_candidate, min_size=1, max_size=3))
def test_columns_are_sums_over_the_layers(
    given: list[tuple[Architecture, Workload, Numerics]],
) -> None:
    made = Columns.of(*(list(x) for x in zip(*given, strict=True)))

    for i, candidate in enumerate(given):
        found = Counter[object]({f: x[i] for f, x in written(made).items() if f not in PARTS})
        for name in PARTS:
            for part, x in getattr(made, name).items():
                found[name, *part] = x[i]
        assert brute_force(*candidate) == found


@given(st.lists(alike, min_size=1, max_size=3), workloads, numerics())
def test_layers_that_are_alike_give_the_columns_of_their_sizes(
    given: list[tuple[int, int, Layer]], workload: Workload, numerics: Numerics
) -> None:
    found = [Architecture(hidden, (layer,) * depth) for depth, hidden, layer in given]
    sizes = {
        "depth": [depth for depth, _, _ in given],
        "hidden": [hidden for _, hidden, _ in given],
        **{name: [getattr(x, name) for _, _, x in given] for name in ("heads", "qkv", "ffn")},
    }

    expected = Columns.of(found, [workload] * len(found), numerics)

    made = Columns.of_sizes(sizes, workload, numerics)
    assert written(expected) == written(made)
    assert expected.kinds == made.kinds


@given(architectures)
def test_float_weights_are_the_parameters_without_biases_and_norms(a: Architecture) -> None:
    biases_and_norms = sum(3 * x.qkv + x.ffn + 6 * a.hidden for x in a.layers)

    made = Columns.of([a], [Workload()], PLAIN)

    assert [4 * (a.encoder_parameters - biases_and_norms)] == made.weight_bytes.tolist()


def test_weights_are_read_in_the_bytes_of_their_own_kind() -> None:
    a = Architecture(10, (Layer(1, 7, 100), Layer(1, 7, 100), Layer(1, 7, 100)))

    made = columns([a], [MIXED])

    qkv = 3 * 10 * 7 * (4 + 1 + 4)
    rest = 10 * 7 * (1 + 1 + 1) + 10 * 100 * (1 + 4 + 1) + 10 * 100 * (4 + 4 + 4)
    assert [qkv + rest] == made.weight_bytes.tolist()


def test_each_candidate_says_itself_how_many_bytes_a_kind_has() -> None:
    kinds = dict.fromkeys(GROUPS, "packed")
    halves, quarters = (Numerics(kinds, weight_bytes={"packed": x}) for x in (2.0, 1.0))

    made = columns(networks(1, 0) * 2, [halves, quarters])

    assert 2.0 == made.weight_bytes[0] / made.weight_bytes[1]


def test_a_candidate_without_a_workload_or_numerics_is_refused() -> None:
    a, b = networks(2, 0)

    with pytest.raises(ValueError, match="shorter"):
        Columns.of([a, b], [Workload()], PLAIN)
    with pytest.raises(ValueError, match="shorter"):
        Columns.of([a, b], [Workload()] * 2, [PLAIN])


def test_the_kinds_are_those_in_use_and_fp32_comes_first() -> None:
    deep = {"qkv": (6, 7)}
    kept = Numerics(dict.fromkeys(GROUPS, "bf16"), deep, FP32, WORDS)

    assert ("fp32",) == columns(networks(3, 0)).kinds
    assert ("fp32", "int8") == columns(networks(3, 0), [INT8]).kinds
    assert ("bf16",) == columns([Architecture.uniform(6, 8, 2, 8, 8)], [kept]).kinds
    assert ("fp32", "bf16") == columns([Architecture.uniform(7, 8, 2, 8, 8)], [kept]).kinds


def test_numerics_without_a_group_or_the_bytes_of_a_kind_are_refused() -> None:
    without = {g: FP32 for g in GROUPS if g != "ffn-out"}
    int8 = dict.fromkeys(GROUPS, "int8")

    with pytest.raises(ValueError, match="ffn-out"):
        Numerics(without)
    with pytest.raises(ValueError, match="int8"):
        Numerics(int8)
    with pytest.raises(ValueError, match="fp32"):
        Numerics(int8, {"qkv": (0,)}, FP32, {"int8": 1.0})
    assert "int8" == Numerics(int8, {"qkv": ()}, FP32, {"int8": 1.0}).kind(0, "qkv")


def test_layers_to_keep_that_are_not_ascending_are_refused() -> None:
    with pytest.raises(ValueError, match="ascending"):
        Numerics(kept={"qkv": (2, 0)})
    with pytest.raises(ValueError, match="ascending"):
        Numerics(kept={"qkv": (1, 1)})


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_slices_join_to_the_whole(size: int) -> None:
    whole = columns(networks(7, 1), [PLAIN, MIXED])

    found = list(whole.slices(size))

    assert all(len(part) <= size for part in found)
    assert written(whole) == joined(found)


def joined(found: list[Columns]) -> dict[str, object]:
    """Their arrays one after the other."""
    made: dict[str, object] = {}
    for f in fields(Columns):
        values = [getattr(part, f.name) for part in found]
        if f.name in PARTS:
            every = {p: [x for v in values for x in v[p].tolist()] for p in values[0]}
            made[f.name] = {p: x for p, x in every.items() if any(x)}
        else:
            made[f.name] = np.concatenate(values).tolist()
    return made


def test_what_is_taken_is_what_was_pointed_at() -> None:
    found = networks(5, 2)
    whole = columns(found, [MIXED])
    mask = np.array([False, True, False, True, True])

    for which in (mask, np.flatnonzero(mask)):
        assert written(columns([found[i] for i in (1, 3, 4)], [MIXED])) == written(
            whole.take(which)
        )
    assert written(columns([found[4], found[0]], [MIXED])) == written(whole.take(np.array([4, 0])))


def test_no_candidates_are_columns_too() -> None:
    none = columns(networks(2, 0)).take(np.zeros(2, dtype=bool))

    assert 0 == len(none)
    assert () == none.kinds
    assert [0] == [len(part) for part in none.slices()]

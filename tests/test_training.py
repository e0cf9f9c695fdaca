"""Rows that belong together become one training set each; schemes become words for arithmetic."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.numerics import numerics_of
from bench.training import MIXED, Key, TrainingSet, Wanted, training_sets, unlikeness
from predictors.columns import FP32, GROUPS
from results.errors import BadInputError
from results.measurement import Procedure, Subject, Workload
from results.store import Ledger
from results.table import frame
from tests.law_ledger import keep, networks, rows
from tests.ledger_rows import ENVIRONMENT, measurement, session

HARDWARE, SOFTWARE, SETTINGS = ENVIRONMENT.hardware, ENVIRONMENT.software, ENVIRONMENT.settings
LAPTOP = Wanted("laptop")
LINEARS = [group for group in GROUPS if group != "attention"]


def keys(found: Sequence[TrainingSet]) -> list[tuple[str, str]]:
    return [(x.key.runtime, x.key.scheme) for x in found]


def filled(folder: Path, *schemes: str, **changes: Any) -> Ledger:
    """Three networks in each scheme."""
    of = session()
    return keep(folder, of, rows(of, networks(3), schemes or ("fp32",), **changes))


def test_there_is_a_set_for_each_runtime_scheme_and_profile(tmp_path) -> None:
    of = session()
    found = networks(3)
    deployed = Procedure(profile="deployed")
    taken = [
        *rows(of, found, ("fp32",)),
        *rows(of, found, ("fp32",), runtime="torch", first=10),
        *rows(of, found, ("bf16",), first=20),
        *rows(of, found, ("fp32",), first=30, procedure=deployed),
    ]

    sets = training_sets(keep(tmp_path, of, taken), LAPTOP)

    assert [
        Key("onnxruntime", "bf16", "stable"),
        Key("onnxruntime", "fp32", "deployed"),
        Key("onnxruntime", "fp32", "stable"),
        Key("torch", "fp32", "stable"),
    ] == [x.key for x in sets]
    assert [3] * 4 == [len(x.rows) for x in sets]


def test_schemes_that_share_their_floats_have_one_more_set_for_mixtures(tmp_path) -> None:
    ledger = filled(tmp_path, "fp32", "int8-dynamic", "bf16", "ptq-bf16")

    sets = {x.key.scheme: x for x in training_sets(ledger, LAPTOP)}

    assert {"fp32", "int8-dynamic", "bf16", "ptq-bf16", MIXED} == set(sets)
    parts = sets["fp32"], sets["int8-dynamic"]
    assert sorted(i for x in parts for i in x.ids) == sorted(sets[MIXED].ids)
    assert sorted([*parts[0].rows.ms, *parts[1].rows.ms]) == sorted(sets[MIXED].rows.ms)
    assert ("fp32", "int8-dynamic") == sets[MIXED].rows.columns.kinds
    assert 3 == sets[MIXED].rows.architectures


def test_one_scheme_is_no_mixture(tmp_path) -> None:
    assert [("onnxruntime", "fp32")] == keys(training_sets(filled(tmp_path), LAPTOP))


def test_noisy_rows_are_left_out_and_counted(tmp_path) -> None:
    of = session()
    good, bad = networks(5)[:3], networks(5)[3:]
    taken = [*rows(of, good), *rows(of, bad, first=10, flags=("wide",))]

    (found,) = training_sets(keep(tmp_path, of, taken), LAPTOP)

    assert tuple(good) == found.rows.groups
    assert 2 == found.noisy


def test_a_scheme_whose_rows_are_all_noisy_is_an_empty_set_and_part_of_no_mixture(
    tmp_path,
) -> None:
    of = session()
    found = networks(3)
    noisy = rows(of, found, ("ptq",), first=10, flags=("wide",))

    sets = training_sets(keep(tmp_path, of, [*rows(of, found), *noisy]), LAPTOP)

    assert [("fp32", 3, 0), ("ptq", 0, 3)] == [(x.key.scheme, len(x.rows), x.noisy) for x in sets]


def test_a_row_that_a_later_one_replaced_is_not_fitted_to(tmp_path) -> None:
    of = session()
    a, b = networks(2)
    (first,), (second,) = rows(of, [a]), rows(of, [b], first=2, supersedes=f"{of.id}-1")

    (found,) = training_sets(keep(tmp_path, of, [first, second]), LAPTOP)

    assert (b,) == found.rows.groups


def test_labels_are_the_latencies_of_the_table(tmp_path) -> None:
    ledger = filled(tmp_path, "fp32", "int8-dynamic", error=0.1)
    of = session(5)
    keep(tmp_path, of, rows(of, networks(3, seed=1), anchor_ns=5_000_000))

    sets = training_sets(ledger, LAPTOP)

    table = frame(ledger).set_index("id")["latency_ms"]
    for found in sets:
        assert [table[i] for i in found.ids] == list(found.rows.ms)


def test_rows_without_a_known_network_are_not_fitted_to(tmp_path) -> None:
    of = session()
    foreign = measurement(of, 9, subject=Subject(None, "fp32", "onnxruntime", "m.onnx@sha256:1"))

    (found,) = training_sets(keep(tmp_path, of, [*rows(of, networks(3)), foreign]), LAPTOP)

    assert 3 == len(found.rows)


def test_columns_have_the_workload_of_each_row(tmp_path) -> None:
    of = session()
    found = networks(3)
    taken = [
        *rows(of, found),
        *rows(of, found, first=10, workload=Workload(2, 64, 4)),
    ]

    (made,) = training_sets(keep(tmp_path, of, taken), LAPTOP)

    c = made.rows.columns
    assert [(1, 128, 1)] * 3 + [(2, 64, 4)] * 3 == list(
        zip(c.batch, c.tokens, c.threads, strict=True)
    )
    assert made.setting().terms.threaded


def test_the_setting_knows_the_caches_and_the_seed(tmp_path) -> None:
    of = session(environment=replace(ENVIRONMENT, hardware=replace(HARDWARE, l2_bytes=1 << 20)))
    (found,) = training_sets(keep(tmp_path, of, rows(of, networks(3))), LAPTOP)

    setting = found.setting(5)

    assert ((1 << 20, 1 << 25), 5) == (setting.terms.caches, setting.seed)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted("laptop", runtimes=("torch",)), [("torch", "fp32")]),
        (Wanted("laptop", schemes=("ptq",)), [("onnxruntime", "ptq")]),
        (Wanted("laptop", sessions=("1015",)), [("torch", "fp32")]),
        (Wanted("pi"), [("torch", "ptq")]),
    ],
)
def test_what_is_wanted_chooses_rows(tmp_path, wanted, expected) -> None:
    first, later, pi = session(), session(45), session(60, device="pi")
    found = networks(3)
    ledger = keep(tmp_path, first, rows(first, found, ("fp32", "ptq")))
    keep(tmp_path, later, rows(later, found, runtime="torch"))
    keep(tmp_path, pi, rows(pi, found, ("ptq",), runtime="torch"))

    assert expected == keys(training_sets(ledger, wanted))


def two_machines(folder: Path, **changes: Any) -> Ledger:
    """Rows taken here, and an hour later in an environment with these changes."""
    first, second = session(), session(60, environment=replace(ENVIRONMENT, **changes))
    keep(folder, first, rows(first, networks(3)))
    return keep(folder, second, rows(second, networks(3)))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"hardware": replace(HARDWARE, cpu="Cortex-A76")},
            "hardware.cpu 'AMD EPYC 9B14' and 'Cortex-A76'",
        ),
        ({"hardware": replace(HARDWARE, l3_bytes=1)}, "hardware.l3_bytes 33554432 and 1"),
        (
            {"software": replace(SOFTWARE, packages=SOFTWARE.packages | {"torch": "2.6.0"})},
            r"software.packages.torch '2.13.0\+cpu' and '2.6.0'",
        ),
        (
            {"settings": replace(SETTINGS, variables={"MALLOC_ARENA_MAX": "1"})},
            "settings.variables.MALLOC_ARENA_MAX None and '1'",
        ),
    ],
)
def test_rows_of_several_machines_are_refused_and_told_apart(tmp_path, changes, named) -> None:
    with pytest.raises(BadInputError, match=f"{named}; choose with --session") as caught:
        training_sets(two_machines(tmp_path, **changes), LAPTOP)

    assert "\n" not in str(caught.value)
    assert session().id[:15] in str(caught.value)


def test_of_many_differences_the_first_are_named(tmp_path) -> None:
    versions = dict.fromkeys(("a", "b", "c", "d", "e", "f"), "0")
    packages = SOFTWARE.packages | versions

    with pytest.raises(BadInputError, match=r"packages\.d None and '0' and 2 more;"):
        training_sets(
            two_machines(tmp_path, software=replace(SOFTWARE, packages=packages)), LAPTOP
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "another"},
        {"git": "ffff"},
        {"hardware": replace(HARDWARE, memory_bytes=1)},
        {"software": replace(SOFTWARE, packages=SOFTWARE.packages | {"subbert": "9"})},
        {"settings": replace(SETTINGS, variables={"OMP_NUM_THREADS": "4"})},
        {
            "settings": replace(
                SETTINGS, variables={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "4"}
            )
        },
    ],
)
def test_threads_host_revision_and_memory_may_differ(tmp_path, changes) -> None:
    (found,) = training_sets(two_machines(tmp_path, **changes), LAPTOP)

    assert (6, 2) == (len(found.rows), len(found.sessions))
    here, there = session(), session(environment=replace(ENVIRONMENT, **changes))
    assert {} == unlikeness(here, there)


def test_noisy_rows_of_another_machine_do_not_matter(tmp_path) -> None:
    other = session(60, environment=replace(ENVIRONMENT, hardware=replace(HARDWARE, cpu="other")))
    keep(tmp_path, other, rows(other, networks(3), flags=("wide",)))
    of = session()

    (found,) = training_sets(keep(tmp_path, of, rows(of, networks(3))), LAPTOP)

    assert (of.id,) == found.sessions
    assert ENVIRONMENT == found.environment


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted("pi"), r"no row of the device 'pi' \(it has laptop\): measure some with `bench"),
        (Wanted("laptop", ("torch",), ("ptq",)), "no row of .* like torch, ptq"),
    ],
)
def test_no_rows_at_all_is_said_with_what_there_is(tmp_path, wanted, message) -> None:
    with pytest.raises(BadInputError, match=message):
        training_sets(filled(tmp_path), wanted)


def test_an_empty_ledger_is_said(tmp_path) -> None:
    with pytest.raises(BadInputError, match="no row of the device 'laptop': measure"):
        training_sets(Ledger(tmp_path / "none"), LAPTOP)


def test_rows_that_are_all_noisy_are_refused(tmp_path) -> None:
    with pytest.raises(BadInputError, match="all 3 rows of laptop are noisy"):
        training_sets(filled(tmp_path, flags=("wide",)), LAPTOP)


@pytest.mark.parametrize(
    ("scheme", "linears", "attention"),
    [
        ("fp32", "fp32", "fp32"),
        ("bf16", "bf16", "bf16"),
        ("int8-weight-only", "int8-weight-only", "fp32"),
        ("int8-seed", "int8-weight-only/tensor/asymmetric", "fp32"),
        ("int8-dynamic", "int8-dynamic", "fp32"),
        ("int8-dynamic:activations=token", "int8-dynamic/token", "fp32"),
        ("int8-dynamic:weights=tensor", "int8-dynamic/tensor", "fp32"),
        ("int8-dynamic:symmetric=no", "int8-dynamic/asymmetric", "fp32"),
        ("int8-static", "int8-static", "fp32"),
        ("int8-static:zero-point=middle", "int8-static/middle", "fp32"),
        ("int8-static:attention=int8-static", "int8-static", "int8-static"),
        ("ptq", "int8-static/middle/smooth", "fp32"),
        ("ptq:smooth=0", "int8-static/middle", "fp32"),
        ("ptq-bf16", "int8-static/middle/smooth/bf16", "bf16"),
    ],
)
def test_what_changes_the_operators_is_part_of_the_word(scheme, linears, attention) -> None:
    found = numerics_of(scheme)

    assert dict.fromkeys(LINEARS, linears) | {"attention": attention} == found.kinds
    assert ("bf16" if "bf16" in scheme else FP32) == found.floats


@pytest.mark.parametrize(
    "settings", ["observer=mse", "bias-correction=no", "reduce-range=yes", "embeddings=fp32"]
)
def test_what_changes_only_numbers_changes_no_word(settings) -> None:
    assert numerics_of("ptq") == numerics_of(f"ptq:{settings}")


def test_a_group_of_its_own_arithmetic_has_its_own_word() -> None:
    found = numerics_of("ptq:ffn-out=fp32:qkv=int8-dynamic")

    assert {
        "qkv": "int8-dynamic",
        "attention-output": "int8-static/middle/smooth",
        "ffn-in": "int8-static/middle/smooth",
        "ffn-out": "fp32",
        "attention": "fp32",
    } == found.kinds


def test_layers_that_are_kept_are_computed_in_floats() -> None:
    found = numerics_of("ptq:keep=0+5.ffn-out+11.qkv")

    assert {
        "qkv": (0, 11),
        "attention-output": (0,),
        "ffn-in": (0,),
        "ffn-out": (0, 5),
    } == found.kept
    assert ["fp32", "int8-static/middle/smooth"] == [found.kind(n, "qkv") for n in (11, 5)]
    assert {} == numerics_of("ptq").kept


def test_kept_layers_of_a_bf16_scheme_are_bf16() -> None:
    assert "bf16" == numerics_of("ptq-bf16:keep=3").kind(3, "ffn-in")


@pytest.mark.parametrize(
    ("scheme", "size"),
    [("fp32", 4), ("bf16", 2), ("int8-weight-only", 4), ("int8-dynamic", 1), ("ptq-bf16", 1)],
)
def test_a_weight_has_the_bytes_that_a_product_reads(scheme, size) -> None:
    found = numerics_of(scheme)

    assert size == found.weight_bytes[found.kinds["qkv"]]
    assert (4, 2) == (found.weight_bytes["fp32"], found.weight_bytes["bf16"])


@pytest.mark.parametrize("scheme", ["dynamic", "optimum-avx512-vnni", "as-is:1"])
def test_a_scheme_of_others_is_one_word_beside_float_attention(scheme) -> None:
    found = numerics_of(scheme)

    assert dict.fromkeys(LINEARS, scheme) | {"attention": FP32} == found.kinds
    assert 1 == found.weight_bytes[scheme]

"""The spelling of schemes: what is said is what is meant, and nonsense gets a sentence."""

from dataclasses import fields, replace
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant.scheme import GROUPS, KNOWN, Scheme, parse
from results.errors import BadInputError

HINTS = get_type_hints(Scheme)


def values_of(field: str) -> st.SearchStrategy[str]:
    if HINTS[field] is bool:
        return st.sampled_from(["yes", "no"])
    if HINTS[field] is float:
        return st.sampled_from(["0", "0.25", "0.5", "1"])
    if field == "observer":
        return st.sampled_from(["minmax", "moving-average", "mse", "entropy", "percentile-99.9"])
    if field == "keep":
        places = st.sampled_from(["0", "3", "11", "5.ffn-out", "0.qkv"])
        return st.lists(places, min_size=1, max_size=3).map("+".join)
    return st.sampled_from(get_args(HINTS[field]))


@st.composite
def spellings(draw: st.DrawFn) -> str:
    names = [f.name for f in fields(Scheme) if f.name != "name"]
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=4))
    settings = [f"{name.replace('_', '-')}={draw(values_of(name))}" for name in chosen]
    return ":".join([draw(st.sampled_from(sorted(KNOWN))), *settings])


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_scheme_goes_by_its_name(name: str) -> None:
    assert name == str(parse(name)) == parse(name).base


def test_ptq_is_int8_static_with_what_was_found_best() -> None:
    found = parse("int8-static:embeddings=int8:zero-point=middle:smooth=0.8:bias-correction=yes")

    assert replace(found, name="ptq") == parse("ptq")
    assert replace(parse("ptq"), name="ptq-bf16", rest="bf16") == parse("ptq-bf16")


@given(spellings())
def test_a_scheme_is_what_its_own_name_says(text: str) -> None:
    try:
        made = parse(text)
    except BadInputError:
        return

    assert made == parse(made.name)
    assert text.partition(":")[0] == made.base


@given(spellings())
def test_every_setting_is_heard(text: str) -> None:
    try:
        made = parse(text)
    except BadInputError:
        return

    for setting in text.split(":")[1:]:
        key, _, value = setting.partition("=")
        found = getattr(made, key.replace("-", "_"))
        expected: object = value
        if isinstance(found, bool):
            expected = value == "yes"
        elif isinstance(found, float):
            expected = float(value)
        elif isinstance(found, tuple):
            expected = tuple(sorted(set(value.split("+"))))
        assert expected == found


def test_a_setting_that_says_what_the_scheme_is_anyway_leaves_no_trace() -> None:
    assert "int8-dynamic" == parse("int8-dynamic:weights=channel:symmetric=yes").name


def test_a_mixed_scheme_has_an_arithmetic_for_each_group() -> None:
    made = parse("int8-static:ffn-out=fp32:qkv=int8-dynamic:keep=1+2.ffn-in")

    first = [made.arithmetic(0, group) for group in GROUPS]
    assert ["int8-dynamic", "int8-static", "int8-static", "fp32"] == first
    assert ["fp32"] * 4 == [made.arithmetic(1, group) for group in GROUPS]
    assert "fp32" == made.arithmetic(2, "ffn-in")
    assert "int8-static" == made.arithmetic(2, "attention-output")


def test_only_what_has_fixed_ranges_needs_calibration() -> None:
    needing = {name for name, scheme in KNOWN.items() if scheme.calibrated}

    assert {"int8-static", "ptq", "ptq-bf16"} == needing
    assert parse("fp32:attention=int8-static").calibrated
    assert not parse(
        "int8-static:qkv=fp32:attention-output=fp32:ffn-in=fp32:ffn-out=fp32"
    ).calibrated


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("int4", "unknown scheme 'int4': choose one of fp32, bf16, int8-dyn"),
        ("ptq:fast", "'fast' is no setting"),
        ("ptq:name=x", "'name=x' is no setting"),
        ("ptq:smooth=0.5:smooth=0.4", "given twice"),
        ("ptq:smooth=2", "smooth is '2' and must be a number from 0 to 1"),
        ("ptq:qkv=int3", "qkv is 'int3' and must be one of fp32, int8-weight-only"),
        ("ptq:symmetric=maybe", "must be yes or no"),
        ("ptq:keep=top", "must be layers such as 0 or 5.ffn-out"),
        ("ptq:observer=guess", "must be minmax, moving-average"),
        ("ptq:activations=token", "cannot be fixed before"),
        ("int8-dynamic:smooth=0.5", "needs calibration"),
        ("int8-static:reduce-range=yes:symmetric=no", "for symmetric weights"),
        ("int8-seed:weights=channel", "vectors have no channels"),
    ],
)
def test_nonsense_is_told_what_is_wrong_in_one_sentence(text: str, told: str) -> None:
    with pytest.raises(BadInputError) as error:
        parse(text)

    assert told in str(error.value)
    assert "\n" not in str(error.value)

"""Architectures survive being written down, in our notation and in the seeds'."""

import json
import sys
import warnings
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.notation import (
    format_architecture,
    from_seed_dict,
    parse_architecture,
    seed_dict,
)

SIZES = st.integers(1, 4096)
LAYERS = st.builds(lambda a, w, f: Layer(a, a * w, f), st.integers(1, 16), SIZES, SIZES)
BERT_LIKE = st.builds(Architecture, SIZES, st.lists(LAYERS, min_size=1, max_size=6).map(tuple))
ANY = st.builds(Architecture, SIZES, st.just((Layer(2, 8, 3),)), SIZES, SIZES, SIZES)

TINYBERT4 = Architecture.uniform(4, 312, 12, 312, 1200)
SEED_LINE = (  # as AutoTinyBERT's searcher.py prints it
    "{'sample_layer_num': 4, 'sample_num_attention_heads': [12, 12, 12, 12], "
    "'sample_hidden_size': 312, 'sample_intermediate_sizes': [1200, 1200, 1200, 1200], "
    "'sample_qkv_sizes': [312, 312, 312, 312]}"
)


def refusal(text: str) -> str:
    with pytest.raises(BadInputError) as caught:
        parse_architecture(text)
    return str(caught.value)


def ours(**changes: object) -> str:
    layer = {"heads": 12, "qkv": 312, "ffn": 1200}
    return json.dumps({"hidden": 312, "layers": [layer, layer | changes]})


def seeds(**changes: object) -> dict[str, object]:
    return seed_dict(TINYBERT4) | {f"sample_{name}": value for name, value in changes.items()}


@settings(deadline=None)
@given(a=BERT_LIKE | ANY)
def test_what_is_formatted_is_parsed_back(a: Architecture) -> None:
    line = format_architecture(a)

    assert "\n" not in line
    assert a == parse_architecture(line)


@settings(deadline=None)
@given(a=BERT_LIKE)
def test_a_seed_dict_is_read_back_as_python_and_as_json(a: Architecture) -> None:
    d = seed_dict(a)

    assert (
        a == from_seed_dict(d) == parse_architecture(str(d)) == parse_architecture(json.dumps(d))
    )


def test_the_seeds_own_line_is_read_and_written_letter_by_letter() -> None:
    assert TINYBERT4 == parse_architecture(SEED_LINE)
    assert SEED_LINE == str(seed_dict(TINYBERT4))


def test_vocabulary_positions_and_types_may_be_left_out() -> None:
    a = parse_architecture('{"hidden": 8, "layers": [{"heads": 2, "qkv": 6, "ffn": 5}]}')

    assert Architecture(8, (Layer(2, 6, 5),), 30522, 512, 2) == a


def test_one_number_stands_for_every_layer() -> None:
    d = seeds(intermediate_sizes=1200, num_attention_heads=12, qkv_sizes=312)

    assert TINYBERT4 == from_seed_dict(d)


def test_reading_a_seed_dict_leaves_it_alone() -> None:
    d = seeds(qkv_sizes=312)
    before = json.dumps(d)

    from_seed_dict(d)

    assert before == json.dumps(d)


@pytest.mark.parametrize("length", [0, 3, 5])
def test_a_list_of_the_wrong_length_is_named_with_both_lengths(length: int) -> None:
    message = refusal(str(seeds(qkv_sizes=[312] * length)))

    expected = f"sample_qkv_sizes has {length} sizes where sample_layer_num says 4; give 4 of them"
    assert message.startswith(expected)


def test_more_layers_than_any_encoder_has_are_refused() -> None:
    layers = [{"heads": 1, "qkv": 1, "ffn": 1}] * 1025

    message = refusal(json.dumps({"hidden": 8, "layers": layers}, separators=(",", ":")))

    assert "layers has 1025 entries; at most 1024 are read" == message


@pytest.mark.parametrize("depth", [0, -1, 1025, 10**30, 4.0, True, "4", None, [4]])
def test_a_depth_that_is_no_depth_is_refused(depth: object) -> None:
    message = refusal(str(seeds(layer_num=depth, qkv_sizes=312)))

    assert f"sample_layer_num must be a whole number from 1 to 1024, not {depth!r}" == message


@pytest.mark.parametrize("value", [0, -312, 1 << 21, 312.0, True, "312", None, [312]])
@pytest.mark.parametrize("name", ["heads", "qkv", "ffn"])
def test_a_size_that_is_no_size_is_named_with_its_layer(name: str, value: object) -> None:
    message = refusal(ours(**{name: value}))

    assert f"layers[1]: {name} must be a whole number from 1 to 1048576, not {value!r}" == message


def test_heads_that_do_not_divide_are_named_with_their_layer() -> None:
    assert "layers[1]: qkv 100 is not divisible by 12 heads" == refusal(ours(qkv=100))
    assert "layers[2]: qkv 313 is not divisible by 12 heads" == refusal(
        str(seeds(qkv_sizes=[312, 312, 313, 312]))
    )


def test_an_unknown_key_is_named() -> None:
    assert "layers[1]: object contains unknown field `width`" == refusal(ours(width=3))
    assert "object contains unknown field `depth`" == refusal(
        '{"hidden": 8, "layers": [], "depth": 4}'
    )
    assert "unknown field `sample_vocab`" in refusal(str(seeds(vocab=3)))


def test_a_missing_key_is_named() -> None:
    assert "missing required field `layers`" in refusal('{"hidden": 8}')
    assert "layers[0]: object missing required field `ffn`" == refusal(
        '{"hidden": 8, "layers": [{"heads": 2, "qkv": 8}]}'
    )
    assert "missing required field `sample_" in refusal("{'sample_layer_num': 4}")


@pytest.mark.parametrize(
    "text", ['{"hidden": 8, "hidden": 9, "layers": []}', "{'hidden': 8, 'hidden': 9}"]
)
def test_a_repeated_key_is_refused(text: str) -> None:
    assert "the key 'hidden' is given twice; keep one of them" == refusal(text)


@pytest.mark.parametrize("text", ["[1]", "3", "null", '"x"', "None", "{1, 2}", "b'x'"])
def test_what_is_no_object_is_refused_with_an_example(text: str) -> None:
    assert 'is not an architecture; one looks like {"hidden": 312' in refusal(text)


@pytest.mark.parametrize(
    "text",
    ["", "{", "{'hidden': 8", "hidden=8", "__import__('os').getcwd()", "open('x')", "1if 2"],
)
def test_text_in_neither_notation_says_so(text: str) -> None:
    assert "is neither JSON (" in refusal(text)


HOSTILE = [
    "[",
    "(",
    "{'a':",
    "-",
    "~",
    "not ",
    "1+",
    "f(",
    "lambda:",
    "a.",
    "'\\d' ",
    "9",
    "1 if ",
]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("times", [60, 5000, 70_000])
def test_hostile_text_is_one_sentence_not_a_crash(piece: str, times: int) -> None:
    message = refusal(piece * times)

    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize("depth", [90, 199, 500, *range(-120, 0)])
def test_deep_nesting_in_place_of_a_size_is_refused(depth: int) -> None:
    depth = depth if depth > 0 else sys.getrecursionlimit() + depth
    nest = "[" * depth + "]" * depth

    refusal(f'{{"hidden": 8, "layers": [{{"heads": {nest}, "qkv": 1, "ffn": 1}}]}}')
    refusal(nest)


def test_text_of_any_length_is_refused_before_it_is_parsed() -> None:
    message = refusal(" " * (1 << 16) + ours())

    assert "characters are too many for one value (at most 65536)" in message


def test_refused_text_leaves_no_warning_of_the_compiler() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        refusal("{'\\d': 1if 2else 3}")

    assert [] == caught


@settings(deadline=None)
@given(text=st.text(alphabet="{}[]()'\":,0123456789.-+ samplehidnyrj_\n\t\\", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(BadInputError):
        parse_architecture(text)


def test_another_vocabulary_cannot_be_said_in_the_seeds_notation() -> None:
    with pytest.raises(BadInputError, match="cannot say vocab 1000"):
        seed_dict(Architecture(8, (Layer(2, 8, 3),), vocab=1000))

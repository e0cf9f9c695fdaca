"""Files of architectures and of the seeds' latencies are read whole or refused with the line."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.notation import (
    format_architecture,
    read_architectures,
    read_latency_tsv,
    seed_dict,
    write_architectures,
    write_latency_tsv,
)

DATA = Path(__file__).parent / "data"

SIZES = st.integers(1, 4096)
LAYERS = st.builds(lambda a, w, f: Layer(a, a * w, f), st.integers(1, 16), SIZES, SIZES)
BERT_LIKE = st.builds(Architecture, SIZES, st.lists(LAYERS, min_size=1, max_size=4).map(tuple))

TINYBERT4 = Architecture.uniform(4, 312, 12, 312, 1200)
SEED_LINE = str(seed_dict(TINYBERT4))
GOOD = format_architecture(Architecture.uniform(2, 312, 12, 312, 1200))
ODD_FFN = '{"hidden": 8, "layers": [{"heads": 1, "qkv": 8, "ffn": 0}]}'
ODD_QKV = '{"hidden": 8, "layers": [{"heads": 2, "qkv": 1, "ffn": 8}]}'


@settings(deadline=None)
@given(archs=st.lists(BERT_LIKE, min_size=1, max_size=5), style=st.sampled_from(["json", "seed"]))
def test_a_written_file_is_read_back(tmp_path_factory, archs, style) -> None:
    path = tmp_path_factory.mktemp("archs") / "some.txt"

    write_architectures(path, archs, style)

    assert tuple(archs) == read_architectures(path)


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_file_may_hold_one_object_or_a_list(tmp_path, indent) -> None:
    one = json.loads(format_architecture(TINYBERT4))
    (tmp_path / "one.json").write_text(json.dumps(one, indent=indent))
    (tmp_path / "two.json").write_text(json.dumps([one, seed_dict(TINYBERT4)], indent=indent))

    assert (TINYBERT4,) == read_architectures(tmp_path / "one.json")
    assert (TINYBERT4,) * 2 == read_architectures(tmp_path / "two.json")


def test_blank_lines_and_comments_are_passed_over(tmp_path) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes(f"# a comment\r\n\r\n{SEED_LINE}\r\n  # more\n{SEED_LINE}".encode())

    assert (TINYBERT4,) * 2 == read_architectures(path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes(b"\xef\xbb\xbf" + SEED_LINE.encode())

    assert (TINYBERT4,) == read_architectures(path)


def test_both_notations_may_share_a_file(tmp_path) -> None:
    path = tmp_path / "some.txt"
    path.write_text(f"{format_architecture(TINYBERT4)}\n{SEED_LINE}\n")

    assert (TINYBERT4,) * 2 == read_architectures(path)


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        (f"# x\n\n{SEED_LINE}\n{ODD_FFN}\n", "line 4: layers[0]: ffn must be"),
        (f"{SEED_LINE}\n{{'hidden': \n", "line 2: \"{'hidden':\" is neither JSON"),
        (f"[{GOOD},\n {ODD_QKV}]", "item 2: layers[0]: qkv 1 is not divisible"),
        ("\n[1,\n 2,\n", "line 3: Expecting value"),
        ('{\n "hidden": 8,\n "layers": [}\n', "line 3: Expecting value"),
        ('{"hidden": 8', "line 1: '{\"hidden\": 8' is neither JSON"),
        ("[1]", "item 1: 1 is not an architecture"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_place(tmp_path, text, beginning) -> None:
    (tmp_path / "some.txt").write_text(text)

    with pytest.raises(BadInputError) as caught:
        read_architectures(tmp_path / "some.txt")

    assert str(caught.value).startswith(
        tuple(f"{tmp_path / 'some.txt'}{sep}{beginning}" for sep in (", ", ": "))
    )


@pytest.mark.parametrize("text", ["", "\n \n", "# nothing\n", "[]"])
def test_a_file_without_architectures_is_refused(tmp_path, text) -> None:
    (tmp_path / "some.txt").write_text(text)

    with pytest.raises(BadInputError, match="holds no architecture; write one per line"):
        read_architectures(tmp_path / "some.txt")


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"PK\x03\x04\0\0", b"{\x80"])
def test_a_binary_file_is_refused(tmp_path, content) -> None:
    (tmp_path / "some.txt").write_bytes(content)

    with pytest.raises(BadInputError, match=r"some\.txt is not (UTF-8 text|a text file)"):
        read_architectures(tmp_path / "some.txt")


def test_a_missing_file_is_refused(tmp_path) -> None:
    with pytest.raises(BadInputError, match=r"some\.txt: there is no such file"):
        read_architectures(tmp_path / "some.txt")


def test_an_unwritable_place_is_refused(tmp_path) -> None:
    with pytest.raises(BadInputError, match="cannot be written: No such file or directory"):
        write_architectures(tmp_path / "no" / "some.txt", [TINYBERT4])


def test_an_unknown_style_is_refused(tmp_path) -> None:
    with pytest.raises(BadInputError, match="style must be 'json' or 'seed', not 'yaml'"):
        write_architectures(tmp_path / "x", [TINYBERT4], "yaml")


# The seeds' latency data sets


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(BERT_LIKE, st.floats(1e-9, 1e9, exclude_min=True)), min_size=1),
)
def test_latencies_are_read_back_to_the_last_digit(tmp_path_factory, rows) -> None:
    path = tmp_path_factory.mktemp("latencies") / "lat.tmp"

    write_latency_tsv(path, rows)

    assert rows == read_latency_tsv(path)


def test_a_seed_s_latency_file_is_read() -> None:
    rows = read_latency_tsv(DATA / "seed_latencies.tsv")

    assert [(TINYBERT4, 16.76), (Architecture.uniform(1, 120, 12, 180, 128), 2.5)] == rows


@pytest.mark.parametrize(
    "number", ["nan", "inf", "-inf", "0", "-1.5", "0.0", "ms", "1,5", "1e999"]
)
def test_an_impossible_latency_is_refused_with_its_line(tmp_path, number) -> None:
    path = tmp_path / "lat.tmp"
    path.write_text(f"{SEED_LINE}\t1.5\n{SEED_LINE}\t{number}\n")

    with pytest.raises(BadInputError, match=r"lat\.tmp, line 2: a latency is a positive number"):
        read_latency_tsv(path)


@pytest.mark.parametrize("line", [SEED_LINE, f"{SEED_LINE}\t1\t2", f"{SEED_LINE} 1.5"])
def test_a_line_without_its_one_tab_is_refused(tmp_path, line) -> None:
    (tmp_path / "lat.tmp").write_text(line)

    with pytest.raises(BadInputError, match="line 1: a line is a dict, one tab and a number"):
        read_latency_tsv(tmp_path / "lat.tmp")


def test_a_latency_file_without_lines_is_refused(tmp_path) -> None:
    (tmp_path / "lat.tmp").write_text("\n")

    with pytest.raises(BadInputError, match="holds no latency"):
        read_latency_tsv(tmp_path / "lat.tmp")


@pytest.mark.parametrize("ms", [float("nan"), float("inf"), 0.0, -1.0])
def test_an_impossible_latency_is_not_written(tmp_path, ms) -> None:
    with pytest.raises(BadInputError, match="a latency is a positive number"):
        write_latency_tsv(tmp_path / "lat.tmp", [(TINYBERT4, ms)])

"""YAML is read when it says one thing, and refused in one sentence that names the line."""

import subprocess
import sys
from contextlib import suppress

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from results.errors import BadInputError
from results.strict_yaml import load_yaml, read_yaml
from results.textfile import one_line, read_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def refusal(text: str) -> str:
    with pytest.raises(BadInputError) as caught:
        load_yaml(text, "some.yaml")
    return str(caught.value)


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


@settings(deadline=None)
@given(value=VALUES.filter(lambda v: v is not None))
def test_what_yaml_writes_is_read_back(value: object) -> None:
    assert value == load_yaml(yaml.dump(value, Dumper=Plain), "some.yaml")


def test_an_ordinary_document_is_read() -> None:
    text = "a: 1\nb:\n  - x\n  - {c: 2.5, d: true}\n"

    assert {"a": 1, "b": ["x", {"c": 2.5, "d": True}]} == load_yaml(text, "some.yaml")


def test_a_repeated_key_is_named_with_both_lines() -> None:
    text = "cpu: 1\nother: 2\ncpu: 3\n"

    assert "some.yaml, line 3: the key 'cpu' was already given on line 1" in refusal(text)


def test_a_repeated_key_is_seen_at_any_depth() -> None:
    text = "list:\n  - a: 1\n    b: 2\n    a: 3\n"

    assert "line 4: the key 'a' was already given on line 2" in refusal(text)


def test_the_same_key_in_two_mappings_is_no_repetition() -> None:
    assert {"x": {"a": 1}, "y": {"a": 2}} == load_yaml("x: {a: 1}\ny: {a: 2}\n", "some.yaml")


def test_keys_that_mean_the_same_number_are_one_key() -> None:
    assert "the key 16 was already given on line 1" in refusal("16: a\n0x10: b\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: c: d\n", 2),
        ("a: 1\n\nb: [1, 2\n", 4),
        ("a: 1\n\t- b\n", 2),
        ("a: &x [1]\nb: *x\n", 2),
        ("a: 1\n--- \nb: 2\n", 2),
        ("a: 1\nb: !!python/object/apply:os.getcwd []\n", 2),
        ("a: 1\n[1]: 2\n", 2),
    ],
)
def test_malformed_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    assert refusal(text).startswith(f"some.yaml, line {line}: ")


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "~"])
def test_an_empty_document_is_refused(text: str) -> None:
    assert "some.yaml is empty; it must hold one YAML document" == refusal(text)


@pytest.mark.parametrize(
    "text", ["[" * 5000, "&a [*a]", "2021-13-45", "!!int foo", "9" * 5000, "\x01", "<<: {a: 1}"]
)
def test_hostile_yaml_is_one_sentence_not_a_crash(text: str) -> None:
    assert "\n" not in refusal(text)


@settings(deadline=None)
@given(text=st.text(alphabet="ab:-[]{}&*!|>'\"#%@,? \n\t01<~", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(BadInputError):
        load_yaml(text, "some.yaml")


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path) -> None:
    (tmp_path / "plain.yaml").write_bytes("a: é\r\n".encode())
    (tmp_path / "marked.yaml").write_bytes(b"\xef\xbb\xbf" + "a: é\r\n".encode())

    assert {"a": "é"} == read_yaml(tmp_path / "plain.yaml") == read_yaml(tmp_path / "marked.yaml")


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(BadInputError, match=r"gone\.yaml: there is no such file"):
        read_yaml(tmp_path / "gone.yaml")


def test_a_folder_is_not_a_file(tmp_path) -> None:
    with pytest.raises(BadInputError, match="is a folder; name a file in it"):
        read_yaml(tmp_path)


def test_bytes_that_are_not_utf8_are_refused_with_the_line(tmp_path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"a: 1\nb: \xff\n")

    with pytest.raises(BadInputError, match=r"x\.yaml is not UTF-8 text \(line 2\)"):
        read_yaml(tmp_path / "x.yaml")


def test_a_binary_file_is_refused(tmp_path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"a\0b")

    with pytest.raises(BadInputError, match="not a text file: it holds zero bytes"):
        read_yaml(tmp_path / "x.yaml")


def test_a_file_is_not_read_beyond_the_limit(tmp_path) -> None:
    (tmp_path / "x").write_text("12345")

    assert "12345" == read_text(tmp_path / "x", 5)
    with pytest.raises(BadInputError, match="larger than 4 bytes"):
        read_text(tmp_path / "x", 4)


def test_an_impossible_file_name_is_refused() -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        read_text("a\0b")


def test_a_long_message_is_cut_to_one_line() -> None:
    assert "a b c" == one_line("a\n b\tc")
    assert "x" * 7 + "..." == one_line("x" * 99, 10)


def test_importing_the_reader_does_not_load_yaml() -> None:
    check = "import sys, results.strict_yaml; sys.exit('yaml' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", check], check=False)

    assert 0 == done.returncode

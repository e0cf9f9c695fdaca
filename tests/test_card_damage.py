"""A card that is damaged, foreign or newer is refused in one sentence that names the place."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors.families import PLACES
from results.errors import BadInputError
from tests.made_cards import FAKE, FP32, INT8, PHYSICS, Fake, faked, filled, read_all

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@pytest.fixture(scope="module", autouse=True)
def _fake_family() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PLACES, "fake", FAKE)
        yield


def refusal(path: Path) -> str:
    """What reading the card and everything in it says."""
    with pytest.raises(BadInputError) as caught:
        read_all(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(path: Path, where: str, value: object) -> Path:
    """Set one field, named by dots, of the JSON in `path`."""
    tree = json.loads(path.read_text())
    *steps, last = [int(s) if s.isdigit() else s for s in where.split(".")]
    inner = tree
    for step in steps:
        inner = inner[step]
    inner[last] = value
    path.write_text(json.dumps(tree))
    return path


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("format", "another", "is no device card: name another"),
        ("schema", 2, "newer subbert (schema 2); this one reads up to 1: upgrade"),
        ("schema", "1", "at `$.schema`"),
        ("schema", 10**400, "at `$.schema`"),
        ("surprise", 1, "unknown field `surprise`"),
        ("device", 5, "at `$.device`"),
        ("environment.hardware", {}, "missing required field `machine` - at `$.environment"),
        ("environment.hardware.surprise", 1, "unknown field `$.environment.hardware.surprise`"),
        ("entries.0.surprise", 1, "unknown field `surprise` - at `$.entries[0]`"),
        ("entries.0.provenance.by", "x", "unknown field `$.entries[0].provenance.by`"),
        ("entries.0.error.mape", "x", "Expected `float`, got `str` - at `$.entries[0].error.mape"),
        ("entries.0.error.mape", math.nan, "is no JSON"),
        ("entries.0.error.mape", None, "at `$.entries[0].error.mape`"),
        ("entries.0.domain.ranges.depth", [2, 1], "at `$.entries[0].domain.ranges['depth']`"),
        ("entries.0.domain.ranges.depth", [0, 1], "at `$.entries[0].domain.ranges['depth']`"),
        ("entries.0.domain.ranges.colour", [1, 1], "at `$.entries[0].domain.ranges`"),
        ("entries.0.scores", [0.2, 0.1], "at `$.entries[0].scores`"),
        ("entries.0.scores", [-1], "at `$.entries[0].scores`"),
        ("entries.0.profile", "fast", "at `$.entries[0].profile`"),
        ("entries.0.scheme", INT8.scheme, "two entries for onnxruntime int8-static"),
        ("entries.0.family", "oracle", "family that this subbert does not know (oracle): upgrade"),
        ("entries.0.family", "a\nb", "family that this subbert does not know (a b): upgrade"),
        ("entries.0.state.prices", {}, "is no physics predictor (the prices"),
        ("entries.0.state.prices.call", -1, "is no physics predictor (a price is negative"),
        ("entries.0.state.caches", [10**400], "is no physics predictor (int too large"),
        ("entries.1.parts", {}, "is no fake predictor ('safetensors')"),
        ("entries.1.state", [], "is no fake predictor (the state"),
        ("entries.1.parts.ubj.file", "../x", "'../x' is no plain file name - at `$.entries[1]"),
        ("entries.1.parts.ubj.file", "/etc/passwd", "is no plain file name"),
        ("entries.1.parts.ubj.file", "..", "is no plain file name"),
        ("entries.1.parts.ubj.file", "a\\b", "is no plain file name"),
        ("entries.1.parts.ubj.file", "a\0b", "is no plain file name"),
        ("entries.1.parts.ubj.file", "x" * 300, "xxx, which cannot be read"),
        ("entries.1.parts.ubj.file", "other.ubj", "needs the file other.ubj beside the card"),
        ("entries.1.parts.ubj.sha256", "0" * 64, "sha256 differs"),
    ],
)  # fmt: skip
def test_a_damaged_card_is_refused_with_the_place(tmp_path, where, value, said) -> None:
    path = changed(filled(tmp_path, (FP32, PHYSICS), (INT8, faked())), where, value)

    found = refusal(path)
    assert found.startswith(str(path))
    assert said in found


@pytest.mark.parametrize("field", ["schema", "device", "environment", "entries"])
def test_a_missing_field_is_named(tmp_path, field) -> None:
    path = filled(tmp_path, (FP32, PHYSICS))
    tree = json.loads(path.read_text())
    del tree[field]
    path.write_text(json.dumps(tree))

    assert field in refusal(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"\xff", "is not UTF-8 text"),
        (b"[]", "is no device card"),
        (b'{"name": "subbert"}', "is no device card"),
        (b"null", "is no device card"),
    ],
)
def test_another_file_is_refused(tmp_path, content, said) -> None:
    path = tmp_path / "cpu.json"
    path.write_bytes(content)

    assert said in refusal(path)
    with pytest.raises(BadInputError, match=said):
        filled(tmp_path, (FP32, PHYSICS))
    assert content == path.read_bytes()


def test_no_card_at_all_is_a_sentence(tmp_path) -> None:
    assert "there is no device card" in refusal(tmp_path / "cpu.json")
    assert "cannot be read: File name too long" in refusal(tmp_path / f"{'x' * 300}.json")
    (tmp_path / "folder.json").mkdir()
    assert "is a folder" in refusal(tmp_path / "folder.json")


def test_a_part_that_is_missing_or_another_is_a_sentence(tmp_path) -> None:
    path = filled(tmp_path, (INT8, faked()))
    (part,) = tmp_path.glob("*.ubj")

    part.write_bytes(b"weight5")
    assert f"needs another {part.name} (its sha256 differs)" in refusal(path)
    part.unlink()
    assert f"needs the file {part.name} beside the card" in refusal(path)
    part.mkdir()
    assert f"needs the file {part.name} beside the card" in refusal(path)


def test_a_package_that_is_missing_is_a_sentence(tmp_path, monkeypatch) -> None:
    path = filled(tmp_path, (FP32, PHYSICS))
    monkeypatch.setitem(PLACES, "physics", ("predictors.not_there", "Physics"))

    assert "which is not installed: install it with pip" in refusal(path)


def test_a_card_that_cannot_be_written_is_a_sentence(tmp_path, monkeypatch) -> None:
    path = filled(tmp_path, (INT8, faked(1.0, b"one")))
    before = path.read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(BadInputError, match=r"No space left on device.*as it was.*--card"):
        filled(tmp_path, (INT8, faked(2.0, b"two")))
    monkeypatch.undo()

    assert before == path.read_bytes()
    assert [Fake(1.0, b"one")] == [m.predictor for m in read_all(path)]
    assert [] == list(tmp_path.glob(".*.tmp"))


def test_a_name_that_is_no_json_file_is_refused(tmp_path) -> None:
    with pytest.raises(BadInputError, match=r"call .*cpu cpu.json"):
        filled(tmp_path, (FP32, PHYSICS), name="cpu")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot write"):
        filled(tmp_path / "file", (FP32, PHYSICS))


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field and every element."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for step, inner in pairs:
        yield (*path, step)
        if isinstance(inner, dict | list):
            yield from leaves(inner, (*path, step))


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    return filled(tmp_path_factory.mktemp("card"), (FP32, PHYSICS), (INT8, faked()))


@pytest.fixture(scope="module")
def places(sample) -> list[tuple[Any, ...]]:
    """Of all fields; of the many numbers of the state only some."""
    found = list(leaves(json.loads(sample.read_text())))
    return [p for p in found if "known" not in p or p[-1] == 3]


def readable_or_refused(path: Path) -> None:
    said = ""
    try:
        read_all(path)
    except BadInputError as error:
        said = str(error)
    assert "\n" not in said


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_no_json_gives_a_traceback(sample, places, data) -> None:
    tree = json.loads(sample.read_text())
    for *steps, last in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=2)):
        inner = tree
        try:
            for step in steps:
                inner = inner[step]
            kind = data.draw(st.sampled_from(["set", "set", "set", "delete", "add"]))
            if kind == "set":
                inner[last] = data.draw(VALUES)
            elif kind == "delete":
                del inner[last]
            elif isinstance(inner, dict):
                inner[data.draw(st.text(max_size=5))] = data.draw(VALUES)
        except (KeyError, IndexError, TypeError):
            continue
    broken = sample.with_name("broken.json")
    broken.write_text(json.dumps(tree), encoding="utf-8", errors="replace")

    readable_or_refused(broken)


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_no_bytes_give_a_traceback(sample, data) -> None:
    content = bytearray(sample.read_bytes())
    start = data.draw(st.integers(0, len(content)))
    length = data.draw(st.integers(0, 40))
    content[start : start + length] = data.draw(st.binary(max_size=40))
    broken = sample.with_name("broken.json")
    broken.write_bytes(content)

    readable_or_refused(broken)


def test_another_writer_at_work_is_waited_for_and_then_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("predictors.card_writer.WAIT_S", 0.01)
    with (
        FileLock(tmp_path / ".cpu.json.lock"),
        pytest.raises(BadInputError, match="another command is writing"),
    ):
        filled(tmp_path, (FP32, PHYSICS))

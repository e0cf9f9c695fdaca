"""The spaces that ship are those of the papers; files of one's own are checked field by field."""

import subprocess
import sys

import numpy as np
import pytest

from nas.space import ALIASES, SearchSpace, builtin_spaces, load_space
from results.architecture import Architecture
from results.errors import BadInputError

COUNTS = {  # by hand from the ranges, e.g. 8 depths x 41 widths x 50 qkv x 93 ffn
    "autotinybert": 8 * 41 * 50 * 93,
    "autotinybert-fine": 8 * 161 * 50 * 737,
    "autotinybert-free": 8 * 41 * 93 * 373,  # pairs of heads and qkv
    "autotinybert-mlm": 8 * 41 * 12 * 93,
    "bigger-faster": 5 * 33 * 29,
    "minilm": 6 * 10 * 6 * 15,
    "minilm-layers": 10 * sum((6 * 15) ** depth for depth in range(1, 7)),
}
PUBLISHED = {"autotinybert": 1_525_200, "autotinybert-mlm": 366_048, "bigger-faster": 4_785}
PUBLISHED |= {"autotinybert-fine": 47_462_800}

# The models the authors of AutoTinyBERT released: depth, hidden, heads, qkv, ffn.
FROM_MLM = [(5, 564, 8, 512, 1054), (4, 396, 6, 384, 624), (4, 432, 4, 256, 384)]
FROM_MLM += [(3, 320, 4, 256, 608)]
FROM_KD = [(5, 564, 12, 528, 1024), (5, 324, 12, 324, 600), (5, 280, 12, 276, 512)]
FROM_KD += [(4, 256, 12, 192, 480)]

OWN = """\
name: mine
description: for a test
depth: [1, 2, 4]
hidden: {from: 8, to: 16, step: 4}
heads: [1, 2]
qkv: [6, 8]
ffn: {from: 3, to: 5}
per_layer: true
vocab: 100
positions: 64
types: 1
"""


def refusal(tmp_path, text: str) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError) as caught:
        load_space(str(path))
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}")


@pytest.fixture(params=builtin_spaces())
def space(request) -> SearchSpace:
    return load_space(request.param)


def test_the_spaces_that_ship_are_these() -> None:
    assert tuple(COUNTS) == builtin_spaces()
    assert set(ALIASES.values()) <= set(COUNTS)


def test_a_space_has_the_name_it_is_loaded_by_and_the_count_of_its_ranges(space) -> None:
    assert space == load_space(space.name)
    assert COUNTS[space.name] == space.count
    assert PUBLISHED.get(space.name, space.count) == space.count
    assert space.description


def test_a_space_is_walked_without_leaving_it(space) -> None:
    chance = np.random.default_rng(2)
    starts = space.sample_unique(chance, 12)
    mutants = [space.mutate(a, chance) for a in starts]
    children = [space.cross(a, b, chance) for a, b in zip(starts, mutants, strict=True)]
    stepped = [b for a in starts[:3] for b in space.neighbours(a)]

    assert 12 == len(set(starts))
    assert all(a in space for a in [*starts, *mutants, *children, *stepped])
    assert all(a != b for a, b in zip(starts, mutants, strict=True))
    assert starts == tuple(map(space.repair, starts))
    assert space.smallest in space
    assert space.largest in space
    assert next(iter(space)) == space.at(0)


@pytest.mark.parametrize("sizes", FROM_MLM + FROM_KD)
def test_any_released_model_can_be_repaired_into_any_space(space, sizes) -> None:
    mended = space.repair(Architecture.uniform(*sizes))

    assert mended in space
    assert mended == space.repair(mended)


@pytest.mark.parametrize("sizes", FROM_KD)
def test_models_released_from_the_kd_supernet_are_on_its_training_grid(sizes) -> None:
    assert Architecture.uniform(*sizes) in load_space("autotinybert-fine")


@pytest.mark.parametrize("sizes", [FROM_MLM[0], FROM_KD[0]])
def test_the_largest_released_models_lie_between_the_points_of_the_search_grid(sizes) -> None:
    names = ("autotinybert", "autotinybert-mlm", "autotinybert-free")

    assert not any(Architecture.uniform(*sizes) in load_space(name) for name in names)


def test_a_released_model_is_repaired_size_by_size() -> None:
    s1 = Architecture.uniform(*FROM_MLM[0])

    assert "h560 5x(a12 q516 f1056)" == str(load_space("autotinybert").repair(s1))
    assert "h560 5x(a8 q512 f1056)" == str(load_space("autotinybert-mlm").repair(s1))
    assert "h560 5x(a8 q504 f1056)" == str(load_space("autotinybert-free").repair(s1))
    assert "h528 5x(a12 q528 f1024)" == str(load_space("bigger-faster").repair(s1))


def test_where_heads_are_free_they_are_counted_by_what_they_divide() -> None:
    pairs = sum(q % a == 0 for q in range(180, 769, 12) for a in range(1, 13))

    assert 373 == pairs


@pytest.mark.parametrize("name", ["minilm", "minilm-layers"])
def test_the_largest_sub_model_of_minilm_is_minilm(name: str) -> None:
    largest = load_space(name).largest

    assert Architecture.uniform(6, 384, 12, 384, 1536) == largest
    assert 22_713_216 == largest.parameters  # as counted in all-MiniLM-L6-v2


def test_every_size_is_shown_to_people() -> None:
    expected = {
        "depth": "1..8",
        "hidden": "128..768 step 16",
        "heads": "1..12",
        "qkv": "64 per head",
        "ffn": "128..3072 step 32",
    }

    assert expected == load_space("autotinybert-mlm").grid
    assert "as hidden" == load_space("bigger-faster").grid["qkv"]
    assert "12" == load_space("autotinybert").grid["heads"]


def test_other_names_lead_to_the_same_space() -> None:
    assert load_space("bigger-faster") == load_space("speedlimit")
    assert load_space("autotinybert") == load_space("autotinybert-kd")


@pytest.mark.parametrize("name", ["nosuch", "", "tests", "../minilm", "a\0b", "MiniLM"])
def test_an_unknown_name_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(BadInputError) as caught:
        load_space(name)

    assert "name one of autotinybert, autotinybert-fine, " in str(caught.value)


# Files of one's own


def test_a_file_of_one_s_own_is_loaded(tmp_path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    expected = SearchSpace(
        name="mine",
        description="for a test",
        depth=(1, 2, 4),
        hidden=(8, 12, 16),
        heads=(1, 2),
        qkv=(6, 8),
        ffn=(3, 4, 5),
        per_layer=True,
        vocab=100,
        positions=64,
        types=1,
    )

    assert expected == load_space(str(path))


def test_a_file_needs_no_ending_to_be_loaded(tmp_path) -> None:
    (tmp_path / "own").write_text(OWN)

    assert "mine" == load_space(str(tmp_path / "own")).name


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(BadInputError, match=r"gone\.yaml: there is no such file"):
        load_space(str(tmp_path / "gone.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[1, 2, 4]", "3", ": depth must be a list such as [1, 2, 4] or a range such as"),
        ("[1, 2, 4]", "[]", ": depth: the sizes must have from 1 to 1024 values, not 0"),
        ("[1, 2, 4]", "[2, 1]", ": depth: the sizes must be in ascending order, each value once"),
        ("[1, 2, 4]", "[1, 1]", ": depth: the sizes must be in ascending order, each value once"),
        ("[1, 2, 4]", "[0, 1]", ": depth: the sizes must be whole numbers from 1 to 1048576"),
        ("[1, 2, 4]", "[1, 200]", ": depth must be whole numbers from 1 to 128, not 200"),
        ("[1, 2, 4]", "[1, 2.5]", ": depth.1: input should be a valid integer, not 2.5"),
        ("[1, 2, 4]", "[true]", ": depth.0: input should be a valid integer, not True"),
        ("[1, 2, 4]", "['1']", ": depth.0: input should be a valid integer, not '1'"),
        ("step: 4", "step: 3", ": hidden: steps of 3 from 8 pass over 16; end at 14"),
        ("step: 4", "step: 0", ": hidden: a range goes up, which from 8 to 16 step 0 does not"),
        ("to: 16", "to: 4", ": hidden: a range goes up, which from 8 to 4 step 4 does not"),
        ("to: 16", "till: 16", ": hidden.to is missing; hidden.till is not a known field"),
        ("to: 5", "to: 9999999999", ": ffn: a range may hold at most 1024 sizes"),
        ("[6, 8]", "heads", ": qkv: input should be 'hidden', not 'heads'"),
        ("[6, 8]", "{per_head: 0}", ": qkv.per_head: input should be greater than or equal to 1"),
        ("[6, 8]", "{per_head: 4, to: 3}", ": qkv.to is not a known field"),
        ("[6, 8]", "[]", ": qkv: the sizes must have from 1 to 1024 values, not 0"),
        ("vocab: 100", "vocab: 0", ": vocab: input should be greater than or equal to 1, not 0"),
        ("true", "1", ": per_layer: input should be a valid boolean, not 1"),
        ("mine", "a b", ": name must be of letters, digits, '.', '_' and '-', not 'a b'"),
        ("types", "colour", ": colour is not a known field"),
        ("heads: [1, 2]\n", "", ": heads is missing"),
        ("[1, 2]", "[5]", ": no qkv can be divided by any of the heads, so the space is empty"),
        ("types: 1", "types: 1\nname: x", ", line 12: the key 'name' was already given on line 1"),
        ("types: 1", "types: [1", ", line 12: "),
    ],
)
def test_what_is_wrong_with_a_file_is_named_by_field(tmp_path, old, new, message) -> None:
    assert refusal(tmp_path, OWN.replace(old, new, 1)).startswith(message)


def test_all_wrong_fields_are_named_at_once(tmp_path) -> None:
    text = OWN.replace("[1, 2, 4]", "[]").replace("step: 4", "step: 3").replace("vocab", "words")

    message = refusal(tmp_path, text)

    assert all(
        word in message for word in ("depth: ", "; hidden: ", "; words is not a known field")
    )


@pytest.mark.parametrize("text", ["[1, 2]", "just words", "3"])
def test_a_file_without_fields_is_refused(tmp_path, text: str) -> None:
    assert " must hold fields such as name, depth and hidden" == refusal(tmp_path, text)


def test_a_space_loads_neither_torch_nor_pydantic_until_it_needs_them() -> None:
    check = "import sys, nas.space; sys.exit(bool({'torch', 'pydantic', 'yaml'} & {*sys.modules}))"

    done = subprocess.run([sys.executable, "-c", check], check=False)

    assert 0 == done.returncode

"""The part of each tensor that a sub-model reads, against a description entry by entry."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.elastic import Cut, Part, Rule
from results.architecture import Architecture, Layer
from results.errors import BadInputError

SMALL = {"vocab": 7, "positions": 5}
SUPERNET = Architecture(8, (Layer(3, 12, 9), Layer(2, 10, 6), Layer(4, 8, 7)), **SMALL)
ENCODER = "encoder.layer.{}."
KINDS = {
    "attention.self.query": ("qkv", "hidden"),
    "attention.self.key": ("qkv", "hidden"),
    "attention.self.value": ("qkv", "hidden"),
    "attention.output.dense": ("hidden", "qkv"),
    "attention.output.LayerNorm": ("hidden", None),
    "intermediate.dense": ("ffn", "hidden"),
    "output.dense": ("hidden", "ffn"),
    "output.LayerNorm": ("hidden", None),
}
OUTSIDE = {
    "embeddings.word_embeddings.weight": (7, 8),
    "embeddings.position_embeddings.weight": (5, 8),
    "embeddings.token_type_embeddings.weight": (2, 8),
    "embeddings.LayerNorm.weight": (8,),
    "embeddings.LayerNorm.bias": (8,),
    "pooler.dense.weight": (8, 8),
    "pooler.dense.bias": (8,),
    "classifier.weight": (3, 8),
    "classifier.bias": (3,),
    "qa_outputs.weight": (2, 8),
    "qa_outputs.bias": (2,),
    "fit_dense.weight": (11, 8),
    "fit_dense.bias": (11,),
    "cls.predictions.bias": (7,),
    "cls.predictions.transform.dense.weight": (8, 8),
    "cls.predictions.transform.dense.bias": (8,),
    "cls.predictions.transform.LayerNorm.weight": (8,),
}


def inside(
    supernet: Architecture = SUPERNET, heads: str = "per-head"
) -> st.SearchStrategy[Architecture]:
    """Sub-models of the first layers; with `prefix`, head counts of any kind."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Architecture:
        layers = []
        for x in supernet.layers[: draw(st.integers(1, supernet.depth))]:
            if heads == "per-head":
                n, width = draw(st.integers(1, x.heads)), draw(st.integers(1, x.head_width))
            else:
                qkv = draw(st.integers(1, x.qkv))
                n = draw(st.sampled_from([d for d in range(1, qkv + 1) if qkv % d == 0]))
                width = qkv // n
            layers.append(Layer(n, n * width, draw(st.integers(1, x.ffn))))
        return Architecture(draw(st.integers(1, supernet.hidden)), tuple(layers), **SMALL)

    return drawn()


@given(*[st.integers(1, 6)] * 2, st.data())
def test_a_part_is_the_first_entries_of_each_of_the_first_groups(
    groups: int, width: int, data: st.DataObject
) -> None:
    kept, keep = data.draw(st.integers(1, groups)), data.draw(st.integers(1, width))
    part = Part(groups, width, kept, keep)

    expected = [at for at in range(groups * width) if at // width < kept and at % width < keep]

    assert expected == part.positions().tolist()
    assert (len(expected), groups * width) == (part.size, part.whole)
    assert part.simple() == (expected == list(range(len(expected))))


@given(st.integers(1, 9), st.data())
def test_the_first_entries_of_an_axis_are_a_part(of: int, data: st.DataObject) -> None:
    keep = data.draw(st.integers(1, of))

    assert list(range(keep)) == Part.first(keep, of).positions().tolist()
    assert of == Part.first(keep, of).whole


@pytest.mark.parametrize("of", range(1, 25))
def test_spread_layers_are_even_with_the_first_and_the_last_among_them(of: int) -> None:
    for depth in range(1, of + 1):
        layers = Rule(depth="spread").layers(depth, of)

        assert depth == len(layers)
        assert sorted(set(layers)) == list(layers)
        assert of - 1 == layers[-1]
        assert layers[0] == 0 or depth == 1
        gaps = {after - before for before, after in pairwise(layers)}
        assert not gaps or max(gaps) - min(gaps) <= 1


def test_the_spread_of_few_layers_is_this() -> None:
    spread = Rule(depth="spread")

    assert (5,) == spread.layers(1, 6)
    assert (0, 5) == spread.layers(2, 6)
    assert (0, 2, 5) == spread.layers(3, 6)
    assert (0, 2, 3, 5) == spread.layers(4, 6)
    assert (0, 1, 2, 3, 4, 5) == spread.layers(6, 6)


@given(st.integers(1, 12), st.data())
def test_first_layers_are_the_first_and_kept_layers_are_those_that_were_named(
    of: int, data: st.DataObject
) -> None:
    depth = data.draw(st.integers(1, of))
    named = tuple(sorted(data.draw(st.permutations(range(of)))[:depth]))

    assert tuple(range(depth)) == Rule().layers(depth, of)
    for way in ("first", "spread"):
        rule = Rule(depth=way, kept={depth: named})
        assert named == rule.layers(depth, of)
        other = depth % of + 1
        if other != depth:
            assert Rule(depth=way).layers(other, of) == rule.layers(other, of)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"heads": "any"}, "heads must be one of prefix, per-head, not 'any'"),
        ({"depth": "last"}, "depth must be one of first, spread, not 'last'"),
        ({"kept": {2: (1, 1)}}, "2 layers cannot be [1, 1]"),
        ({"kept": {2: (1, 0)}}, "2 layers cannot be [1, 0]"),
        ({"kept": {2: (0, 1, 2)}}, "2 layers cannot be [0, 1, 2]"),
        ({"kept": {1: (-1,)}}, "1 layers cannot be [-1]"),
        ({"kept": {0: ()}}, "0 layers cannot be []"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, object], said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        Rule(**rule)  # type: ignore[arg-type]

    assert str(caught.value).startswith(said)


def kept_rows(
    units: str | None, size: int, layer: int, sub: Architecture, heads: str
) -> list[int]:
    """Which entries of an axis stay, one by one; shares nothing with the code it judges."""
    if units is None:
        return list(range(size))
    if units == "hidden":
        return [i for i in range(size) if i < sub.hidden]
    mine, whole = sub.layers[layer], SUPERNET.layers[layer]
    if units == "ffn":
        return [i for i in range(size) if i < mine.ffn]
    if heads == "prefix":
        return [i for i in range(size) if i < mine.qkv]
    width, keep = whole.qkv // whole.heads, mine.qkv // mine.heads
    return [i for i in range(size) if i // width < mine.heads and i % width < keep]


@pytest.mark.parametrize("heads", ["per-head", "prefix"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_tensor_of_a_layer_keeps_the_entries_that_its_sizes_say(
    heads: str, data: st.DataObject
) -> None:
    sub = data.draw(inside(heads=heads))
    cut = Cut(SUPERNET, sub, Rule(heads))
    for layer, mine in enumerate(SUPERNET.layers[: sub.depth]):
        sizes = {"hidden": SUPERNET.hidden, "qkv": mine.qkv, "ffn": mine.ffn}
        for kind, (rows, columns) in KINDS.items():
            name = ENCODER.format(layer) + kind
            weight = rng_array(tuple(sizes[x] for x in (rows, columns) if x))
            keep = [kept_rows(x, sizes[x], layer, sub, heads) for x in (rows, columns) if x]

            assert np.array_equal(entries(weight, keep), cut.take(name + ".weight", weight))
            bias = rng_array((sizes[rows],))
            assert np.array_equal(entries(bias, keep[:1]), cut.take(name + ".bias", bias))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_tables_pooler_and_heads_keep_the_first_columns_and_all_their_words(
    data: st.DataObject,
) -> None:
    sub = data.draw(inside())
    cut = Cut(SUPERNET, sub, Rule())
    for name, shape in OUTSIDE.items():
        array = rng_array(shape)
        keep = [
            [i for i in range(size) if size != SUPERNET.hidden or i < sub.hidden] for size in shape
        ]

        for prefix in ("", "bert.") if name.startswith(("emb", "pool")) else ("",):
            assert np.array_equal(entries(array, keep), cut.take(prefix + name, array)), name


def rng_array(shape: tuple[int, ...]) -> np.ndarray:
    """No two entries alike."""
    return np.random.default_rng(1).permutation(int(np.prod(shape))).reshape(shape) * np.float32(1)


def entries(array: np.ndarray, keep: list[list[int]]) -> np.ndarray:
    if array.ndim == 1:
        return np.array([array[i] for i in keep[0]])
    return np.array([[array[i, j] for j in keep[1]] for i in keep[0]])


def test_what_is_taken_has_memory_of_its_own() -> None:
    cut = Cut(SUPERNET, SUPERNET, Rule())
    array = rng_array((8,))

    taken = cut.take("embeddings.LayerNorm.bias", array)

    assert np.array_equal(array, taken)
    assert not np.shares_memory(array, taken)


def test_a_layer_is_read_from_the_supernet_s_layer_that_is_kept() -> None:
    sub = Architecture(8, SUPERNET.layers[:2], **SMALL)
    deep = Architecture(8, (SUPERNET.layers[0],) * 12, **SMALL)
    two = Architecture(8, (SUPERNET.layers[0],) * 2, **SMALL)
    cut = Cut(deep, two, Rule(kept={2: (1, 11)}))

    assert (0, 1) == Cut(SUPERNET, sub, Rule()).layers
    for prefix in ("", "bert."):
        name = prefix + "encoder.layer.{}.output.dense.bias"
        assert name.format(11) == cut.source(name.format(1))
        assert name.format(1) == cut.source(name.format(0))
    assert "pooler.dense.bias" == cut.source("pooler.dense.bias")
    eleven = replace(deep, layers=deep.layers[:11])
    kept = Cut(deep, eleven, Rule(kept={11: tuple(range(1, 12))}))
    assert "encoder.layer.11.output.dense.bias" == kept.source(
        "encoder.layer.10.output.dense.bias"
    )


def test_the_sizes_of_a_kept_layer_are_those_of_its_source() -> None:
    sub = Architecture(4, (Layer(4, 8, 7),), **SMALL)
    cut = Cut(SUPERNET, sub, Rule(kept={1: (2,)}))
    weight = rng_array((8, 7))

    taken = cut.take("encoder.layer.0.output.dense.weight", weight)

    assert np.array_equal(weight[:4], taken)
    with pytest.raises(BadInputError, match=r"4 heads of width 2 are not in layer 0 .* has 3 of"):
        Cut(SUPERNET, sub, Rule())


@pytest.mark.parametrize(
    ("change", "rule", "said"),
    [
        ({"vocab": 8}, {}, "vocab is 8, the supernet's 7"),
        ({"positions": 4}, {}, "positions is 4, the supernet's 5"),
        ({"types": 1}, {}, "types is 1, the supernet's 2"),
        ({"hidden": 9}, {}, "hidden 9 is larger than the supernet's, 8"),
        ({"layers": SUPERNET.layers * 2}, {}, "depth 6 is larger than the supernet's, 3"),
        ({"layers": (Layer(3, 12, 10),)}, {}, "ffn 10 is larger than layer 0 of the supernet has"),
        (
            {"layers": (Layer(3, 12, 9), Layer(2, 10, 7))},
            {},
            "ffn 7 is larger than layer 1 of the supernet has, 6",
        ),
        ({"layers": (Layer(4, 4, 1),)}, {}, "4 heads of width 1 are not in layer 0"),
        ({"layers": (Layer(1, 5, 1),)}, {}, "1 heads of width 5 are not in layer 0"),
        (
            {"layers": (Layer(1, 13, 1),)},
            {"heads": "prefix"},
            "qkv 13 is larger than layer 0 of the supernet has, 12",
        ),
        (
            {"layers": (Layer(3, 12, 9), Layer(1, 11, 6))},
            {"heads": "prefix"},
            "qkv 11 is larger than layer 1 of the supernet has, 10",
        ),
        (
            {"layers": (Layer(1, 1, 1),)},
            {"kept": {1: (3,)}},
            "a sub-model of 1 layers is said to keep layer 3, but the supernet has 3",
        ),
    ],
)
def test_what_is_not_inside_the_supernet_is_refused_by_the_size(
    change: dict[str, object], rule: dict[str, object], said: str
) -> None:
    sizes = {"hidden": 8, "layers": SUPERNET.layers, **SMALL} | change
    sub = Architecture(**sizes)  # type: ignore[arg-type]

    with pytest.raises(BadInputError) as caught:
        Cut(SUPERNET, sub, Rule(**rule))  # type: ignore[arg-type]

    assert str(caught.value).startswith(said)


def test_the_largest_member_of_its_space_is_inside_by_both_rules() -> None:
    for heads in ("prefix", "per-head"):
        assert (0, 1, 2) == Cut(SUPERNET, SUPERNET, Rule(heads, "spread")).layers  # type: ignore[arg-type]

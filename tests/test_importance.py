"""An ordered network computes what it did, and its first entries are those worth keeping."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from nas.elastic import Rule
from nas.importance import Importance, by_magnitude, importance, reorder
from nas.network import Head, Network
from nas.supernet import Supernet
from results.architecture import Architecture, Layer
from results.errors import BadInputError

SMALL = {"vocab": 30, "positions": 12}
HEADS = [
    None, Head("classes", 3), Head("score", 1), Head("span", 2), Head("mlm", 30), Head("fit", 9),
]  # fmt: skip
LAYERS = st.builds(
    lambda heads, width, ffn: Layer(heads, heads * width, ffn),
    *[st.integers(1, 4)] * 2,
    st.integers(1, 9),
)
ARCHITECTURES = st.builds(
    lambda hidden, layers: Architecture(hidden, tuple(layers), **SMALL),
    st.integers(2, 12),
    st.lists(LAYERS, min_size=1, max_size=3),
)
UNEVEN = Architecture(10, (Layer(3, 12, 7), Layer(2, 10, 12)), **SMALL)


def lively(a: Architecture, head: Head | None, seed: int = 0) -> Network:
    """No two weights are alike, LayerNorm's and the biases included."""
    network, generator = Network(a, head), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.normal_(1.0 if "norm.weight" in name else 0.0, 0.4, generator=generator)
    return network.double().eval()


def feed(seed: int = 0, examples: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask and types; some examples are padded."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 30, (examples, 6), generator=generator)
    lengths = torch.randint(1, 7, (examples, 1), generator=generator)
    types = torch.randint(0, 2, (examples, 6), generator=generator)
    return ids, (torch.arange(6) < lengths).long(), types


def shuffled(a: Architecture, head: Head | None, seed: int) -> Importance:
    """Every unit as important as chance has it."""
    rng = np.random.default_rng(seed)
    columns = [(x.heads, x.head_width) for x in a.layers]
    return Importance(
        hidden=rng.random(a.hidden),
        pooled=rng.random(a.hidden) if head is not None and head.pooled else None,
        heads=[rng.random(heads) for heads, _ in columns],
        qk=[rng.random(shape) for shape in columns],
        v=[rng.random(shape) for shape in columns],
        ffn=[rng.random(x.ffn) for x in a.layers],
    )


def alike(importance: Importance, value: float = 0.0) -> Importance:
    """With every number the same."""
    return Importance(
        hidden=np.full_like(importance.hidden, value),
        pooled=None if importance.pooled is None else np.full_like(importance.pooled, value),
        heads=[np.full_like(x, value) for x in importance.heads],
        qk=[np.full_like(x, value) for x in importance.qk],
        v=[np.full_like(x, value) for x in importance.v],
        ffn=[np.full_like(x, value) for x in importance.ffn],
    )


def squares(answer: Tensor, _targets: Tensor) -> Tensor:
    return answer.square().mean()


def data(n: int = 3) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    for seed in range(n):
        yield *feed(seed), torch.tensor([0, 2, 1])


@settings(deadline=None, max_examples=30)
@given(ARCHITECTURES, st.sampled_from(HEADS), st.integers(0, 99))
def test_an_ordered_network_answers_as_before(
    a: Architecture, head: Head | None, seed: int
) -> None:
    network = lively(a, head)
    before = network(*feed())
    wanted = shuffled(a, head, seed)

    reorder(network, wanted)

    answer = network(*feed())
    if head is None:  # the answer is the hidden states, which are ordered themselves
        before = before[..., np.argsort(-wanted.hidden, kind="stable").copy()]
    assert_close(answer, before, atol=1e-9, rtol=0)


@pytest.mark.parametrize("head", HEADS[1:], ids=str)
@torch.no_grad()
def test_in_float32_it_answers_as_before_to_five_digits(head: Head) -> None:
    network = lively(UNEVEN, head).float()
    before = network(*feed())

    reorder(network, shuffled(UNEVEN, head, 4))

    assert not torch.equal(network(*feed()), before)
    assert_close(network(*feed()), before, atol=1e-5, rtol=1e-5)


AXES = {
    "word_embeddings.weight": (None, "hidden"),
    "position_embeddings.weight": (None, "hidden"),
    "token_type_embeddings.weight": (None, "hidden"),
    "self.query": ("qk", "hidden"),
    "self.key": ("qk", "hidden"),
    "self.value": ("v", "hidden"),
    "attention.output.dense": ("hidden", "v"),
    "intermediate.dense": ("ffn", "hidden"),
    "output.dense": ("hidden", "ffn"),
    "LayerNorm": ("hidden", None),
    "pooler.dense": ("pooled", "hidden"),
    "transform.dense": ("hidden", "hidden"),
    "qa_outputs": (None, "hidden"),
    "fit_dense": (None, "hidden"),
    "classifier": (None, "pooled"),
}
"""What stands along rows and columns, by the end of a name in Hugging Face's words."""


def without_the_least(
    network: Network, found: Importance, sub: Architecture
) -> dict[str, np.ndarray]:
    """The tensors without the least important units; written with nothing but `np.delete`."""
    left = {name: value.astype(np.float32) for name, value in network.weights().items()}
    for name, value in left.items():
        match = next((AXES[end] for end in AXES if end in name), (None, None))
        layer = int(name.split("layer.")[1].split(".")[0]) if "encoder.layer." in name else 0
        gone = {
            "hidden": np.argsort(found.hidden)[: -sub.hidden],
            "ffn": np.argsort(found.ffn[layer])[: -sub.layers[layer].ffn],
        }
        if found.pooled is not None:
            gone["pooled"] = np.argsort(found.pooled)[: -sub.hidden]
        there, keep = found.qk[layer].shape[1], sub.layers[layer]
        dropped = np.argsort(found.heads[layer])[: -keep.heads].tolist()
        for units, columns in (("qk", found.qk[layer]), ("v", found.v[layer])):
            gone[units] = np.array(
                [
                    head * there + column
                    for head in range(len(columns))
                    for rank, column in enumerate(np.argsort(columns[head]).tolist())
                    if head in dropped or rank < there - keep.head_width
                ],
                int,
            )
        for axis, units in enumerate(match[: value.ndim]):
            if units is not None and not (name.endswith("classifier.bias")):
                left[name] = np.delete(left[name], gone[units], axis)
    return left


@settings(deadline=None, max_examples=30)
@given(ARCHITECTURES, st.sampled_from(HEADS[1:]), st.integers(0, 99), st.data())
def test_a_slice_of_it_is_the_network_without_its_least_important_units(
    a: Architecture, head: Head, seed: int, draw: st.DataObject
) -> None:
    sub = Architecture(
        draw.draw(st.integers(1, a.hidden)),
        tuple(
            Layer(n, n * draw.draw(st.integers(1, x.head_width)), draw.draw(st.integers(1, x.ffn)))
            for x in a.layers
            for n in [draw.draw(st.integers(1, x.heads))]
        ),
        **SMALL,
    )
    network = lively(a, head).float()
    found = shuffled(a, head, seed)
    expected = Network(sub, head, without_the_least(network, found, sub)).double().eval()

    reorder(network, found)

    made = Supernet(network.double(), Rule()).at(sub)
    assert_close(made(*feed()), expected(*feed()), atol=1e-9, rtol=0)


@pytest.mark.parametrize("a", [UNEVEN, Architecture(60, (Layer(2, 80, 90),), **SMALL)], ids=str)
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_what_is_equally_important_stays_where_it_is(head: Head | None, a: Architecture) -> None:
    network = lively(a, head)
    before = {name: value.copy() for name, value in network.weights().items()}

    reorder(network, alike(shuffled(a, head, 0), 3.0))

    for name, value in network.weights().items():
        assert np.array_equal(before[name], value), name


def test_among_equals_the_order_stays() -> None:
    network = lively(Architecture(60, (Layer(2, 80, 90),), **SMALL), None)
    before = network.encoder.blocks[0].ffn.up.bias.detach().clone()
    found = alike(shuffled(network.architecture, None, 0))
    found.ffn[0][:] = np.arange(90) % 2

    reorder(network, found)

    expected = torch.cat([before[1::2], before[::2]])
    assert torch.equal(expected, network.encoder.blocks[0].ffn.up.bias)


@torch.no_grad()
def silence(network: Network, kept: dict[str, list[int]]) -> None:
    """Leave only some units of the first layer and of the pooler any effect."""
    block, head = network.encoder.blocks[0], network.head
    for weight, units in (
        (block.ffn.down.weight, "ffn"),
        (block.attention.out.weight, "v"),
        (head.out.weight, "pooled"),
    ):
        keep = torch.zeros(weight.shape[1])
        keep[kept[units]] = 1
        weight.mul_(keep)
    keep = torch.zeros(len(block.attention.query.weight))
    keep[kept["qk"]] = 1
    for part in (block.attention.query, block.attention.key):
        part.weight.mul_(keep[:, None])
        part.bias.mul_(keep)


@pytest.mark.parametrize("way", ["data", "magnitude"])
def test_units_that_matter_come_before_those_that_do_not(way: str) -> None:
    network = lively(UNEVEN, Head("classes", 3))
    silence(network, {"ffn": [2, 5], "v": [7, 9, 10], "qk": [1, 6, 11], "pooled": [8]})

    found = (
        importance(network, data(), F.cross_entropy) if way == "data" else by_magnitude(network)
    )

    assert [2, 5] == np.flatnonzero(found.ffn[0]).tolist()
    assert [7, 9, 10] == np.flatnonzero(found.v[0]).tolist()
    assert [1, 2] == np.flatnonzero(found.heads[0]).tolist()
    assert found.pooled is not None
    assert [8] == np.flatnonzero(found.pooled).tolist()
    # Column 1 stands in head 0, whose values are not read: its attention decides nothing.
    assert ([6, 11] if way == "data" else [1, 6, 11]) == np.flatnonzero(found.qk[0]).tolist()


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_magnitude_is_the_product_of_norms_and_for_hidden_the_sum_of_shares(
    head: Head | None,
) -> None:
    network = lively(UNEVEN, head)
    squares: dict[str, list[np.ndarray]] = {}
    for name, weight in network.weights().items():
        match = next((AXES[end] for end in AXES if end in name), (None, None))
        layer = name.split("layer.")[1].split(".")[0] if "encoder.layer." in name else ""
        for axis, units in enumerate(match):
            if units is not None and weight.ndim == 2:
                key = units if units in ("hidden", "pooled") else units + layer
                squares.setdefault(key, []).append((weight**2).sum(axis=1 - axis))

    found = by_magnitude(network)

    shares = sum(x / x.sum() for x in squares.pop("hidden"))
    np.testing.assert_allclose(found.hidden, shares, rtol=1e-9)
    expected = {key: np.sqrt(np.prod(x, axis=0)) for key, x in squares.items()}
    for i, x in enumerate(UNEVEN.layers):
        np.testing.assert_allclose(found.ffn[i], expected[f"ffn{i}"], rtol=1e-9)
        np.testing.assert_allclose(found.qk[i].ravel(), expected[f"qk{i}"], rtol=1e-9)
        np.testing.assert_allclose(found.v[i].ravel(), expected[f"v{i}"], rtol=1e-9)
        columns = expected[f"v{i}"].reshape(x.heads, x.head_width)
        np.testing.assert_allclose(found.heads[i], np.sqrt((columns**2).sum(1)), rtol=1e-9)
    assert (found.pooled is None) == ("pooled" not in expected)
    if found.pooled is not None:
        np.testing.assert_allclose(found.pooled, expected["pooled"], rtol=1e-9)


def test_a_table_of_zeros_has_no_share() -> None:
    network = lively(UNEVEN, None)
    with torch.no_grad():
        network.encoder.embeddings.types.weight.zero_()

    assert np.isfinite(by_magnitude(network).hidden).all()


@pytest.mark.parametrize("head", [Head("span", 2), Head("mlm", 30), None], ids=str)
@pytest.mark.parametrize("way", ["data", "magnitude"])
def test_hidden_dimensions_that_carry_nothing_come_last(head: Head | None, way: str) -> None:
    a, dumb = Architecture(11, (Layer(3, 6, 7),) * 2, **SMALL), [0, 3, 9]
    network = lively(a, head)
    with torch.no_grad():
        for value in network.parameters():
            for axis, size in enumerate(value.shape):
                if size == a.hidden:
                    value.movedim(axis, 0)[dumb] = 0

    found = importance(network, data(), squares) if way == "data" else by_magnitude(network)

    assert set(dumb) == set(np.argsort(found.hidden)[:3].tolist())


def test_importance_is_the_loss_s_slope_in_a_gate_behind_the_unit() -> None:
    network, (ids, mask, types, targets) = lively(UNEVEN, HEADS[1]), next(data())

    found = importance(network, [(ids, mask, types, targets)], F.cross_entropy)

    down, step, expected = network.encoder.blocks[1].ffn.down.weight, 1e-6, np.zeros(12)
    for example in range(3):
        for unit in range(12):
            losses = []
            for gate in (1 + step, 1 - step):
                with torch.no_grad():
                    down[:, unit] *= gate
                    answers = network(ids, mask, types)[example]
                    losses.append(float(F.cross_entropy(answers, targets[example])) / 3)
                    down[:, unit] /= gate
            expected[unit] += abs(losses[0] - losses[1]) / (2 * step)
    np.testing.assert_allclose(found.ffn[1], expected, rtol=1e-5, atol=1e-9)


def test_a_head_s_gate_is_the_gate_of_its_columns_together() -> None:
    network, (ids, mask, types, targets) = lively(UNEVEN, HEADS[1]), next(data())

    found = importance(network, [(ids[:1], mask[:1], types[:1], targets[:1])], F.cross_entropy)

    out, step = network.encoder.blocks[0].attention.out.weight, 1e-6
    for head in range(3):
        losses = []
        for gate in (1 + step, 1 - step):
            with torch.no_grad():
                out[:, 4 * head : 4 * head + 4] *= gate
                answers = network(ids[:1], mask[:1], types[:1])
                losses.append(float(F.cross_entropy(answers, targets[:1])))
                out[:, 4 * head : 4 * head + 4] /= gate
        slope = abs(losses[0] - losses[1]) / (2 * step)
        assert found.heads[0][head] == pytest.approx(slope, rel=1e-5)
        assert found.heads[0][head] <= found.v[0][head].sum() + 1e-12


def test_importance_adds_up_over_batches() -> None:
    network, batches = lively(UNEVEN, HEADS[1]), list(data())

    whole = importance(network, batches, F.cross_entropy)
    apart = [importance(network, [batch], F.cross_entropy) for batch in batches]

    np.testing.assert_allclose(whole.hidden, sum(one.hidden for one in apart))
    np.testing.assert_allclose(whole.pooled, sum(one.pooled for one in apart))
    for name in ("heads", "qk", "v", "ffn"):
        for layer, found in enumerate(getattr(whole, name)):
            expected = sum(getattr(one, name)[layer] for one in apart)
            np.testing.assert_allclose(found, expected, err_msg=name)


def test_measuring_leaves_the_network_as_it_was() -> None:
    network = lively(UNEVEN, HEADS[1]).train()
    before = {name: value.copy() for name, value in network.weights().items()}

    first = importance(network, data(), F.cross_entropy)
    again = importance(network, data(), F.cross_entropy)

    assert network.training
    assert all(value.grad is None for value in network.parameters())
    assert all(np.array_equal(before[name], x) for name, x in network.weights().items())
    assert np.array_equal(first.hidden, again.hidden)
    assert all(not part._forward_hooks for part in network.modules())  # noqa: SLF001
    assert all(not part._forward_pre_hooks for part in network.modules())  # noqa: SLF001


def test_a_frozen_network_is_measured_too_and_dropout_is_off() -> None:
    network = lively(UNEVEN, HEADS[1])
    expected = importance(network, data(), F.cross_entropy)
    network.dropout = network.encoder.dropout = 0.5

    found = importance(
        network.train().requires_grad_(requires_grad=False), data(), F.cross_entropy
    )

    for name in ("heads", "qk", "v", "ffn"):
        for one, other in zip(getattr(expected, name), getattr(found, name), strict=True):
            np.testing.assert_allclose(one, other)
    np.testing.assert_allclose(expected.hidden, found.hidden)


def test_no_data_and_a_loss_that_is_no_number_are_refused() -> None:
    network = lively(UNEVEN, HEADS[1])

    with pytest.raises(BadInputError, match="no batch: give at least one"):
        importance(network, [], F.cross_entropy)
    lost = importance(network, data(), lambda x, _: x.sum() * float("nan"))
    with pytest.raises(BadInputError, match="importance of hidden is not finite"):
        reorder(network, lost)
    one = shuffled(UNEVEN, HEADS[1], 0)
    one.ffn[1][3] = np.nan
    with pytest.raises(BadInputError, match="importance of ffn1 is not finite"):
        reorder(network, one)

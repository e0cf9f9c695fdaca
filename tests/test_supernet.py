"""A sub-model is the supernet's memory, read at a smaller size: answers, gradients, steps."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from nas import supernet as module
from nas.elastic import Cut, Rule
from nas.network import Head, Network
from nas.supernet import Supernet, backward
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from tests.test_importance import HEADS, SMALL, feed, lively

LARGE = Architecture(10, (Layer(3, 12, 7), Layer(2, 10, 12), Layer(3, 12, 5)), **SMALL)
SUBS = {
    "narrower heads": Architecture(7, (Layer(2, 6, 4), Layer(1, 3, 9)), **SMALL),
    "fewer heads": Architecture(10, (Layer(2, 8, 7), Layer(1, 5, 12), Layer(1, 4, 5)), **SMALL),
    "one of each": Architecture(1, (Layer(1, 1, 1),), **SMALL),
    "less deep": Architecture(10, LARGE.layers[:1], **SMALL),
}
SQUAT = SUBS["narrower heads"]


def inside() -> st.SearchStrategy[Architecture]:
    def narrowed(x: Layer) -> st.SearchStrategy[Layer]:
        sizes = st.integers(1, x.heads), st.integers(1, x.head_width), st.integers(1, x.ffn)
        return st.builds(lambda heads, width, ffn: Layer(heads, heads * width, ffn), *sizes)

    return st.integers(1, LARGE.depth).flatmap(
        lambda depth: st.builds(
            lambda hidden, layers: Architecture(hidden, layers, **SMALL),
            st.integers(1, LARGE.hidden),
            st.tuples(*map(narrowed, LARGE.layers[:depth])),
        )
    )


def own(network: Network, sub: Architecture, rule: Rule) -> Network:
    """The sub-model in memory of its own, by way of `Cut.take`."""
    cut, large = Cut(network.architecture, sub, rule), network.weights()
    made = Network(sub, network.head_kind)
    weights = {
        name: cut.take(name, large[cut.source(name)].astype(np.float32)) for name in made.weights()
    }
    return Network(sub, network.head_kind, weights).double().eval()


def answered(network: Network, seed: int = 0) -> Tensor:
    answer: Tensor = network(*feed(seed))
    return answer


def gradients(network: Network) -> dict[str, np.ndarray]:
    """By Hugging Face's names, in the shape of the weights; zeros where there is none."""
    made = Network(network.architecture, network.head_kind).double()
    return {
        made.canonical(name): np.zeros(tuple(p.shape)) if g is None else g.numpy().reshape(p.shape)
        for (name, p), g in zip(
            made.named_parameters(), [x.grad for x in network.parameters()], strict=True
        )
    }


def scattered(
    small: dict[str, np.ndarray], sub: Architecture, like: dict[str, np.ndarray], rule: Rule
) -> dict[str, np.ndarray]:
    """The sub-model's gradients where its weights stand in the supernet, zeros around them."""
    full = {name: np.zeros_like(value) for name, value in like.items()}
    layers = rule.layers(sub.depth, LARGE.depth)
    for name, value in small.items():
        source, layer = name, None
        if "layer." in name:
            layer = int(name.split("layer.")[1].split(".")[0])
            source = name.replace(f"layer.{layer}.", f"layer.{layers[layer]}.")
        for at, entry in np.ndenumerate(value):
            place = list(at)
            split = [x in name for x in ("query", "key", "value")]
            axis = 0 if any(split) else 1 if "attention.output.dense.weight" in name else None
            if axis is not None and layer is not None and rule.heads == "per-head":
                width = sub.layers[layer].head_width
                wide = LARGE.layers[layers[layer]].head_width
                place[axis] = at[axis] // width * wide + at[axis] % width
            full[source][tuple(place)] += entry
    return full


@settings(deadline=None, max_examples=15)
@given(inside(), st.sampled_from(HEADS))
def test_a_view_answers_as_a_network_of_its_own(sub: Architecture, head: Head | None) -> None:
    network = lively(LARGE, head).float().double()

    view = Supernet(network, Rule()).at(sub)

    assert_close(answered(view), answered(own(network, sub, Rule())), atol=1e-9, rtol=0)


@pytest.mark.parametrize("sub", SUBS)
def test_the_tensors_of_a_view_are_those_of_a_network_of_its_own(sub: str) -> None:
    network = lively(LARGE, HEADS[4]).float().double()
    expected = own(network, SUBS[sub], Rule()).weights()

    found = Supernet(network, Rule()).at(SUBS[sub]).weights()

    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert np.array_equal(value, found[name]), name


RULES = {
    "per-head": Rule(),
    "prefix": Rule("prefix"),
    "spread": Rule(depth="spread"),
    "kept": Rule(kept={2: (1, 2), 1: (1,)}),
}


@pytest.mark.parametrize("head", HEADS, ids=str)
@pytest.mark.parametrize("rule", RULES)
def test_its_gradients_stand_where_its_weights_do_and_nowhere_else(
    rule: str, head: Head | None
) -> None:
    network, sub = lively(LARGE, head), Architecture(7, (Layer(2, 4, 4),) * 2, **SMALL)
    supernet = Supernet(network.float().double(), RULES[rule])
    alone = own(network, sub, RULES[rule])

    backward(answered(supernet.at(sub)).square().mean())
    answered(alone).square().mean().backward()

    found = gradients(network)
    expected = scattered(gradients(alone), sub, found, RULES[rule])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-9, rtol=0, err_msg=name)
    assert 0.1 < max(abs(value).max() for value in expected.values())


def test_gradients_of_two_sub_models_and_of_the_largest_add_up() -> None:
    network = lively(LARGE, HEADS[1]).float().double()
    supernet = Supernet(network, Rule())
    subs = [*SUBS.values(), LARGE]
    expected: dict[str, np.ndarray] = {}
    for seed, sub in enumerate(subs):
        alone = own(network, sub, Rule())
        answered(alone, seed).square().mean().backward()
        found = scattered(gradients(alone), sub, gradients(network), Rule())
        expected = {name: value + expected.get(name, 0) for name, value in found.items()}

    for seed, sub in enumerate(subs):
        backward(answered(supernet.at(sub), seed).square().mean())

    for name, value in gradients(network).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-9, rtol=0, err_msg=name)


def test_what_was_forgotten_is_zero_and_the_views_still_look_at_it() -> None:
    supernet = Supernet(lively(LARGE, HEADS[1]), Rule())
    backward(answered(supernet.at(SQUAT)).square().mean())
    once = gradients(supernet.network)

    supernet.zero_grad()
    assert all(not value.any() for value in gradients(supernet.network).values())
    backward(answered(supernet.at(SQUAT)).square().mean())

    for name, value in gradients(supernet.network).items():
        np.testing.assert_allclose(value, once[name], atol=1e-12)


def test_gradients_that_are_there_are_kept_and_added_to() -> None:
    network = lively(LARGE, HEADS[1])
    view = Supernet(network, Rule()).at(SQUAT)
    backward(answered(view).square().mean())
    once = {name: value.copy() for name, value in gradients(network).items()}

    Supernet(network, Rule())
    assert all(np.array_equal(value, once[n]) for n, value in gradients(network).items())
    backward(answered(view).square().mean())

    for name, value in gradients(network).items():
        np.testing.assert_allclose(value, 2 * once[name], atol=1e-12)


@pytest.mark.parametrize("sub", SUBS)
def test_a_view_copies_nothing(sub: str) -> None:
    network = lively(LARGE, HEADS[4])
    memory = {p.untyped_storage().data_ptr() for p in network.parameters()}
    view = Supernet(network, Rule()).at(SUBS[sub])

    gradient_memory = {p.grad.untyped_storage().data_ptr() for p in network.parameters()}
    for p in view.parameters():
        assert p.untyped_storage().data_ptr() in memory
        assert p.grad.untyped_storage().data_ptr() in gradient_memory
    backward(answered(view).square().mean())
    for p in view.parameters():  # added in place, not put beside it
        assert p.grad.untyped_storage().data_ptr() in gradient_memory


def test_a_step_of_an_optimiser_is_seen_by_views_that_were_there_before() -> None:
    network = lively(LARGE, HEADS[1]).float()
    supernet = Supernet(network, Rule())
    view = supernet.at(SQUAT)
    before = answered(view)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01, fused=True)

    backward(before.square().mean())
    optimiser.step()

    assert view is supernet.at(SQUAT)
    assert answered(view).square().mean() < before.square().mean()
    expected = answered(own(network, SQUAT, Rule()).float())
    assert_close(answered(view), expected, atol=1e-5, rtol=0)


def test_the_largest_sub_model_is_the_supernet() -> None:
    supernet = Supernet(lively(LARGE, None), Rule())

    assert supernet.network is supernet.at(LARGE)
    assert LARGE == supernet.architecture


def test_a_view_trains_when_the_supernet_does_with_its_dropout() -> None:
    network = Network(LARGE, HEADS[1], dropout=0.3)
    network.encoder.dropout = 0.2
    supernet = Supernet(network, Rule())

    network.eval()
    view = supernet.at(SQUAT)
    assert not view.training
    assert torch.equal(answered(view), answered(view))
    network.train()
    assert supernet.at(SQUAT).training
    assert all(part.training for part in view.modules())
    assert (0.3, 0.2) == (view.dropout, view.encoder.dropout)
    assert not torch.equal(answered(view), answered(view))


def test_a_frozen_tensor_of_the_supernet_is_frozen_in_its_views() -> None:
    network = lively(LARGE, HEADS[1])
    network.encoder.embeddings.requires_grad_(requires_grad=False)

    view = Supernet(network, Rule()).at(SQUAT)
    backward(answered(view).square().mean())

    frozen = [name for name, p in view.named_parameters() if not p.requires_grad]
    assert frozen
    assert all(name.startswith("encoder.embeddings.") for name in frozen)
    assert all(p.grad is None for p in network.encoder.embeddings.parameters())


def test_the_views_used_last_are_kept_and_no_more_than_so_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    supernet = Supernet(lively(LARGE, None), Rule())
    first, second, third = list(SUBS.values())[:3]

    one, two = supernet.at(first), supernet.at(second)
    assert one is supernet.at(first)
    supernet.at(third)

    assert one is supernet.at(first)
    assert two is not supernet.at(second)


@pytest.mark.parametrize("sub", SUBS)
def test_a_view_computes_in_bfloat16_where_it_is_asked_to(sub: str) -> None:
    network = lively(LARGE, HEADS[1]).float()
    supernet = Supernet(network, Rule())

    exact = answered(supernet.at(SUBS[sub]))
    with torch.autocast("cpu", torch.bfloat16):
        answer = answered(supernet.at(SUBS[sub]))
    backward(answer.float().square().mean())

    assert torch.bfloat16 == answer.dtype
    assert_close(answer.float(), exact, atol=0.1, rtol=0.05)
    assert all(p.grad.dtype == torch.float32 for p in network.parameters())
    assert any(value.any() for value in gradients(network).values())


@pytest.mark.parametrize("sub", [SQUAT, LARGE], ids=str)
def test_the_words_that_were_not_read_cost_a_backward_pass_nothing(sub: Architecture) -> None:
    view = Supernet(lively(LARGE, HEADS[1]), Rule()).at(sub)

    (gradient,) = torch.autograd.grad(answered(view).sum(), view.encoder.embeddings.words.weight)

    assert gradient.is_sparse
    assert 18 == len(gradient._values())  # noqa: SLF001 (as it comes: a row for each token read)


def test_what_is_larger_than_the_supernet_is_refused() -> None:
    with pytest.raises(BadInputError, match="hidden 11 is larger than the supernet's, 10"):
        Supernet(lively(LARGE, None), Rule()).at(Architecture(11, LARGE.layers, **SMALL))


def test_the_first_backward_of_a_process_prints_nothing_and_loads_no_compiler() -> None:
    probe = (
        "import torch; from nas.elastic import Rule; from nas.network import Network\n"
        "from nas.supernet import Supernet, backward; from results.architecture import *\n"
        "a, b = (Architecture(n, (Layer(n, 2 * n, n),), vocab=9) for n in (5, 3))\n"
        "view = Supernet(Network(a), Rule()).at(b)\n"
        "backward(view(torch.ones(2, 3, dtype=torch.long)).square().mean())\n"
        "import sys; assert not {'sympy', 'torch._dynamo'} & set(sys.modules)\n"  # seconds each
    )

    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True)

    assert (b"", b"") == (done.stdout, done.stderr)

"""A network with a head is transformers' BERT with that head, and BERT where that cannot go."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import Tensor
from torch.testing import assert_close
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertModel,
)

from nas.encoder import Encoder, Trace
from nas.network import Head, Network, Work
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from tests.made_networks import TABLES, UNLIKE, answers
from tests.written_bert import Arrays, bert, plain_linear

ALIKE = Architecture(12, (Layer(3, 12, 20),) * 2, **TABLES)
WORKS: tuple[Work, ...] = ("classes", "score", "span", "mlm", "fit")
HEADS = {
    "classes": Head("classes", 3),
    "score": Head("score", 1),
    "span": Head("span", 2),
    "mlm": Head("mlm", ALIKE.vocab),
    "fit": Head("fit", 17),
}
OUTPUT = {"classes": "classifier", "score": "classifier", "span": "qa_outputs", "fit": "fit_dense"}
TRANSFORM = "cls.predictions.transform"
every_head = pytest.mark.parametrize("work", WORKS)


class BertToBeFitted(torch.nn.Module):
    """AutoTinyBERT's student: a layer that makes every hidden state as wide as the teacher's."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.bert = BertModel(config, add_pooling_layer=False)
        self.fit_dense = torch.nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, **feed: Tensor) -> dict[str, Tensor]:
        return {"logits": self.fit_dense(self.bert(**feed).last_hidden_state)}


THEIRS: dict[str, Any] = {
    "classes": BertForSequenceClassification,
    "score": BertForSequenceClassification,
    "span": BertForQuestionAnswering,
    "mlm": BertForMaskedLM,
    "fit": BertToBeFitted,
}


@torch.no_grad()
def hugging_face(work: str) -> Any:
    """Random in every tensor, biases and LayerNorm too, none of them small."""
    config = BertConfig(
        ALIKE.vocab,
        ALIKE.hidden,
        ALIKE.depth,
        ALIKE.layers[0].heads,
        ALIKE.layers[0].ffn,
        max_position_embeddings=ALIKE.positions,
        pad_token_id=None,  # or the gradient of the first word is left out
        num_labels=HEADS[work].outputs,
        attn_implementation="eager",
    )
    model, generator = THEIRS[work](config).eval(), torch.Generator().manual_seed(3)
    for name, value in model.named_parameters():
        value.normal_(1.0 if name.endswith("LayerNorm.weight") else 0.0, 0.3, generator=generator)
    return model


def weights_of(model: torch.nn.Module) -> Arrays:
    return {name: value.detach().numpy() for name, value in model.named_parameters()}


def random_weights(a: Architecture, work: str, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(name.endswith("LayerNorm.weight"), 0.3, x.shape).astype(np.float32)
        for name, x in Network(a, HEADS[work]).weights().items()
    }


def feed(seed: int = 1) -> dict[str, Tensor]:
    """Three examples, two of them padded, of two sentences each."""
    rng, shape = np.random.default_rng(seed), (3, 9)
    lengths = torch.tensor([[9], [4], [1]])
    return {
        "input_ids": torch.from_numpy(rng.integers(0, ALIKE.vocab, shape)),
        "attention_mask": (torch.arange(9) < lengths).long(),
        "token_type_ids": torch.from_numpy(rng.integers(0, ALIKE.types, shape)),
    }


def arrays(feed: dict[str, Tensor]) -> Arrays:
    return {name: x.numpy() for name, x in feed.items()}


def answer_of(work: str, model: Any, feed: dict[str, Tensor]) -> Tensor:
    y = model(**feed)
    if work == "span":
        return torch.stack([y.start_logits, y.end_logits], dim=-1)
    logits: Tensor = y["logits"]
    return logits[:, 0] if work == "score" else logits


def refused(a: Architecture, work: str, weights: Arrays, **options: bool) -> str:
    with pytest.raises(BadInputError) as caught:
        Network(a, HEADS[work], weights, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@every_head
@torch.no_grad()
def test_a_head_says_what_transformers_says_of_padded_pairs(work: str) -> None:
    theirs = hugging_face(work)
    ours = Network(ALIKE, HEADS[work], weights_of(theirs)).eval()

    expected, found = answer_of(work, theirs, feed()), ours(**feed())

    assert expected.std() > 0.1
    assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for model in (ours, theirs):
        model.double()  # rounding out of the way, nothing is left to differ
    assert_close(ours(**feed()), answer_of(work, theirs, feed()), atol=1e-12, rtol=1e-12)


@every_head
@torch.no_grad()
def test_any_sizes_make_the_head_that_was_written_down(work: str) -> None:
    weights = random_weights(UNLIKE, work)

    found = Network(UNLIKE, HEADS[work], weights).eval().double()(**feed()).numpy()

    plain = {name.removeprefix("bert."): x for name, x in weights.items()}
    if work == "fit":
        hidden = bert(UNLIKE, plain, arrays(feed()), plain_linear)
        expected = plain_linear(hidden, plain["fit_dense.weight"], plain["fit_dense.bias"])
    else:
        said = answers(UNLIKE, work, plain, arrays(feed()))
        expected = np.stack(said, axis=-1) if work == "span" else said[0]
    assert_allclose(found, expected[:, 0] if work == "score" else expected, atol=1e-9, rtol=0)


@every_head
def test_it_learns_what_transformers_learns_tensor_by_tensor(work: str) -> None:
    theirs = hugging_face(work).double()
    ours = Network(ALIKE, HEADS[work], weights_of(theirs)).double().train()

    answer_of(work, theirs, feed()).square().mean().backward()
    ours(**feed()).square().mean().backward()

    expected = {name: value.grad.numpy() for name, value in theirs.named_parameters()}
    found = {ours.canonical(name): value.grad for name, value in ours.named_parameters()}
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        value = found[name]
        assert value is not None
        # We start from float32: what differs is the rounding of the weights.
        assert_allclose(value.numpy(), gradient, atol=1e-5, rtol=1e-5, err_msg=name)


def test_without_a_head_it_answers_with_the_hidden_states() -> None:
    theirs = hugging_face("span")
    plain = {n.removeprefix("bert."): x for n, x in weights_of(theirs).items()}

    network = Network(ALIKE, None, plain).eval()
    with torch.no_grad():
        found, expected = network(**feed()), theirs.bert(**feed()).last_hidden_state

    assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert plain.keys() - {"qa_outputs.weight", "qa_outputs.bias"} == network.weights().keys()


@every_head
@torch.no_grad()
def test_one_example_is_answered_as_among_others(work: str) -> None:
    network = Network(ALIKE, HEADS[work], random_weights(ALIKE, work)).eval()

    alone = network(**{name: x[:1] for name, x in feed().items()})

    assert_close(alone, network(**feed())[:1], atol=1e-5, rtol=1e-5)


@every_head
@torch.no_grad()
def test_a_network_shows_what_its_encoder_shows(work: str) -> None:
    network = Network(ALIKE, HEADS[work], random_weights(ALIKE, work)).eval()
    expected, found = Trace(), Trace()

    network.encoder(**feed(), trace=expected)
    network(**feed(), trace=found)

    assert (3, 2) == (len(found.hidden), len(found.scores))
    for name in ("hidden", "scores"):
        for mine, other in zip(getattr(found, name), getattr(expected, name), strict=True):
            assert torch.equal(mine, other)


@every_head
def test_weights_have_transformers_names_and_shapes_and_come_back(work: str) -> None:
    expected = weights_of(hugging_face(work))

    plain = {name.removeprefix("bert."): x for name, x in expected.items()}

    for given in (expected, plain):
        found = Network(ALIKE, HEADS[work], given).weights()

        assert expected.keys() == found.keys()
        for name, value in expected.items():
            assert np.array_equal(value, found[name]), name
            assert not np.shares_memory(value, found[name]), name


def test_weights_are_the_network_s_own_memory() -> None:
    network = Network(ALIKE, HEADS["classes"])

    network.weights()["classifier.bias"][:] = 7

    assert (network.weights()["classifier.bias"] == 7).all()
    assert (network.head.out.bias == 7).all()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("work", "name", "shape"),
    [
        ("classes", "bert.embeddings.token_type_embeddings.weight", (2, 12)),
        ("classes", "bert.pooler.dense.bias", (12,)),
        ("score", "bert.pooler.dense.weight", (12, 12)),
        ("score", "classifier.weight", (1, 12)),
        ("span", "bert.encoder.layer.1.attention.self.value.weight", (16, 12)),
        ("span", "qa_outputs.bias", (2,)),
        ("mlm", "bert.encoder.layer.2.intermediate.dense.bias", (17,)),
        ("mlm", "cls.predictions.bias", (28,)),
        ("mlm", f"{TRANSFORM}.LayerNorm.weight", (12,)),
        ("fit", "fit_dense.weight", (17, 12)),
    ],
)
def test_a_missing_and_a_misshapen_tensor_are_named(
    work: str, name: str, shape: tuple[int, ...]
) -> None:
    weights = random_weights(UNLIKE, work)
    without = {n: x for n, x in weights.items() if n != name}
    said = f"the weights lack {name}; give a tensor of shape {shape}"
    assert said == refused(UNLIKE, work, without)
    for wrong in (np.zeros((3, *shape), np.float32), weights[name][None], weights[name][:-1]):
        said = f"{name} has shape {wrong.shape} where {shape} is needed"
        assert said == refused(UNLIKE, work, weights | {name: wrong})


def test_what_no_part_of_it_needs_is_left_out() -> None:
    weights = random_weights(ALIKE, "span")
    more = {"bert.encoder.layer.2.output.dense.bias": np.ones(12, np.float32)}
    more |= random_weights(ALIKE, "classes", seed=1) | weights

    found = Network(ALIKE, HEADS["span"], more).weights()

    assert weights.keys() == found.keys()
    assert all(np.array_equal(value, found[name]) for name, value in weights.items())


@every_head
def test_a_new_head_on_an_encoder_is_as_random_as_bert_was(work: str) -> None:
    a = Architecture(96, (Layer(2, 96, 8),), **TABLES)
    encoder = Encoder(a, pooler=False).weights()

    first, second = (Network(a, HEADS[work], encoder, new_head=True).weights() for _ in range(2))

    for name, value in first.items():
        plain = name.removeprefix("bert.")
        if plain in encoder:
            assert np.array_equal(encoder[plain], value), name
        elif name.endswith("LayerNorm.weight"):
            assert (value == 1).all(), name
        elif name.endswith("bias"):
            assert (value == 0).all(), name
        else:
            assert 0.014 < value.std() < 0.026, name
            assert not np.array_equal(value, second[name]), name


def test_a_new_head_keeps_what_fits_of_the_pooler_and_of_the_head_that_was_there() -> None:
    weights = random_weights(ALIKE, "classes")

    five = Network(ALIKE, Head("classes", 5), weights, new_head=True).weights()
    three = Network(ALIKE, HEADS["classes"], weights, new_head=True).weights()
    span = Network(ALIKE, HEADS["span"], weights, new_head=True).weights()

    assert np.array_equal(weights["bert.pooler.dense.weight"], five["bert.pooler.dense.weight"])
    assert np.array_equal(weights["bert.pooler.dense.bias"], five["bert.pooler.dense.bias"])
    bent = weights | {"classifier.weight": weights["classifier.weight"][None]}
    bent = Network(ALIKE, HEADS["classes"], bent, new_head=True).weights()
    for made in (five["classifier.weight"], bent["classifier.weight"]):
        assert 0 < abs(made).max() < 0.15  # random
    assert (5, 12) == five["classifier.weight"].shape
    assert all(np.array_equal(value, three[name]) for name, value in weights.items())
    assert {"qa_outputs.weight", "qa_outputs.bias"} == span.keys() - weights.keys()


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_a_new_head_excuses_nothing_of_the_encoder(prefix: str) -> None:
    name = "encoder.layer.0.output.LayerNorm.bias"
    weights = {prefix + n: x for n, x in Encoder(ALIKE).weights().items()}
    without = {n: x for n, x in weights.items() if n != prefix + name}
    wrong = weights | {prefix + "embeddings.LayerNorm.bias": np.zeros(11, np.float32)}

    message = refused(ALIKE, "classes", without, new_head=True)
    assert message.startswith(f"the weights lack bert.{name}; give a tensor of shape (12,)")
    message = refused(ALIKE, "span", wrong, new_head=True)
    assert message.startswith("bert.embeddings.LayerNorm.bias has shape (11,) where (12,)")


@every_head
@torch.no_grad()
def test_only_some_tokens_can_be_answered_for(work: str) -> None:
    network = Network(ALIKE, HEADS[work], random_weights(ALIKE, work)).eval()
    hidden, some = network.encoder(**feed()), torch.tensor([[0, 3], [2, 0], [1, 1]])

    assert_close(network.answer(hidden), network(**feed()), atol=0, rtol=0)
    if work in ("classes", "score"):  # one answer per example, of its first token
        assert ((3, 3) if work == "classes" else (3,)) == network(**feed()).shape
        assert_close(network.answer(hidden[:, :1]), network(**feed()))
    else:
        expected = network(**feed())[some[:, 0], some[:, 1]]
        assert_close(network.answer(hidden[some[:, 0], some[:, 1]]), expected)


@every_head
def test_layers_with_memory_are_torch_s_and_hollow_ones_have_none(work: str) -> None:
    full, hollow = Network(ALIKE, HEADS[work]), Network(ALIKE, HEADS[work], hollow=True)

    kinds = {type(part) for part in full.modules() if not list(part.children())}

    assert {torch.nn.Linear, torch.nn.Embedding, torch.nn.LayerNorm} == kinds
    assert all(p.is_meta for p in hollow.parameters())
    for mine, other in zip(hollow.named_parameters(), full.named_parameters(), strict=True):
        assert (mine[0], mine[1].shape) == (other[0], other[1].shape)


def seen_by_the_head(network: Network) -> Tensor:
    """What the head is given of hidden states in training."""
    seen: list[Tensor] = []
    assert network.head is not None
    hook = network.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network.train().answer(torch.linspace(-1, 1, 200 * 9 * 12).reshape(200, 9, 12))
    hook.remove()
    return seen[0]


@every_head
def test_before_a_head_entries_are_left_out_in_training_but_not_before_words_and_fits(
    work: str,
) -> None:
    torch.manual_seed(0)
    network = Network(ALIKE, HEADS[work], random_weights(ALIKE, work), dropout=0.3)
    exact = seen_by_the_head(Network(ALIKE, HEADS[work], network.weights()))

    found = seen_by_the_head(network)

    assert 0.3 == network.encoder.dropout
    if work in ("mlm", "fit"):
        assert torch.equal(exact, found)
    else:
        left = found != 0
        assert 0.25 < 1 - left.float().mean() < 0.35
        assert_close(found[left], exact[left] / 0.7)
    calm = network.eval()(**feed())
    assert torch.equal(calm, network(**feed()))

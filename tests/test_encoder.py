"""The encoder is Hugging Face's BertModel, and where that one cannot go, it is still BERT."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from transformers import AutoTokenizer, BertConfig, BertModel

from nas.encoder import Encoder, Trace, randomise
from results.architecture import Architecture
from results.errors import BadInputError
from tests.written_bert import ARCHITECTURES, batch, bert, lively, plain_linear

SENTENCES = [
    "The river flooded the lower fields last spring.",
    "Latency is what the user feels.",
    "A cat.",
    "In 1912 the committee published its third report on the harbour and the trade of its quays.",
]
PLAIN = [
    Architecture.uniform(1, 16, 1, 16, 8),
    Architecture.uniform(3, 48, 4, 48, 96),
    Architecture.uniform(2, 60, 12, 60, 33),
]


def tensors(feed: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in feed.items()}


@torch.no_grad()
def hugging_face(a: Architecture) -> BertModel:
    """Random in every tensor, biases and LayerNorm too."""
    config = BertConfig(
        hidden_size=a.hidden,
        num_hidden_layers=a.depth,
        num_attention_heads=a.layers[0].heads,
        intermediate_size=a.layers[0].ffn,
        attn_implementation="eager",
    )
    model = BertModel(config).eval()
    generator = torch.Generator().manual_seed(3)
    for name, value in model.named_parameters():
        value.normal_(1.0 if name.endswith("LayerNorm.weight") else 0.0, 0.2, generator=generator)
    return model


def weights_of(model: BertModel) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in model.named_parameters()}


@pytest.mark.parametrize("a", PLAIN, ids=str)
@torch.no_grad()
def test_it_is_hugging_face_s_bert_padding_and_pooler_included(a: Architecture) -> None:
    theirs, feed = hugging_face(a), tensors(batch(a))
    ours = Encoder(a, weights_of(theirs)).eval()

    for model in (ours, theirs):
        model.double()  # rounding out of the way, nothing is left to differ
    hidden, expected = ours(**feed), theirs(**feed)

    assert_close(hidden, expected.last_hidden_state, atol=1e-12, rtol=0)
    assert_close(ours.pool(hidden), expected.pooler_output, atol=1e-12, rtol=0)


@pytest.mark.parametrize("a", PLAIN, ids=str)
@torch.no_grad()
def test_in_float32_it_is_hugging_face_s_bert_to_five_digits(a: Architecture) -> None:
    theirs, feed = hugging_face(a), tensors(batch(a))

    hidden = Encoder(a, weights_of(theirs)).eval()(**feed)

    assert_close(hidden, theirs(**feed).last_hidden_state, atol=1e-5, rtol=0)


@pytest.mark.parametrize("a", PLAIN, ids=str)
@torch.no_grad()
def test_what_is_shown_is_hugging_face_s_hidden_states_and_attention(a: Architecture) -> None:
    theirs, feed, trace = hugging_face(a).double(), tensors(batch(a)), Trace()
    ours = Encoder(a, weights_of(theirs)).eval().double()

    hidden = ours(**feed, trace=trace)
    expected = theirs(**feed, output_hidden_states=True, output_attentions=True)

    assert_close(hidden, ours(**feed), atol=0, rtol=0)
    assert a.depth + 1 == len(trace.hidden)
    for found, states in zip(trace.hidden, expected.hidden_states, strict=True):
        assert_close(found, states, atol=1e-12, rtol=0)
    there = feed["attention_mask"].bool()[:, None, None]
    for scores, seen in zip(trace.scores, expected.attentions, strict=True):
        shares = scores.masked_fill(~there, -torch.inf).softmax(-1)
        assert_close(shares, seen, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_scores_are_queries_times_keys_head_by_head_padding_included(name: str) -> None:
    a = ARCHITECTURES[name]
    weights, trace = lively(a), Trace()
    w = {name: x.astype(np.float64) for name, x in weights.items()}

    encoder = Encoder(a, weights, pooler=False).eval().double()
    encoder(**tensors(batch(a, min(9, a.positions))), trace=trace)

    assert a.depth == len(trace.scores)
    for i, (layer, found) in enumerate(zip(a.layers, trace.scores, strict=True)):
        x, part = trace.hidden[i].numpy(), f"encoder.layer.{i}.attention.self"
        q, k = (
            plain_linear(x, w[f"{part}.{kind}.weight"], w[f"{part}.{kind}.bias"])
            for kind in ("query", "key")
        )
        expected = [
            np.einsum(
                "bti,bsi->bts",
                q[..., at : at + layer.head_width],
                k[..., at:][..., : layer.head_width],
            )
            for at in range(0, layer.qkv, layer.head_width)
        ]
        scale = layer.head_width**-0.5
        np.testing.assert_allclose(found, scale * np.stack(expected, 1), atol=1e-9, rtol=0)


@torch.no_grad()
def test_scores_are_computed_only_where_they_are_wanted() -> None:
    a = ARCHITECTURES["no two layers alike"]
    encoder, feed = Encoder(a, lively(a), pooler=False).eval(), tensors(batch(a))
    whole, bare = Trace(), Trace(attention=False)

    expected, found = (encoder(**feed, trace=trace) for trace in (whole, bare))

    assert_close(found, expected, atol=0, rtol=0)
    assert [] == bare.scores
    for mine, other in zip(bare.hidden, whole.hidden, strict=True):
        assert_close(mine, other, atol=0, rtol=0)


@torch.no_grad()
def test_dropout_is_on_the_embeddings_and_on_what_each_half_of_a_layer_adds() -> None:
    a = ARCHITECTURES["no two layers alike"]
    all_of_it = Encoder(a, lively(a), pooler=False, dropout=1.0)
    trace = Trace()

    all_of_it.train()(**tensors(batch(a)), trace=trace)

    assert not trace.hidden[0].any()
    for block, before, after in zip(
        all_of_it.blocks, trace.hidden[:-1], trace.hidden[1:], strict=True
    ):
        assert_close(after, block.ffn_norm(block.attention_norm(before)))
    exact = Encoder(a, lively(a), pooler=False)(**tensors(batch(a)))
    assert_close(all_of_it.eval()(**tensors(batch(a))), exact, atol=0, rtol=0)


@torch.no_grad()
def test_a_share_of_the_entries_is_dropped_and_the_others_grow() -> None:
    a = ARCHITECTURES["plain"]
    torch.manual_seed(0)
    exact, dropped = Trace(), Trace()
    for dropout, trace in ((0.0, exact), (0.2, dropped)):
        encoder = Encoder(a, lively(a), pooler=False, dropout=dropout).train()
        encoder(**tensors(batch(a, 24)), trace=trace)

    kept = dropped.hidden[0] != 0

    assert 0.15 < 1 - kept.float().mean() < 0.25
    assert_close(dropped.hidden[0][kept], exact.hidden[0][kept] / 0.8)


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_any_sizes_make_the_bert_that_was_written_down(name: str) -> None:
    a = ARCHITECTURES[name]
    weights, feed = lively(a), batch(a, min(9, a.positions))

    made = Encoder(a, weights, pooler=False).eval().double()(**tensors(feed)).numpy()

    np.testing.assert_allclose(made, bert(a, weights, feed, plain_linear), atol=1e-9, rtol=0)


@pytest.mark.weights
@torch.no_grad()
def test_real_weights_read_real_sentences_as_in_hugging_face(minilm: Path) -> None:
    from nas import checkpoint

    theirs = BertModel.from_pretrained(minilm, attn_implementation="eager").eval()
    feed = AutoTokenizer.from_pretrained(minilm)(SENTENCES, padding=True, return_tensors="pt")
    ours = checkpoint.load(minilm)

    hidden, expected = ours(**feed), theirs(**feed)

    there = feed["attention_mask"].bool()
    assert 2 < expected.last_hidden_state[there].abs().max()
    assert_close(hidden[there], expected.last_hidden_state[there], atol=1e-5, rtol=0)
    assert_close(ours.pool(hidden), expected.pooler_output, atol=1e-5, rtol=0)


@torch.no_grad()
def test_padding_counts_for_nothing_however_large_the_scores_are() -> None:
    a = ARCHITECTURES["no two layers alike"]
    weights, feed = lively(a), tensors(batch(a))
    weights = {n: x * 1e4 if "query" in n or "key" in n else x for n, x in weights.items()}
    encoder = Encoder(a, weights, pooler=False).eval().double()

    padded = encoder(**feed)
    other = encoder(**feed | {"input_ids": feed["input_ids"] * feed["attention_mask"]})

    there = feed["attention_mask"].bool()
    assert not torch.equal(padded[~there], other[~there])
    assert torch.equal(padded[there], other[there])


@torch.no_grad()
def test_what_is_not_said_is_one_sentence_without_padding() -> None:
    a = ARCHITECTURES["plain"]
    encoder = Encoder(a, lively(a), pooler=False).eval()
    ids = tensors(batch(a))["input_ids"]

    said = encoder(ids, torch.ones_like(ids), torch.zeros_like(ids))

    assert_close(encoder(ids), said)


def test_a_fresh_encoder_is_as_random_as_bert_was() -> None:
    a = Architecture.uniform(1, 64, 4, 64, 256)

    weights = Encoder(a).weights()

    for name, values in weights.items():
        if name.endswith("LayerNorm.weight"):
            assert (values == 1).all()
        elif name.endswith("bias"):
            assert (values == 0).all()
        else:
            assert 0.015 < values.std() < 0.025


def test_it_counts_its_parameters_as_its_architecture_does() -> None:
    for a in ARCHITECTURES.values():
        assert a.parameters == sum(p.numel() for p in Encoder(a).parameters())


def test_weights_taken_out_and_put_back_make_the_same_encoder_with_memory_of_its_own() -> None:
    a = ARCHITECTURES["no two layers alike"]
    first = Encoder(a)

    second = Encoder(a, first.weights())

    for name, values in second.weights().items():
        assert np.array_equal(first.weights()[name], values)
        assert not np.shares_memory(first.weights()[name], values)


def test_a_missing_and_a_misshapen_weight_are_named() -> None:
    a = ARCHITECTURES["plain"]
    weights, name = lively(a), "encoder.layer.1.attention.self.key.bias"

    with pytest.raises(BadInputError, match=rf"lack {name}; give a tensor of shape \(24,\)"):
        Encoder(a, {n: x for n, x in weights.items() if n != name}, pooler=False)
    for wrong, shape in (
        (np.zeros(1, np.float32), r"\(1,\)"),
        (weights[name][None], r"\(1, 24\)"),
    ):
        with pytest.raises(BadInputError, match=rf"{name} has shape {shape} where \(24,\) is"):
            Encoder(a, weights | {name: wrong}, pooler=False)


def test_a_hollow_encoder_has_shapes_and_no_memory() -> None:
    a = ARCHITECTURES["no two layers alike"]
    hollow, full = Encoder(a, hollow=True), Encoder(a)

    assert all(p.is_meta for p in hollow.parameters())
    for mine, other in zip(hollow.named_parameters(), full.named_parameters(), strict=True):
        assert (mine[0], mine[1].shape) == (other[0], other[1].shape)


def test_chance_is_a_generator_s() -> None:
    a = ARCHITECTURES["plain"]
    made = [Encoder(a) for _ in range(3)]
    for encoder, seed in zip(made, (4, 4, 5), strict=True):
        randomise(encoder, torch.Generator().manual_seed(seed))

    name = "encoder.layer.0.output.dense.weight"
    first, again, other = (encoder.weights()[name] for encoder in made)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_layers_with_memory_of_their_own_are_torch_s() -> None:
    encoder = Encoder(ARCHITECTURES["plain"])

    kinds = {type(part) for part in encoder.modules() if not list(part.children())}

    assert {torch.nn.Linear, torch.nn.Embedding, torch.nn.LayerNorm} == kinds


def test_an_encoder_without_pooler_says_so() -> None:
    with pytest.raises(BadInputError, match="has no pooler"):
        Encoder(ARCHITECTURES["plain"], pooler=False).pool(torch.zeros(1, 2, 24))

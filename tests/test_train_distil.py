"""Distillation from a teacher's inside: right layers, real tokens, the teacher as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.data.batches import in_order
from nas.data.pretraining import Pretraining
from nas.encoder import Trace
from nas.folder import read
from nas.network import Head, Network
from nas.supernet import backward
from nas.train.distil import Distilled, Lessons, mean_square
from nas.train.family import Family, Options
from nas.train.loop import Loop
from nas.train.moment import Moment
from nas.train.recipe import Recipe
from nas.train.text import Text
from nas.train.world import World
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from tests.made_text import (
    LARGEST,
    TABLES,
    Silent,
    data_in,
    members_in,
    unlike,
    words_in,
)

ALONE = World(0, 1, torch.device("cpu"), "fp32")
TEACHER = Architecture(16, (Layer(2, 16, 24),) * 4, **TABLES)
STUDENT = Architecture(8, (Layer(2, 8, 12),) * 2, **TABLES)
EXAMPLES = np.arange(5)
IDS = torch.arange(5, 29).reshape(3, 8)
MASK = torch.tensor([[1] * 8, [1] * 5 + [0] * 3, [1] * 2 + [0] * 6])
INPUTS = IDS, MASK, torch.zeros_like(IDS)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Text:
    path = tmp_path_factory.mktemp("distil")
    data = data_in(path, words_in(path / "words"))
    return Text(Pretraining(data), path / "words", 16)


def teacher() -> Network:
    return unlike(Network(TEACHER), 1)


def student(a: Architecture = STUDENT, width: int = 16) -> Network:
    return unlike(Network(a, Head("fit", width)), 2)


def distilled(text: Text, lessons: Lessons | None = None, **asked: Network) -> Distilled:
    family = Family(asked.get("student") or student(), Options())
    return Distilled(family, asked.get("teacher") or teacher(), text, lessons)


def shown(network: Network) -> Trace:
    trace = Trace()
    network.eval()
    with torch.no_grad():
        network(*INPUTS, trace)
    return trace


def by_transformers(network: Network) -> tuple[list[Tensor], list[Tensor]]:
    """Hidden states, and scores by its own q and k; padding as transformers has it."""
    from transformers import BertConfig, BertModel

    a = network.architecture
    config = BertConfig(
        vocab_size=a.vocab, hidden_size=a.hidden, num_hidden_layers=a.depth,
        num_attention_heads=a.layers[0].heads, intermediate_size=a.layers[0].ffn,
        max_position_embeddings=a.positions, attn_implementation="eager",
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False).eval()
    named = {n.removeprefix("bert."): torch.from_numpy(v) for n, v in network.weights().items()}
    model.load_state_dict({n: v for n, v in named.items() if "fit_dense" not in n}, strict=True)
    with torch.no_grad():
        found = model(IDS, MASK, INPUTS[2], output_hidden_states=True, output_attentions=True)
    scores = []
    for block, x, chances in zip(
        model.encoder.layer, found.hidden_states, found.attentions, strict=False
    ):
        own, heads = block.attention.self, a.layers[0].heads
        q, k = (part(x).unflatten(2, (heads, -1)).transpose(1, 2) for part in (own.query, own.key))
        scores.append(q @ k.transpose(2, 3) / (a.hidden // heads) ** 0.5)
        seen = MASK[:, None, None, :] == 1
        again = scores[-1].masked_fill(~seen, -torch.inf).softmax(-1)
        torch.testing.assert_close(chances, again, rtol=1e-4, atol=1e-5)
    return list(found.hidden_states), scores


def one_by_one(a: Tensor, b: Tensor, *, pairs: bool) -> float:
    """A mean of squares over real tokens, number by number."""
    found = []
    for n, row in enumerate(MASK.tolist()):
        real = [i for i, x in enumerate(row) if x]
        if pairs:
            found += [((a - b)[n, :, i, j] ** 2).flatten() for i in real for j in real]
        else:
            found += [((a - b)[n, i] ** 2).flatten() for i in real]
    return torch.cat(found).mean().item()


@pytest.mark.parametrize(
    ("layers", "hidden", "scores"),
    [("last", [(2, 4)], [(1, 3)]), ("all", [(0, 0), (1, 2), (2, 4)], [(0, 1), (1, 3)])],
)
def test_losses_are_those_of_transformers_states(text: Text, layers, hidden, scores) -> None:
    """TinyBERT's teacher layer of student layer i is i k + k - 1, of its states i k; k = 2."""
    small, large = student(), teacher()
    mine, theirs = by_transformers(small), by_transformers(large)
    fit = small.head.out
    with torch.no_grad():
        wanted = (
            sum(one_by_one(mine[1][m], theirs[1][n], pairs=True) for m, n in scores),
            sum(one_by_one(fit(mine[0][m]), theirs[0][n], pairs=False) for m, n in hidden),
        )

    found = distilled(text, Lessons(layers)).losses(small, INPUTS, shown(large))

    assert pytest.approx(wanted, rel=1e-3) == tuple(x.item() for x in found)


@pytest.mark.parametrize("layers", ["last", "all"])
def test_who_is_the_teacher_has_nothing_to_learn(text: Text, layers) -> None:
    large, copy = teacher(), Network(TEACHER, Head("fit", 16), teacher().weights(), new_head=True)
    with torch.no_grad():
        copy.head.out.weight.copy_(torch.eye(16))
        copy.head.out.bias.zero_()
    lessons = distilled(text, Lessons(layers), student=copy)

    assert (0.0, 0.0) == tuple(x.item() for x in lessons.losses(copy, INPUTS, shown(large)))
    other = distilled(text, Lessons(layers)).losses(student(), INPUTS, shown(large))
    assert all(x.item() > 0 for x in other)


@pytest.mark.parametrize("layers", ["last", "all"])
def test_padding_counts_nothing(text: Text, layers) -> None:
    one = tuple(x[1:2] for x in INPUTS)
    short = IDS[1:2, :5], None, INPUTS[2][1:2, :5]
    lessons = distilled(text, Lessons(layers))

    def loss(inputs) -> list[float]:
        trace = Trace()
        with torch.no_grad():
            teacher().eval()(*inputs, trace)
            return [x.item() for x in lessons.losses(student().eval(), inputs, trace)]

    assert pytest.approx(loss(short), rel=1e-4) == loss(one)


@pytest.mark.parametrize("teacher_depth", [1, 2, 3, 4, 6, 12])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6, 12])
def test_the_map_ends_at_the_last_layer_and_is_tinyberts_where_that_is_one(
    depth: int, teacher_depth: int
) -> None:
    if depth > teacher_depth:
        return
    hidden = Lessons("all").hidden(depth, teacher_depth)
    scores = Lessons("all").scores(depth, teacher_depth)

    assert (0, 0) == hidden[0]
    assert (depth, teacher_depth) == hidden[-1] == Lessons("last").hidden(depth, teacher_depth)[0]
    assert (depth - 1, teacher_depth - 1) == scores[-1]
    assert [m for m, _ in hidden] == list(range(depth + 1))
    assert len({n for _, n in hidden}) == depth + 1
    assert all(abs(n - m * teacher_depth / depth) <= 0.5 for m, n in hidden)
    if teacher_depth % depth == 0:
        k = teacher_depth // depth
        assert [(i, i * k + k - 1) for i in range(depth)] == list(scores)
        assert [(i, i * k) for i in range(depth + 1)] == list(hidden)
    assert () == Lessons("all", attention=False).scores(depth, teacher_depth)


def test_the_record_has_every_setting() -> None:
    assert {"layers": "last", "attention": True} == Lessons().as_dict()
    assert {"layers": "all", "attention": False} == Lessons("all", attention=False).as_dict()


def test_the_teacher_stays_as_it_was_and_leaves_nothing_out(text: Text) -> None:
    large = teacher()
    large.dropout = large.encoder.dropout = 0.5
    before = {name: value.copy() for name, value in large.weights().items()}
    lessons = distilled(text, Lessons("all"), teacher=large.train())
    again = distilled(text, Lessons("all"))

    losses = lessons.learn(EXAMPLES, Moment(0, 0, 0), 1.0)

    assert again.learn(EXAMPLES, Moment(0, 0, 0), 1.0) == losses
    assert not large.training
    assert all(p.grad is None and not p.requires_grad for p in large.parameters())
    assert all(np.array_equal(before[n], v) for n, v in large.weights().items())
    grads = {name: p.grad for name, p in lessons.network.named_parameters()}
    assert all(g is not None and g.any() for n, g in grads.items() if not n.endswith("key.bias"))


def test_the_gradient_is_a_share_of_the_losses_own(text: Text) -> None:
    lessons, plain = distilled(text), student()
    inputs = text.batch(text.learned[EXAMPLES]).inputs(torch.device("cpu"))
    trace = Trace()
    with torch.no_grad():
        teacher().eval()(*inputs, trace)
    loss = sum(lessons.losses(plain, inputs, trace))
    (loss * 0.5).backward()

    assert {"loss": pytest.approx(loss.item())} == lessons.learn(EXAMPLES, Moment(0, 0, 0), 0.5)
    for a, b in zip(lessons.network.parameters(), plain.parameters(), strict=True):
        if b.grad is not None:
            torch.testing.assert_close(b.grad, a.grad)


def test_in_a_sandwich_each_sub_model_learns_from_the_teacher(tmp_path: Path, text: Text) -> None:
    options = Options(members_in(tmp_path), sampling="sandwich")
    whole, plain = (unlike(Network(LARGEST, Head("fit", 16)), 2) for _ in range(2))
    lessons = Distilled(Family(whole, options), teacher(), text)
    family = Family(plain, options)
    inputs = text.batch(text.learned[EXAMPLES]).inputs(torch.device("cpu"))
    trace = Trace()
    with torch.no_grad():
        teacher().eval()(*inputs, trace)
    subs = family.drawn(Moment(0, 0, 0))
    for sub in subs.values():
        backward(sum(lessons.losses(family.at(sub), inputs, trace)) / 4)

    lessons.learn(EXAMPLES, Moment(0, 0, 0), 1.0)

    assert 4 == len(subs)
    for (name, a), b in zip(whole.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, msg=name, rtol=1e-3, atol=1e-6)


def test_a_score_is_of_the_held_out_text_with_nothing_left_out(
    tmp_path: Path, text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.train.distil.SCORED_TOKENS", 400)
    options = Options(members_in(tmp_path), sampling="one")
    network = unlike(Network(LARGEST, Head("fit", 16), dropout=0.5), 2)
    lessons = Distilled(Family(network, options), teacher(), text)
    network.eval()
    wanted = {}
    for name, sub in lessons.family.watched.items():
        sums = np.zeros(2)
        for rows in in_order(text.lengths_of(text.held), 400):
            inputs = text.batch(text.held[rows]).inputs(torch.device("cpu"))
            trace = Trace()
            with torch.no_grad():
                teacher().eval()(*inputs, trace)
                found = lessons.losses(lessons.family.at(sub), inputs, trace)
            sums += len(rows) * np.array([x.item() for x in found])
        wanted[name] = sums / len(text.held)
    attention, hidden = np.mean(list(wanted.values()), axis=0)
    network.train()

    scores = lessons.evaluate()

    found = {"nearness": -attention - hidden, "loss": attention + hidden}
    found |= {"attention": attention, "hidden": hidden}
    found |= {f"loss {name}": sum(x) for name, x in wanted.items()}
    assert list(found) == list(scores)
    assert pytest.approx(found, rel=1e-4) == scores
    assert network.training


def test_attention_can_be_left_out(text: Text) -> None:
    found = distilled(text, Lessons(attention=False)).losses(student(), INPUTS, shown(teacher()))

    assert 0.0 == found[0].item() < found[1].item()


def test_mean_squares_are_over_what_is_real() -> None:
    a, b = torch.tensor([[[1.0, 2.0], [9.0, 9.0]]]), torch.zeros(1, 2, 2)

    assert 2.5 == mean_square(a, b, torch.tensor([[[1], [0]]])).item()
    assert 41.75 == mean_square(a, b, None).item()


@pytest.mark.parametrize("sampling", ["sandwich", "one", "none"])
def test_the_loss_falls_for_sub_models_of_all_sizes(tmp_path: Path, text: Text, sampling) -> None:
    options = Options(members_in(tmp_path), sampling=sampling)
    network = Network(LARGEST, Head("fit", 16))
    recipe = Recipe(epochs=8, rate=1e-2, evaluations=0.01)
    lessons = Distilled(Family(network, options), teacher(), text, Lessons("all"))
    before = lessons.evaluate()

    Loop(lessons, recipe, tmp_path / "out", ALONE, Silent()).run()

    after = lessons.evaluate()
    assert "nearness" == next(iter(after))
    assert -after["loss"] == after["nearness"]
    assert after["loss"] == pytest.approx(after["attention"] + after["hidden"])
    assert after["loss"] < 0.9 * before["loss"]
    assert ("loss smallest" in after) == (sampling != "none")
    assert Head("fit", 16) == read(tmp_path / "out").head


def test_heads_and_layers_that_cannot_be_mapped_are_refused(tmp_path: Path, text: Text) -> None:
    three = Architecture(12, (Layer(3, 12, 12),) * 2, **TABLES)
    deep = Architecture(8, (Layer(2, 8, 12),) * 5, **TABLES)
    with pytest.raises(BadInputError, match=r"3 heads .* teacher with 2: .*--attention no"):
        distilled(text, student=student(three))
    distilled(text, Lessons(attention=False), student=student(three))
    distilled(text, student=student(deep))
    with pytest.raises(BadInputError, match=r"5 layers cannot learn from all layers .* of 4"):
        distilled(text, Lessons("all"), student=student(deep))
    with pytest.raises(BadInputError, match="last or all"):
        Lessons("first")  # type: ignore[arg-type]
    space = replace(members_in(tmp_path), heads=(1, 2))
    with pytest.raises(BadInputError, match="1 heads cannot learn the attention"):
        Distilled(
            Family(unlike(Network(LARGEST, Head("fit", 16))), Options(space, sampling="one")),
            teacher(),
            text,
        )

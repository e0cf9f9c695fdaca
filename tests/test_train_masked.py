"""Hidden words: masked anew, read where they are hidden, learned by sub-models of all sizes."""

from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nas.data.masking import NO_TARGET, Masking, draw, mask
from nas.data.pretraining import Pretraining
from nas.elastic import Cut, Rule
from nas.folder import read
from nas.network import Head, Network
from nas.supernet import Supernet, backward
from nas.train.family import Family, Options
from nas.train.loop import Loop
from nas.train.masked import Masked, Taught, cross_entropy
from nas.train.moment import Moment
from nas.train.recipe import Recipe
from nas.train.start import Start, require_one_vocabulary
from nas.train.text import LEAST, Text
from nas.train.world import World
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from tests.made_text import (
    LARGEST,
    TABLES,
    WORDS,
    Silent,
    data_in,
    members_in,
    model_in,
    unlike,
    words_in,
)

HEAD = Head("mlm", TABLES["vocab"])
ALONE = World(0, 1, torch.device("cpu"), "fp32")
SMALL = Architecture(12, (Layer(2, 16, 24),), **TABLES)
EXAMPLES = np.arange(6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("masked")
    data_in(path, words_in(path / "words"))
    return path


@pytest.fixture(scope="module")
def text(folder: Path) -> Text:
    return Text(Pretraining(folder / "data"), folder / "words", 16)


def network(dropout: float = 0.0) -> Network:
    return unlike(Network(LARGEST, HEAD, dropout=dropout))


def options(folder: Path, sampling: str = "sandwich", **more) -> Options:
    return Options(members_in(folder), sampling=sampling, **more)


def test_each_sequence_is_learned_from_or_held_out(text: Text) -> None:
    both = np.concatenate([text.learned, text.held])

    assert list(range(len(text.data))) == sorted(both)
    assert len(text.held) >= LEAST
    assert len(text.learned) > len(text.held)


def test_copies_of_a_sequence_are_on_one_side(text: Text) -> None:
    sides = [
        {tuple(text.data.rows([row]).ids) for row in rows} for rows in (text.learned, text.held)
    ]

    assert not sides[0] & sides[1]


def test_held_out_are_the_sequences_with_the_lowest_digests(
    text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(row: int) -> int:
        ids = text.data.rows([row]).ids.tobytes()
        return int.from_bytes(blake2b(ids, digest_size=8).digest(), "little")

    digests = [digest(row) for row in range(len(text.data))]

    def held(wanted: int) -> list[int]:
        limit = sorted(digests)[wanted - 1]
        return [row for row, x in enumerate(digests) if x <= limit]

    assert held(LEAST) == text.held.tolist()
    monkeypatch.setattr("nas.train.text.MOST", 20)
    assert held(20) == Text(text.data, text.tokenizer, 16).held.tolist()
    monkeypatch.setattr("nas.train.text.LEAST", 10**6)
    monkeypatch.setattr("nas.train.text.MOST", 10**6)
    assert held(len(text.data) // 2) == Text(text.data, text.tokenizer, 16).held.tolist()


def test_a_network_is_told_what_is_padding(text: Text) -> None:
    lines = text.batch(text.learned[np.argsort(text.lengths)[[0, -1]]])

    ids, mask, types = lines.inputs(torch.device("cpu"))

    assert mask is not None
    assert text.lengths_of(lines.rows).tolist() == mask.sum(1).tolist()
    assert (lines.ids.tolist(), lines.types.tolist()) == (ids.tolist(), types.tolist())


def test_a_text_is_cut_where_it_shall_be(folder: Path) -> None:
    short = Text(Pretraining(folder / "data"), folder / "words", 9)
    lines = short.batch(short.learned[:5])

    assert 9 == int(short.lengths.max()) == short.longest == lines.ids.shape[1]
    for row, ids in zip(lines.rows, lines.ids, strict=True):
        whole = short.data.rows([row]).ids[:9]
        assert whole.tolist() == ids[: len(whole)].tolist()


def test_padding_is_the_vocabularys_own(text: Text) -> None:
    rows = text.learned[np.argsort(text.lengths)[[0, -1]]]
    lines = text.batch(rows)

    assert lines.mask is not None
    assert {text.words.pad} == set(lines.ids[lines.mask == 0])


def test_only_hidden_words_are_answered_for_and_as_by_the_full_head(text: Text) -> None:
    whole = network()
    hidden = Masked(Family(whole, Options()), text).hidden(text.learned[EXAMPLES], 3, 1)
    full = whole(*hidden.inputs)

    found = hidden.read_by(whole)

    assert (len(hidden.places), TABLES["vocab"]) == tuple(found.shape)
    assert 0 < len(hidden.places) < full[..., 0].numel() / 2
    torch.testing.assert_close(full.flatten(0, 1)[hidden.places], found)


def test_hidden_words_are_those_of_the_masking(text: Text) -> None:
    masking = Masking(0.3)
    rows = text.learned[EXAMPLES]
    lines = text.batch(rows)
    ids, targets = mask(lines.ids, text.words, masking, draw(3, 1, rows, lines.ids.shape[1]))

    hidden = Masked(Family(network(), Options()), text, masking).hidden(rows, 3, 1)

    assert ids.tolist() == hidden.inputs[0].tolist()
    assert targets[targets != NO_TARGET].tolist() == hidden.words.tolist()


def test_other_words_are_hidden_in_another_epoch_or_by_another_seed(text: Text) -> None:
    masked = Masked(Family(network(), Options()), text)
    found = {
        tuple(masked.hidden(text.learned[EXAMPLES], seed, epoch).places.tolist())
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
    }

    assert 3 == len(found)


def test_the_loss_and_its_gradients_are_those_of_cross_entropy_over_all_places(text: Text) -> None:
    ours, plain = network(), network()
    masked = Masked(Family(ours, Options()), text)
    hidden = masked.hidden(text.learned[EXAMPLES], 5, 2)
    targets = torch.full((hidden.inputs[0].numel(),), NO_TARGET)
    targets[hidden.places] = hidden.words
    loss = F.cross_entropy(plain(*hidden.inputs).flatten(0, 1), targets)
    (loss * 0.25).backward()

    losses = masked.learn(EXAMPLES, Moment(5, 2, 7), 0.25)

    assert {"loss": pytest.approx(loss.item(), rel=1e-5)} == losses
    for (name, a), b in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, msg=name, rtol=1e-4, atol=1e-6)


def test_in_a_sandwich_the_largest_learns_the_words_and_the_others_what_it_says(
    folder: Path, text: Text
) -> None:
    whole, plain = network(), network()
    family = Family(whole, options(folder))
    masked = Masked(family, text)
    moment = Moment(0, 0, 0)
    hidden = masked.hidden(text.learned[EXAMPLES], 0, 0)
    views = Supernet(plain, family.rule)
    subs = list(family.drawn(moment).values())
    taught = hidden.read_by(plain).detach()
    wanted = []
    for sub in subs:
        outputs = hidden.read_by(views.at(sub))
        if sub is subs[0]:
            loss = F.cross_entropy(outputs, hidden.words)
        else:
            logs = F.log_softmax(outputs, -1), F.log_softmax(taught, -1)
            loss = F.kl_div(*logs, log_target=True, reduction="batchmean")
        backward(loss / len(subs))
        wanted.append(loss.item())

    losses = masked.learn(EXAMPLES, moment, 1.0)

    mean = sum(wanted) / len(wanted)
    named = {"largest": wanted[0], "smallest": wanted[1], "all": mean}
    assert 4 == len(subs)
    assert (family.space.largest, family.space.smallest) == tuple(subs[:2])
    assert pytest.approx(named, rel=1e-4) == losses
    for (name, a), b in zip(whole.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, msg=name, rtol=1e-3, atol=1e-5)


def test_who_says_what_the_largest_says_has_nothing_to_learn() -> None:
    outputs = torch.randn(5, 40, requires_grad=True)
    loss = Taught.by(outputs).divergence(outputs)
    loss.backward()

    assert 0 == pytest.approx(loss.item(), abs=1e-5)
    assert 0 == pytest.approx(float(outputs.grad.abs().max()), abs=1e-6)


def test_one_sub_model_a_step_leaves_the_rest_alone(folder: Path, text: Text) -> None:
    whole = network()
    family = Family(whole, options(folder, "one"))
    drawn = [family.drawn(Moment(0, 0, step)) for step in range(20)]
    step = next(i for i, sub in enumerate(drawn) if sub["loss"].depth == 1)

    losses = Masked(family, text).learn(EXAMPLES, Moment(0, 0, step), 1.0)

    assert {"loss"} == set(losses)
    assert len({sub["loss"] for sub in drawn}) > 5
    assert not whole.encoder.blocks[1].ffn.up.weight.grad.any()
    assert whole.encoder.blocks[0].ffn.up.weight.grad.any()


def test_a_text_without_words_to_hide_has_no_loss() -> None:
    outputs = torch.zeros(0, 40, requires_grad=True)

    assert 0.0 == cross_entropy(outputs, torch.zeros(0, dtype=torch.int64)).item()
    assert 0.0 == Taught.by(outputs).divergence(outputs).item()


def test_a_view_reads_as_the_extracted_sub_model(folder: Path, text: Text) -> None:
    whole = network()
    family = Family(whole, options(folder))
    weights = whole.weights()
    cut = Cut(LARGEST, SMALL, family.rule)
    names = Network(SMALL, HEAD).weights()
    own = Network(SMALL, HEAD, {n: cut.take(n, weights[cut.source(n)]) for n in names}).eval()
    whole.eval()
    hidden = Masked(family, text).hidden(text.held, 0, 0)

    torch.testing.assert_close(hidden.read_by(own), hidden.read_by(family.at(SMALL)))


def test_a_space_is_read_with_the_networks_own_tables(folder: Path) -> None:
    family = Family(network(), options(folder))

    assert {TABLES["vocab"]} == {a.vocab for a in family.watched.values()}
    assert {TABLES["positions"]} == {a.positions for a in family.watched.values()}


def test_scores_are_of_the_held_out_text_and_always_by_the_same_masks(text: Text) -> None:
    whole = network(dropout=0.5)
    masked = Masked(Family(whole, Options()), text)
    hidden = masked.hidden(text.held, 0, 2**32 - 1)
    whole.eval()
    with torch.no_grad():
        outputs = hidden.read_by(whole)
    right = float((outputs.argmax(-1) == hidden.words).float().mean())
    loss = F.cross_entropy(outputs, hidden.words).item()

    found = masked.evaluate()

    assert whole.training
    assert ["accuracy", "loss"] == list(found)
    assert pytest.approx({"accuracy": right, "loss": loss}, rel=1e-4) == found
    assert found == masked.evaluate()


def test_each_watched_sub_model_has_scores(folder: Path, text: Text) -> None:
    family = Family(network(), options(folder))
    found = Masked(family, text).evaluate()
    each = [found[f"accuracy {name}"] for name in family.watched]

    assert 6 == len(each)
    assert "accuracy" == next(iter(found))
    assert pytest.approx(np.mean(each)) == found["accuracy"]
    assert found["loss largest"] != found["loss smallest"]


def test_the_loss_falls_on_a_text_that_can_be_learned(
    tmp_path: Path, folder: Path, text: Text
) -> None:
    recipe = Recipe(epochs=12, batch=8, rate=1e-2, dropout=0.0, evaluations=0.01)
    masked = Masked(Start(LARGEST, folder / "words").family(HEAD, Options(), recipe, ALONE), text)

    Loop(masked, recipe, tmp_path, ALONE, Silent()).run()

    uniform = np.log(len(WORDS))  # of who knows nothing but the number of words
    assert masked.evaluate()["loss"] < uniform - 0.1


@pytest.mark.parametrize("sampling", ["sandwich", "one"])
def test_a_supernet_of_words_is_written_as_one(
    tmp_path: Path, folder: Path, text: Text, sampling: str
) -> None:
    recipe = Recipe(epochs=0.5, batch=8, dropout=0.0)
    family = Start(LARGEST, folder / "words").family(
        HEAD, options(folder, sampling), recipe, ALONE
    )

    Loop(Masked(family, text), recipe, tmp_path, ALONE, Silent()).run()

    assert (tmp_path / "supernet.json").exists()


def test_fresh_heads_and_networks_follow_from_the_seed(folder: Path) -> None:
    def made(seed: int) -> torch.Tensor:
        start = Start(LARGEST, folder / "words")
        return start.family(
            HEAD, Options(), Recipe(seed=seed), ALONE
        ).network.head.transform.weight

    torch.testing.assert_close(made(0), made(0), rtol=0, atol=0)
    assert not torch.equal(made(0), made(1))


def test_entries_are_left_out_of_fresh_and_of_given_weights(tmp_path: Path) -> None:
    place, recipe = model_in(tmp_path / "model", HEAD), Recipe(dropout=0.25)

    for saved in (None, read(place)):
        found = Start(LARGEST, place, saved).family(HEAD, Options(), recipe, ALONE).network
        assert 0.25 == found.dropout == found.encoder.dropout


def test_a_supernet_goes_on_as_it_is_cut_and_ordered(tmp_path: Path) -> None:
    has = Rule("prefix", "spread")
    place = model_in(tmp_path / "model", HEAD, rule=has)
    start = Start(LARGEST, place, read(place))

    found = start.family(HEAD, options(tmp_path), Recipe(), ALONE)

    assert has == start.rule == found.rule
    weights = found.network.weights()
    assert all(np.array_equal(x, weights[name]) for name, x in read(place).weights.items())


def test_a_teacher_of_other_words_is_refused(tmp_path: Path) -> None:
    mine, same = words_in(tmp_path / "mine"), words_in(tmp_path / "same")
    other = words_in(tmp_path / "other", WORDS[::-1])

    require_one_vocabulary(mine, mine)
    require_one_vocabulary(same, mine)
    with pytest.raises(BadInputError, match=r"other and the student .*mine have different"):
        require_one_vocabulary(other, mine)


def test_weights_are_ordered_by_importance_before_sub_models_are_cut(tmp_path: Path) -> None:
    place = model_in(tmp_path / "model", HEAD)
    space = members_in(tmp_path)

    def begun(options: Options, folder: Path = place) -> Network:
        start = Start(LARGEST, folder, read(folder))
        return start.family(HEAD, options, Recipe(dropout=0.0), ALONE).network.eval()

    ids = torch.arange(5, 21).reshape(2, 8)
    plain = begun(Options(space, "per-head", sampling="sandwich"))
    sorted_ = begun(Options(space, sampling="sandwich"))
    norms = sorted_.encoder.blocks[0].ffn.up.weight.norm(dim=1)

    torch.testing.assert_close(plain(ids), sorted_(ids), rtol=1e-4, atol=1e-4)
    assert not torch.equal(
        plain.encoder.blocks[0].ffn.up.weight, sorted_.encoder.blocks[0].ffn.up.weight
    )
    assert norms[:8].mean() > norms[-8:].mean()
    torch.testing.assert_close(plain(ids), begun(Options())(ids), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Options(sampling="one"), "name a --space"),
        (lambda: Options(sampling="two"), "sampling must be one of"),
        (lambda: Options(slicing="thin"), "slicing must be one of"),
        (lambda: Options().space_in(LARGEST), "name a --space"),
    ],
)
def test_options_that_cannot_be_are_refused(wrong, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        wrong()


def test_the_largest_is_trained_in_every_step(tmp_path: Path, text: Text) -> None:
    options = Options(members_in(tmp_path), sampling="sandwich", largest_every=2)
    with pytest.raises(BadInputError, match="add --largest-every 1"):
        Masked(Family(Network(LARGEST, HEAD), options), text)


def test_other_words_and_too_few_of_them_are_refused(tmp_path: Path, folder: Path) -> None:
    data = Pretraining(folder / "data")
    other = words_in(tmp_path / "other", WORDS[::-1])
    with pytest.raises(BadInputError, match="another vocabulary"):
        Text(data, other, 16)
    text = Text(data, folder / "words", 512)
    with pytest.raises(BadInputError, match=r"\d+ tokens and it has 8 positions: .*--tokens 8"):
        text.require(Architecture(16, LARGEST.layers, TABLES["vocab"], 8, 2), "it")
    with pytest.raises(BadInputError, match="table of 39 words"):
        text.require(Architecture(16, LARGEST.layers, 39, 24, 2), "it")
    text.require(LARGEST, "it")
    text.require(Architecture(16, LARGEST.layers, 41, text.longest, 2), "it")
    one = data_in(tmp_path, folder / "words", "--limit-tokens", "5", documents=2)
    few = Pretraining(one)
    assert 1 == len(few)
    with pytest.raises(BadInputError, match="1 sequences"):
        Text(few, folder / "words", 16)

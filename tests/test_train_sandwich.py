"""Sub-models of all sizes are drawn, taught and kept as the sandwich rule says."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nas.elastic import Rule
from nas.encoder import Trace
from nas.folder import read
from nas.network import Network
from nas.space import SearchSpace, load_space
from nas.spaces.layers import PerHead
from nas.supernet import backward
from nas.train.family import Family, Options, balanced, told
from nas.train.further import further
from nas.train.moment import Moment
from nas.train.recipe import Recipe
from nas.train.sandwich import Sandwich, Teaching, sandwich
from nas.train.task import Answers, distance, lesson, loss_of, outputs_of, tensors
from nas.train.world import World
from results.architecture import Architecture
from results.errors import BadInputError
from tests.made_supernet import TABLES, made_folder, made_task

ALONE = World(0, 1, torch.device("cpu"), "fp32")
SPACE = SearchSpace(
    name="made", depth=(1, 2, 3), hidden=(8, 16, 24), heads=(2, 4), qkv=PerHead(6), ffn=(8, 20, 40)
)
TASK = made_task()
RECIPE = Recipe(tokens=32, dropout=0.0)
EXAMPLES = np.arange(6)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("teacher"), rule=None)


def made(teacher: Path, teaching: Teaching | None = None, **options: object) -> Sandwich:
    given = {"depth": "spread", "sampling": "sandwich"} | options
    return sandwich(TASK, teacher, Options(SPACE, **given), RECIPE, ALONE, teaching=teaching)  # type: ignore[arg-type]


def gradients(network: Network) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


def learned(objective: Sandwich, step: int = 0) -> dict[str, torch.Tensor]:
    """Gradients of one batch."""
    for p in objective.network.parameters():
        if p.grad is not None:
            p.grad.zero_()
    objective.learn(EXAMPLES, Moment(0, 0, step, 0), 1.0)
    return gradients(objective.network)


def test_a_step_trains_largest_smallest_and_randoms_and_another_step_others(
    teacher: Path,
) -> None:
    family = made(teacher, randoms=3).family

    found = family.drawn(Moment(0, 0, 0, 0))

    assert ["largest", "smallest", "random 1", "random 2", "random 3"] == list(found)
    assert family.space.largest == found["largest"]
    assert family.space.smallest == found["smallest"]
    assert found == family.drawn(Moment(0, 0, 0, 1))  # of all batches of a step, and processes
    assert found != family.drawn(Moment(0, 0, 1, 0))
    assert found != family.drawn(Moment(1, 0, 0, 0))


def test_the_largest_is_trained_in_every_so_many_steps(teacher: Path) -> None:
    family = made(teacher, largest_every=3).family

    there = ["largest" in family.drawn(Moment(0, 0, step, 0)) for step in range(7)]

    assert [True, False, False, True, False, False, True] == there


def test_the_seeds_way_draws_one_member_of_the_space(teacher: Path) -> None:
    family = made(teacher, sampling="one").family

    found = [family.drawn(Moment(0, 0, step, 0)) for step in range(20)]

    assert {("loss",)} == {tuple(x) for x in found}
    assert 10 < len({x["loss"] for x in found})
    assert all(x["loss"] in family.space for x in found)


def test_small_sub_models_are_drawn_though_they_are_few() -> None:
    space = load_space("minilm")
    rng = np.random.default_rng(0)

    low, high = (np.log(a.macs(128)) for a in (space.smallest, space.largest))

    def small(drawn: list[Architecture]) -> float:
        """Share in the lower half, by the logarithm of the work."""
        places = np.array([(np.log(a.macs(128)) - low) / (high - low) for a in drawn])
        return float(np.mean(places < 0.5))

    even = small([balanced(space, rng) for _ in range(500)])
    plain = small([space.sample(rng) for _ in range(500)])

    assert plain + 0.05 < even < 0.5


def test_sub_models_have_the_tables_of_the_network_and_not_of_the_space(teacher: Path) -> None:
    family = made(teacher).family

    assert (SPACE.vocab, TABLES["vocab"]) == (30522, family.space.vocab)
    assert all(TABLES["vocab"] == a.vocab for a in family.watched.values())


@pytest.mark.parametrize("slicing", ["importance", "per-head", "prefix"])
def test_the_largest_begins_as_the_teacher(teacher: Path, slicing: str) -> None:
    objective = made(teacher, slicing=slicing)
    before = read(teacher).network().eval()

    data = objective.lesson.dev.encoded
    whole = objective.family.at(objective.network.architecture)
    torch.testing.assert_close(
        np.stack(outputs_of(before, data)), np.stack(outputs_of(whole, data)), rtol=1e-4, atol=1e-5
    )


def test_who_agrees_with_the_teacher_in_all_learns_nothing(teacher: Path) -> None:
    objective = made(teacher, randoms=0)
    objective.family.drawn = lambda _: {"largest": objective.network.architecture}  # type: ignore[method-assign]

    found = learned(objective)

    assert max(float(g.abs().max()) for g in found.values()) < 1e-5


def test_no_gradient_goes_to_the_teacher(teacher: Path) -> None:
    objective = made(teacher)
    shown = objective.teacher
    assert shown is not None
    before = {n: p.clone() for n, p in shown.named_parameters()}

    learned(objective)
    with torch.no_grad():
        for p in objective.network.parameters():
            p.add_(1.0)

    for name, p in shown.named_parameters():
        assert p.grad is None
        assert torch.equal(before[name], p), name


def test_gradients_are_those_of_each_sub_model_by_hand(teacher: Path) -> None:
    """The whole loss again, written down in other words, by torch's own differentiation."""
    teaching = Teaching(trust=0.7, hints=0.5)
    objective = made(teacher, teaching)
    found = learned(objective)
    network, lesson_ = objective.network, objective.lesson
    inputs, targets = tensors(lesson_.train.encoded, EXAMPLES, torch.device("cpu"))
    ids, mask, types = inputs
    assert mask is not None
    whole = read(teacher).network().eval()
    soft = whole(*inputs).softmax(-1).detach()
    trace = Trace(attention=False)
    assert objective.teacher is not None
    objective.teacher(*inputs, trace)
    network.zero_grad(set_to_none=False)  # the sub-models look at this memory

    total = torch.zeros(())
    subs = objective.family.drawn(Moment(0, 0, 0, 0))
    for sub in subs.values():
        kept = objective.family.rule.layers(sub.depth, 3)  # type: ignore[union-attr]
        mine = Trace(attention=False)
        outputs = objective.family.at(sub)(ids, mask, types, mine)
        log = outputs.log_softmax(-1)
        kl = (soft * (soft.log() - log)).sum(-1).mean()
        far = []
        theirs = [trace.hidden[0], *(trace.hidden[i + 1] for i in kept)]
        for x, whole_y in zip(mine.hidden, theirs, strict=True):
            y, real = whole_y.detach(), mask.bool()
            far.append(((x - y[..., : sub.hidden])[real] ** 2).sum() / (y[real] ** 2).sum())
        loss = 0.7 * kl + 0.3 * F.nll_loss(log, targets) + 0.5 * torch.stack(far).mean()
        (loss / len(subs)).backward()
        total = total + loss.detach()

    for name, wanted in gradients(network).items():
        torch.testing.assert_close(found[name], wanted, rtol=2e-3, atol=2e-6, msg=name)


def test_where_the_largest_teaches_its_answers_are_learned_and_the_labels_are_its_own(
    teacher: Path,
) -> None:
    objective = made(teacher, Teaching(by="largest", hints=0.0), randoms=0, largest_every=1)
    found = learned(objective)
    inputs, targets = tensors(objective.lesson.train.encoded, EXAMPLES, torch.device("cpu"))
    objective.network.zero_grad(set_to_none=False)

    family = objective.family
    large = family.at(family.space.largest)(*inputs)
    small = family.at(family.space.smallest)(*inputs)
    (0.5 * loss_of(large, targets) + 0.5 * distance(small, large.detach())).backward()

    for name, wanted in gradients(objective.network).items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-4, atol=1e-7, msg=name)


def test_hints_are_the_teachers_also_where_the_largest_answers(teacher: Path) -> None:
    without, hinted = (
        learned(made(teacher, Teaching(by="largest", hints=hints), largest_every=1))
        for hints in (0.0, 1.0)
    )

    assert any(not torch.equal(without[name], hinted[name]) for name in without)


def test_the_largest_cannot_teach_where_it_is_not_trained(teacher: Path) -> None:
    with pytest.raises(BadInputError, match="add --largest-every 1"):
        made(teacher, Teaching(by="largest"), largest_every=2)
    with pytest.raises(BadInputError, match="teacher or largest"):
        Teaching(by="nobody")


def test_an_evaluation_is_the_mean_over_the_watched_and_each_of_them(teacher: Path) -> None:
    objective = made(teacher)

    found = objective.evaluate()

    names = ["mean", "largest", "smallest", "random 1", "random 2", "random 3", "random 4"]
    assert names == list(found)
    assert np.mean(list(found.values())[1:]) == pytest.approx(found["mean"])
    dev = objective.lesson.dev
    for name, sub in objective.family.watched.items():
        answers = np.stack(outputs_of(objective.family.at(sub), dev.encoded)).argmax(-1)
        assert np.mean(answers == TASK.splits["dev"].labels) == pytest.approx(found[name]), name


def test_what_is_kept_has_rule_space_and_labels(teacher: Path, tmp_path: Path) -> None:
    objective = made(teacher)

    objective.keep(tmp_path)
    saved = read(tmp_path)

    assert objective.family.space == saved.space
    assert objective.family.rule == saved.rule
    assert TASK.labels == saved.labels


def test_the_record_tells_spaces_of_the_same_name_apart() -> None:
    other = replace(SPACE, ffn=(8, 20))

    assert Options(SPACE).as_dict() != Options(other).as_dict()
    assert Options(SPACE).as_dict() == Options(replace(SPACE)).as_dict()


@pytest.mark.parametrize(
    ("plain", "others"),
    [
        (Teaching(), Teaching("largest", 0.5, 0.5)),
        (Options(SPACE), Options(replace(SPACE, ffn=(8,)), "prefix", "spread", "one", 3, 2)),
    ],
)
def test_the_record_has_every_setting(plain: Teaching, others: Teaching) -> None:
    for field in fields(plain):
        other = replace(plain, **{field.name: getattr(others, field.name)})
        assert plain.as_dict() != other.as_dict(), field.name


def test_by_labels_alone_one_sub_model_learns_and_nobody_teaches(teacher: Path) -> None:
    objective = made(teacher, sampling="one")
    found = learned(objective)
    inputs, targets = tensors(objective.lesson.train.encoded, EXAMPLES, torch.device("cpu"))
    objective.network.zero_grad(set_to_none=False)

    assert objective.teacher is None
    (sub,) = objective.family.drawn(Moment(0, 0, 0, 0)).values()
    backward(loss_of(objective.family.at(sub)(*inputs), targets))

    for name, wanted in gradients(objective.network).items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-4, atol=1e-7, msg=name)


@pytest.mark.parametrize("sampling", ["one", "sandwich"])
def test_the_most_important_parts_come_first_where_they_shall(
    teacher: Path, sampling: str
) -> None:
    def up(slicing: str) -> torch.Tensor:
        network = made(teacher, sampling=sampling, slicing=slicing).network
        return network.encoder.blocks[0].ffn.up.weight

    given = read(teacher).network().encoder.blocks[0].ffn.up.weight

    assert torch.equal(given, up("per-head"))
    assert not torch.equal(given, up("importance"))


def test_the_supernet_leaves_entries_out_and_its_teacher_none(teacher: Path) -> None:
    recipe = replace(RECIPE, dropout=0.5)
    options = Options(SPACE, sampling="sandwich", randoms=0)

    objective = sandwich(TASK, teacher, options, recipe, ALONE)
    objective.network.eval()
    inputs, _ = tensors(objective.lesson.train.encoded, EXAMPLES, torch.device("cpu"))
    shown = read(teacher).network().eval()(*inputs)
    assert objective.teacher is not None

    torch.testing.assert_close(objective.teacher(*inputs), shown, rtol=1e-4, atol=1e-5)
    found = [objective.learn(EXAMPLES, Moment(0, 0, 0, 0), 1.0)["largest"] for _ in range(2)]
    assert 2 == len(set(found))
    assert 0.5 == objective.network.dropout == objective.network.encoder.dropout
    scores = [objective.evaluate() for _ in range(2)]
    assert scores[0] == scores[1]


def test_who_is_watched_follows_from_the_seed(teacher: Path) -> None:
    def watched(seed: int) -> list[Architecture]:
        recipe = replace(RECIPE, seed=seed)
        options = Options(SPACE, sampling="one", slicing="per-head")
        return list(sandwich(TASK, teacher, options, recipe, ALONE).family.watched.values())

    assert watched(0) == watched(0) != watched(1)


def test_longer_texts_than_a_network_has_positions_are_cut(tmp_path: Path) -> None:
    task = made_task("span")
    place = made_folder(tmp_path, "span", labels=(), rule=None)
    recipe = replace(RECIPE, tokens=999)

    objective = sandwich(task, place, Options(SPACE, sampling="one"), recipe, ALONE)
    alone = further(read(place), task, recipe, ALONE)

    assert TABLES["positions"] == objective.lengths.max() == alone.lengths.max()


def test_a_teacher_of_another_task_is_refused(teacher: Path) -> None:
    other = made_task("span")

    with pytest.raises(BadInputError, match="has a head for classes and made-span asks for span"):
        sandwich(other, teacher, Options(SPACE, sampling="one"), RECIPE, ALONE)
    with pytest.raises(BadInputError, match="has a head for classes and made-span asks for span"):
        further(read(teacher), other, RECIPE, ALONE, teacher=read(teacher))


def test_the_rule_is_what_was_asked_or_what_a_supernet_has(teacher: Path, tmp_path: Path) -> None:
    asked, has = Options(SPACE, "prefix", "spread", "one"), Rule("per-head", "first")
    network = read(teacher).network()

    assert Rule("prefix", "spread") == asked.rule == Family(network, asked).rule
    family = Family(network, asked, rule=has)
    family.keep(tmp_path / "elastic", teacher)
    Family(network, Options()).keep(tmp_path / "alone", teacher)

    assert has == family.rule == read(tmp_path / "elastic").rule
    assert read(tmp_path / "alone").rule is None


def test_a_space_that_is_not_in_the_network_is_refused_at_once(teacher: Path) -> None:
    wide = Options(replace(SPACE, ffn=(8, 99)), sampling="one")

    with pytest.raises(BadInputError, match="ffn 99 is larger"):
        Family(read(teacher).network(), wide)


def test_sizes_are_all_depths_and_heads_that_can_be_drawn(teacher: Path) -> None:
    odd = replace(SPACE, qkv=(6, 12), heads=(2, 4, 5))  # no width is 5 heads'

    family = Family(read(teacher).network(), Options(odd, sampling="one"))

    wanted = {(depth, heads) for depth in (1, 2, 3) for heads in (2, 4)}
    assert wanted == {(a.depth, a.layers[0].heads) for a in family.sizes()}


def test_losses_of_random_ones_are_told_as_a_mean_of_all() -> None:
    losses = {"largest": 1.0, "smallest": 2.0, "random 1": 6.0}

    assert {"largest": 1.0, "smallest": 2.0, "all": 3.0} == told(losses)
    assert {"smallest": 2.0, "all": 4.0} == told({"smallest": 2.0, "random 1": 6.0})
    assert {"loss": 1.0} == told({"loss": 1.0})


def test_a_supernet_alone_has_no_space(teacher: Path) -> None:
    family = Family(read(teacher).network(), Options())

    assert {"": family.network.architecture} == family.watched
    assert family.network is family.at(family.network.architecture)
    assert (0, 1, 2) == family.layers(family.network.architecture)


@pytest.mark.parametrize("kind", ["classes", "score", "span"])
def test_distance_is_nothing_from_oneself_and_something_from_others(
    kind: str, tmp_path: Path
) -> None:
    task = made_task(kind)  # type: ignore[arg-type]
    place = made_folder(tmp_path, kind, labels=task.labels)  # type: ignore[arg-type]
    network, found = read(place).network().eval(), lesson(task, place, 32)
    data = found.train.encoded
    answers = Answers(network, data)
    inputs, _ = tensors(data, EXAMPLES, torch.device("cpu"))
    outputs = network(*inputs).detach()
    if kind == "span" and inputs[1] is not None:
        outputs = outputs.masked_fill(inputs[1][..., None] == 0, -1e9)

    same = answers.at(EXAMPLES, outputs)

    assert distance(outputs, same).item() == pytest.approx(0, abs=1e-5)
    assert distance(outputs * 0.5, same).item() > 1e-4


def test_the_distance_of_two_answers_in_a_text_is_that_of_their_tokens() -> None:
    mine, theirs = torch.randn(2, 2, 5, 2).unbind(0)
    p, q = theirs.softmax(1), mine.softmax(1)
    sums = (p * (p / q).log()).sum((1, 2))  # over starts and over ends

    assert distance(mine, theirs).item() == pytest.approx(float(sums[0] + sums[1]) / 4, rel=1e-4)


def test_labels_and_a_teachers_answers_are_weighed(teacher: Path) -> None:
    """By a student of other weights, whose head is kept as it is for the same labels."""
    student = read(teacher)
    student.weights["classifier.weight"] *= -1
    recipe = replace(RECIPE, dropout=0.0)
    objective = further(student, TASK, recipe, ALONE, teacher=read(teacher), trust=0.3)
    plain, whole = student.network(), read(teacher).network().eval()
    inputs, targets = tensors(objective.lesson.train.encoded, EXAMPLES, torch.device("cpu"))

    outputs = plain(*inputs)
    loss = 0.7 * loss_of(outputs, targets) + 0.3 * distance(outputs, whole(*inputs).detach())
    (loss * 0.25).backward()

    found = objective.learn(EXAMPLES, Moment(0, 0, 0, 0), 0.25)
    assert {"loss": pytest.approx(loss.item(), rel=1e-4)} == found
    for (name, mine), wanted in zip(
        objective.network.named_parameters(), plain.parameters(), strict=True
    ):
        torch.testing.assert_close(mine.grad, wanted.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_a_student_leaves_entries_out_where_it_learns_and_not_where_it_is_judged(
    teacher: Path, tmp_path: Path
) -> None:
    objective = further(read(teacher), TASK, replace(RECIPE, dropout=0.5), ALONE)
    objective.network.eval()

    losses = [objective.learn(EXAMPLES, Moment(0, 0, 0, 0), 1.0)["loss"] for _ in range(2)]
    scores = [outputs_of(objective.network, objective.lesson.dev.encoded) for _ in range(2)]

    assert losses[0] != losses[1]
    assert np.array_equal(*scores)
    assert objective.network.training
    objective.keep(tmp_path)
    assert TASK.labels == read(tmp_path).labels


def test_a_new_head_follows_from_the_seed(teacher: Path) -> None:
    def made_head(seed: int) -> torch.Tensor:
        task = replace(TASK, labels=(*TASK.labels, "one more"))
        return further(
            read(teacher), task, replace(RECIPE, seed=seed), ALONE
        ).network.head.out.weight

    assert torch.equal(made_head(0), made_head(0))
    assert not torch.equal(made_head(0), made_head(1))


def test_a_lesson_is_learned_from_train_and_chosen_by_dev(teacher: Path) -> None:
    found = lesson(TASK, teacher, 32)

    for split, part in (("train", found.train), ("dev", found.dev)):
        assert list(TASK.splits[split].labels) == part.encoded.targets.tolist()

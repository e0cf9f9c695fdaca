"""The loop learns what its recipe says, and one that was killed learns the same to the bit."""

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import count, pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from nas.train import journal, loop
from nas.train.moment import Moment
from nas.train.recipe import Recipe, rate_at
from results.errors import BadInputError
from tests.made_training import ALONE, Killed, Toy, files_of, lines_of, loop_of, weights_of

RECIPE = Recipe(epochs=2, batch=3, accumulation=2, rate=0.05, evaluations=2, seed=3)
"""4 steps an epoch, 22 examples in 8 batches, an evaluation every second step."""


@pytest.fixture
def _every_step(monkeypatch) -> None:
    monkeypatch.setattr(loop, "SAVE_S", 0.0)
    monkeypatch.setattr(journal, "EVERY_S", 0.0)


RECIPES = {
    "plain": replace(RECIPE, batch=6),
    "patience": replace(RECIPE, epochs=3, patience=1, batch=8),
    "part of an epoch": replace(RECIPE, epochs=1.4, evaluations=0.4, batch=6),
}


@pytest.mark.usefixtures("_every_step")
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_killed_at_any_moment_it_ends_as_if_it_were_not(tmp_path, name) -> None:
    recipe = RECIPES[name]
    loop_of(Toy(), recipe, tmp_path / "whole").run()
    whole = files_of(tmp_path / "whole")

    for n in count(1):
        folder = tmp_path / str(n)
        try:
            loop_of(Toy(dies_at=n), recipe, folder).run()
        except Killed:
            loop_of(Toy(), recipe, folder).run()
            assert whole == files_of(folder)
        else:
            break
    assert n > 9  # each batch, evaluation and file of the best network


@pytest.mark.parametrize("save_s", [0.0, 1e9])
def test_killed_again_and_again_it_still_ends_so(tmp_path, monkeypatch, save_s) -> None:
    monkeypatch.setattr(loop, "SAVE_S", save_s)
    monkeypatch.setattr(journal, "EVERY_S", 0.0)
    loop_of(Toy(), RECIPE, tmp_path / "whole").run()

    for n in (4, 5, 6, 7, 8, 9):
        with pytest.raises(Killed):
            loop_of(Toy(dies_at=n), RECIPE, tmp_path / "killed").run()
    loop_of(Toy(), RECIPE, tmp_path / "killed").run()

    assert files_of(tmp_path / "whole") == files_of(tmp_path / "killed")


@pytest.mark.usefixtures("_every_step")
@pytest.mark.parametrize("name", ["plain", "patience"])
def test_killed_at_its_end_it_learns_no_more(tmp_path, monkeypatch, name) -> None:
    recipe = RECIPES[name]
    loop_of(Toy(), recipe, tmp_path / "whole").run()
    for n, place in enumerate(["_move_up", "state.forget"]):
        folder, target = tmp_path / str(n), f"nas.train.loop.{place}"
        with monkeypatch.context() as patched:
            patched.setattr(target, lambda _: _die())
            with pytest.raises(Killed):
                loop_of(Toy(), recipe, folder).run()
        toy = Toy()

        loop_of(toy, recipe, folder).run()

        assert files_of(tmp_path / "whole") == files_of(folder)
        assert [] == toy.seen


def _die() -> None:
    raise Killed


@pytest.mark.usefixtures("_every_step")
def test_what_is_kept_is_the_best_network(tmp_path) -> None:
    toy = Toy()
    toy.scores = [0, 1, 0, 5, 0, 5, 0, 2]

    result = loop_of(toy, RECIPE, tmp_path).run()

    assert (5, 4, 8) == (result["score"], result["step"], result["steps"])
    early = Toy()
    early.scores = toy.scores
    half = loop_of(early, RECIPE, tmp_path / "half")
    for step in range(4):
        half.step(step)
    assert weights_of(early) == (tmp_path / "model.safetensors").read_bytes()
    assert {"model.safetensors", "half.bin", "log.jsonl", "result.json", "half"} == {
        path.name for path in tmp_path.iterdir()
    }


def test_patience_counts_evaluations_without_a_better_score(tmp_path) -> None:
    recipe = replace(RECIPE, epochs=9, patience=2)
    toy = Toy()
    toy.scores = [0, 1, 0, 1, 0, 2, 0, 0, 0, 2, 0, 9]

    result = loop_of(toy, recipe, tmp_path).run()

    assert (2, 6, 10) == (result["score"], result["step"], result["steps"])


def test_evaluations_come_as_often_as_was_asked_and_at_the_end(tmp_path) -> None:
    def steps(name: str, **asked: float) -> list[int]:
        loop_of(Toy(), replace(RECIPE, **asked), tmp_path / name).run()
        return [line["step"] for line in lines_of(tmp_path / name) if "scores" in line]

    assert [2, 4, 6, 8] == steps("twice")
    assert [4, 8] == steps("once", evaluations=1)
    assert [8] == steps("rarely", evaluations=0.5)
    assert [1, 2, 3] == steps("often", evaluations=99, epochs=0.8)


@pytest.mark.parametrize("wrong", ["loss", "gradient"])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_loss_that_is_no_number_stops_it_before_anything_is_lost(
    tmp_path, monkeypatch, wrong, clip
) -> None:
    monkeypatch.setattr(journal, "EVERY_S", 1e9)
    recipe = replace(RECIPE, clip=clip)
    good = Toy()
    good.scores = list(range(9))
    before = loop_of(good, recipe, tmp_path / "good")
    for step in range(4):
        before.step(step)
    bad = Toy()
    bad.spoilt, bad.scores = {4: wrong}, good.scores

    with pytest.raises(BadInputError, match="the loss of step 5 is not a number"):
        loop_of(bad, recipe, tmp_path / "bad").run()

    assert weights_of(good) == weights_of(bad)
    assert weights_of(good) == (tmp_path / "bad" / "best" / "model.safetensors").read_bytes()
    again = Toy()
    again.scores = good.scores
    assert 8 == loop_of(again, recipe, tmp_path / "bad").run()["steps"]
    assert 4 == again.seen[0].step
    good_lines = [line["step"] for line in lines_of(tmp_path / "bad") if "losses" in line]
    assert [4, 8] == good_lines


def test_a_bad_first_step_leaves_a_state_too(tmp_path) -> None:
    toy = Toy()
    toy.spoilt = {0: "loss"}

    for _ in range(2):
        with pytest.raises(BadInputError, match="the loss of step 1 is not a number"):
            loop_of(toy, RECIPE, tmp_path).run()

    assert weights_of(Toy()) == weights_of(toy)
    assert ["step-0"] == [path.name for path in (tmp_path / "state").iterdir()]


def test_gradients_of_batches_are_averaged_as_in_one_large_batch(tmp_path) -> None:
    one, several = Toy(24, dropout=0), Toy(24, dropout=0)
    large = loop_of(one, replace(RECIPE, batch=24, accumulation=1, clip=0), tmp_path)
    small = loop_of(several, replace(RECIPE, batch=4, accumulation=6, clip=0), tmp_path)

    large.step(0)
    small.step(0)

    for mine, theirs in zip(one.network.parameters(), several.network.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    assert 1 == len(one.seen)
    assert list(range(6)) == [moment.batch for moment in several.seen]


def test_gradients_are_written_down_again(tmp_path) -> None:
    """Of one step with batches of 3, 3 and 1 examples, in float64, by hand."""
    toy = Toy(7, dropout=0)
    plain = loop_of(toy, replace(RECIPE, batch=3, accumulation=3, clip=0.0), tmp_path)
    w1, b1, scale, shift, w2, b2 = (p.detach().double().numpy() for p in toy.network.parameters())
    batches, expected = noted(toy), np.zeros(4)
    plain.step(0)
    for batch in batches:
        x, y = toy.x[batch].double().numpy(), toy.y[batch].double().numpy()
        h = x @ w1.T + b1
        h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)
        out = (h * scale + shift) @ w2[0] + b2
        slope = 2 * (out - y) / len(batch)  # of the mean square
        expected += slope @ (h * scale + shift) / 3

    assert [3, 3, 1] == sorted(map(len, batches), reverse=True)
    np.testing.assert_allclose(expected, toy.network[2].weight.grad[0], rtol=1e-4)


def noted(toy: Toy) -> list[np.ndarray]:
    """The examples of the batches it will learn from."""
    batches, learn = list[np.ndarray](), toy.learn

    def noting(examples: np.ndarray, moment: Moment, share: float) -> dict[str, float]:
        batches.append(examples)
        return learn(examples, moment, share)

    toy.learn = noting  # type: ignore[method-assign]
    return batches


def test_gradients_longer_than_clip_are_shortened(tmp_path) -> None:
    def norms(clip: float) -> Iterator[float]:
        toy = Toy()
        training = loop_of(toy, replace(RECIPE, clip=clip), tmp_path)
        for step in range(4):
            training.step(step)
            grads = [p.grad.flatten() for p in toy.network.parameters()]
            yield float(torch.cat(grads).norm())

    first = next(norms(0))

    assert first > 0.05
    assert [pytest.approx(0.05, rel=1e-4)] * 4 == list(norms(0.05))
    assert pytest.approx(first) == next(norms(first * 2))


def test_only_matrices_decay(tmp_path) -> None:
    toy = Toy()
    training = loop_of(toy, replace(RECIPE, decay=0.5, rate=0.1, warmup=0), tmp_path)
    for parameter in toy.network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = {name: p.clone() for name, p in toy.network.named_parameters()}

    for group in training.optimiser.param_groups:
        assert group["lr"] == 0.1
    training.optimiser.step()

    for name, after in toy.network.named_parameters():
        share = 0.95 if after.ndim > 1 else 1.0
        torch.testing.assert_close(before[name] * share, after.detach())


def test_the_optimiser_has_every_parameter_once(tmp_path) -> None:
    toy = Toy()
    training = loop_of(toy, RECIPE, tmp_path)

    mine = [id(p) for group in training.optimiser.param_groups for p in group["params"]]

    assert sorted(id(p) for p in toy.network.parameters()) == sorted(mine)
    assert isinstance(toy.network[0], nn.Linear)


@given(
    st.integers(1, 400),
    st.floats(0, 0.99),
    st.floats(1e-6, 1.0),
)
def test_the_rate_rises_to_its_peak_and_falls_to_nearly_nothing(steps, warmup, rate) -> None:
    recipe = Recipe(rate=rate, warmup=warmup)
    found = [rate_at(step, steps, recipe) for step in range(steps)]

    peak = int(np.argmax(found))
    assert rate == pytest.approx(max(found))
    assert min(found) > 0
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)
    assert abs(peak + 1 - warmup * steps) <= 2  # its two neighbours are alike
    rising = max(warmup > 0, round(warmup * steps))  # a warm-up has a step at least
    up, down = rate / max(1, rising), rate / max(1, steps - rising)
    assert all(-down * 1.001 <= after - before <= up * 1.001 for before, after in pairwise(found))


@given(st.integers(2, 300), st.sampled_from([0, 0.1, 0.25, 0.5]))
def test_the_rate_is_two_straight_lines(steps, warmup) -> None:
    rising = round(steps * warmup)
    assume(warmup == 0 or rising > 0)
    lines = np.interp(np.arange(steps + 1), [0, rising, steps], [rising == 0, 1, 0])

    found = [rate_at(step, steps, Recipe(rate=2.0, warmup=warmup)) for step in range(steps)]

    np.testing.assert_allclose(2 * lines[1 : rising + 1], found[:rising], atol=1e-9)
    np.testing.assert_allclose(2 * lines[rising:steps], found[rising:], atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 8),
        ({"epochs": 0.01}, 1),
        ({"epochs": 1.5}, 6),
        ({"accumulation": 3}, 6),
        ({"accumulation": 100}, 2),
        ({"batch": 100}, 2),
        ({"batch": 1, "accumulation": 1}, 44),
    ],
)
def test_steps_are_counted_in_epochs(tmp_path, changes, steps) -> None:
    assert steps == loop_of(Toy(), replace(RECIPE, **changes), tmp_path).steps


@pytest.mark.parametrize("batch", [1, 4, 22, 100])
@pytest.mark.parametrize("accumulation", [1, 3, 50])
def test_an_epoch_sees_every_example_once(tmp_path, batch, accumulation) -> None:
    toy = Toy()
    batches = noted(toy)
    recipe = replace(RECIPE, batch=batch, accumulation=accumulation, epochs=2)
    loop_of(toy, recipe, tmp_path).run()
    seen = np.concatenate(batches).tolist()

    assert list(range(22)) == sorted(seen[:22]) == sorted(seen[22:])
    assert seen[:22] != seen[22:]


def test_the_same_seed_is_the_same_to_the_bit_and_another_is_not(tmp_path) -> None:
    def trained(name: str, seed: int) -> bytes:
        loop_of(Toy(), replace(RECIPE, seed=seed), tmp_path / name).run()
        return (tmp_path / name / "model.safetensors").read_bytes()

    first = trained("first", 3)

    assert first == trained("same", 3)
    assert first != trained("other", 4)


@pytest.mark.parametrize("every_s", [0.0, 1e9])
def test_every_step_is_in_one_line(tmp_path, monkeypatch, every_s) -> None:
    monkeypatch.setattr(journal, "EVERY_S", every_s)
    toy = Toy()
    training = loop_of(toy, RECIPE, tmp_path)
    training.run()

    losses = [line for line in lines_of(tmp_path) if "losses" in line]

    assert ([8] if every_s else list(range(1, 9))) == [line["step"] for line in losses]
    assert 2 * toy.lengths.sum() == sum(line["tokens"] for line in losses)
    assert all(math.isfinite(line["losses"]["loss"]) for line in losses)


def test_lines_that_a_kill_cut_off_are_dropped(tmp_path) -> None:
    training = loop_of(Toy(), RECIPE, tmp_path)
    whole = '{"step": 2, "losses": {}}\n'
    (tmp_path / "log.jsonl").write_bytes(
        (whole + '{"step": 3}\n[2]\n{"step": "2"}\n{"st').encode() + b"\xff\n"
    )

    training.journal.resume(2)

    assert whole == (tmp_path / "log.jsonl").read_text("utf-8")


def test_a_step_is_made_at_the_rate_of_the_schedule(tmp_path) -> None:
    training = loop_of(Toy(), RECIPE, tmp_path)

    for step in range(8):
        training.step(step)
        rates = {group["lr"] for group in training.optimiser.param_groups}
        assert {rate_at(step, 8, RECIPE)} == rates


def test_the_last_step_of_an_epoch_is_a_mean_over_its_batches(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(journal, "EVERY_S", 0.0)
    toy = Toy(9, dropout=0)
    training = loop_of(toy, replace(RECIPE, clip=0.0), tmp_path)  # 3 batches, 2 in a step
    batches = noted(toy)
    training.step(0)
    weights = [p.detach().clone().requires_grad_() for p in toy.network.parameters()]
    training.step(1)

    names = [name for name, _ in toy.network.named_parameters()]
    state = dict(zip(names, weights, strict=True))
    found = torch.func.functional_call(toy.network, state, toy.x[batches[2]])[:, 0]
    loss = nn.functional.mse_loss(found, toy.y[batches[2]])
    wanted = torch.autograd.grad(loss, weights)

    assert 3 == len(batches)
    assert loss.item() == pytest.approx(lines_of(tmp_path)[-1]["losses"]["loss"], rel=1e-5)
    for mine, theirs in zip(toy.network.parameters(), wanted, strict=True):
        torch.testing.assert_close(mine.grad, theirs)


def test_the_losses_of_a_step_are_told_as_their_mean(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(journal, "EVERY_S", 0.0)
    toy, told = Toy(12, dropout=0), list[float]()
    learn = toy.learn

    def noting(examples: np.ndarray, moment: Moment, share: float) -> dict[str, float]:
        found = learn(examples, moment, share)
        told.extend(found.values())
        return found

    toy.learn = noting  # type: ignore[method-assign]
    loop_of(toy, RECIPE, tmp_path).step(0)

    assert 2 == len(told)
    assert np.mean(told) == pytest.approx(lines_of(tmp_path)[0]["losses"]["loss"])


def test_each_batch_has_random_numbers_of_its_own(tmp_path) -> None:
    toy, seeds = Toy(), list[int]()
    learn = toy.learn

    def noting(examples: np.ndarray, moment: Moment, share: float) -> dict[str, float]:
        seeds.append(torch.initial_seed())
        return learn(examples, moment, share)

    toy.learn = noting  # type: ignore[method-assign]
    loop_of(toy, RECIPE, tmp_path).run()

    assert 16 == len(seeds) == len(set(seeds))


def test_states_are_a_minute_apart_and_the_time_of_all_sessions_counts(
    tmp_path, monkeypatch
) -> None:
    saved, save = list[int](), loop.state.save

    def noting(folder, network, optimiser, progress) -> None:
        saved.append(progress.step)
        save(folder, network, optimiser, progress)

    def session(start: float, dies_at: int = -1) -> dict[str, float]:
        toy, lines = Toy(dies_at=dies_at), journal.Journal(tmp_path, say=lambda _: None)
        recipe = replace(RECIPE, evaluations=0.1)

        def clock() -> float:  # a batch takes 12.6 seconds, a step two of them
            return start + 12.6 * len(toy.seen)

        return loop.Loop(toy, recipe, tmp_path, ALONE, lines, clock).run()

    monkeypatch.setattr(loop.state, "save", noting)
    with pytest.raises(Killed):
        session(1000.0, dies_at=14)
    assert [3, 6] == saved

    assert 201.6 == pytest.approx(session(50.0)["seconds"])
    assert [3, 6, 8] == saved


def test_random_numbers_are_the_same_in_every_session_and_for_every_purpose_others() -> None:
    moments = [Moment(1, 0, 2, 3), Moment(1, 0, 2, 4), Moment(1, 0, 3, 3), Moment(2, 0, 2, 3)]

    def drawn(rng: np.random.Generator) -> int:
        return int(rng.integers(1 << 30))

    assert 4 == len({drawn(moment.of_batch("torch")) for moment in moments})
    assert 3 == len({drawn(moment.of_step("torch")) for moment in moments})
    assert drawn(moments[0].of_step("torch")) != drawn(moments[0].of_step("order"))
    assert 230685656 == drawn(moments[0].of_step("sub-models"))


@pytest.mark.parametrize("value", [-1, 0, 1, float("nan")])
@pytest.mark.parametrize(
    "name",
    [field.name for field in fields(Recipe) if field.name != "precision"],
)
def test_numbers_that_no_training_can_have_are_refused_by_name(name, value) -> None:
    above = {"epochs", "batch", "accumulation", "rate", "tokens", "evaluations"}
    fine = value == 1 and name not in ("warmup", "dropout")

    if fine or (value == 0 and name not in above):
        assert value == Recipe(**{name: value}).as_dict()[name]
    else:
        with pytest.raises(BadInputError, match=f"^{name} "):
            Recipe(**{name: value})


def test_a_precision_that_nobody_has_is_refused() -> None:
    with pytest.raises(BadInputError, match="precision 'int8': choose auto, fp32, bf16, fp16"):
        Recipe(precision="int8")

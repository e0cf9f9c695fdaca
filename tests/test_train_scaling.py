"""Where products are float16, losses are scaled: nothing vanishes, and nothing is lost by it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.train import journal, loop
from nas.train.journal import Journal
from nas.train.loop import Loop
from nas.train.recipe import Recipe
from nas.train.world import World
from results.errors import BadInputError
from tests.made_training import Killed, Toy, files_of, weights_of

RECIPE = Recipe(epochs=2, batch=3, accumulation=2, rate=0.05, evaluations=2, seed=3)
HALF, PLAIN = (World(0, 1, torch.device("cpu"), number) for number in ("fp16", "bf16"))  # type: ignore[arg-type]


def loop_in(world: World, toy: Toy, folder: Path) -> Loop:
    folder.mkdir(exist_ok=True)
    return Loop(toy, RECIPE, folder, world, Journal(folder, say=lambda _: None))


def test_scaled_by_a_power_of_two_it_learns_the_same_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "EVERY_S", 0.0)
    scaled, plain = Toy(), Toy()

    loop_in(HALF, scaled, tmp_path / "half").run()
    loop_in(PLAIN, plain, tmp_path / "plain").run()

    assert weights_of(plain) == weights_of(scaled)
    assert (tmp_path / "plain/log.jsonl").read_text() == (tmp_path / "half/log.jsonl").read_text()


class Overflowing(Toy):
    """Its gradients are too large for float16 where the loss is scaled by more than `most`."""

    most = 2.0**15

    def learn(self, examples, moment, share):  # type: ignore[no-untyped-def]
        found = super().learn(examples, moment, share)
        if share > self.most / 2:
            self.network[0].weight.grad[0, 0] = torch.inf
        return found


def test_a_step_whose_gradients_overflow_is_left_out_and_the_next_is_scaled_less(
    tmp_path: Path,
) -> None:
    toy = Overflowing()
    made = loop_in(HALF, toy, tmp_path)
    before = weights_of(toy)

    assert made.step(0)
    assert before == weights_of(toy)
    assert made.step(1)
    assert before != weights_of(toy)
    assert all(torch.isfinite(p).all() for p in toy.network.parameters())


def test_a_loss_that_is_no_number_still_stops_it(tmp_path: Path) -> None:
    toy = Toy()
    toy.spoilt = {2: "loss"}

    with pytest.raises(BadInputError, match="the loss of step 3 is not a number"):
        loop_in(HALF, toy, tmp_path).run()


def test_gradients_that_never_fit_stop_it(tmp_path: Path) -> None:
    toy = Overflowing()
    toy.most = 0.0
    made = loop_in(HALF, toy, tmp_path)

    steps = [made.step(step % 4) for step in range(17)]

    assert [True] * 16 + [False] == steps


def test_killed_it_goes_on_with_the_scale_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_S", 0.0)
    monkeypatch.setattr(journal, "EVERY_S", 0.0)
    loop_in(HALF, Overflowing(), tmp_path / "whole").run()

    for n in (4, 8, 12):
        folder = tmp_path / str(n)
        with pytest.raises(Killed):
            loop_in(HALF, Overflowing(dies_at=n), folder).run()
        toy = Overflowing()
        loop_in(HALF, toy, folder).run()
        assert files_of(tmp_path / "whole") == files_of(folder)


def test_without_float16_nothing_is_scaled(tmp_path: Path) -> None:
    toy = Toy()
    toy.spoilt = {1: "gradient"}
    world = replace(PLAIN, number="fp32")

    with pytest.raises(BadInputError, match="the loss of step 2 is not a number"):
        loop_in(world, toy, tmp_path).run()

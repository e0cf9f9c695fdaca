"""The one training loop: steps, rates, evaluations, states. Knows no task and no kind of loss."""

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas.data.batches import order
from nas.data.tokens import Ints
from nas.train import state
from nas.train.journal import Journal
from nas.train.moment import Moment, generator
from nas.train.recipe import Recipe, rate_at
from nas.train.state import Progress
from nas.train.world import World

SAVE_S = 60.0
"""Seconds between two states; a kill costs no more than that."""

STATE, BEST, RESULT = "state", "best", "result.json"
RESULTS = ("score", "step", "steps", "seconds")
"""What `result.json` holds: numbers."""


class Objective(Protocol):
    """What is learned, and how one sees whether it was."""

    @property
    def network(self) -> nn.Module:
        """Whose parameters are trained."""

    @property
    def lengths(self) -> Ints:
        """(examples,): tokens of what is learned from."""

    def learn(self, examples: NDArray[np.int64], moment: Moment, share: float) -> dict[str, float]:
        """Add `share` times the gradients of these examples' mean loss; return the losses."""

    def evaluate(self) -> dict[str, float]:
        """Scores on what is not learned from; the first one ranks, and more is better."""

    def keep(self, folder: Path) -> None:
        """Write the network as it is now."""


class Loop:
    """A training that may be killed at any moment."""

    def __init__(
        self,
        objective: Objective,
        recipe: Recipe,
        folder: Path,
        world: World,
        journal: Journal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.objective, self.recipe, self.folder = objective, recipe, folder
        self.world, self.journal, self._clock = world, journal, clock
        self.optimiser = _optimiser(objective.network, recipe)
        self._scaler = _scaler(world)
        batches = math.ceil(len(objective.lengths) / recipe.batch)
        self._together = world.size * recipe.accumulation
        self._per_epoch = math.ceil(batches / self._together)
        self.steps = max(1, round(self._per_epoch * recipe.epochs))
        self._every = max(1, round(self._per_epoch / recipe.evaluations))
        self._epoch = -1
        self._order: list[NDArray[np.int64]] = []

    def run(self) -> dict[str, Any]:
        """Train to the end, from the last state if there is one.

        Returns:
            the best scores, where they were reached, and the time it took.

        Raises:
            BadInputError: the loss is no number any more; the last state is kept.
        """
        progress = self._resumed()
        began, saved = self._clock() - progress.seconds, self._clock()
        while not self._ended(progress):
            if not self.step(progress.step):
                self._save(progress)
                self.world.refuse(
                    f"the loss of step {progress.step + 1} is not a number: the state before it "
                    f"is in {self.folder / STATE}; try a smaller --rate, in another --output"
                )
            progress = self._after(progress, began)
            if self._ended(progress) or self._due(saved):
                self._save(progress)
                saved = self._clock()
        return self._finish(progress)

    def step(self, step: int) -> bool:
        """Learn; False, and nothing learned, if the loss or a gradient is no number."""
        epoch, place = divmod(step, self._per_epoch)
        if epoch != self._epoch:
            rng = generator(self.recipe.seed, "order", epoch)
            self._epoch = epoch
            self._order = order(self.objective.lengths, self.recipe.batch, rng)
        batches = self._order[place * self._together : (place + 1) * self._together]
        self.optimiser.zero_grad(set_to_none=False)
        losses: dict[str, float] = {}
        tokens = 0
        mine = range(self.world.rank, len(batches), self.world.size)
        share = 1 / len(batches) if mine else 0.0  # who has none takes part with nothing
        for i in mine or (0,):
            moment = Moment(self.recipe.seed, epoch, step, i)
            torch.manual_seed(int(moment.of_batch("torch").integers(1 << 62)))
            with self.world.products():
                scaled = share * self._scaler.get_scale()
                found = self.objective.learn(batches[i], moment, scaled)
            tokens += int(self.objective.lengths[batches[i]].sum()) if mine else 0
            for name, value in found.items():
                losses[name] = losses.get(name, 0.0) + value * share
        *means, read = self.world.totals([*losses.values(), tokens])
        return self._update(step, dict(zip(losses, means, strict=True)), round(read))

    def _update(self, step: int, losses: dict[str, float], tokens: int) -> bool:
        network, rate = self.objective.network, rate_at(step, self.steps, self.recipe)
        self.world.sum_gradients(network)
        self._scaler.unscale_(self.optimiser)
        most = self.recipe.clip or math.inf
        norm = nn.utils.clip_grad_norm_(network.parameters(), most)
        overflows = self._scaler.is_enabled() and self._scaler.get_scale() > 1
        if not math.isfinite(sum(losses.values()) + (0.0 if overflows else float(norm))):
            return False
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self._scaler.step(self.optimiser)  # nothing, if float16 was too small for the gradients
        self._scaler.update()
        if self.world.leads:
            self.journal.step(step + 1, self.steps, rate, losses, tokens)
        return True

    def _after(self, progress: Progress, began: float) -> Progress:
        """One step on; with scores if it is time for them."""
        step, seconds = progress.step + 1, self._clock() - began
        if step % self._every and step < self.steps:
            return Progress(step, progress.best, progress.best_step, seconds)
        score = 0.0
        if self.world.leads:
            scores = self.objective.evaluate()
            score = next(iter(scores.values()))
            self.journal.scores(step, scores)
        score = self.world.from_leader(score)
        if score <= progress.best:
            return Progress(step, progress.best, progress.best_step, seconds)
        if self.world.leads:
            with state.writing(f"the network of step {step}", self.folder / BEST):
                self.objective.keep(self.folder / BEST)
        return Progress(step, score, step, seconds)

    def _ended(self, progress: Progress) -> bool:
        worse = (progress.step - progress.best_step) // self._every  # evaluations in a row
        gave_up = bool(self.recipe.patience) and worse >= self.recipe.patience
        return gave_up or progress.step == self.steps

    def _due(self, saved: float) -> bool:
        return bool(self.world.from_leader(float(self._clock() - saved >= SAVE_S)))

    def _save(self, progress: Progress) -> None:
        if self.world.leads:
            self.journal.flush()
            folder = self.folder / STATE
            progress = replace(progress, scaler=self._scaler.state_dict())
            state.save(folder, self.objective.network, self.optimiser, progress)

    def _resumed(self) -> Progress:
        self.world.same_weights(self.objective.network)
        progress = state.load(self.folder / STATE, self.objective.network, self.optimiser)
        if progress.scaler and self._scaler.is_enabled():
            self._scaler.load_state_dict(dict(progress.scaler))
        if self.world.leads:
            self.journal.resume(progress.step)
        return progress

    def _finish(self, progress: Progress) -> dict[str, Any]:
        found = (progress.best, progress.best_step, progress.step, round(progress.seconds, 1))
        result = dict(zip(RESULTS, found, strict=True))
        if self.world.leads:
            self.journal.close()
            _move_up(self.folder / BEST)
            scratch = self.folder / f"{RESULT}.new"
            scratch.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
            scratch.replace(self.folder / RESULT)
            state.forget(self.folder / STATE)
        return result


def _move_up(folder: Path) -> None:
    """Move all files one folder up; goes on where a killed one stopped."""
    for path in sorted(folder.glob("*")):
        path.replace(folder.parent / path.name)
    shutil.rmtree(folder, ignore_errors=True)


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    plain = [p for name, p in network.named_parameters() if p.ndim == 1 and p.requires_grad]
    rest = [p for name, p in network.named_parameters() if p.ndim > 1 and p.requires_grad]
    groups = [
        {"params": rest, "weight_decay": recipe.decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate, fused=True)


def _scaler(world: World) -> torch.amp.GradScaler:
    """Multiplies losses where products are float16, so that small gradients do not vanish.

    Micikevicius et al., "Mixed Precision Training", ICLR 2018.
    """
    scaler = torch.amp.GradScaler(world.device.type, enabled=world.number == "fp16")
    scaler.scale(torch.zeros((), device=world.device))  # makes its state
    return scaler

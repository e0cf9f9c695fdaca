"""Training all sub-models of a supernet at once. Knows no file and no optimiser.

The sandwich rule and in-place distillation are Yu and Huang's ("Universally Slimmable Networks and
Improved Training Techniques", ICCV 2019; BigNAS, ECCV 2020): every step trains the largest, the
smallest and some random sub-models; the small ones learn from the large one's answers.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nas.data import metrics
from nas.data.tokens import Ints
from nas.encoder import Trace
from nas.folder import write
from nas.network import Network
from nas.space import SearchSpace
from nas.supernet import Supernet, backward
from nas.train.moment import Moment, generator
from nas.train.task import Floats, Lesson, distance, loss_of, outputs_of, tensors
from results.architecture import Architecture

CANDIDATES = 16
"""Random architectures among which the one nearest to the wanted size is taken."""

WATCHED = 4
"""Random sub-models that are evaluated beside the largest and the smallest."""


class Sandwich:
    """Learning a task with sub-models of all sizes."""

    def __init__(  # noqa: PLR0913 (what a supernet's training consists of)
        self,
        supernet: Supernet,
        space: SearchSpace,
        lesson: Lesson,
        *,
        answers: Floats | None,
        randoms: int = 2,
        trust: float = 1.0,
        hints: float = 0.0,
        seed: int = 0,
        rule: str = "sandwich",
        space_text: str = "",
    ) -> None:
        self.supernet, self.space, self.lesson = supernet, space, lesson
        self._answers = None if answers is None else torch.from_numpy(answers)
        self._randoms, self._trust, self._hints, self._rule = randoms, trust, hints, rule
        self._space_text = space_text
        rng = generator(seed, "watched")
        self.watched = [space.largest, space.smallest]
        self.watched += [balanced(space, rng) for _ in range(WATCHED)]

    @property
    def network(self) -> Network:
        """The supernet's parameters."""
        return self.supernet.network

    @property
    def lengths(self) -> Ints:
        """(examples,): tokens of each."""
        return self.lesson.train.lengths

    def learn(self, examples: NDArray[np.int64], moment: Moment, share: float) -> dict[str, float]:
        """One batch, through several sub-models."""
        self.network.train()
        device = next(self.network.parameters()).device
        inputs, targets = tensors(self.lesson.train, examples, device)
        soft = None
        if self._answers is not None:
            soft = self._answers[torch.from_numpy(examples)].to(device)
        losses = {}
        first: Trace | None = None
        subs = self._drawn(moment)
        for i, sub in enumerate(subs):
            trace = Trace() if self._hints else None
            outputs = self.supernet.at(sub)(*inputs, trace)
            loss = loss_of(outputs, targets)
            if soft is not None:
                loss = (1 - self._trust) * loss + self._trust * distance(outputs, soft)
            if i == 0 and self._rule == "sandwich":
                losses["largest"] = loss.item()
                if soft is None:
                    soft = outputs.detach()
                first = trace
            else:
                losses["smaller"] = losses.get("smaller", 0) + loss.item() / (len(subs) - 1 or 1)
                if trace is not None and first is not None:
                    loss = loss + self._hints * self._hint(sub, trace, first)
            backward(loss * (share / len(subs)))
        return losses

    def _drawn(self, moment: Moment) -> list[Architecture]:
        rng = moment.of_step("sub-models")
        if self._rule == "one":
            return [self.space.sample(rng)]
        randoms = [balanced(self.space, rng) for _ in range(self._randoms)]
        return [self.space.largest, self.space.smallest, *randoms]

    def _hint(self, sub: Architecture, trace: Trace, first: Trace) -> Tensor:
        layers = self.supernet.rule.layers(sub.depth, self.supernet.architecture.depth)
        mine = trace.hidden[-1]
        theirs = first.hidden[-1 if True else layers[-1] + 1].detach()[..., : sub.hidden]
        return 1 - F.cosine_similarity(mine, theirs, dim=-1).mean()

    def evaluate(self) -> dict[str, float]:
        """Mean of the task's first metric over some sub-models, and each one's."""
        dev, name = self.lesson.dev, self.lesson.task.metrics[0]
        found = []
        for sub in self.watched:
            outputs = outputs_of(self.supernet.at(sub), dev)
            found.append(metrics.evaluate((name,), outputs, dev.targets)[name])
        self.network.train()
        scores = {"mean": sum(found) / len(found), "largest": found[0], "smallest": found[1]}
        return scores | {f"random {i + 1}": x for i, x in enumerate(found[2:])}

    def keep(self, folder: Path) -> None:
        """Write the supernet as it is now."""
        write(
            self.network,
            folder,
            tokenizer=self.lesson.tokenizer,
            labels=self.lesson.task.labels,
            rule=self.supernet.rule,
            space=self._space_text,
        )


def balanced(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """A random architecture, small ones as often as large ones by the logarithm of their work."""
    low, high = (np.log(a.macs(128)) for a in (space.smallest, space.largest))
    wanted = rng.uniform(low, high)
    found = [space.sample(rng) for _ in range(CANDIDATES)]
    return min(found, key=lambda a: abs(np.log(a.macs(128)) - wanted))

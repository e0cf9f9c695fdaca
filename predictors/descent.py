"""Training of small networks, the one place among predictors with torch. Knows no latency."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import huber_loss, mse_loss, relu, silu

from predictors.columns import Floats
from predictors.network import Network

RATE = 1e-2
DECAY = 1e-2
"""Of the weights, not of the biases (AdamW: Loshchilov & Hutter, 2019)."""

LOOK_EVERY = 10
"""Steps between two looks at the rows held out."""

SEED_RATE = 1e-5
SEED_BATCH = 128

Layers = tuple[list[Tensor], list[Tensor]]
"""Weights [members, in, out] and biases [members, 1, out]."""


def ensemble(
    x: Floats,
    y: Floats,
    held_out: Sequence[NDArray[np.intp]],
    widths: Sequence[int],
    steps: int,
    seed: int,
) -> Network:
    """One network for each of `held_out`, trained without these rows and stopped by them.

    For `x` [n, features] and `y` [n], both standardised. Huber loss, cosine schedule, SiLU; all
    at once and in one thread.
    """
    seen = torch.ones(len(held_out), len(y))
    for member, rows in enumerate(held_out):
        seen[member, rows] = 0.0
    layers = _drawn(len(held_out), (x.shape[1], *widths, 1), seed)
    trained = [*layers[0], *layers[1]]
    best = _Best(trained, len(held_out))
    decayed: list[dict[str, Any]] = [
        {"params": layers[0]},
        {"params": layers[1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(decayed, lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    inputs, target = _tensor(x), _tensor(y).expand(len(held_out), -1)
    with _one_thread():
        for step in range(steps):
            loss = huber_loss(_run(layers, inputs, silu), target, reduction="none")
            if step % LOOK_EVERY == 0:
                best.keep(trained, _mean(loss.detach(), 1.0 - seen))
            _descend(optimiser, _mean(loss, seen).sum())
            schedule.step()
    return _network(best.kept)


def plain(x: Floats, y: Floats, widths: Sequence[int], steps: int, seed: int) -> Network:
    """A network as the seeds train theirs: Adam on squares, batches, ReLU; the last step is kept.

    For `x` [n, features] and `y` [n].
    """
    draw = np.random.default_rng(seed)
    layers = _drawn(1, (x.shape[1], *widths, 1), seed)
    trained = [*layers[0], *layers[1]]
    optimiser = torch.optim.Adam(trained, lr=SEED_RATE)
    inputs, target = _tensor(x), _tensor(y)
    for _ in range(steps):
        batch = draw.choice(len(y), min(SEED_BATCH, len(y)), replace=False)
        found = _run(layers, inputs[batch], relu)[0]
        _descend(optimiser, mse_loss(found, target[batch]))
    return _network(trained)


class _Best:
    """Of every member the parameters at its least error."""

    def __init__(self, parameters: Sequence[Tensor], members: int) -> None:
        self.kept = [p.detach().clone() for p in parameters]
        self._least = torch.full((members,), torch.inf)

    def keep(self, parameters: Sequence[Tensor], errors: Tensor) -> None:
        better = errors < self._least
        self._least = torch.minimum(self._least, errors)
        for kept, now in zip(self.kept, parameters, strict=True):
            kept[better] = now.detach()[better]


def _drawn(members: int, sizes: Sequence[int], seed: int) -> Layers:
    """Uniform within 1 / sqrt(inputs), as torch begins a linear layer."""
    generator = torch.Generator().manual_seed(seed)

    def draw(inputs: int, *shape: int) -> Tensor:
        drawn = torch.rand(members, *shape, generator=generator)
        return ((2.0 * drawn - 1.0) / math.sqrt(inputs)).requires_grad_()

    pairs = list(pairwise(sizes))
    return [draw(a, a, b) for a, b in pairs], [draw(a, 1, b) for a, b in pairs]


def _run(layers: Layers, x: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """[n, inputs] -> [members, n]."""
    *hidden, (weight, bias) = zip(*layers, strict=True)
    for w, b in hidden:
        x = activation(x @ w + b)
    return (x @ weight + bias)[..., 0]


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _mean(loss: Tensor, which: Tensor) -> Tensor:
    """Over the rows of each member, [members]."""
    return (loss * which).sum(dim=1) / which.sum(dim=1).clamp(min=1.0)


def _tensor(x: Floats) -> Tensor:
    return torch.tensor(x, dtype=torch.float32)


def _network(parameters: Sequence[Tensor]) -> Network:
    arrays = [p.detach().numpy() for p in parameters]
    half = len(arrays) // 2
    return Network(tuple(arrays[:half]), tuple(arrays[half:]))


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""What a killed training needs to go on bit for bit, on disk. Knows no data.

A folder `step-N` is written beside the last one, and the last one is removed when the new one is
whole: at any moment there is one that can be read.
"""

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from results.errors import BadInputError
from results.textfile import one_line

WEIGHTS, MOMENTS, FACTS = "weights.safetensors", "optimiser.safetensors", "state.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come."""

    step: int = 0
    best: float = -math.inf
    best_step: int = 0
    seconds: float = 0.0
    """Spent on it in all sessions up to the last state."""
    scaler: Mapping[str, float] = field(default_factory=dict)
    """State of torch's gradient scaler; empty where there is none."""


def save(
    folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write the state after so many steps; nothing where it is there already.

    Raises:
        BadInputError: the disk is full or gone; the state before is as it was.
    """
    from safetensors.torch import save_file

    target = folder / f"step-{progress.step}"
    scratch = folder / f"{target.name}.new"
    facts = asdict(progress) | ({"best": None} if progress.best == -math.inf else {})
    if not target.exists():
        with writing(f"the state after step {progress.step}", folder):
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            try:
                save_file(_weights(network), scratch / WEIGHTS)
                save_file(_moments(network, optimiser), scratch / MOMENTS)
                (scratch / FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")
                scratch.rename(target)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
    for old in folder.glob("step-*"):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def writing(what: str, folder: Path) -> Iterator[None]:
    """Inside, a disk may be full or gone; then the state before is as it was.

    Raises:
        BadInputError: saying so.
    """
    try:
        yield
    except Exception as error:  # safetensors has a class of its own for a full disk
        if not isinstance(error, OSError) and type(error).__name__ != "SafetensorError":
            raise
        message = (
            f"{what} cannot be written to {folder} ({error}): make room and run the command "
            "again, it goes on from the state before"
        )
        raise BadInputError(message) from error


def load(folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    """Put the last state in place and return how far it is; 0 steps where there is none.

    Raises:
        BadInputError: the state is damaged or of another network.
    """
    from safetensors.torch import load_file

    states = _states(folder)
    if not states:
        return Progress()
    last = states[-1]
    try:
        progress = _progress(json.loads((last / FACTS).read_text("utf-8")))
        weights, moments = load_file(last / WEIGHTS), load_file(last / MOMENTS)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                _require_shape(name, weights[name], parameter)
                parameter.copy_(weights[name])
                if f"exp_avg.{name}" in moments:
                    optimiser.state[parameter] = {
                        key: moments[f"{key}.{name}"].to(parameter.device)
                        for key in ("step", "exp_avg", "exp_avg_sq")
                    }
    except Exception as error:
        message = (
            f"{last} is damaged or of another training ({one_line(error)}): remove it to begin "
            "anew, or choose another --output"
        )
        raise BadInputError(message) from error
    return progress


def forget(folder: Path) -> None:
    """Remove all states: the training is done."""
    shutil.rmtree(folder, ignore_errors=True)


def _states(folder: Path) -> list[Path]:
    found = []
    for path in folder.glob("step-*"):
        with suppress(ValueError):
            found.append((int(path.name.removeprefix("step-")), path))
    return [path for _, path in sorted(found)]


def _progress(facts: dict[str, Any]) -> Progress:
    best = -math.inf if facts["best"] is None else float(facts["best"])
    step, best_step = int(facts["step"]), int(facts["best_step"])
    scaler = {name: value + 0 for name, value in facts["scaler"].items()}  # numbers
    return Progress(step, best, best_step, float(facts["seconds"]), scaler)


def _require_shape(name: str, found: torch.Tensor, wanted: torch.Tensor) -> None:
    if found.shape != wanted.shape:
        message = f"{name} has shape {tuple(found.shape)}, not {tuple(wanted.shape)}"
        raise ValueError(message)


def _weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu() for name, value in network.named_parameters()}


def _moments(network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{key}.{name}": value.detach().cpu()
        for name, parameter in network.named_parameters()
        for key, value in optimiser.state.get(parameter, {}).items()
    }

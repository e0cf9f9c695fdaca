"""What a killed training needs to go on bit for bit, on disk. Knows no data.

A folder `step-N` is written beside the last one, and the last one is removed when the new one is
whole: at any moment there is one that can be read.
"""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from results.errors import BadInputError

WEIGHTS, MOMENTS, FACTS = "weights.safetensors", "optimiser.safetensors", "state.json"


def save(
    folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer, facts: dict[str, Any]
) -> None:
    """Write the state after `facts["step"]` steps.

    Raises:
        BadInputError: the disk is full or gone; the state before is as it was.
    """
    from safetensors.torch import save_file

    target = folder / f"step-{facts['step']}"
    scratch = folder / f"{target.name}.new"
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        save_file(_weights(network), scratch / WEIGHTS)
        save_file(_moments(network, optimiser), scratch / MOMENTS)
        (scratch / FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    except Exception as error:  # safetensors has a class of its own for a full disk
        shutil.rmtree(scratch, ignore_errors=True)
        if not isinstance(error, OSError) and type(error).__name__ != "SafetensorError":
            raise
        message = (
            f"the state after step {facts['step']} cannot be written to {folder} ({error}): make "
            "room and run the command again, it goes on from the state before"
        )
        raise BadInputError(message) from error
    for old in _states(folder):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)


def load(folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Put the last state in place and return its facts; an empty dict where there is none.

    Raises:
        BadInputError: the state is damaged or of another network.
    """
    from safetensors.torch import load_file

    states = _states(folder)
    if not states:
        return {}
    last = states[-1]
    try:
        facts: dict[str, Any] = json.loads((last / FACTS).read_text("utf-8"))
        weights, moments = load_file(last / WEIGHTS), load_file(last / MOMENTS)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(weights[name])
                if f"exp_avg.{name}" in moments:
                    optimiser.state[parameter] = {
                        "step": moments[f"step.{name}"],
                        **{
                            key: moments[f"{key}.{name}"].to(parameter.device)
                            for key in ("exp_avg", "exp_avg_sq")
                        },
                    }
    except Exception as error:
        message = (
            f"{last} is damaged or of another training ({error}): remove it to begin anew, or "
            "choose another --output"
        )
        raise BadInputError(message) from error
    return facts


def forget(folder: Path) -> None:
    """Remove all states: the training is done."""
    shutil.rmtree(folder, ignore_errors=True)


def _states(folder: Path) -> list[Path]:
    found = []
    for path in folder.glob("step-*"):
        with suppress(ValueError):
            found.append((int(path.name.removeprefix("step-")), path))
    return [path for _, path in sorted(found)]


def _weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu() for name, value in network.named_parameters()}


def _moments(network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{key}.{name}": value.detach().cpu()
        for name, parameter in network.named_parameters()
        for key, value in optimiser.state.get(parameter, {}).items()
    }

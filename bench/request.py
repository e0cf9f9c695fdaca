"""What a person asked `bench profile` for, checked, and turned into a plan. Measures nothing."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from results.errors import BadInputError

if TYPE_CHECKING:
    from bench.choice import Choice
    from bench.plan import Network, Plan
    from profiler.device import Device, Host
    from results.architecture import Architecture
    from results.measurement import Procedure

MOST_SAMPLES = 1_000_000
MOST_PROCESSES = 100
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
DEFAULT_SPACE = "bigger-faster"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The options that decide what is measured and how."""

    space: str | None
    samples: int
    seed: int
    arch: Path | None
    models: tuple[Path, ...]
    runtimes: tuple[str, ...]
    schemes: tuple[str, ...]
    batch: int | None
    tokens: tuple[int, ...]
    threads: int | None
    target_error: float
    processes: int
    deployed: bool

    def __post_init__(self) -> None:
        _within("--samples", self.samples, 1, MOST_SAMPLES)
        _within("--seed", self.seed, 0, 2**32 - 1)
        _within("--processes", self.processes, 1, MOST_PROCESSES)
        _within("--target-error", self.target_error * 100, 0.1, 50)
        if self.batch is not None:
            _within("--batch", self.batch, 1, 4096)
        if self.threads is not None:
            _within("--threads", self.threads, 1, 1024)
        for tokens in self.tokens:
            _within("--tokens", tokens, 1, 65536)


@dataclass(frozen=True, slots=True)
class Asked:
    """The whole request."""

    device: str
    devices: Path | None
    chosen: Chosen
    results: Path
    resume: bool | None
    budget_s: float | None
    skip_damaged: bool = False


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        shown = value if isinstance(value, int) else f"{value:g}"
        message = f"{name} {shown} is out of range: give a number from {least:,} to {most:,}"
        raise BadInputError(message)


def parse_seconds(name: str, text: str) -> float:
    """Seconds of `90s`, `10m` or `2h`; a number without a unit is refused."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if not found or not 0 < float(found[1]) * UNITS_S[found[2]] <= 30 * 24 * 3600:
        message = f"{name} {text!r} is no length of time: write 90s, 10m or 2h, at most 720h"
        raise BadInputError(message)
    return float(found[1]) * UNITS_S[found[2]]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where and how is measured, whatever the networks."""

    device: "Device"
    schemes: dict[str, list[str]]
    """By runtime."""
    procedure: "Procedure"
    cap: str
    refused: list[str]
    """A sentence for each runtime and scheme that cannot be had here."""


def ground_of(asked: Asked, host: "Host") -> Ground:
    """The device, and what of it can be measured here.

    Raises:
        BadInputError: the device or the options are not what they should be.
    """
    from profiler.device import devices_file, find_device, load_devices, needs_cap, refusals
    from results.measurement import Procedure

    path = devices_file(asked.devices)
    chosen = asked.chosen
    device = _adjusted(find_device(load_devices(path), asked.device, path), chosen)
    if why := refusals(device, host):
        message = f"this host cannot be {device.name}: {'; '.join(why)}; see `bench devices`"
        raise BadInputError(message)
    cap = (device.isa_cap or "") if needs_cap(device, host) else ""
    choice = _choice(device, chosen, cap)
    procedure = Procedure(
        profile="deployed" if chosen.deployed else "stable",
        target_error=chosen.target_error,
        noisy_error=2 * chosen.target_error,
        processes=chosen.processes,
    )
    return Ground(device, choice.schemes, procedure, cap, choice.refused)


def plan_of(asked: Asked, host: "Host") -> "tuple[Plan, list[str]]":
    """The plan, and a sentence for each runtime and scheme that cannot be had here.

    Raises:
        BadInputError: the device, the options or the files are not what they should be.
    """
    from bench.plan import Plan, tasks_for
    from bench.theirs import require_possible

    ground = ground_of(asked, host)
    device, runtimes = ground.device, ground.schemes
    chosen = replace(asked.chosen, schemes=_of_others(asked.chosen.schemes))
    networks = _networks(chosen, max(device.tokens))
    theirs = [(network.source.path, network.theirs) for network in networks]
    require_possible(chosen.schemes, theirs, runtimes, host.hardware.isa)
    tasks = tasks_for(networks, runtimes, device.workloads(), ground.procedure)
    if not tasks:
        raise BadInputError(
            "nothing to measure: an .onnx file runs as it is, and in int8-dynamic on onnxruntime; "
            "leave out --runtime and --scheme"
        )
    plan = Plan(device, tuple(runtimes), tasks, ground.procedure, chosen.seed, ground.cap)
    return plan, ground.refused


def _adjusted(device: "Device", chosen: Chosen) -> "Device":
    """The device with the batch, tokens and threads of the command line."""
    changes: dict[str, object] = {}
    if chosen.batch is not None:
        changes["batch"] = chosen.batch
    if chosen.threads is not None:
        changes["threads"] = chosen.threads
    if chosen.tokens:
        changes["tokens"] = list(dict.fromkeys(chosen.tokens))
    if chosen.deployed:
        changes["pin"] = False
    return device.model_copy(update=changes)


def _of_others(schemes: tuple[str, ...]) -> tuple[str, ...]:
    """With int8-dynamic, the one that others make of .onnx files, in place of the word `int8`."""
    from bench.choice import INT8
    from bench.theirs import DYNAMIC

    return tuple(dict.fromkeys(DYNAMIC if scheme == INT8 else scheme for scheme in schemes))


def _choice(device: "Device", chosen: Chosen, cap: str) -> "Choice":
    """Our schemes by runtime; none where only those of others are wanted."""
    from bench.choice import Wanted, choose
    from bench.theirs import OPTIMUM

    ours = tuple(scheme for scheme in chosen.schemes if scheme != OPTIMUM)
    choice = choose(device, Wanted(chosen.runtimes, ours), cap)
    if chosen.schemes and not ours:
        choice.schemes = {name: [] for name in choice.schemes}
    return choice


def _networks(chosen: Chosen, tokens: int) -> "list[Network]":
    from bench.plan import Network

    named = [_network(model, chosen) for model in chosen.models]
    found = [Network(a) for a in _architectures(chosen)]
    found += {n.source.label: n for n in named}.values()  # the same file twice is one network
    for network in found:
        architecture = network.architecture
        if architecture is not None and tokens > architecture.positions:
            message = (
                f"{tokens} tokens do not fit the {architecture.positions} positions of "
                f"{architecture}: give fewer --tokens"
            )
            raise BadInputError(message)
    return found


def _architectures(chosen: Chosen) -> "tuple[Architecture, ...]":
    """From --arch, else from the space unless only --model was given."""
    import numpy as np

    from nas.space import load_space
    from results.notation import read_architectures

    if chosen.arch is not None:
        given = tuple(dict.fromkeys(read_architectures(chosen.arch)))
        if chosen.space is not None:
            space = load_space(chosen.space)
            outside = [a for a in given if a not in space]
            if outside:
                message = (
                    f"{outside[0]} of {chosen.arch} is not in the space {chosen.space}: the "
                    f"nearest that is: {space.repair(outside[0])}; or leave out --space"
                )
                raise BadInputError(message)
        return given
    if chosen.models and chosen.space is None:
        return ()
    space = load_space(chosen.space or DEFAULT_SPACE)
    return space.sample_unique(np.random.default_rng(chosen.seed), chosen.samples)


def _network(path: Path, chosen: Chosen) -> "Network":
    from bench.foreign import require_encoder_graph
    from bench.plan import Network
    from bench.subjects import source_of
    from bench.theirs import wanted_of
    from nas.checkpoint import architecture_of, load_weights
    from quant.weights import TensorWeights

    source = source_of(path)
    if source.is_onnx:
        require_encoder_graph(path, chosen.batch, chosen.tokens)
        return Network(None, source, wanted_of(path, chosen.schemes))
    architecture = architecture_of(path)
    try:
        TensorWeights(load_weights(path)).tensors(architecture)
    except BadInputError as error:
        raise BadInputError(f"{path}: {error}") from None
    return Network(architecture, source, wanted_of(path, chosen.schemes))

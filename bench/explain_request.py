"""What a person asked `bench explain` for, checked. Measures nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.explain_figures import Question
from bench.subjects import Source, source_of
from profiler.gemm import MODULES
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Workload
from results.notation import parse_architecture, read_architectures

if TYPE_CHECKING:
    from profiler.device import Device, Host

MOST_TOKENS = 65536


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options as they were given."""

    arch: str | None
    model: Path | None
    device: str | None
    devices: Path | None
    scheme: str
    runtime: str
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Task:
    """What to measure, as which device."""

    device: "Device"
    question: Question


def task_of(wanted: Wanted, host: "Host") -> Task:
    """The task, or a sentence why it cannot be done.

    Raises:
        BadInputError: saying which option is wrong.
    """
    from profiler.device import devices_file, load_devices, needs_cap

    path = devices_file(wanted.devices)
    device = _device(wanted, load_devices(path), path, host)
    cap = (device.isa_cap or "") if needs_cap(device, host) else ""
    scheme = _scheme(wanted, device, cap)
    architecture, source = _network(wanted)
    tokens = device.tokens[0] if wanted.tokens is None else wanted.tokens
    if not 1 <= tokens <= MOST_TOKENS:
        message = f"--tokens {tokens} is out of range: give a number from 1 to {MOST_TOKENS:,}"
        raise BadInputError(message)
    if tokens > architecture.positions:
        message = (
            f"{tokens} tokens do not fit the {architecture.positions} positions of "
            f"{architecture}: give fewer --tokens"
        )
        raise BadInputError(message)
    workload = Workload(device.batch, tokens, device.threads)
    return Task(device, Question(architecture, source, wanted.runtime, scheme, workload, cap))


def _device(wanted: Wanted, known: Mapping[str, "Device"], path: Path, host: "Host") -> "Device":
    """The named device, or the first of the file that this host can be."""
    from profiler.device import find_device, refusals

    if wanted.device is None:
        possible = [d for d in known.values() if not refusals(d, host)]
        if not possible:
            raise BadInputError(f"this host can be no device of {path}; see `bench devices`")
        return possible[0]
    device = find_device(known, wanted.device, path)
    if why := refusals(device, host):
        message = f"this host cannot be {device.name}: {'; '.join(why)}; see `bench devices`"
        raise BadInputError(message)
    return device


def _scheme(wanted: Wanted, device: "Device", cap: str) -> str:
    """The scheme as it is spelled, known to the runtime."""
    from profiler.runtimes.runtime import load_runtime, refusal
    from quant.scheme import parse

    name = wanted.runtime
    if name not in MODULES or name not in device.runtimes:
        message = (
            f"--runtime {name!r} cannot be explained as {device.name}: choose one of "
            f"{', '.join(r for r in MODULES if r in device.runtimes) or 'another device'}, whose "
            "own profilers are read"
        )
        raise BadInputError(message)
    if why := refusal(name, cap):
        raise BadInputError(f"--runtime {name!r} cannot be explained as {device.name}: {why}")
    scheme = parse(wanted.scheme)
    why = load_runtime(name).scheme_refusal(scheme.name, cap)
    if scheme.name == "fp32" or scheme.rest != "fp32":
        why = "only a scheme of integers is compared with fp32 here"
    if why:
        message = f"--scheme {wanted.scheme!r} cannot be explained on {name}: {why}"
        raise BadInputError(message)
    return scheme.name


def _network(wanted: Wanted) -> tuple[Architecture, Source]:
    if (wanted.arch is None) == (wanted.model is None):
        raise BadInputError("give a network: either --arch or --model, and not both")
    if wanted.model is not None:
        return _checkpoint(wanted.model)
    return _architecture(wanted.arch or ""), Source()


def _architecture(given: str) -> Architecture:
    """The one architecture of a file, or of the text itself."""
    text = given.strip()
    if text.startswith("{"):
        return parse_architecture(text)
    if not Path(given).exists():
        message = (
            f"--arch {given} is neither a file nor an architecture: write "
            '{"hidden": 312, "layers": [{"heads": 12, "qkv": 312, "ffn": 1200}]}'
        )
        raise BadInputError(message)
    found = read_architectures(given)
    if len(found) != 1:
        message = (
            f"--arch {given} holds {len(found)} architectures, and one is explained at a time: "
            "give a file with one, or the architecture itself"
        )
        raise BadInputError(message)
    return found[0]


def _checkpoint(path: Path) -> tuple[Architecture, Source]:
    from nas.checkpoint import architecture_of, load_weights
    from quant.weights import TensorWeights

    if path.suffix.lower() == ".onnx":
        raise BadInputError(
            f"{path}: nobody told what the nodes of a foreign graph are for; give the Hugging "
            "Face folder it was made from, or --arch with its sizes"
        )
    source = source_of(path)
    architecture = architecture_of(path)
    try:
        TensorWeights(load_weights(path)).tensors(architecture)
    except BadInputError as error:
        raise BadInputError(f"{path}: {error}") from None
    return architecture, source

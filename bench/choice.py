"""Which schemes are measured on which runtimes: what was asked for, and what can be had here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.modules import MAKERS, module_refusal
from profiler.runtimes.runtime import MODULES, load_runtime, refusal
from quant.scheme import parse
from results.errors import BadInputError

if TYPE_CHECKING:
    from profiler.device import Device
    from profiler.runtimes.runtime import Runtime


INT8 = "int8"
"""Among wanted schemes: every one with int8 in it that the device lists, on its own runtime."""

BEST = ("ptq", "int8-dynamic")
"""What it is on a runtime for which the device lists none: the first that the runtime has."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was named on the command line; nothing named is everything the device lists."""

    runtimes: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()


@dataclass(slots=True)
class Choice:
    """Schemes by runtime, and a sentence for each that cannot be had here."""

    schemes: dict[str, list[str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def choose(device: "Device", wanted: Wanted, cap: str) -> Choice:
    """Every wanted scheme on every wanted runtime that has it.

    What a device lists and this machine cannot do is left out with a sentence; what was named is
    refused if it can be had on no runtime. A runtime that is named need not be the device's, and
    then runs all it has; nor need a scheme, if it is one.

    Raises:
        BadInputError: a name means nothing, or nothing is left.
    """
    spelled = dict.fromkeys(s if s == INT8 else parse(s).name for s in wanted.schemes)
    choice = Choice()
    for name in wanted.runtimes or device.runtimes:
        _require_runtime(name, device)
        if why := refusal(name, cap):
            if wanted.runtimes:
                raise BadInputError(why)
            choice.refused.append(why)
            continue
        runtime = load_runtime(name)
        listed = _listed(device, name, runtime)
        asked = [x for s in spelled for x in _asked(s, listed, runtime)] if spelled else listed
        _choose(choice, name, runtime, list(dict.fromkeys(asked)), cap)
    _require_something(choice, spelled, device)
    return choice


def scheme_refusal(runtime: "Runtime", scheme: str, cap: str) -> str:
    """Why a runtime cannot run a scheme here; empty when it can."""
    why = runtime.scheme_refusal(scheme, cap)
    return why or (module_refusal(scheme) if runtime.takes in MAKERS else "")


def _choose(choice: Choice, name: str, runtime: "Runtime", asked: Sequence[str], cap: str) -> None:
    choice.schemes[name] = []
    for scheme in asked:
        if why := scheme_refusal(runtime, scheme, cap):
            choice.refused.append(f"{scheme} on {name}: {why}")
        else:
            choice.schemes[name].append(scheme)


def _require_runtime(name: str, device: "Device") -> None:
    if name not in device.runtimes and name not in MODULES:
        more = [known for known in MODULES if known not in device.runtimes]
        also = f"; there is {', '.join(more)} too" if more else ""
        raise BadInputError(
            f"--runtime {name!r} is not among those of {device.name}: "
            f"{', '.join(device.runtimes)}{also}"
        )


def _listed(device: "Device", name: str, runtime: "Runtime") -> list[str]:
    listed = [parse(scheme) for scheme in device.runtimes.get(name, runtime.schemes)]
    for scheme in listed:
        if scheme.base not in runtime.schemes:
            known = ", ".join(runtime.schemes)
            raise BadInputError(
                f"device {device.name}: {name} has no scheme {scheme.base!r}, only {known}"
            )
    return [scheme.name for scheme in listed]


def _asked(scheme: str, listed: Sequence[str], runtime: "Runtime") -> list[str]:
    """What a wanted scheme is on this runtime, if it is anything."""
    if scheme != INT8:
        return [scheme] if parse(scheme).base in runtime.schemes else []
    whole = [s for s in listed if parse(s).arithmetics != {"fp32"}]
    return whole or [s for s in BEST if s in runtime.schemes][:1]


def _require_something(choice: Choice, spelled: Iterable[str], device: "Device") -> None:
    had = {scheme for schemes in choice.schemes.values() for scheme in schemes}
    for scheme in spelled:
        if scheme != INT8 and scheme not in had:
            whys = [why for why in choice.refused if why.startswith(f"{scheme} on ")]
            why = "; ".join(whys or choice.refused) or "no runtime of it has that scheme"
            raise BadInputError(f"--scheme {scheme} cannot be had as {device.name}: {why}")
    if not had:
        raise BadInputError(
            f"nothing can be measured as {device.name}: {'; '.join(choice.refused)}"
        )

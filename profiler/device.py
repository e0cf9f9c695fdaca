"""The targets of devices.yaml, and whether this host can be one. Knows no model and no runtime."""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from profiler.cpus import allowed_cpus
from results.environment import Hardware, digest
from results.errors import BadInputError
from results.measurement import Workload
from results.strict_yaml import read_yaml

CAPS: Mapping[str, Mapping[str, str]] = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }
}
"""What each instruction-set cap asks of the libraries that listen to the environment."""

BEYOND: Mapping[str, frozenset[str]] = {"avx2": frozenset({"avx512f", "avx_vnni"})}
"""CPU flags that a cap hides; a host without any of them needs no cap."""

Size = Annotated[int, Field(ge=1, le=65536)]
Flag = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Scheme = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*(:[a-z0-9-]+=[a-z0-9.+-]+)*$")]
"""A name, and settings after colons; what they mean is known elsewhere."""


class Device(BaseModel):
    """A target: what it must have, and how it is measured."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    description: str = ""
    kind: Literal["cpu", "cuda"] = "cpu"
    machine: Literal["x86_64", "aarch64", "any"] = "any"
    isa: list[Flag] = []
    """CPU flags the host must have, as the kernel spells them."""
    isa_cap: Literal["avx2"] | None = None
    """The largest instruction set that may be used, where the host has more."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    pin: bool = True
    batch: Annotated[int, Field(ge=1, le=4096)] = 1
    tokens: Annotated[list[Size], Field(min_length=1)] = [128]
    runtimes: dict[str, Annotated[list[Scheme], Field(min_length=1)]]
    """Numeric schemes measured on each runtime."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> "Device":
        lists: dict[str, list[int] | list[str]] = {"tokens": self.tokens, "isa": self.isa}
        for field, values in (lists | self.runtimes).items():
            if len(set(values)) < len(values):
                message = f"{field} lists a value twice"
                raise ValueError(message)
        if not self.runtimes:
            raise ValueError("runtimes must name at least one runtime")
        return self

    @property
    def digest(self) -> str:
        """Changes when anything that moves a latency does."""
        return digest(self.model_dump(exclude={"name", "description", "runtimes", "tokens"}))

    def workloads(self) -> tuple[Workload, ...]:
        """One for each number of tokens."""
        return tuple(Workload(self.batch, tokens, self.threads) for tokens in self.tokens)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1]
    devices: Annotated[dict[str, dict[str, object]], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Host:
    """What decides whether this machine can be a device."""

    hardware: Hardware
    cpus: tuple[int, ...]
    """The logical CPUs this process may use."""
    cuda_driver: bool = False


def devices_file(given: Path | None = None) -> Path:
    """`--devices FILE`, else ./devices.yaml, else the copy that travels in the wheel."""
    if given is not None:
        return given
    local = Path("devices.yaml")
    if local.is_file():
        return local
    packaged = Path(str(files("profiler").joinpath("devices.yaml")))
    return packaged if packaged.is_file() else Path(__file__).parent.parent / "devices.yaml"


def load_devices(path: Path) -> dict[str, Device]:
    """Every device of the file by name.

    Raises:
        BadInputError: naming the file and every field that is wrong.
    """
    raw = read_yaml(path)
    try:
        listed = _File.model_validate(raw).devices
    except ValidationError as error:
        raise _refusal(path, _problems(error, "")) from None
    devices, problems = {}, []
    for name, fields in listed.items():
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", str(name)):
            problems.append(f"devices.{name}: a name is lower-case letters, digits and dashes")
            continue
        try:
            devices[name] = Device.model_validate({**fields, "name": name})
        except ValidationError as error:
            problems += _problems(error, f"devices.{name}")
    if problems:
        raise _refusal(path, problems)
    return devices


def _problems(error: ValidationError, prefix: str) -> list[str]:
    found = []
    for item in error.errors():
        where = ".".join(str(part) for part in (prefix, *item["loc"]) if part != "")
        given = item.get("input")
        shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool) else ""
        message = item["msg"].removeprefix("Value error, ")
        found.append(f"{where or 'the file'}: {message[0].lower()}{message[1:]}{shown}")
    return found


def _refusal(path: Path, problems: list[str]) -> BadInputError:
    return BadInputError(f"{path}: {'; '.join(problems)}; mend the file and run again")


def find_device(devices: Mapping[str, Device], name: str, path: Path) -> Device:
    """The device called `name`."""
    if name not in devices:
        known = ", ".join(devices)
        message = f"unknown device {name!r}: {path} has {known}; pick one or add it there"
        raise BadInputError(message)
    return devices[name]


def refusals(device: Device, host: Host) -> list[str]:
    """Why this host cannot be the device, a clause each; empty when it can."""
    if device.kind == "cuda":
        driver = "" if host.cuda_driver else ", and this host has no NVIDIA driver"
        return [f"this version measures on CPUs only{driver}"]
    found = []
    machine = host.hardware.machine
    if device.machine not in ("any", machine):
        found.append(f"it is a target for {device.machine}, this machine is {machine}")
    missing = [flag for flag in device.isa if flag not in host.hardware.isa]
    if missing:
        found.append(f"this CPU lacks {', '.join(missing)}")
    if device.threads > len(host.cpus):
        found.append(
            f"it needs {device.threads} CPUs, this process may use {len(host.cpus)} "
            f"of {host.hardware.logical_cpus}"
        )
    return found


def needs_cap(device: Device, host: Host) -> bool:
    """Has the host more than the device may use?"""
    cap = device.isa_cap
    return cap is not None and bool(BEYOND[cap] & set(host.hardware.isa))


def this_host(hardware: Hardware) -> Host:
    """The machine this runs on; a GPU driver is looked for without importing torch."""
    driver = platform.system() == "Linux" and Path("/proc/driver/nvidia/version").exists()
    return Host(hardware, allowed_cpus(), cuda_driver=driver)

"""The machine and the software a row was taken on, and whether two of them may be compared."""

import hashlib
import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Hardware:
    """What cannot be changed by installing something."""

    machine: str
    """x86_64, aarch64, ..."""
    cpu: str
    vendor: str = ""
    family: int | None = None
    model: int | None = None
    stepping: int | None = None
    isa: tuple[str, ...] = ()
    """CPU flags as the kernel spells them, sorted."""
    physical_cores: int | None = None
    logical_cpus: int | None = None
    l1d_bytes: int | None = None
    l2_bytes: int | None = None
    l3_bytes: int | None = None
    memory_bytes: int | None = None
    hypervisor: str = ""


@dataclass(frozen=True, slots=True)
class Software:
    """What an upgrade changes."""

    os: str
    kernel: str
    libc: str
    python: str
    packages: dict[str, str] = field(default_factory=dict)
    """Versions of the packages that can move a latency."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an administrator or an environment variable changes."""

    governor: str = "not exposed"
    turbo: str = "not exposed"
    smt: str = "not exposed"
    clocksource: str = "not exposed"
    thp: str = "not exposed"
    aslr: str = "not exposed"
    cgroup_cpu_max: str = "not exposed"
    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables of the workers, from a fixed list of names."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a session ran. `host` is a hash: enough to tell machines apart, not to name them."""

    hardware: Hardware
    software: Software
    settings: Settings
    host: str = ""
    git: str = ""
    """Revision of the working directory, `-dirty` with changes; empty outside a repository."""

    @property
    def fingerprint(self) -> str:
        """Twelve digits that change when hardware, software or settings do."""
        return digest(asdict(self.hardware), asdict(self.software), asdict(self.settings))


def digest(*parts: object) -> str:
    """Twelve hexadecimal digits of the SHA-256 of the parts' canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(a: Environment, b: Environment) -> dict[str, tuple[object, object]]:
    """Every leaf on which two environments disagree, as `{"software.packages.torch": (a, b)}`."""
    left, right = _leaves(asdict(a)), _leaves(asdict(b))
    names = sorted(left.keys() | right.keys())
    return {n: (left.get(n), right.get(n)) for n in names if left.get(n) != right.get(n)}


def _leaves(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    leaves: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            leaves |= _leaves(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves

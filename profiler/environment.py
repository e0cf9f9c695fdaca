"""Reads this host into `results.environment`. Knows no device and no model."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from results.environment import Environment, Hardware, Settings, Software

PACKAGES = (
    "subbert",
    "torch",
    "torchao",
    "onnxruntime",
    "openvino",
    "onnx",
    "numpy",
    "transformers",
)
"""Distributions whose version can move a latency."""

VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "GOMP_SPINCOUNT",
    "KMP_BLOCKTIME",
    "LD_PRELOAD",
    "MALLOC_ARENA_MAX",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "ONEDNN_MAX_CPU_ISA",
)
"""Environment variables that can move a latency. Nothing else of the environment is recorded."""

CPU = "/sys/devices/system/cpu"


def read_hardware() -> Hardware:
    """CPU, caches and memory; py-cpuinfo for the flags, sysfs for the caches it gets wrong."""
    import cpuinfo
    import psutil

    info: Mapping[str, object] = cpuinfo.get_cpu_info()
    flags = info.get("flags")
    isa = tuple(sorted(str(f) for f in flags)) if isinstance(flags, list) else ()
    return Hardware(
        machine=platform.machine(),
        cpu=str(info.get("brand_raw", platform.processor() or "unknown")),
        vendor=str(info.get("vendor_id_raw", "")),
        family=_whole(info.get("family")),
        model=_whole(info.get("model")),
        stepping=_whole(info.get("stepping")),
        isa=isa,
        physical_cores=psutil.cpu_count(logical=False),
        logical_cpus=psutil.cpu_count(logical=True),
        l1d_bytes=_cache("1", "Data"),
        l2_bytes=_cache("2", "Unified"),
        l3_bytes=_cache("3", "Unified"),
        memory_bytes=psutil.virtual_memory().total,
        hypervisor="present" if "hypervisor" in isa else "",
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _cache(level: str, kind: str) -> int | None:
    """Bytes of one cache of the first CPU (an L3 may be shared by many)."""
    for index in sorted(Path(f"{CPU}/cpu0/cache").glob("index*")):
        if (_read(index / "level"), _read(index / "type")) == (level, kind):
            size = _read(index / "size")
            return int(size[:-1]) * 1024 if size[:-1].isdigit() and size.endswith("K") else None
    return None


def _read(path: str | Path, otherwise: str = "") -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return otherwise


def read_software() -> Software:
    """Operating system, Python and the packages that can move a latency."""
    return Software(
        os=platform.system(),
        kernel=platform.release(),
        libc=" ".join(platform.libc_ver()),
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name))},
    )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def read_settings(variables: Mapping[str, str]) -> Settings:
    """What an administrator has set, and those of `variables` that can move a latency."""
    hidden = "not exposed"
    governor = _read(f"{CPU}/cpu0/cpufreq/scaling_governor", hidden)
    return Settings(
        governor=governor,
        turbo=_turbo(hidden),
        smt=_read(f"{CPU}/smt/control", hidden),
        clocksource=_read(
            "/sys/devices/system/clocksource/clocksource0/current_clocksource", hidden
        ),
        thp=_chosen(_read("/sys/kernel/mm/transparent_hugepage/enabled", hidden)),
        aslr=_read("/proc/sys/kernel/randomize_va_space", hidden),
        cgroup_cpu_max=_read("/sys/fs/cgroup/cpu.max", hidden),
        variables={name: variables[name] for name in VARIABLES if name in variables},
    )


def _turbo(otherwise: str) -> str:
    boost = _read(f"{CPU}/cpufreq/boost")
    no_turbo = _read(f"{CPU}/intel_pstate/no_turbo")
    if boost or no_turbo:
        return "on" if boost == "1" or no_turbo == "0" else "off"
    return otherwise


def _chosen(text: str) -> str:
    """The bracketed word of a sysfs choice such as `always [madvise] never`."""
    return text.partition("[")[2].partition("]")[0] or text


def read_environment(variables: Mapping[str, str] | None = None) -> Environment:
    """This host as it is now; `variables` are those of the process that will measure."""
    return Environment(
        hardware=read_hardware(),
        software=read_software(),
        settings=read_settings(os.environ if variables is None else variables),
        host=hashlib.sha256(platform.node().encode()).hexdigest()[:12],
        git=revision(),
    )


def revision() -> str:
    """Revision of the working directory, `-dirty` with changes; empty outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

"""Sessions and rows to fill a ledger with, for the tests of the ledger."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from results.architecture import Architecture, Layer
from results.environment import Environment, Hardware, Settings, Software
from results.measurement import (
    Cold,
    Contention,
    Measurement,
    Procedure,
    Run,
    Series,
    Subject,
    Workload,
)
from results.session import Session, session_id
from results.store import Ledger

START = datetime(2025, 1, 31, 9, 30, tzinfo=UTC)

TINY = Architecture.uniform(2, 128, 2, 128, 512)
UNEVEN = Architecture(312, (Layer(12, 312, 1200), Layer(6, 192, 600)))

ENVIRONMENT = Environment(
    Hardware(
        machine="x86_64",
        cpu="AMD EPYC 9B14",
        vendor="AuthenticAMD",
        family=25,
        model=17,
        stepping=1,
        isa=("avx2", "avx512_vnni", "avx512f", "fma"),
        physical_cores=1,
        logical_cpus=2,
        l3_bytes=33554432,
        memory_bytes=8 << 30,
        hypervisor="KVM",
    ),
    Software(
        os="Linux",
        kernel="6.1.0",
        libc="glibc 2.36",
        python="3.11.7",
        packages={"torch": "2.13.0+cpu", "onnxruntime": "1.31.1", "numpy": "2.4.6"},
    ),
    Settings(aslr="2", variables={"OMP_NUM_THREADS": "1"}),
    host="5f1d8c20a4be",
    git="0a1b2c3d4e5f",
)


def session(minutes: int = 0, **changes: Any) -> Session:
    """A session that began so many minutes after `START`."""
    now = START + timedelta(minutes=minutes)
    facts: dict[str, Any] = {
        "id": session_id(now),
        "started_utc": now.isoformat(),
        "tool": "0.1.0",
        "argv": ("bench", "profile", "--device", "laptop"),
        "seed": 7,
        "device": "laptop",
        "device_digest": "d15c0de00001",
        "environment": ENVIRONMENT,
        "plan": "9a4e00000001",
    }
    return Session(**facts | changes)


def series(visits: int = 6, calls: int = 3, level_ns: int = 2_000_000, seed: int = 0) -> Series:
    """Samples a little above `level_ns`."""
    rng = random.Random(seed)
    cpu = tuple(level_ns + rng.randrange(level_ns // 50) for _ in range(visits * calls))
    return Series(
        wall_ns=tuple(c + 1000 for c in cpu),
        cpu_ns=cpu,
        switches=(0,) * len(cpu),
        faults=(0,) * len(cpu),
        visits=(calls,) * visits,
        first_cpu_ns=(level_ns * 2,) * visits,
    )


def measurement(of: Session, number: int = 1, **changes: Any) -> Measurement:
    """Row `number` of a session."""
    run = Run(
        series(seed=number),
        series(level_ns=4_000_000, seed=number + 1000),
        anchor_name="h312 4x(a12 q312 f1200)",
        warmup_calls=4,
        pid=4321,
        cpus=(0,),
        contention=Contention(0.31, steal_ticks=2, pressure_us=5100, load1=0.4),
        stopped_by="target_error",
    )
    facts: dict[str, Any] = {
        "id": f"{of.id}-{number}",
        "session": of.id,
        "device": of.device,
        "subject": Subject(TINY, "fp32", "onnxruntime"),
        "workload": Workload(),
        "procedure": Procedure(),
        "runs": (run,),
        "cold": Cold(150_000_000, 40_000_000, 9_000_000),
        "seed": of.seed,
        "model_bytes": 17_500_000,
        "peak_rss_bytes": 120_000_000,
        "isa": "avx512_vnni",
        "measured_utc": (START + timedelta(seconds=number)).isoformat(),
    }
    return Measurement(**facts | changes)


def ids(ledger: Ledger, *, current: bool = False) -> list[str]:
    """Of all rows, in the order they are read."""
    return [row.id for _, row in ledger.measurements(current=current)]

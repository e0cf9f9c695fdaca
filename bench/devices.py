"""`bench devices`: the targets, which of them this host can be and why not, and the host."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from profiler.device import Device, Host
    from results.environment import Environment


def devices(
    *,
    file: Annotated[
        Path | None,
        typer.Option("--devices", help="Targets to read instead of ./devices.yaml."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the targets, tell which of them this host can be, and show its fingerprint."""
    from profiler.device import devices_file, load_devices, this_host
    from profiler.environment import read_environment
    from profiler.isolate import stable_variables

    path = devices_file(file)
    listed = load_devices(path)
    environment = read_environment(stable_variables(os.environ, 1, {}))
    host = this_host(environment.hardware)
    verdicts = {name: verdict(device, host) for name, device in listed.items()}
    if as_json:
        report = {
            "devices": {
                name: {**listed[name].model_dump(), "refused": why, "runtimes_refused": partly}
                for name, (why, partly) in verdicts.items()
            },
            "fingerprint": environment.fingerprint,
            "environment": asdict(environment),
        }
        typer.echo(json.dumps(report, indent=2))
        return
    _print(path, listed, verdicts, environment)


Verdict = tuple[list[str], dict[str, str]]
"""Why the host cannot be the device at all, and which runtimes it refuses and why."""


def verdict(device: "Device", host: "Host") -> Verdict:
    """What `bench profile` would say to this device here."""
    from profiler.device import needs_cap, refusals
    from profiler.runtimes.runtime import refusal

    why = refusals(device, host)
    cap = (device.isa_cap or "") if needs_cap(device, host) else ""
    partly = {name: said for name in device.runtimes if (said := refusal(name, cap))}
    if not why and len(partly) == len(device.runtimes):
        why = list(partly.values())
    return why, partly


def _print(
    path: Path,
    listed: "dict[str, Device]",
    verdicts: dict[str, Verdict],
    environment: "Environment",
) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)
    table = Table(title=f"Targets of {path}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("device", "here", "threads", "tokens", "runtimes and what is missing"):
        table.add_column(heading, overflow="fold")
    for name, device in listed.items():
        why, partly = verdicts[name]
        served = [
            f"{runtime} ({', '.join(schemes)})"
            for runtime, schemes in device.runtimes.items()
            if runtime not in partly
        ]
        said = "; ".join(why) if why else "; ".join([*served, *partly.values()])
        tokens = ", ".join(map(str, device.tokens))
        table.add_row(name, "no" if why else "yes", str(device.threads), tokens, said)
    console.print(table)
    console.print()
    console.print(_host_table(environment))


def _host_table(environment: "Environment") -> object:
    from rich.table import Table

    hardware, software, settings = (
        environment.hardware,
        environment.software,
        environment.settings,
    )
    telling = [f for f in hardware.isa if f.startswith(("avx", "amx", "asimd", "fma", "sve"))]
    table = Table(
        title=f"This host: fingerprint {environment.fingerprint}",
        title_justify="left",
        box=None,
        show_header=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("CPU", f"{hardware.cpu} ({hardware.machine})")
    table.add_row("ISA", " ".join(telling))
    table.add_row("cores", f"{hardware.physical_cores}, {hardware.logical_cpus} logical CPUs")
    caches = (hardware.l1d_bytes, hardware.l2_bytes, hardware.l3_bytes)
    table.add_row("caches", ", ".join(f"{(c or 0) >> 10} KiB" if c else "unknown" for c in caches))
    table.add_row("memory", f"{(hardware.memory_bytes or 0) / 2**30:.1f} GiB")
    table.add_row("hypervisor", hardware.hypervisor or "none seen")
    table.add_row("system", f"{software.os} {software.kernel}, {software.libc}")
    versions = " ".join(f"{name} {v}" for name, v in software.packages.items())
    table.add_row("software", f"Python {software.python} {versions}")
    table.add_row(
        "settings",
        f"governor {settings.governor}, turbo {settings.turbo}, SMT {settings.smt}, "
        f"THP {settings.thp}, clock {settings.clocksource}",
    )
    return table

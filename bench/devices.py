"""`bench devices`: which targets this host can be, what its runtimes can do, and the host."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from results.errors import BadInputError

if TYPE_CHECKING:
    from rich.table import Table

    from bench.ability import Report
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
    """List the targets, tell which of them this host can be, and try every runtime in it."""
    from profiler.device import devices_file, load_devices, this_host
    from profiler.environment import read_environment
    from profiler.isolate import stable_variables

    path = devices_file(file)
    listed = load_devices(path)
    environment = read_environment(stable_variables(os.environ, 1, {}))
    host = this_host(environment.hardware)
    verdicts = {name: verdict(device, host) for name, device in listed.items()}
    caps = sorted({""} | {cap_of(device, host) for device in listed.values()})
    if as_json:
        report = {
            "devices": {
                name: {
                    **listed[name].model_dump(),
                    "refused": why,
                    "possible": possible,
                    "left_out": left_out,
                }
                for name, (why, possible, left_out) in verdicts.items()
            },
            "runtimes": [asdict(found) for found in tried(caps)],
            "fingerprint": environment.fingerprint,
            "environment": asdict(environment),
        }
        typer.echo(json.dumps(report, indent=2))
        return
    _print(path, listed, verdicts, environment, caps)


def tried(caps: Sequence[str]) -> "list[Report]":
    """What every runtime can do, free and held to each of the caps."""
    from bench.ability import reports
    from profiler.runtimes.runtime import MODULES

    return reports(list(MODULES), caps)


Verdict = tuple[list[str], dict[str, list[str]], list[str]]
"""Why the host cannot be the device; schemes by runtime that it can; and what it cannot of it."""


def verdict(device: "Device", host: "Host") -> Verdict:
    """What `bench profile` would say to this device here."""
    from bench.choice import Wanted, choose
    from profiler.device import refusals

    why = refusals(device, host)
    try:
        choice = choose(device, Wanted(), cap_of(device, host))
    except BadInputError as error:
        return why or [str(error)], {}, []
    return why, choice.schemes, choice.refused


def cap_of(device: "Device", host: "Host") -> str:
    """The instruction set this host must be held to, to be the device; empty for none."""
    from profiler.device import needs_cap

    return (device.isa_cap or "") if needs_cap(device, host) else ""


def _print(
    path: Path,
    listed: "dict[str, Device]",
    verdicts: dict[str, Verdict],
    environment: "Environment",
    caps: Sequence[str],
) -> None:
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    table = _table(f"Targets of {path}", "device", "here", "threads", "tokens", "runtimes")
    for name, device in listed.items():
        why, possible, left_out = verdicts[name]
        served = [f"{runtime} ({', '.join(had)})" for runtime, had in possible.items() if had]
        said = "; ".join(why) if why else "; ".join([*served, *left_out])
        tokens = ", ".join(map(str, device.tokens))
        table.add_row(name, "no" if why else "yes", str(device.threads), tokens, said)
    console.print(table)
    console.print()
    console.print(_host_table(environment))
    console.print()
    with console.status("trying every scheme on every runtime"):
        found = tried(caps)
    console.print(runtimes_table(found))


def runtimes_table(found: "Sequence[Report]") -> "Table":
    """A line for each runtime, with the schemes that ran and why the others did not."""
    table = _table("Runtimes, each tried here in all its schemes", "runtime", "runs", "and")
    for report in found:
        cap = f", held to {report.cap}" if report.cap else ""
        name = f"{report.runtime} {report.version}".strip() + cap
        runs = [ability.scheme for ability in report.schemes if not ability.refused]
        table.add_row(name, ", ".join(runs) or "nothing", "; ".join(_remarks(report)))
    return table


def _remarks(report: "Report") -> list[str]:
    """Of refusals that are alike, one; and what is known of sums of int8 products."""
    if report.refused:
        return [report.refused]
    refused: dict[str, list[str]] = {}
    sums: dict[str, list[str]] = {}
    for ability in report.schemes:
        if ability.refused:
            refused.setdefault(ability.refused, []).append(ability.scheme)
        elif ability.sums:
            sums.setdefault(ability.sums, []).append(ability.scheme)
    said = [f"not {', '.join(schemes)}: {why}" for why, schemes in refused.items()]
    if "saturates" in sums:
        over = ", ".join(sums["saturates"])
        said.append(f"int8 sums saturate here in {over}: use reduce-range=yes, or another runtime")
    elif sums:
        said.append("int8 sums are exact")
    return said


def _table(title: str, *headings: str) -> "Table":
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _host_table(environment: "Environment") -> "Table":
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

"""What `bench explain` found, as tables for a person and as JSON. Measures nothing."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rich.table import Table

from bench.explain_figures import Breakdown, Machine, Question, Rate, Widths
from bench.explain_widths import Step, pays_from, preferred
from bench.explain_words import NAMES, conclusion
from profiler.parts import OVERHEAD, PARTS

SHOWN_MS = 0.0005
"""Below this a time is printed as 0, and compared with none."""

UNSCALED = 0.99
"""Above this the scale of the parts is not worth a word."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Everything there is to tell."""

    question: Question
    device: str
    floats: Breakdown
    integers: Breakdown
    machine: Machine
    widths: Widths

    @property
    def steps(self) -> dict[str, Step | None]:
        """The multiple to keep widths to, by arithmetic."""
        measured = {"fp32": self.widths.fp32_ns, "int8": self.widths.int8_ns}
        return {
            arithmetic: preferred({int(width): ns for width, ns in times.items()})
            for arithmetic, times in measured.items()
        }

    @property
    def conclusion(self) -> list[str]:
        """In words."""
        return conclusion(self.floats, self.integers, self.question.scheme, self.machine)


def tables(found: Explained) -> Iterator[tuple[str, Table, list[str]]]:
    """For a person: titles, tables, and sentences under them."""
    asked = found.question
    work = asked.workload
    batch = f"{work.batch} x " if work.batch > 1 else ""
    several = f", {work.threads} threads" if work.threads > 1 else ""
    named = f"{asked.source.label}: " if asked.source.label else ""
    title = (
        f"{named}{asked.architecture}, {batch}{work.tokens} tokens: ms a call, {asked.runtime} on "
        f"{found.device}{several}"
    )
    yield title, _parts(found), list(_remarks(found))
    rates = "GEMMs: rate, share of the measured peak, and the rate of each by itself"
    yield rates, _rates(found), [_roofs(found.machine)]
    ladder = "One layer by width (q, k, v as wide, ffn four times, heads of 32), ms"
    yield ladder, _ladder(found), list(_widths(found))


def as_json(found: Explained) -> dict[str, object]:
    """All numbers, and the conclusion."""
    asked = found.question
    return {
        "device": found.device,
        "runtime": asked.runtime,
        "scheme": asked.scheme,
        "architecture": asdict(asked.architecture),
        "source": asked.source.label,
        "workload": asdict(asked.workload),
        "fp32": _breakdown_json(found.floats, found.machine),
        asked.scheme: _breakdown_json(found.integers, found.machine),
        "peaks_gops": found.machine.peaks,
        "bandwidths_gb_s": found.machine.bandwidths,
        "weight_bytes": found.machine.weights,
        "ladder": [asdict(rung) for rung in found.widths.ladder],
        "pays_from": pays_from(found.widths.ladder),
        "product_ns_by_width": {"fp32": found.widths.fp32_ns, "int8": found.widths.int8_ns},
        "prefer": {name: asdict(step) if step else None for name, step in found.steps.items()},
        "conclusion": found.conclusion,
    }


def _breakdown_json(found: Breakdown, machine: Machine) -> dict[str, object]:
    return {
        "whole_ms": found.whole_ms,
        "parts_ms": found.parts,
        "profiler_ms": found.profiler_ms,
        "busy": found.busy,
        "scale": found.scale,
        "gemms": [
            {
                **asdict(rate),
                "gops": rate.gops,
                "intensity": rate.intensity,
                "of_peak": rate.gops / machine.peaks[rate.arithmetic],
                "alone_gops": machine.alone.get(rate.group, {}).get(rate.arithmetic),
            }
            for rate in found.rates
        ],
    }


def _parts(found: Explained) -> Table:
    drawn = _table("part", "fp32", "share", found.question.scheme, "share", "faster")
    for part in (*PARTS, OVERHEAD):
        before, now = found.floats.parts[part], found.integers.parts[part]
        if before or now:
            drawn.add_row(NAMES[part], *_pair(found, before, now))
    drawn.add_row("whole call", *_pair(found, found.floats.whole_ms, found.integers.whole_ms))
    return drawn


def _pair(found: Explained, before: float, now: float) -> tuple[str, ...]:
    gain = f"{before / now:.2f} x" if before >= SHOWN_MS and now >= SHOWN_MS else ""
    return (
        f"{before:.3f}",
        f"{before / found.floats.whole_ms:.1%}",
        f"{now:.3f}",
        f"{now / found.integers.whole_ms:.1%}",
        gain,
    )


def _remarks(found: Explained) -> Iterator[str]:
    """What was done to the numbers above."""
    both = (found.floats, found.integers)
    costs = " and ".join(f"{b.profiler_ms:.2f}" for b in both)
    yield f"profiling adds {costs} ms to a call; the whole calls are without it"
    if any(b.busy for b in both):
        yield "neighbours disturbed most calls: times are the least of several, not medians"
    if any(b.scale < UNSCALED for b in both):
        scaled = " and ".join(f"{1 - b.scale:.0%}" for b in both)
        yield f"operators came to more than the whole, and are scaled down by {scaled}"
    if found.question.runtime == "torch":
        yield "softmax is done inside the attention products here"


def _rates(found: Explained) -> Table:
    drawn = _table("group", "scheme", "GOP/s", "of peak", "by itself", "ops/byte")
    for name, own in (("fp32", found.floats), (found.question.scheme, found.integers)):
        for rate in own.rates:
            drawn.add_row(NAMES[rate.group], name, *_cells(rate, found.machine))
    return drawn


def _cells(rate: Rate, machine: Machine) -> tuple[str, ...]:
    alone = machine.alone.get(rate.group, {}).get(rate.arithmetic)
    return (
        f"{rate.gops:.0f}",
        f"{rate.gops / machine.peaks[rate.arithmetic]:.0%} {rate.arithmetic}",
        f"{alone:.0f}" if alone else "",
        f"{rate.intensity:.0f}",
    )


def _roofs(machine: Machine) -> str:
    streams = ", ".join(
        f"{machine.weights[name] / 1e6:.1f} MB of {name} weights at {rate:.1f} GB/s"
        for name, rate in machine.bandwidths.items()
    )
    peaks = ", ".join(f"{name} {rate:.0f} GOP/s" for name, rate in machine.peaks.items())
    return f"this machine: {peaks}; it reads {streams}"


def _ladder(found: Explained) -> Table:
    drawn = _table("width", "fp32", found.question.scheme, "faster")
    for rung in found.widths.ladder:
        drawn.add_row(
            str(rung.width),
            f"{rung.fp32_ms:.3f}",
            f"{rung.scheme_ms:.3f}",
            f"{rung.fp32_ms / rung.scheme_ms:.2f} x",
        )
    return drawn


def _widths(found: Explained) -> Iterator[str]:
    start, tried = pays_from(found.widths.ladder), [r.width for r in found.widths.ladder]
    scheme = found.question.scheme
    if start is None:
        yield f"{scheme} pays at no width tried ({tried[0]} to {tried[-1]})"
    elif start == tried[0]:
        yield f"{scheme} pays from the smallest width tried, {start}"
    else:
        yield f"{scheme} pays from width {start} on"
    for arithmetic, step in found.steps.items():
        if step is None:
            yield f"widths to prefer in {arithmetic}: no step seen"
        else:
            yield (
                f"widths to prefer in {arithmetic}: multiples of {step.multiple}; half way "
                f"between, an operation costs {step.excess:.0%} more"
            )


def _table(first: str, *headings: str) -> Table:
    drawn = Table(box=None, padding=(0, 2, 0, 0))
    drawn.add_column(first, no_wrap=True)
    for heading in headings:
        drawn.add_column(heading, justify="right", no_wrap=True)
    return drawn

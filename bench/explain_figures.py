"""What `bench explain` measures, and what follows from it. Pure arithmetic; measures nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.subjects import Source
from profiler.gemm import Shape
from profiler.parts import GEMMS, OVERHEAD, PARTS, PRODUCTS, QUANTISING_PRODUCTS
from profiler.trace import Piece
from results.architecture import Architecture
from results.measurement import Workload

WEIGHT_BYTES = {"fp32": 4, "int8": 1}
"""Of a number in a matrix, by the arithmetic it is multiplied in."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which network, where, in which scheme beside fp32."""

    architecture: Architecture
    source: Source
    runtime: str
    scheme: str
    workload: Workload
    cap: str = ""
    seed: int = 0

    @property
    def rows(self) -> int:
        """Of every matrix that a linear layer is given."""
        return self.workload.batch * self.workload.tokens


@dataclass(frozen=True, slots=True)
class Seen:
    """The network in one scheme: a whole call without the profiler, its operators with it."""

    whole_ms: float
    profiled_ms: float
    pieces: tuple[Piece, ...]
    calls: int
    busy: bool
    """Had neighbours some of most calls' time? Then times are the least, else medians."""
    fixed_ms: float
    """A whole call of as many layers that are next to nothing, on one token."""
    fixed_pieces: tuple[Piece, ...]
    """Its operators."""


@dataclass(frozen=True, slots=True)
class Dissection:
    """What the `parts` stage answers."""

    fp32: Seen
    scheme: Seen
    quantise_us: dict[str, float]
    """Quantising (rows, width) floats, alone, by width."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the `machine` stage answers."""

    peaks: dict[str, float]
    """GOP/s by arithmetic: of products in the cache, the fastest the engine has."""
    bandwidths: dict[str, float]
    """GB/s at which a core reads as many bytes as the network has weights, by arithmetic."""
    weights: dict[str, int]
    """Bytes of the matrices, by arithmetic."""
    alone: dict[str, dict[str, float]]
    """GOP/s of the products of each group by themselves, weights in the cache, by arithmetic."""


@dataclass(frozen=True, slots=True)
class Rung:
    """Milliseconds of one layer of a width."""

    width: int
    fp32_ms: float
    scheme_ms: float


@dataclass(frozen=True, slots=True)
class Widths:
    """What the `widths` stage answers."""

    ladder: tuple[Rung, ...]
    fp32_ns: dict[str, float]
    """Of a square product, by width."""
    int8_ns: dict[str, float]


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast the products of one group are."""

    group: str
    arithmetic: str
    ms: float
    ops: int
    bytes: int
    """Of weights and of what goes in and out, each once."""

    @property
    def gops(self) -> float:
        """Thousand million operations a second."""
        return self.ops / self.ms / 1e6

    @property
    def intensity(self) -> float:
        """Operations for each byte."""
        return self.ops / self.bytes


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where one call's time goes; the parts add up to the whole."""

    whole_ms: float
    parts: dict[str, float]
    """Milliseconds by part, `overhead` last."""
    profiler_ms: float
    """What profiling adds to a call."""
    busy: bool
    """Are the times the least that were seen, since neighbours disturbed most calls?"""
    scale: float
    """What operators were multiplied with, since they came to more than the whole: 1 or less."""
    rates: tuple[Rate, ...]

    @property
    def gemm_ms(self) -> float:
        """All linear layers together."""
        return sum(self.parts[group] for group in GEMMS)


def products(a: Architecture, rows: int) -> dict[str, list[Shape]]:
    """Every matrix product of the linear layers, by group."""
    found: dict[str, list[Shape]] = {group: [] for group in GEMMS}
    for layer in a.layers:
        found["qkv"] += [Shape(rows, a.hidden, layer.qkv)] * 3
        found["attention-output"].append(Shape(rows, layer.qkv, a.hidden))
        found["ffn-in"].append(Shape(rows, a.hidden, layer.ffn))
        found["ffn-out"].append(Shape(rows, layer.ffn, a.hidden))
    return found


def breakdown(seen: Seen, asked: Question, quantise_us: Mapping[str, float]) -> Breakdown:
    """The parts of a call.

    A part is what its operators take beyond what they take on next to nothing; both are profiled,
    so the profiler's work cancels. A whole call on next to nothing is `overhead`, together with
    what no operator accounts for. Where parts and overhead come to more than the whole (caches
    that profiling empties, neighbours), all parts are scaled down. What a product spends on
    quantising its input is taken to be what quantising alone takes.
    """
    shapes = products(asked.architecture, asked.rows)
    nothing = {p.kind: p.us / p.count for p in seen.fixed_pieces}
    parts = dict.fromkeys(PARTS, 0.0)
    for piece in seen.pieces:
        beyond_us = piece.us - piece.count * nothing.get(piece.kind, 0.0)
        parts[piece.part] += max(beyond_us, 0.0) / 1e3
    wanted = max(seen.whole_ms - seen.fixed_ms, 0.0)
    known = sum(parts.values())
    scale = min(wanted / known, 1.0) if known else 1.0
    parts = {part: scale * ms for part, ms in parts.items()}
    for group in GEMMS:
        inside = min(_quantising_ms(seen.pieces, group, shapes[group], quantise_us), parts[group])
        parts[group] -= inside
        parts["quantise"] += inside
    parts[OVERHEAD] = max(seen.whole_ms - sum(parts.values()), 0.0)
    rates = _rates(seen.pieces, parts, asked, shapes)
    profiler_ms = max(seen.profiled_ms - seen.whole_ms, 0.0)
    return Breakdown(seen.whole_ms, parts, profiler_ms, seen.busy, scale, tuple(rates))


def _quantising_ms(
    pieces: Sequence[Piece], group: str, shapes: Sequence[Shape], quantise_us: Mapping[str, float]
) -> float:
    """What the group's products spend on turning their input into integers."""
    fused = sum(p.count for p in pieces if p.part == group and p.operator in QUANTISING_PRODUCTS)
    if not fused:
        return 0.0
    return fused / len(shapes) * sum(quantise_us[str(s.taken)] for s in shapes) / 1e3


def _rates(
    pieces: Sequence[Piece],
    parts: Mapping[str, float],
    asked: Question,
    shapes: Mapping[str, Sequence[Shape]],
) -> list[Rate]:
    """Of each group whose products were seen, and of the two products inside attention."""
    found = []
    for group in (*GEMMS, "attention"):
        main = _main_product(pieces, group)
        if main is None or parts[group] <= 0:
            continue
        arithmetic = PRODUCTS[main.operator]
        ops, weights, taken, given = (
            _attention(asked) if group == "attention" else _linear(shapes[group])
        )
        moved = weights * WEIGHT_BYTES[arithmetic] + taken * main.in_bytes + given * main.out_bytes
        found.append(Rate(group, arithmetic, parts[group], ops, moved))
    return found


def _main_product(pieces: Sequence[Piece], group: str) -> Piece | None:
    """The product that most of the group's time goes to."""
    times: dict[str, float] = defaultdict(float)
    own = [p for p in pieces if p.part == group and p.operator in PRODUCTS]
    for piece in own:
        times[PRODUCTS[piece.operator]] += piece.us
    main = max(times, key=lambda a: times[a], default=None)
    return max((p for p in own if PRODUCTS[p.operator] == main), key=lambda p: p.us, default=None)


def _linear(shapes: Sequence[Shape]) -> tuple[int, int, int, int]:
    """Operations, weights, numbers in, numbers out."""
    return (
        sum(s.ops for s in shapes),
        sum(s.taken * s.given for s in shapes),
        sum(s.rows * s.taken for s in shapes),
        sum(s.rows * s.given for s in shapes),
    )


def _attention(asked: Question) -> tuple[int, int, int, int]:
    """The same of Q K^T and P V: no weights; q, k, v and P in, scores and the result out."""
    batch, tokens = asked.workload.batch, asked.workload.tokens
    wide = sum(layer.qkv for layer in asked.architecture.layers) * asked.rows
    square = sum(layer.heads for layer in asked.architecture.layers) * batch * tokens**2
    return 4 * tokens * wide, 0, 3 * wide + square, square + wide

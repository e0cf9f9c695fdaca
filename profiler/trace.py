"""What a profiler saw of a model, piece by piece, whoever's profiler it was. Knows no engine."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Protocol

from profiler.side_by_side import Level
from profiler.timing import Tape


@dataclass(frozen=True, slots=True)
class Piece:
    """An operator in one call, or all of one kind in one part of the network."""

    part: str
    """One of `profiler.parts.PARTS`."""
    operator: str
    in_bytes: int
    """Of a number it is given."""
    out_bytes: int
    """Of a number it answers."""
    us: float
    """Microseconds of wall time."""
    count: int = 1
    """How often it ran."""

    @property
    def kind(self) -> tuple[str, str, int, int]:
        """What pieces that may be added up have in common."""
        return self.part, self.operator, self.in_bytes, self.out_bytes


class Tracer(Protocol):
    """A model that runs under its engine's profiler."""

    tape: Tape
    """The calls that are kept, as seen from outside."""

    def visit(self) -> None:
        """A few calls in a row, as `profiler.timing.visit` makes them."""

    def calls(self) -> list[list[Piece]]:
        """The operators of each call on the tape, in their order. Ends the profiling."""


def middle(calls: Sequence[Sequence[Piece]], typical: Level = median) -> list[Piece]:
    """One piece of each kind: the typical times of its operators over the calls, added up.

    One for each operator: a call of many milliseconds is seldom left alone on a busy machine,
    but a neighbour disturbs only some operators of it.
    """
    seen: dict[tuple[object, ...], list[Piece]] = defaultdict(list)
    for call in calls:
        for key, piece in _numbered(call):
            seen[key].append(piece)
    steady = [own for own in seen.values() if 2 * len(own) > len(calls)]
    return total(replace(own[0], us=typical([p.us for p in own])) for own in steady)


def total(pieces: Iterable[Piece]) -> list[Piece]:
    """The pieces with those of the same kind added up."""
    found: dict[tuple[str, str, int, int], Piece] = {}
    for piece in pieces:
        before = found.get(piece.kind, replace(piece, us=0.0, count=0))
        us, count = before.us + piece.us, before.count + piece.count
        found[piece.kind] = replace(before, us=us, count=count)
    return list(found.values())


def _numbered(call: Sequence[Piece]) -> Iterator[tuple[tuple[object, ...], Piece]]:
    """Each piece with its kind and the how-manieth of its kind it is."""
    met: Counter[tuple[object, ...]] = Counter()
    for piece in call:
        yield (*piece.kind, met[piece.kind]), piece
        met[piece.kind] += 1

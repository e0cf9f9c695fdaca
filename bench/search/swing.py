"""How far the speed of a device moves from session to session. Measures nothing."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from results.choice import Measured, Swing
from results.session import Places
from results.stats import drift, references
from results.store import Ledger

if TYPE_CHECKING:
    from results.measurement import Measurement


def swings(results: Path, measured: Iterable[Measured]) -> tuple[Swing, ...]:
    """Of each device on which something was measured, as the anchors of its ledger tell.

    A promise in milliseconds holds on the scale of all sessions. Where a virtual machine shares
    its cores, that scale is a mean of hours that differ, and this says by how much.
    """
    return tuple(_swings(Ledger(results), {x.rows[-1]: x.device for x in measured}))


def _swings(ledger: Ledger, wanted: dict[str, str]) -> Iterator[Swing]:
    places = Places()
    sessions: dict[str, dict[str, list[Measurement]]] = defaultdict(lambda: defaultdict(list))
    where: dict[str, str] = {}
    for taken, row in ledger.measurements():
        here = places[taken]
        sessions[here][taken.id].append(row)
        if row.id in wanted:
            where[wanted[row.id]] = here
    for device, here in where.items():
        known = references((here, row) for rows in sessions[here].values() for row in rows)
        each = [drift(rows, known, here) for rows in sessions[here].values()]
        found = [1 + x for x in each if x is not None]
        if found:
            yield Swing(device=device, slowest=max(found), fastest=min(found), sessions=len(found))

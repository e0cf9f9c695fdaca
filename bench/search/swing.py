"""How far the speed of a device moves from session to session. Measures nothing."""

from collections.abc import Iterable
from pathlib import Path

from bench.summary import scaled
from results.choice import Measured, Swing
from results.store import Ledger


def swings(results: Path, measured: Iterable[Measured]) -> tuple[Swing, ...]:
    """Of each device on which something was measured, as the anchors of its ledger tell.

    A promise in milliseconds holds on the scale of all sessions. Where a virtual machine shares
    its cores, that scale is a mean of hours that differ, and this says by how much.
    """
    ledger, devices = Ledger(results), {x.rows[-1]: x.device for x in measured}
    rows = ledger.measurements() if devices else ()
    where = {devices[row.id]: session for session, row in rows if row.id in devices}
    found = {name: scaled(ledger.measurements(), one).drifts for name, one in where.items()}
    return tuple(
        Swing(
            device=device,
            slowest=1 + max(drifts.values()),
            fastest=1 + min(drifts.values()),
            sessions=len(drifts),
        )
        for device, drifts in found.items()
        if drifts
    )

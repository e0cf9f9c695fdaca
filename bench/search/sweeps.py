"""What a search asks of a sweep, as `bench profile` would be asked, and what rows tell it."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bench.request import Asked, Chosen
from bench.sitting import Sitting
from bench.summary import scaled
from results.measurement import Measurement
from results.session import key_at, place
from results.stats import Label
from results.store import Ledger


class Where(Protocol):
    """The device and the ledger."""

    @property
    def device(self) -> str: ...

    @property
    def runtime(self) -> str: ...

    @property
    def results(self) -> Path: ...

    @property
    def devices(self) -> Path | None:
        """File of device definitions; the usual one where None."""
        ...

    @property
    def seed(self) -> int: ...


def asked_of(
    where: Where,
    schemes: Sequence[str],
    tokens: Sequence[int],
    *,
    target_error: float,
    processes: int = 1,
    resume: bool = True,
) -> Asked:
    """The request; networks and files are named apart."""
    chosen = Chosen(
        space=None,
        samples=1,
        seed=where.seed,
        arch=None,
        models=(),
        runtimes=(where.runtime,),
        schemes=tuple(dict.fromkeys(schemes)),
        batch=None,
        tokens=tuple(tokens),
        threads=None,
        target_error=target_error,
        processes=processes,
        deployed=False,
    )
    return Asked(where.device, where.devices, chosen, where.results, resume, None)


def named(sitting: Sitting) -> Sitting:
    """Its session says which command it is of."""
    argv = (Path(sys.argv[0]).name, *sys.argv[1:])
    return replace(sitting, session=replace(sitting.session, argv=argv))


def is_open(sitting: Sitting) -> bool:
    """Is there anything to measure: with no row yet, or with a noisy one?"""
    where = place(sitting.session)
    return any(key_at(where, task) not in sitting.done for task in sitting.plan.tasks)


def labelled(ledger: Ledger, ids: Collection[str]) -> dict[str, tuple[Measurement, Label]]:
    """Rows of one machine by their ids, each on the scale of all sessions of that machine."""
    rows = {row.id: (taken, row) for taken, row in ledger.measurements() if row.id in ids}
    session = next((taken for taken, _ in rows.values()), None)
    if session is None:
        return {}
    labels = scaled(ledger.measurements(), session).labels
    return {name: (row, labels[name]) for name, (_, row) in rows.items()}

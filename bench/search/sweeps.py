"""What a search asks of a sweep, as `bench profile` would be asked. Measures nothing."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bench.request import Asked, Chosen
from bench.sitting import Sitting


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
    target_error: float = 0.03,
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

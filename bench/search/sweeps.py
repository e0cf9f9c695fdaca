"""What a search asks of a sweep, as `bench profile` would be asked. Measures nothing."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.request import Asked, Chosen
from bench.sitting import Sitting


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The device and the ledger."""

    device: str
    runtime: str
    results: Path
    devices: Path | None = None
    """File of device definitions; the usual one where None."""
    seed: int = 0


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

"""Networks with random weights, measured on the devices of a Ray cluster; the rows are kept here.

A device is a resource of its node, as in `ray_measure`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.search.meter import Cell, Wanted, cells, quiet_rows
from bench.search.ray_ledger import Loan, Room, answer, loan, plain, question, said
from bench.search.ray_link import Job, Link, Plain
from results.measurement import Measurement


@dataclass(frozen=True, slots=True)
class ClusterMeter:
    """Measures on all devices at once, each on a node that is it."""

    link: Callable[[], Link]
    """Called when something is to be measured, and not before."""

    def latencies(self, wanted: Sequence[Wanted]) -> list[Mapping[Cell, float]]:
        """As `Meter` says; the rows of a node are kept when it is through.

        Raises:
            BadInputError: no node is a device, or it refuses what it is asked.
        """
        if not wanted:
            return []
        jobs = [
            Job(f"measuring on {one.bench.device}", (plain(one), _loan(one)), one.bench.device)
            for one in wanted
        ]
        found = {}
        for i, answered in self.link().each(measured_here, jobs):
            bench = wanted[i].bench
            found[i] = cells(bench.results, said(bench, answered, list[str]))
        return [found[i] for i in range(len(wanted))]


def _loan(wanted: Wanted) -> Loan:
    """With the sessions in which the device measured any of the networks."""
    networks = set(wanted.networks)

    def counts(row: Measurement) -> bool:
        return not row.subject.source and row.subject.architecture in networks

    return loan(wanted.bench, counts)


def measured_here(asked: Plain, lent: Loan) -> dict[str, Any]:
    """On the node: measure, and name the rows that came out quiet."""
    wanted = question(asked, Wanted)

    def measure(room: Room) -> list[str]:
        bench = replace(wanted.bench, results=room.results, devices=room.devices, remote=False)
        return [row.id for row in quiet_rows(replace(wanted, bench=bench))]

    return answer(lent, {}, measure)

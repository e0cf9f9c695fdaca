"""Measures finalists on the devices of a Ray cluster. Chooses none of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.search.finalists import Finalist, Judged
from bench.search.judge import files_of
from bench.search.measure import How, Timed
from bench.search.ray_link import Link
from bench.search.ray_measure import measure_there


@dataclass(frozen=True, slots=True)
class ClusterJudge:
    """Measures finalists on all devices at once, each on a node that is it."""

    link: Link
    hows: Sequence[How]
    """One for each device; their ledger is that of the asker."""

    def judge(
        self, run: Path, finalists: Sequence[Finalist], *, anew: bool = False
    ) -> list[Judged]:
        """What each file costs; of the memory it needs, the most of all devices."""
        files = files_of(run, finalists)
        hows = [replace(how, resume=not anew) for how in self.hows]
        found = measure_there(self.link, files, hows, memory=True)
        return [_together([several[i] for several in found]) for i in range(len(files))]


def _together(found: Sequence[tuple[Timed, float | None]]) -> Judged:
    """Of all devices, what is known of one file."""
    needs = [memory for _, memory in found if memory is not None]
    return Judged(
        tuple(x for timed, _ in found for x in timed.measured),
        max(needs, default=None),
        next((timed.failure for timed, _ in found if timed.failure), ""),
    )

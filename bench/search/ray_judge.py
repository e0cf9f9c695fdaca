"""Measures finalists on the devices of a Ray cluster. Chooses none of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.search.finalists import Finalist, Judged
from bench.search.measure import How, ModelFile, Timed
from bench.search.ray_link import Link
from bench.search.ray_measure import measure_there


@dataclass(frozen=True, slots=True)
class ClusterJudge:
    """Measures finalists on all devices at once, each on a node that is it."""

    link: Link
    tokens: Mapping[str, tuple[int, ...]]
    """Lengths of text by device."""
    runtime: str
    results: Path
    devices: Path | None = None
    seed: int = 0
    memory: bool = True

    def judge(
        self, run: Path, finalists: Sequence[Finalist], *, anew: bool = False
    ) -> list[Judged]:
        """What each file costs; of the memory it needs, the most of all devices."""
        files = [
            ModelFile(run / one.folder / one.file, one.trial.architecture, one.trial.scheme)
            for one in finalists
        ]
        hows = [
            How(
                device=device,
                tokens=tokens,
                results=self.results,
                runtime=self.runtime,
                devices=self.devices,
                seed=self.seed,
                resume=not anew,
            )
            for device, tokens in self.tokens.items()
        ]
        found = measure_there(self.link, files, hows, memory=self.memory)
        return [_together([several[i] for several in found]) for i in range(len(files))]


def _together(found: Sequence[tuple[Timed, float | None]]) -> Judged:
    """Of all devices, what is known of one file."""
    needs = [memory for _, memory in found if memory is not None]
    return Judged(
        tuple(x for timed, _ in found for x in timed.measured),
        max(needs, default=None),
        next((timed.failure for timed, _ in found if timed.failure), ""),
    )

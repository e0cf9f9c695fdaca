"""Measures finalists on the devices that this host is. Chooses none of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.search.finalists import Finalist, Judged
from bench.search.measure import How, ModelFile, measure_files, memory_of
from bench.watch import Watch


@dataclass(frozen=True, slots=True)
class HereJudge:
    """Each device in turn."""

    hows: Sequence[How]
    """One for each device."""
    watch: Watch | None = None

    def judge(
        self, run: Path, finalists: Sequence[Finalist], *, anew: bool = False
    ) -> list[Judged]:
        """What each file costs; what the ledger has is not measured again, but for `anew`."""
        files = files_of(run, finalists)
        found = [Judged(()) for _ in files]
        for how in self.hows:
            timed = measure_files(files, replace(how, resume=not anew), self.watch)
            found = [
                Judged((*before.measured, *now.measured), failure=before.failure or now.failure)
                for before, now in zip(found, timed, strict=True)
            ]
        return [self._with_memory(one, file.path) for one, file in zip(found, files, strict=True)]

    def _with_memory(self, found: Judged, path: Path) -> Judged:
        if found.failure:
            return found
        tokens = max(max(how.tokens) for how in self.hows)
        return replace(found, memory_megabytes=memory_of(path, self.hows[0].runtime, tokens))


def files_of(run: Path, finalists: Sequence[Finalist]) -> list[ModelFile]:
    """What is measured of each."""
    return [
        ModelFile(run / one.folder / one.file, one.trial.architecture, one.trial.scheme)
        for one in finalists
    ]

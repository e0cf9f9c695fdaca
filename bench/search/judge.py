"""Measures finalists on the devices that this host is. Chooses none of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.search.finalists import Finalist, Judged
from bench.search.measure import How, ModelFile, measure_files, memory_of
from bench.watch import Watch


@dataclass(frozen=True, slots=True)
class HereJudge:
    """Each device in turn."""

    tokens: Mapping[str, tuple[int, ...]]
    """Lengths of text by device."""
    runtime: str
    results: Path
    devices: Path | None = None
    seed: int = 0
    memory: bool = True
    watch: Watch | None = None

    def judge(
        self, run: Path, finalists: Sequence[Finalist], *, anew: bool = False
    ) -> list[Judged]:
        """What each file costs; rows that the ledger has are not measured again."""
        files = [
            ModelFile(run / one.folder / one.file, one.trial.architecture, one.trial.scheme)
            for one in finalists
        ]
        found = [Judged(()) for _ in files]
        for device, tokens in self.tokens.items():
            how = How(
                device=device,
                tokens=tokens,
                results=self.results,
                runtime=self.runtime,
                devices=self.devices,
                seed=self.seed,
                resume=not anew,
            )
            timed = measure_files(files, how, self.watch)
            found = [
                Judged((*before.measured, *now.measured), failure=before.failure or now.failure)
                for before, now in zip(found, timed, strict=True)
            ]
        return [self._with_memory(one, file.path) for one, file in zip(found, files, strict=True)]

    def _with_memory(self, found: Judged, path: Path) -> Judged:
        if not self.memory or found.failure:
            return found
        tokens = max(max(several) for several in self.tokens.values())
        return Judged(found.measured, memory_of(path, self.runtime, tokens), found.failure)

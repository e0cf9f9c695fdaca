"""The sub-model that a search chose, and what it is cut from and calibrated on. Measures nothing.

Of a search's options it reads `folder`, `text-column`, `pair-column`, `label-column` (of the task)
and `calibration` (examples that ranges were observed on).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nas.checkpoint import TENSORS
from nas.data import tasks
from nas.data.columns import Columns
from nas.data.task import Task
from nas.extract.calibration import of_scorer
from nas.extract.folder import Origin, origin_of
from nas.extract.onnx_files import Observed
from nas.folder import Saved, read
from nas.score.scorer import Options, Scorer
from results.choice import Search, Winner
from results.errors import BadInputError
from results.searches import Run

DIGITS = 16
"""Of a digest in the name of a source."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A winner of a search."""

    search: Search
    winner: Winner
    saved: Saved
    """The supernet, the very one that was searched."""
    origin: Origin

    @property
    def options(self) -> Options:
        """With which it was scored."""
        calibration = self.search.options.get("calibration", "")
        usual = Options(seed=self.search.seed)
        if not calibration.isdecimal():
            return usual
        return Options(seed=self.search.seed, calibration=int(calibration))

    def task(
        self,
        say: Callable[[str], None],
        folder: Path | None = None,
        columns: Columns = tasks.NO_COLUMNS,
    ) -> Task:
        """What it was searched for; folder and columns where the search does not say them.

        Raises:
            BadInputError: its files are not there any more.
        """
        given = self.search.options
        kept = given.get("folder", "")
        names = ("text", "pair", "label")
        known = [given.get(f"{name}-column") or getattr(columns, name) for name in names]
        return tasks.load(
            self.search.task,
            folder=folder or (Path(kept) if kept else None),
            columns=Columns(*known),
            say=say,
        )

    def text(self, task: Task) -> Observed:
        """What its ranges were observed on when it was scored."""
        with Scorer(self.saved, task, options=self.options) as scorer:
            return of_scorer(scorer)


def found(folder: Path, rank: int) -> Found:
    """A winner of the search in a folder; the best is 1.

    Raises:
        BadInputError: there is no such search or winner, it has not ended, or its supernet is
            gone or another by now.
    """
    run = Run(folder)
    search, outcome = run.search, run.outcome
    if outcome is None:
        raise BadInputError(
            f"{folder} has not ended: run the same `nas search` again, it goes on from there"
        )
    ranks = [winner.rank for winner in outcome.winners]
    if not ranks:
        raise BadInputError(f"{folder} has no winner: no model kept its limits; raise them")
    if rank not in ranks:
        raise BadInputError(f"--winner {rank}: {folder} has {', '.join(map(str, ranks))}")
    saved, origin = _supernet(search)
    return Found(search, outcome.winners[ranks.index(rank)], saved, origin)


def _supernet(search: Search) -> tuple[Saved, Origin]:
    folder = Path(search.supernet_folder)
    if not (folder / TENSORS).is_file():
        raise BadInputError(
            f"the supernet {folder} that was searched is not there any more: put it back, or "
            "search again with another --supernet"
        )
    origin = origin_of(folder)
    wanted = search.supernet.rpartition("sha256:")[2]
    if origin.sha256[:DIGITS] != wanted:
        raise BadInputError(
            f"the supernet {folder} is not the one that was searched: its weights are "
            f"sha256:{origin.sha256[:DIGITS]} and were sha256:{wanted}; put those back, or search "
            "again"
        )
    return read(folder), origin

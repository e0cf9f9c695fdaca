"""What a training says while it runs: a file of lines, a screen, TensorBoard. Knows no network."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from results.errors import BadInputError

FILE = "log.jsonl"
EVERY_S = 1.0
"""Seconds between two lines on the screen."""


class Board(Protocol):
    """The part of TensorBoard's `SummaryWriter` that is used."""

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Keep a number."""

    def close(self) -> None:
        """Write what is left."""


class Journal:
    """Losses and scores of one run; lines that are computed again after a resume are dropped."""

    def __init__(
        self,
        folder: Path,
        *,
        say: Callable[[str], None],
        board: Callable[[int], Board] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path, self._say, self._clock = folder / FILE, say, clock
        self._make_board = board
        self._board: Board | None = None
        self._seen: dict[str, list[float]] = {}
        self._tokens = 0
        self._began = self._spoken = clock()
        self._first: int | None = None
        self._last = (0, 0, 0.0)

    def resume(self, step: int) -> None:
        """Drop the lines after a step: they are computed again."""
        if self._make_board is not None:
            self._board = self._make_board(step)
        if not self.path.exists():
            return
        kept = []
        for line in self.path.read_text("utf-8", errors="replace").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):  # cut off by the kill
                continue
        scratch = self.path.with_name(FILE + ".new")
        scratch.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        scratch.replace(self.path)

    def step(
        self, step: int, steps: int, rate: float, losses: Mapping[str, float], n: int
    ) -> None:
        """One step was done, over `n` tokens."""
        if self._first is None:
            self._first, self._began = step - 1, self._clock()
        for name, value in losses.items():
            self._seen.setdefault(name, []).append(value)
        self._tokens += n
        self._last = (step, steps, rate)
        if self._clock() - self._spoken >= EVERY_S or step == steps:
            self.flush()

    def flush(self) -> None:
        """Write what was not written yet, so that a state has no steps that no line has."""
        if self._first is None or not self._seen:
            return
        (step, steps, rate), now = self._last, self._clock()
        mean = {name: fmean(values) for name, values in self._seen.items()}
        self._write(step=step, rate=rate, tokens=self._tokens, losses=mean)
        for name, value in mean.items():
            self._draw(f"loss/{name}", value, step)
        self._draw("rate", rate, step)
        left = (now - self._began) / max(1, step - self._first) * (steps - step)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in mean.items())
        self._say(f"step {step}/{steps}  {shown}  rate {rate:.1e}  {_clocked(left)} left")
        self._seen, self._tokens, self._spoken = {}, 0, now

    def scores(self, step: int, scores: Mapping[str, float]) -> None:
        """An evaluation was made."""
        self._write(step=step, scores=dict(scores))
        for name, value in scores.items():
            self._draw(f"score/{name}", value, step)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        self._say(f"step {step}  {shown}\n")

    def close(self) -> None:
        """No more is written."""
        if self._board is not None:
            self._board.close()

    def _write(self, **line: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _draw(self, tag: str, value: float, step: int) -> None:
        if self._board is not None:
            self._board.add_scalar(tag, value, step)


def board(folder: Path, step: int) -> Board:
    """A writer of TensorBoard's files; what was written after `step` before is void.

    Raises:
        BadInputError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        message = "--tensorboard needs TensorBoard: install subbert[tensorboard], or leave it out"
        raise BadInputError(message) from error
    writer: Board = SummaryWriter(
        str(folder / "tensorboard"), purge_step=step + 1 if step else None
    )
    return writer


def _clocked(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

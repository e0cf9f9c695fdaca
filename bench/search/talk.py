"""Who is told what a search does, and who is asked. Knows no search."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.watch import Watch

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Talk:
    """Who is told what goes on."""

    say: Say
    """A sentence for a person."""
    progress: Say = lambda _: None
    """A line that the next one may replace."""
    watch: Callable[[], Watch] | None = None
    """Of a sweep."""
    confirm: Callable[[str], bool] | None = None
    """Asks a person; None where nobody is there."""

    def watcher(self) -> Watch | None:
        """A new one."""
        return None if self.watch is None else self.watch()

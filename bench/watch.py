"""Who is told how a sweep goes. Knows no ledger and no screen."""

from typing import Protocol

from bench.plan import Block, Task
from results.measurement import Measurement


class Watch(Protocol):
    """What a sweep tells."""

    def begin(self, total: int, already: int, cpus: tuple[int, ...]) -> None: ...

    def more(self, rows: int) -> None:
        """So many rows are to be measured beside those told of before."""

    def block(self, block: Block, retry: int) -> None: ...

    def row(self, row: Measurement) -> None: ...

    def failed(self, task: Task, why: str) -> None: ...

    def end(self) -> None: ...


class Silent:
    """Watches without a word."""

    def begin(self, total: int, already: int, cpus: tuple[int, ...]) -> None: ...

    def more(self, rows: int) -> None: ...

    def block(self, block: Block, retry: int) -> None: ...

    def row(self, row: Measurement) -> None: ...

    def failed(self, task: Task, why: str) -> None: ...

    def end(self) -> None: ...

"""One fresh, pinned process per measurement, spoken to in lines of JSON. Knows no model.

The parent sleeps in `select` while the worker measures: a polling parent costs a core, and on a
small machine that is the core being measured (optimum-benchmark, 1.9 x slower; docs).
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import IO, Self

PASSED_ON = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONPATH",
    "TMPDIR",
    "VIRTUAL_ENV",
)
"""What a worker of the `stable` profile inherits; everything else is left out."""

ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TOP_PAD_": str(128 << 20),
}
"""glibc keeps what was freed: without all three, two identical torch processes differ by 16 %."""


def stable_variables(
    base: Mapping[str, str], threads: int, cap: Mapping[str, str]
) -> dict[str, str]:
    """The environment of a worker whose allocator, threads and instruction set are controlled."""
    passed = {name: base[name] for name in PASSED_ON if name in base}
    count = str(threads)
    fixed = {
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        "PYTHONHASHSEED": "0",
    }
    return passed | ALLOCATOR | fixed | dict(cap)


class WorkerError(RuntimeError):
    """The worker died or did not answer; the message holds the end of what it wrote."""


class Worker:
    """A child process running `python -P -m MODULE`, which answers lines of JSON with others.

    `cpus` is handed over as an argument and applied by the worker before it imports anything.
    """

    def __init__(
        self, module: str, variables: Mapping[str, str], cpus: Sequence[int] | None
    ) -> None:
        pinned = ",".join(str(c) for c in cpus) if cpus else "all"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", module, pinned],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=dict(variables),
            start_new_session=True,  # Ctrl-C is for the parent, which then ends the worker
        )
        self._rest = b""

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    def ask(self, request: Mapping[str, object], timeout_s: float) -> Iterator[dict[str, object]]:
        """Send one request; yield the answers up to and without the one that says `done`.

        Answers that only say `alive` count as a sign of life and are not passed on.

        Raises:
            WorkerError: the worker died, or was silent for `timeout_s` seconds.
        """
        self.send(request)
        yield from self.answers(timeout_s)

    def send(self, request: Mapping[str, object]) -> None:
        """Send one request and do not wait: `fileno` is readable once there are `answers`.

        Raises:
            WorkerError: the worker died.
        """
        stdin = self._process.stdin
        if stdin is None:
            raise WorkerError("the worker has no pipes")
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except OSError:
            raise WorkerError(self._obituary()) from None

    def answers(self, timeout_s: float) -> Iterator[dict[str, object]]:
        """What `ask` yields, to a request that was sent."""
        stdout = self._process.stdout
        if stdout is None:
            raise WorkerError("the worker has no pipes")
        while (answer := self._line(stdout, timeout_s)).get("event") != "done":
            if answer.get("event") != "alive":
                yield answer

    def fileno(self) -> int:
        """Of the pipe that its answers come through, for `select`.

        Raises:
            WorkerError: there is none.
        """
        if self._process.stdout is None:
            raise WorkerError("the worker has no pipes")
        return self._process.stdout.fileno()

    def _line(self, stdout: IO[bytes], timeout_s: float) -> dict[str, object]:
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([stdout], [], [], left)[0]:
                message = f"the worker was silent for {timeout_s:.0f} s{self._last_words()}"
                raise WorkerError(message)
            chunk = os.read(stdout.fileno(), 1 << 20)
            if not chunk:
                raise WorkerError(self._obituary())
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            message = f"the worker answered {line[:80]!r}"
            raise WorkerError(message)
        return answer

    def _obituary(self) -> str:
        code = self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        hint = "; the machine may be out of memory" if code == -9 else ""  # noqa: PLR2004
        return f"the worker ended with {how}{hint}{self._last_words()}"

    def _last_words(self) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(self._log.tell() - 4000, 0))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def close(self) -> None:
        """End the child, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was left in the pipe has no reader any more
                    pipe.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def out_of_the_way(cpus: Sequence[int] | None) -> Iterator[None]:
    """Keep this process off the worker's CPUs while it waits; afterwards as before."""
    if not cpus or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, before - set(cpus) or before)
        yield
    finally:
        os.sched_setaffinity(0, before)

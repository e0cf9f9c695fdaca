"""The process in which models are timed: reads one request a line, answers rows. Keeps nothing.

`python -P -m bench.worker CPUS`. Pinned before anything is imported, so that no thread escapes.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import IO

from profiler.cpus import pin

Answer = Callable[[dict[str, object]], None]

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal to get when the parent is gone."""


def main() -> None:
    """Serve requests from standard input until it ends."""
    cpus = sys.argv[1]
    if cpus != "all":
        pin([int(c) for c in cpus.split(",")])
    _die_with_parent()
    answers = _private_stdout()

    def answer(line: dict[str, object]) -> None:
        answers.write(json.dumps(line).encode() + b"\n")
        answers.flush()

    for request in _requests():
        from bench.block import serve

        serve(request, answer)
        answer({"event": "done"})


def _requests() -> Iterator[dict[str, object]]:
    for line in sys.stdin:
        yield json.loads(line)


def _private_stdout() -> IO[bytes]:
    """Keep the pipe for answers; what libraries print goes to standard error instead."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(kept, "wb")


def _die_with_parent() -> None:
    """Where the system can (Linux): no orphan measures on after a kill -9 of the parent."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return


if __name__ == "__main__":
    main()

"""The child's side of `profiler.isolate`: reads one request a line, answers lines. Keeps nothing.

Pinned before anything heavy is imported, so that no thread escapes.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import IO

from profiler.cpus import pin

Answer = Callable[[dict[str, object]], None]
Serve = Callable[[dict[str, object], Answer], None]

PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal to get when the parent is gone."""


def serve_requests(load: Callable[[], Serve]) -> None:
    """Answer requests from standard input until it ends; `load` imports who serves them.

    The first argument of the process says which CPUs it may use.
    """
    cpus = sys.argv[1]
    if cpus != "all":
        pin([int(c) for c in cpus.split(",")])
    _die_with_parent()
    answers = _private_stdout()

    def answer(line: dict[str, object]) -> None:
        answers.write(json.dumps(line).encode() + b"\n")
        answers.flush()

    for line in sys.stdin:
        load()(json.loads(line), answer)
        answer({"event": "done"})


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

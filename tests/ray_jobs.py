"""Jobs for the nodes of a test cluster. Each leaves a line when it begins and one when it ends."""

import os
import time
from pathlib import Path
from typing import Any

DEVICE = "cpu-any"
"""Of the first node: every machine is it."""


def sleep(log: str, name: str, seconds: float, until: str = "") -> dict[str, Any]:
    """Say where and when it ran; with `until`, sleep on until there is such a file."""
    import ray

    here = ray.get_runtime_context()
    node = here.get_node_id()
    began = time.time()
    tell(log, f"begins {name} {node}")
    time.sleep(seconds)
    while until and not Path(until).exists():
        time.sleep(seconds)
    tell(log, f"ends {name} {node}")
    return {
        "name": name,
        "node": node,
        "began": began,
        "ended": time.time(),
        "needs": here.get_assigned_resources(),
    }


def first_only(log: str, name: str, until: str = "") -> dict[str, Any]:
    """End at once if no other has; otherwise with `until`, or not while a test lasts."""
    path = Path(log)
    if not path.exists() or "ends" not in path.read_text("utf-8"):
        return sleep(log, name, 0)
    return sleep(log, name, 0.1 if until else 99, until)


def tell(log: str, line: str) -> None:
    with Path(log).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def fail(_log: str) -> dict[str, Any]:
    raise ValueError("the reason")


def die(_log: str) -> dict[str, Any]:
    os._exit(7)

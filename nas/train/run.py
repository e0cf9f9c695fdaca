"""A training as a folder: what was asked, how far it is, what came out. Knows no task.

`train.json` says what is trained and where; `log.jsonl` what happened; `state/` is there until the
training is done, then there are the network's files and `result.json`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nas.train.journal import Journal, board
from nas.train.loop import RESULT, RESULTS, Loop, Objective
from nas.train.recipe import Recipe
from nas.train.world import World
from profiler.environment import read_environment
from results.errors import BadInputError
from results.textfile import one_line

RECORD = "train.json"
OWN = (".lock", RECORD + ".new")
"""Files that are there before the record is."""


def finished(folder: Path, what: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result of a training that is done; None where it is not.

    Raises:
        BadInputError: the folder holds another training, or something else.
    """
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise BadInputError(f"--output {folder} is no folder: name another")
    record = folder / RECORD
    if not record.exists():
        if any(path.name not in OWN for path in folder.iterdir()):
            message = f"--output {folder} is there and holds no training: name another"
            raise BadInputError(message)
        return None
    try:
        before = json.loads(record.read_text("utf-8"))["what"]
        _require_same(folder, before, json.loads(json.dumps(what)))
        if not (folder / RESULT).exists():
            return None
        found = json.loads((folder / RESULT).read_text("utf-8"))
        result: dict[str, Any] = {name: found[name] + 0 for name in RESULTS}  # numbers
    except BadInputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{folder} is damaged ({one_line(error)}): remove it, or choose another --output"
        raise BadInputError(message) from error
    return result


def run(  # noqa: PLR0913 (a training and where it goes)
    objective: Objective,
    recipe: Recipe,
    folder: Path,
    world: World,
    *,
    what: Mapping[str, Any],
    say: Callable[[str], None],
    tensorboard: bool = False,
) -> dict[str, Any]:
    """Train to the end, or from where an earlier call was stopped.

    Args:
        objective: what is learned.
        recipe: how.
        folder: where everything goes.
        world: this process and its like.
        what: all that the outcome depends on; another `what` in the same folder is refused.
        say: takes a line for a person.
        tensorboard: write its files too.

    Returns:
        the result; nothing in processes other than the first, if another command was faster.

    Raises:
        BadInputError: another process trains there, or the training cannot go on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        before = None
        if world.leads:
            lock.acquire()
            before = finished(folder, what)  # while this process read its data
            _write_record(folder, what, world)
        if world.from_leader(float(before is not None)):
            return before or {}
        drawn = partial(board, folder) if tensorboard and world.leads else None
        journal = Journal(folder, say=say, board=drawn)
        return Loop(objective, recipe, folder, world, journal).run()
    except Timeout:
        message = f"another process trains in {folder}: wait for it, or choose another --output"
        raise BadInputError(message) from None
    finally:
        lock.release(force=True)


def _write_record(folder: Path, what: Mapping[str, Any], world: World) -> None:
    path = folder / RECORD
    if path.exists():
        return
    content = {
        "task": what.get("task"),
        "what": what,
        "where": {
            "environment": asdict(read_environment()),
            "device": str(world.device),
            "started_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    }
    scratch = path.with_name(RECORD + ".new")
    scratch.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    scratch.replace(path)


def _require_same(folder: Path, before: Any, now: Any, name: str = "") -> None:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            _require_same(folder, before.get(key), now.get(key), key)
    elif before != now:
        message = (
            f"{folder} holds another training: {name} is {one_line(before, 60)} there and "
            f"{one_line(now, 60)} here; choose another --output, or remove that one"
        )
        raise BadInputError(message)

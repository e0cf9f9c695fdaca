"""A folder for each model that leaves: whole or not there at all, and it says where it is from."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.checkpoint import TENSORS
from nas.config import write_json
from nas.extract.model import Model
from results.errors import BadInputError
from results.notation import format_architecture

RECORD = "extracted.json"
VERSION = 1
"""Of the record. 1: the first."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model comes from."""

    folder: Path
    sha256: str
    """Of its weights' file."""


def origin_of(folder: Path) -> Origin:
    """The folder and the digest of its weights."""
    with (folder / TENSORS).open("rb") as file:
        return Origin(folder, hashlib.file_digest(file, "sha256").hexdigest())


def identity(model: Model, origin: Origin) -> dict[str, Any]:
    """What makes two extracts the same model."""
    rule = {"heads": model.rule.heads, "depth": model.rule.depth}
    return {
        "source_sha256": origin.sha256,
        "architecture": json.loads(format_architecture(model.architecture)),
        "rule": rule,
        "layers": list(model.layers),
    }


def require_free(output: Path, wanted: dict[str, Any]) -> None:
    """Stop unless nothing is there that would be lost: an earlier extract of the same may go.

    Raises:
        BadInputError: something else is there, or there is no folder to put it in.
    """
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise BadInputError(f"--output {output} is no folder: name another")
    if not output.is_dir() or not any(output.iterdir()) or _record(output, wanted) == wanted:
        return
    message = f"--output {output} is there and holds something else: name another or remove it"
    raise BadInputError(message)


@contextmanager
def replaced(output: Path) -> Iterator[Path]:
    """An empty folder beside `output` that takes its place once the block has ended well.

    Raises:
        BadInputError: it cannot be written, e.g. for want of room; what was there is kept.
    """
    from safetensors import SafetensorError

    output = output.absolute()
    scratch = output.with_name(f".{output.name}.{os.getpid()}.new")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        yield scratch
        _put(scratch, output)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"{output} cannot be written ({reason}): make room or name another folder"
        raise BadInputError(message) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_record(folder: Path, wanted: dict[str, Any], more: dict[str, Any]) -> None:
    """Say where a model comes from, so that every number got with it has its origin."""
    write_json(folder / RECORD, {"version": VERSION, **wanted, **more})


def _put(scratch: Path, output: Path) -> None:
    """A rename; of two where something is there, the second is undone if it fails."""
    old = scratch.with_suffix(".old")
    there = output.exists()
    if there:
        output.rename(old)
    try:
        scratch.rename(output)
    except OSError:
        if there:
            old.rename(output)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _record(folder: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """What the record of a folder says of the same things."""
    try:
        found = json.loads((folder / RECORD).read_text("utf-8"))
        return {name: found.get(name) for name in wanted}
    except (OSError, ValueError, AttributeError):
        return None

"""Adds pretraining data to a folder, part by part; goes on after a kill -9. Knows no text."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from nas.data.packing import Packed
from nas.data.parts import (
    MANIFEST,
    Manifest,
    Part,
    Settings,
    digest,
    read_manifest,
    said_by,
    write,
)
from results.errors import BadInputError


class PartWriter:
    """Adds parts to a folder, each of them there whole or not at all; goes on where it was.

    A context manager that keeps other writers out.
    """

    def __init__(self, folder: Path, settings: Settings, made_by: Mapping[str, str]) -> None:
        """Raises BadInputError: something else is in the folder, or it cannot be written."""
        self.folder, self.settings, self.made_by = folder, settings, made_by
        self.parts: list[Part] = []
        self._closing = ExitStack()
        try:
            self._open()
        except OSError as error:
            self._closing.close()
            raise BadInputError(_unwritable(folder, error)) from error
        except BaseException:
            self._closing.close()
            raise

    def _open(self) -> None:
        from filelock import FileLock, Timeout

        there = self._begun()
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._closing.enter_context(FileLock(self.folder / ".lock", timeout=0))
        except Timeout:
            raise BadInputError(
                f"another process writes into {self.folder}: wait for it"
            ) from None
        for left in self.folder.glob(".*.half"):
            left.unlink()
        self.complete = there is not None and there.complete
        if there is None:
            self._save(complete=False)
        while (path := self._path(len(self.parts))).exists():
            self.parts.append(_own(path, self.settings))

    def _begun(self) -> Manifest | None:
        """What is to be gone on with; a folder without parts may become anything."""
        known = (self.folder / MANIFEST).exists()
        if not known and self.folder.exists():
            if not all(path.name.startswith(".") for path in self.folder.iterdir()):
                raise BadInputError(f"{self.folder} is not empty: choose another --output")
            return None
        if not known or not self._path(0).exists():
            return None
        there = read_manifest(self.folder)
        _same(there.settings, self.settings, self.folder)
        return there

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    @property
    def tokens(self) -> int:
        """In all parts so far."""
        return sum(part.tokens for part in self.parts)

    def add(self, packed: Packed) -> None:
        """On return the part is on the disk.

        Raises:
            BadInputError: it could not be written; the parts before it are kept.
        """
        path = self._path(len(self.parts))
        documents = len(np.unique(packed.documents[packed.documents >= 0]))
        part = Part(path.name, len(packed), len(packed.ids), documents, digest(packed))
        try:
            with _whole(path) as half:
                write(packed, self.settings, part, half)
        except OSError as error:
            raise BadInputError(_unwritable(path, error)) from error
        self.parts.append(part)

    def finish(self) -> Manifest:
        """Say that this is all."""
        if not self.complete:
            try:
                self._save(complete=True)
            except OSError as error:
                raise BadInputError(_unwritable(self.folder / MANIFEST, error)) from error
        return read_manifest(self.folder)

    def _save(self, *, complete: bool) -> None:
        manifest = Manifest(self.settings, self.made_by, tuple(self.parts), complete)
        with _whole(self.folder / MANIFEST) as half:
            half.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.parquet"


def _same(there: Settings, wanted: Settings, folder: Path) -> None:
    """Raises BadInputError: naming the first thing in which they differ."""
    pairs = zip(asdict(there).items(), asdict(wanted).values(), strict=True)
    for (name, was), now in pairs:
        if was != now:
            message = (
                f"{folder} was made with {name} {_short(was)}, not {_short(now)}: choose another "
                "--output, or the same settings to go on"
            )
            raise BadInputError(message)


def _short(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _own(path: Path, settings: Settings) -> Part:
    said = said_by(path)
    _same(said.settings, settings, path)
    return said.part


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A scratch file that becomes `path` when it is written, its bytes on the disk."""
    half = path.with_name(f".{path.name}.half")
    try:
        yield half
        with half.open("rb") as file:
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> str:
    reason = error.strerror or error
    return f"cannot write {path} ({reason}); what is complete is kept: mend that and run again"

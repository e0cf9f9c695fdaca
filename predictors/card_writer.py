"""Puts predictors into a device card, so that it can be read at any moment. Knows no family."""

import hashlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from predictors.calibrated import Calibrated
from predictors.card import Card, read_card
from predictors.card_fields import (
    CardFields,
    DomainFields,
    EntryFields,
    ErrorFields,
    Key,
    Part,
    Provenance,
)
from predictors.card_format import FORMAT, SCHEMA, CardError, decode, encode
from predictors.error import ErrorCard
from results.environment import Environment, differences
from results.errors import BadInputError
from results.textfile import one_line

WAIT_S = 60.0
"""For another command that writes the same card; it takes milliseconds."""

NO_OTHER_MACHINE = ("hardware.memory_bytes",)
"""What a new kernel counts differently, and no latency here depends on."""

MOST_NAME = 60
"""Characters that a scheme may give to the name of a file."""

Made = tuple[Key, Calibrated, Provenance]


def put(path: Path, device: str, environment: Environment, made: Sequence[Made]) -> Card:
    """Add predictors to the card at `path`, or replace those of the same keys; keep all others.

    The card is there, old or new, whenever the process is killed; parts have their content's hash
    in their names, so that a card never finds the parts of another. One writer at a time.

    Raises:
        BadInputError: the card cannot be written, is damaged, or is that of another device.
    """
    if path.suffix != ".json":
        raise BadInputError(f"a device card is a JSON file: call {path} {path.name}.json")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=WAIT_S):
            return _put(path, device, environment, made)
    except Timeout as error:
        raise BadInputError(f"another command is writing {path}: wait until it is done") from error
    except CardError as error:
        raise BadInputError(f"this cannot be kept in {path}, which {error}") from error
    except (OSError, NotImplementedError) as error:  # the latter: no locks on this file system
        reason = getattr(error, "strerror", None) or error
        message = f"cannot write {path} ({reason}), it is as it was"
        raise BadInputError(f"{message}: mend that, or choose another --card") from error


def _put(path: Path, device: str, environment: Environment, made: Sequence[Made]) -> Card:
    entries: dict[Key, EntryFields] = {}
    if path.exists():
        old = read_card(path)
        _require_same_machine(old, device, environment)
        entries = {entry.key: entry.fields for entry in old.entries}
    contents: dict[str, bytes] = {}
    for key, calibrated, provenance in made:
        state, parts = calibrated.predictor.state()
        names = {suffix: _name(path, key, suffix, data) for suffix, data in parts.items()}
        contents |= {names[suffix].file: data for suffix, data in parts.items()}
        entries[key] = _fields(key, calibrated, provenance, environment, state, names)
    ordered = tuple(entries[key] for key in sorted(entries))
    fingerprint = environment.fingerprint
    text = encode(CardFields(FORMAT, SCHEMA, device, fingerprint, environment, ordered))
    for name, content in contents.items():
        _place(path, path.with_name(name), content)
    _settle(path.parent)
    _place(path, path, text)
    _settle(path.parent)
    _sweep(path, {part.file for entry in ordered for part in entry.parts.values()})
    return Card.of(path, decode(text))


def _fields(
    key: Key,
    made: Calibrated,
    provenance: Provenance,
    environment: Environment,
    state: object,
    parts: Mapping[str, Part],
) -> EntryFields:
    return EntryFields(
        runtime=key.runtime,
        scheme=key.scheme,
        profile=key.profile,
        family=made.predictor.family,
        fingerprint=environment.fingerprint,
        provenance=provenance,
        error=_error(made.error),
        domain=DomainFields(dict(made.domain.ranges), made.domain.kinds),
        scores=tuple(made.intervals.scores.tolist()),
        state=state,
        parts=dict(parts),
    )


def _error(card: ErrorCard) -> ErrorFields:
    told = msgspec.to_builtins(card)
    for name in ("kendall_tau", "coverage", "half_width"):
        told[name] = told[name] if math.isfinite(told[name]) else None
    return ErrorFields(**told)


def _require_same_machine(old: Card, device: str, environment: Environment) -> None:
    instead = "name another file with --card, or delete this one"
    if old.device != device:
        raise BadInputError(
            f"{old.path} is the card of {one_line(old.device)}, not of {device}: {instead}"
        )
    found = differences(old.environment, environment)
    other = {
        name: values
        for name, values in found.items()
        if name.startswith("hardware.") and name not in NO_OTHER_MACHINE
    }
    if other:
        said = "; ".join(_difference(name, *values) for name, values in other.items())
        raise BadInputError(
            f"{old.path} is the card of another machine ({one_line(said, 600)}): {instead}"
        )


def _difference(name: str, there: object, here: object) -> str:
    if isinstance(there, tuple) and isinstance(here, tuple):
        there, here = (
            " ".join(str(x) for x in a if x not in b) for a, b in ((there, here), (here, there))
        )
        return f"{name}: only there {there or '-'}, only here {here or '-'}"
    return f"{name} is {there} there and {here} here"


def _name(path: Path, key: Key, suffix: str, content: bytes) -> Part:
    """A file name that says what it belongs to and, in twelve digits, what is in it."""
    sha256 = hashlib.sha256(content).hexdigest()
    words = (key.runtime, key.scheme, key.profile)
    safe = [re.sub(r"[^A-Za-z0-9_-]+", "-", word)[:MOST_NAME] or "-" for word in words]
    return Part(".".join([path.stem, *safe, sha256[:12], suffix]), sha256)


def _place(card: Path, path: Path, content: bytes) -> None:
    """Put a whole file in its place at once."""
    half = card.with_name(f".{card.name}.tmp")
    try:
        _write(half, content)
        os.replace(half, path)  # noqa: PTH105 - beside the other calls of the system
    except OSError:
        half.unlink(missing_ok=True)
        raise


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _settle(folder: Path) -> None:
    """Put the entries of the folder on the disk as well."""
    with suppress(OSError):  # some file systems cannot, and need not
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _sweep(card: Path, named: set[str]) -> None:
    """Remove the parts of earlier predictors, and those a killed writer left."""
    part = re.compile(rf"{re.escape(card.stem)}(\.[\w-]+){{3}}\.[0-9a-f]{{12}}\.[\w-]+", re.ASCII)
    with suppress(OSError):  # the card is good all the same
        for path in card.parent.iterdir():
            if part.fullmatch(path.name) and path.name not in named:
                os.unlink(path)  # noqa: PTH108

"""The files beside a state: what is damaged is refused before a parser sees it."""

from collections.abc import Mapping
from hashlib import sha256


def digest(data: bytes) -> str:
    """By which a file is known again."""
    return sha256(data).hexdigest()


def part(parts: Mapping[str, bytes], suffix: str, expected: str) -> bytes:
    """The file with that suffix.

    Raises:
        ValueError: there is none, or it is not the one that was written.
    """
    if suffix not in parts:
        raise ValueError(f"the {suffix} file is missing")
    if digest(parts[suffix]) != expected:
        raise ValueError(f"the {suffix} file is damaged, or that of another predictor")
    return parts[suffix]

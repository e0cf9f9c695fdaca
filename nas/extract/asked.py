"""Which sub-models are meant: a file of architectures or one as text. Knows no weights."""

import re
from dataclasses import replace
from pathlib import Path

from results.architecture import MOST_LAYERS, Architecture, Layer
from results.errors import BadInputError
from results.notation import BERT_TABLES, parse_architecture, read_architectures
from results.textfile import one_line

_SHORT = re.compile(r"h(\d{1,7})((?: \d{1,4}x\(a\d{1,7} q\d{1,7} f\d{1,7}\))+)")
_RUN = re.compile(r"(\d+)x\(a(\d+) q(\d+) f(\d+)\)")


def architectures(given: str, supernet: Architecture) -> tuple[Architecture, ...]:
    """Those of a file, or the one a text says: our JSON, a seed's dict, `h256 3x(a8 q256 f768)`.

    Notations that do not speak of the vocabulary, positions and types mean the supernet's.

    Raises:
        BadInputError: it is neither.
    """
    text = " ".join(given.split())
    if short := _SHORT.fullmatch(text):
        return (_short(text, short, supernet),)
    if text.startswith(("{", "[")):
        return (_with_tables(parse_architecture(given), supernet),)
    if not _is_file(given):
        message = (
            f"--arch {one_line(given, 60)!r} is no file and no architecture: name a file or write "
            f"one as '{one_line(supernet, 60)}'"
        )
        raise BadInputError(message)
    return tuple(_with_tables(a, supernet) for a in read_architectures(given))


def chosen(found: tuple[Architecture, ...], index: int | None) -> tuple[Architecture, ...]:
    """All of them, or the one of that number; the first is 1."""
    if index is None:
        return found
    if not 1 <= index <= len(found):
        message = f"--index {index}: --arch has {len(found)}; give a number from 1 to {len(found)}"
        raise BadInputError(message)
    return (found[index - 1],)


def _is_file(given: str) -> bool:
    try:
        return Path(given).exists()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False


def _short(text: str, found: re.Match[str], supernet: Architecture) -> Architecture:
    runs = [tuple(map(int, run)) for run in _RUN.findall(found[2])]
    try:
        kept = [(min(count, MOST_LAYERS + 1), Layer(*sizes)) for count, *sizes in runs]
        layers = tuple(layer for count, layer in kept for _ in range(count))
        return replace(supernet, hidden=int(found[1]), layers=layers)
    except ValueError as error:
        raise BadInputError(f"--arch {one_line(text, 60)!r}: {error}") from None


def _with_tables(a: Architecture, supernet: Architecture) -> Architecture:
    if (a.vocab, a.positions, a.types) != BERT_TABLES:
        return a
    tables = {name: getattr(supernet, name) for name in ("vocab", "positions", "types")}
    return replace(a, **tables)

"""Whose weights a model began with, as far as its folders say. Guesses nothing."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt")
"""Files that have to go along where they are."""

NAMES = (("config.json", "_name_or_path"), ("tokenizer_config.json", "name_or_path"))
"""Where transformers keeps the name of what a network, or its tokeniser, comes from."""

HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
"""A name on the hub, and no path."""

_LINE = re.compile(r"^(license|base_model):[ \t]*['\"]?([^\s'\"]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Base:
    """Where the first weights are from."""

    name: str = ""
    """As on the hub; empty where no folder says it."""
    licence: str = ""
    """Likewise."""
    files: tuple[str, ...] = ()
    """Names of the licence's files."""


def base_of(folders: Iterable[Path]) -> Base:
    """What the first folder that says so says; of the cards of models, then of their settings."""
    known = list(folders)
    cards = [_card(folder) for folder in known]
    names = [card.get("base_model", "") for card in cards]
    names += [name for folder in known for name in _names(folder)]
    return Base(
        next((name for name in names if HUB.fullmatch(name)), ""),
        next((card["license"] for card in cards if "license" in card), ""),
        tuple(path.name for path in licence_files(known)),
    )


def licence_files(folders: Iterable[Path]) -> list[Path]:
    """The files of the first folder that has any."""
    for folder in folders:
        if found := [folder / name for name in LICENCES if (folder / name).is_file()]:
            return found
    return []


def _card(folder: Path) -> dict[str, str]:
    """The licence and the base that a README.md names between its first two lines of dashes."""
    try:
        text = (folder / "README.md").read_text("utf-8")
    except (OSError, ValueError):
        return {}
    if not text.startswith("---\n"):
        return {}
    return dict(_LINE.findall(text[4:].partition("\n---")[0]))


def _names(folder: Path) -> Iterator[str]:
    for file, key in NAMES:
        try:
            found = json.loads((folder / file).read_text("utf-8"))[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(found, str):
            yield found

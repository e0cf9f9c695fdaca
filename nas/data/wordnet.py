"""A task of pairs out of WordNet: does this example show this meaning of the word?

Like WiC (Pilehvar & Camacho-Collados 2019) and GlossBERT (Huang et al. 2019). The wrong meaning
is another one of the same word and part of speech that has examples of its own, so that neither
text alone tells the answer.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from nas.data.splits import Example

SAME, OTHER = "same", "other"

ENDINGS = ("", "s", "es", "d", "ed", "ing")
"""A word is found in an example with one of these after it."""

MARKER = re.compile(r"\((?:a|p|ip)\)$")
"""Where an adjective may stand; behind some of them."""

WORD = re.compile(r"[\w'-]+")

Meanings = dict[str, list[str]]
"""Of a word: its definitions, each with the examples that show it."""


def pairs(content: Iterable[str]) -> Iterator[Example]:
    """Two examples of each sentence: with the meaning it shows, and with another one.

    Args:
        content: of WordNet's files `data.noun`, `data.verb`, `data.adj` and `data.adv`.
    """
    words: dict[tuple[str, str], Meanings] = defaultdict(lambda: defaultdict(list))
    for text in content:
        for line in text.splitlines():
            if '"' in line and not line.startswith(" "):
                _add(line, words)
    for (word, _), meanings in words.items():
        yield from _of_word(word, _told_apart(meanings))


def _of_word(word: str, meanings: Mapping[str, list[str]]) -> Iterator[Example]:
    definitions = list(meanings)
    if len(definitions) == 1:
        return
    others = definitions[1:] + definitions[:1]
    for definition, other in zip(definitions, others, strict=True):
        for sentence in meanings[definition]:
            text = f"{word}: {sentence}"
            yield Example(text, SAME, definition, group=word)
            yield Example(text, OTHER, other, group=word)


def _add(line: str, words: Mapping[tuple[str, str], Meanings]) -> None:
    """One synset: `offset file type count word id ... | definition; "example"; ...` (wndb(5))."""
    head, _, gloss = line.partition(" | ")
    _, _, kind, count, *rest = head.split(" ")
    definition, *quoted = gloss.split('"')
    definition = definition.strip().rstrip(";:").rstrip()
    sentences = [sentence.strip() for sentence in quoted[::2]]
    if not definition:
        return
    for name in rest[: 2 * int(count, 16) : 2]:
        word = MARKER.sub("", name).replace("_", " ").casefold()
        shown = [sentence for sentence in sentences if _is_in(word, sentence)]
        if shown:
            words[word, "a" if kind == "s" else kind][definition] += shown


def _is_in(word: str, sentence: str) -> bool:
    among = f" {' '.join(WORD.findall(sentence.casefold()))} "
    return word in among and any(f" {word}{ending} " in among for ending in ENDINGS)


def _told_apart(meanings: Meanings) -> Meanings:
    """Without the sentences that stand for two meanings, or twice for one."""
    times = Counter(sentence.casefold() for several in meanings.values() for sentence in several)
    kept = {
        definition: [sentence for sentence in several if times[sentence.casefold()] == 1]
        for definition, several in meanings.items()
    }
    return {definition: sentences for definition, sentences in kept.items() if sentences}

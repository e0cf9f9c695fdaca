"""What `nas data generate` reads: options to sequences. Writes nothing."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nas.data import mixes
from nas.data.corpus import Corpus, Joined, TextFiles, text_files
from nas.data.generation import packed_pieces
from nas.data.packing import Packed, Packing, Style
from nas.data.parts import Settings
from nas.data.seed_lines_in import read_pairs, read_tokens, seed_files
from nas.data.vocabulary import WordPieces
from results.errors import BadInputError

TOKENS, TOKENS_OF_LINES = 128, 512

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}

Found = Iterator[Packed]


@dataclass(frozen=True, slots=True)
class Asked:
    """The options."""

    corpus: tuple[str, ...]
    seed_lines: Path | None
    tokenizer: str
    style: Style
    tokens: int | None
    seed: int
    output: Path
    workers: int
    limit: str | None
    form: Literal["parquet", "seed"]
    epochs: int
    mask: float
    whole_words: bool

    def check(self) -> None:
        """Raises BadInputError: options that do not go together."""
        if bool(self.corpus) == (self.seed_lines is not None):
            raise BadInputError("give either --corpus or --seed-lines: what is to be read")
        if self.seed_lines is not None and self.form == "seed":
            raise BadInputError("--seed-lines are in that format already: leave --format out")
        if self.epochs > 1 and (self.form, self.style) != ("seed", "tinybert"):
            message = "--epochs is for --format seed --style tinybert: training repeats the others"
            raise BadInputError(message)


@dataclass(frozen=True, slots=True)
class Source:
    """Sequences, and what they follow from."""

    settings: Settings
    sequences: Callable[[int, int], Found]
    """From how many pieces are to be left out, and an epoch."""


def source_of(asked: Asked, words: WordPieces, say: Callable[[str], None]) -> Source:
    """Raises BadInputError: there is no such text, or it cannot be read."""
    return _from_lines(asked, words) if asked.seed_lines else _from_corpus(asked, words, say)


def _from_corpus(asked: Asked, words: WordPieces, say: Callable[[str], None]) -> Source:
    named = [name for name in asked.corpus if name in mixes.NAMES]
    files = [name for name in asked.corpus if name not in mixes.NAMES]
    found: list[Corpus] = [mixes.packaged(name, say=say) for name in dict.fromkeys(named)]
    if files:
        found.append(_text_files(files))
    corpus = found[0] if len(found) == 1 else Joined(tuple(found))
    tokens = asked.tokens or TOKENS

    def sequences(skip: int, epoch: int) -> Found:
        packing = Packing(asked.style, tokens, asked.seed, epoch)
        return packed_pieces(corpus, words, packing, workers=asked.workers, skip=skip)

    settings = Settings(
        style=asked.style,
        tokens=tokens,
        seed=asked.seed,
        vocabulary=words.vocabulary.digest,
        sources=corpus.sources(),
        limit=tokens_of(asked.limit),
    )
    return Source(settings, sequences)


def _text_files(patterns: list[str]) -> TextFiles:
    try:
        return text_files(patterns)
    except BadInputError as error:
        raise BadInputError(f"{error}; packaged ones are {', '.join(mixes.NAMES)}") from None


def _from_lines(asked: Asked, words: WordPieces) -> Source:
    folder = asked.seed_lines or Path()
    style, paths = seed_files(folder)
    tokens = asked.tokens or TOKENS_OF_LINES

    def sequences(skip: int, _: int) -> Found:
        if style == "autotinybert":
            found = read_tokens(paths, words.vocabulary, tokens)
        else:
            found = (p for path in paths for p in read_pairs(path, words.vocabulary, tokens))
        return (packed for number, packed in enumerate(found) if number >= skip)

    settings = Settings(
        style=style,
        tokens=tokens,
        seed=0,
        vocabulary=words.vocabulary.digest,
        sources=TextFiles(paths).sources(),
        limit=tokens_of(asked.limit),
    )
    return Source(settings, sequences)


def tokens_of(text: str | None) -> int | None:
    """`1M`, `500k` or `20000` as a number.

    Raises:
        BadInputError: anything else, and nothing at all.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgb]?)", text.strip().lower())
    tokens = round(float(found[1]) * _UNITS[found[2]]) if found else 0
    if not tokens:
        raise BadInputError(f"--limit-tokens {text}: write a number such as 1M, 500k or 20000")
    return tokens

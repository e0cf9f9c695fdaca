"""A tokenizer with a letter a token, `a` at the head of a word and `##a` inside it."""

from pathlib import Path
from string import ascii_lowercase

from nas.data.vocabulary import Vocabulary, WordPieces

MARKS = ("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TOKENS = (*MARKS, *ascii_lowercase, *(f"##{letter}" for letter in ascii_lowercase), ".", "[", "]")


def folder_of_words(folder: Path, tokens: tuple[str, ...] = TOKENS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), "utf-8")
    return folder


def small_words(folder: Path) -> Vocabulary:
    return WordPieces(folder_of_words(folder / "words")).vocabulary


def ids_of(text: str) -> list[int]:
    """`ab c` -> a ##b c."""
    pieces = [
        letter if place == 0 else f"##{letter}"
        for word in text.split()
        for place, letter in enumerate(word)
    ]
    return [TOKENS.index(piece) for piece in pieces]

"""Sentences to token ids, and what every id stands for. Knows no corpus and no network."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.data.tokens import tokenizer_of
from results.errors import BadInputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_ROLES = {
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "pad": ("[PAD]", "<pad>"),
    "mask": ("[MASK]", "<mask>"),
    "unknown": ("[UNK]", "<unk>"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """What every token id stands for."""

    tokens: tuple[str, ...]
    """By id."""
    special: NDArray[np.bool_]
    """By id: marks, placeholders and [unused…], which no text should be predicted to hold."""
    continues: NDArray[np.bool_]
    """By id: a `##` piece, which goes on where another one ended."""
    cls: int
    sep: int
    pad: int
    mask: int
    unknown: int

    @property
    def digest(self) -> str:
        """SHA-256 of all tokens in the order of their ids: 64 hexadecimal digits."""
        return hashlib.sha256("\n".join(self.tokens).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.tokens)


class WordPieces:
    """Sentences to token ids, by the tokenizer of a Hugging Face folder. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        """Raises BadInputError: no tokenizer in it, or one of another family."""
        self._tokenizer = tokenizer_of(folder)
        self._tokenizer.encode_special_tokens = True  # a "[SEP]" in a text is five characters
        self.vocabulary = _vocabulary(self._tokenizer, folder)

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """The ids of each, however long, without marks around them."""
        found = self._tokenizer.encode_batch_fast(list(sentences), add_special_tokens=False)
        return [encoding.ids for encoding in found]


def _vocabulary(tokenizer: "Tokenizer", folder: Path) -> Vocabulary:
    ids: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    tokens = [""] * (max(ids.values(), default=-1) + 1)
    for token, number in ids.items():
        tokens[number] = token
    roles = {}
    for role, names in _ROLES.items():
        known = [ids[name] for name in names if name in ids]
        if not known:
            raise BadInputError(
                f"the tokenizer in {folder} knows no {names[0]}: name a model of the BERT family"
            )
        roles[role] = known[0]
    added = tokenizer.get_added_tokens_decoder()
    special = np.array([not token or token.startswith("[unused") for token in tokens])
    special[[number for number, token in added.items() if token.special]] = True
    special[list(roles.values())] = True
    continues = np.array([token.startswith("##") for token in tokens]) & ~special
    return Vocabulary(tuple(tokens), special, continues, **roles)

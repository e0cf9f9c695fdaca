"""Texts as token ids, ragged: no example is padded before it is in a batch. Knows no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from results.errors import BadInputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Token ids of many examples, one after the other."""

    ids: Ints
    """(all tokens,)"""
    types: Ints
    """(all tokens,): 0 in the first text, 1 in the second."""
    starts: NDArray[np.int64]
    """(examples + 1,): example i is `ids[starts[i]:starts[i + 1]]`."""
    targets: NDArray[Any]
    """(examples,) class numbers (int64) or scores (float32); (examples, 2) first and last token of
    an answer; (0,) where there are none."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Ints:
        """(examples,): tokens of each."""
        return np.diff(self.starts).astype(np.int32)


def tokenizer_of(folder: Path) -> "Tokenizer":
    """The tokenizer of a Hugging Face folder; it neither pads nor cuts."""
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    whole, words = folder / "tokenizer.json", folder / "vocab.txt"
    found = whole if whole.is_file() else words
    if not found.is_file():
        message = f"{folder} has neither tokenizer.json nor vocab.txt: add one of them"
        raise BadInputError(message)
    try:
        if found == whole:
            tokenizer: Tokenizer = Tokenizer.from_file(str(whole))
        else:
            plain = BertWordPieceTokenizer.from_file(str(words), lowercase=_lowercase(folder))
            tokenizer = plain._tokenizer  # noqa: SLF001 (the wrapper can do less)
    except Exception as error:  # noqa: BLE001 (the library raises no class of its own)
        raise BadInputError(f"{found} is no tokenizer ({error}): save it again") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode(
    tokenizer: "Tokenizer",
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    most_tokens: int,
    targets: NDArray[Any] | None = None,
) -> Encoded:
    """Texts, or pairs of them, with BERT's special tokens; cut after `most_tokens`."""
    tokenizer.enable_truncation(most_tokens)
    inputs = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
    found = tokenizer.encode_batch(inputs)
    lengths = np.array([len(x) for x in found], np.int64)
    none = np.zeros(0, np.int32)
    return Encoded(
        ids=np.concatenate([none, *(np.array(x.ids, np.int32) for x in found)]),
        types=np.concatenate([none, *(np.array(x.type_ids, np.int32) for x in found)]),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        targets=np.zeros(0, np.int64) if targets is None else targets,
    )


def _lowercase(folder: Path) -> bool:
    import json

    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        return bool(settings.get("do_lower_case", True))
    except (OSError, ValueError, AttributeError):
        return True

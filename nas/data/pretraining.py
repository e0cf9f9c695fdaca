"""Pretraining data to learn from: any row at once. Knows no text, no network, no torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.data.packing import ONE_SEGMENT
from nas.data.parts import Part, Settings, digest_of, read_manifest, read_part, said_by
from nas.data.tokens import Encoded
from nas.data.vocabulary import Vocabulary
from results.errors import BadInputError


class Pretraining:
    """N sequences of token ids, in memory as flat arrays: 2 bytes a token, 4 above 65,536 words.

    Column i of each belongs to sequence i. Sequences stand in the order of their documents.
    """

    def __init__(self, path: Path) -> None:
        """Open a folder that `nas data generate` made, or one Parquet file of it.

        Raises:
            BadInputError: it is not there, not complete, or damaged.
        """
        self.path = path
        self.settings, self._parts = _described(path)
        folder = path if path.is_dir() else path.parent
        tokens = sum(part.tokens for part in self._parts)
        sequences = sum(part.sequences for part in self._parts)
        self._ids: NDArray[np.uint16] | NDArray[np.int32] = np.empty(tokens, np.uint16)
        self.lengths = np.empty(sequences, np.int32)
        """Tokens of each sequence (N), marks included."""
        self.boundaries = np.empty(sequences, np.int32)
        """Tokens up to the first [SEP], itself included (N); types are 0 before and 1 after."""
        self.next_sentence = np.empty(sequences, np.int8)
        """1: the second segment is a random one; 0: it follows; -1: there is none (N)."""
        self.documents = np.empty(sequences, np.int64)
        """The number of the document each is from (N); -1 where nobody said."""
        token = row = 0
        for part in self._parts:
            packed = read_part(folder / part.file, part)
            if packed.ids.max(initial=0) > np.iinfo(self._ids.dtype).max:
                self._ids = self._ids.astype(np.int32)
            self._ids[token : token + part.tokens] = packed.ids
            token += part.tokens
            rows = slice(row, row + part.sequences)
            row += part.sequences
            self.lengths[rows], self.boundaries[rows] = packed.lengths, packed.boundaries
            self.next_sentence[rows], self.documents[rows] = packed.next_sentence, packed.documents
        self._starts = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """Of all sequences together, marks included."""
        return len(self._ids)

    @property
    def has_pairs(self) -> bool:
        """Is there a next sentence to predict?"""
        return bool(len(self)) and int(self.next_sentence[0]) != ONE_SEGMENT

    @property
    def digest(self) -> str:
        """SHA-256 of all that is in it: 64 hexadecimal digits."""
        return digest_of(self._parts)

    def require(self, words: Vocabulary, model: Path) -> None:
        """Raises BadInputError: the ids mean other words to the model in that folder."""
        if self.settings.vocabulary != words.digest:
            message = (
                f"{self.path} was made with another vocabulary than that of {model}: generate it "
                f"again with --tokenizer {model}"
            )
            raise BadInputError(message)

    def rows(self, indices: Sequence[int] | NDArray[np.int64]) -> Encoded:
        """Some sequences, ragged, in the order given; the targets are their `next_sentence`."""
        chosen = np.asarray(indices, np.int64)
        lengths = self.lengths[chosen].astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        inside = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        ids = self._ids[np.repeat(self._starts[chosen], lengths) + inside]
        types = inside >= np.repeat(self.boundaries[chosen], lengths)
        targets = self.next_sentence[chosen].astype(np.int64)
        return Encoded(ids.astype(np.int32), types.astype(np.int32), starts, targets)


def _described(path: Path) -> tuple[Settings, tuple[Part, ...]]:
    if not path.is_dir():
        if not path.exists():
            raise BadInputError(
                f"{path}: there is no such folder; make it with `nas data generate`"
            )
        said = said_by(path)
        return said.settings, (_renamed(said.part, path),)
    manifest = read_manifest(path)
    if not manifest.complete:
        raise BadInputError(f"{path} is not complete: run its `nas data generate` again to go on")
    return manifest.settings, manifest.parts


def _renamed(part: Part, path: Path) -> Part:
    return Part(path.name, part.sequences, part.tokens, part.documents, part.sha256)

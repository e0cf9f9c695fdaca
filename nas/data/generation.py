"""From a corpus to packed sequences, piece by piece, the same with any number of threads."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np

from nas.data.corpus import Corpus, Piece, pieces
from nas.data.packing import Packed, Packing
from nas.data.vocabulary import WordPieces

PIECE_CHARACTERS = 2 << 20
"""About half a million tokens: a second of work, and what a kill -9 can cost."""


def packed_pieces(
    corpus: Corpus, words: WordPieces, packing: Packing, *, workers: int = 1, skip: int = 0
) -> Iterator[Packed]:
    """The sequences of every piece of the corpus, in order, the first `skip` pieces left out.

    Threads are enough: the tokenizer computes outside Python. At most two pieces a worker are in
    memory.
    """
    found = islice(pieces(corpus.documents(), PIECE_CHARACTERS), skip, None)
    with ThreadPoolExecutor(workers) as pool:
        running: deque[Future[Packed]] = deque()
        try:
            for piece in found:
                running.append(pool.submit(_packed, piece, words, packing))
                if len(running) > workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _packed(piece: Piece, words: WordPieces, packing: Packing) -> Packed:
    ids = iter(words.encode([line for document in piece.documents for line in document]))
    documents = [
        [found for found in islice(ids, len(document)) if found] for document in piece.documents
    ]
    return packing.pack(documents, piece.first, words.vocabulary)


def limited(found: Iterator[Packed], tokens: int | None, before: int = 0) -> Iterator[Packed]:
    """Ends with the sequence that brings `before` and all of these to so many tokens."""
    for packed in found:
        if tokens is not None:
            if before >= tokens:
                return
            sums = np.cumsum(packed.lengths)
            before += len(packed.ids)
            if before >= tokens:
                rest = tokens - (before - len(packed.ids))
                yield packed.first(int(np.searchsorted(sums, rest)) + 1)
                return
        yield packed

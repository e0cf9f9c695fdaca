"""How far a quantised encoder moved from the float one. Knows arrays, no model and no runtime."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quant.calibration import place
from quant.int8 import may_saturate
from quant.press import Pressed, linear_layers
from quant.scheme import GROUPS, Scheme
from results.architecture import Architecture

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drift:
    """Two encoders on the same sentences. A cosine of 1 is the same direction."""

    sentences: int
    cosine: float
    """Mean over sentences, of the means of their token vectors."""
    least_cosine: float
    """The same, of the sentence that moved furthest."""
    token_cosine: float
    """Mean over all token vectors."""
    least_token_cosine: float
    largest_error: float
    """Of any number of any token vector."""
    neighbours_changed: float
    """Share of sentences whose nearest other sentence is another one now."""
    labels_flipped: float | None = None
    """Share of sentences given another label, where the model has a classifier."""

    @property
    def moved(self) -> float:
        """1 - cosine: what a gate looks at."""
        return 1 - self.cosine


def drift(exact: Sequence[Floats], rough: Sequence[Floats]) -> Drift:
    """Compare hidden states, (batch, tokens, hidden) without padding, batch by batch."""
    tokens = np.concatenate(
        [cosines(_rows(x), _rows(y)) for x, y in zip(exact, rough, strict=True)]
    )
    means, again = sentence_vectors(exact), sentence_vectors(rough)
    whole = cosines(means, again)
    return Drift(
        sentences=len(whole),
        cosine=float(whole.mean()),
        least_cosine=float(whole.min()),
        token_cosine=float(tokens.mean()),
        least_token_cosine=float(tokens.min()),
        largest_error=max(float(np.abs(x - y).max()) for x, y in zip(exact, rough, strict=True)),
        neighbours_changed=float((nearest(means) != nearest(again)).mean()),
    )


def with_labels(found: Drift, exact: Floats, rough: Floats) -> Drift:
    """The drift, and how many labels flipped: logits are (sentences, labels)."""
    flipped = (exact.argmax(axis=1) != rough.argmax(axis=1)).mean()
    return replace(found, labels_flipped=float(flipped))


def sentence_vectors(hidden: Sequence[Floats]) -> Doubles:
    """Means of token vectors, (sentences, hidden): how sentence encoders are read."""
    return np.concatenate([x.mean(axis=1, dtype=np.float64) for x in hidden])


def cosines(x: NDArray[np.floating], y: NDArray[np.floating]) -> Doubles:
    """Row by row; two rows of zeros are alike."""
    a, b = x.astype(np.float64), y.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    products = (a * b).sum(axis=1)
    alike = np.where((a == b).all(axis=1), 1.0, 0.0)
    np.divide(products, lengths, out=alike, where=lengths > 0)
    return alike


def nearest(vectors: Doubles) -> NDArray[np.int64]:
    """For each row the index of the other row of the largest cosine."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    unit = vectors / lengths
    alike = unit @ unit.T
    np.fill_diagonal(alike, -np.inf)
    return np.asarray(alike.argmax(axis=1), np.int64)


def one_at_a_time(architecture: Architecture, scheme: Scheme) -> Iterator[tuple[str, Scheme]]:
    """For each group of each layer that the scheme quantises: all the rest in float32."""
    places = {
        place(index, group): group
        for index in range(architecture.depth)
        for group in GROUPS
        if scheme.arithmetic(index, group) != "fp32"
    }
    alone = replace(scheme, embeddings="fp32", attention="fp32", vectors="fp32")
    for where in places:
        kept = tuple(sorted({*scheme.keep, *places} - {where}))
        yield where, replace(alone, keep=kept, name=f"{scheme.name} in {where} alone")


def overflowing_pairs(pressed: Pressed) -> int:
    """Pairs of weights whose sum of products does not fit 16 bits for some input.

    On x86 CPUs without VNNI such sums are cut off, and the answers are wrong (onnxruntime#6004).
    """
    kinds = ("int8-dynamic", "int8-static")
    names = [
        f"{name}.weight"
        for name, index, group in linear_layers(pressed.architecture)
        if pressed.scheme.arithmetic(index, group) in kinds
    ]
    if not pressed.scheme.symmetric:  # uint8 weights are turned into int8 by every kernel
        return 0
    return sum(may_saturate(pressed.integers[n].values.astype(np.int8, copy=False)) for n in names)


def _rows(x: Floats) -> Floats:
    return x.reshape(-1, x.shape[-1])

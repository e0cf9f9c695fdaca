"""What a quantised encoder stores, and as what. Knows no graph and no runtime."""

from collections.abc import Iterator
from dataclasses import dataclass

from quant.press import WORDS, Pressed, linear_layers
from quant.scheme import GROUPS


@dataclass(frozen=True, slots=True)
class Part:
    """Tensors of one group that are stored in one way."""

    group: str
    """One of `quant.scheme.GROUPS`, `embeddings` (the table of words) or `rest`."""
    stored: str
    """`int8`, `uint8` or `float32`."""
    tensors: int
    bytes: int
    """With scales and zero points."""
    float_bytes: int
    """Of the same tensors in float32."""


def sizes(pressed: Pressed) -> list[Part]:
    """A part for each group and way of storing, in the order of the network."""
    groups = {f"{name}.weight": group for name, _, group in linear_layers(pressed.architecture)}
    groups[WORDS] = "embeddings"
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for name, stored, size, floats in _tensors(pressed):
        found.setdefault((groups.get(name, "rest"), stored), []).append((size, floats))
    order = ["embeddings", *GROUPS, "rest"]
    return [
        Part(group, stored, len(each), sum(s for s, _ in each), sum(f for _, f in each))
        for (group, stored), each in sorted(found.items(), key=lambda x: order.index(x[0][0]))
    ]


def _tensors(pressed: Pressed) -> Iterator[tuple[str, str, int, int]]:
    """Name, kind, bytes as stored, bytes as floats."""
    for name, values in pressed.floats.items():
        if name not in pressed.integers:
            yield name, "float32", values.nbytes, values.nbytes
            continue
        stored = pressed.integers[name]
        per_row = pressed.scheme.weights == "channel"
        grids = stored.scales.size if per_row else 1
        zeros = 0 if stored.zeros is None else grids
        yield (
            name,
            str(stored.values.dtype),
            stored.values.nbytes + 4 * grids + zeros,
            values.nbytes,
        )

"""Search spaces small enough to be written out, and the naive way to write them out."""

from dataclasses import replace
from itertools import product

from hypothesis import assume
from hypothesis import strategies as st

from nas.space import SearchSpace
from nas.spaces.layers import PerHead
from results.architecture import Architecture, Layer

STRANGERS = st.builds(
    Architecture,
    st.integers(1, 20),
    st.lists(
        st.builds(
            lambda a, w, f: Layer(a, a * w, f), *[st.integers(1, 7)] * 2, st.integers(1, 12)
        ),
        min_size=1,
        max_size=6,
    ).map(tuple),
)
"""Architectures that are seldom in a small space and often near one."""


def grids(*values: int, most: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    return st.sets(st.sampled_from(values), min_size=1, max_size=most).map(
        lambda chosen: tuple(sorted(chosen))
    )


@st.composite
def small_spaces(draw: st.DrawFn, *, per_layer: bool | None = None) -> SearchSpace:
    """Up to a few thousand members, some sizes of which fit no other."""
    per_layer = draw(st.booleans()) if per_layer is None else per_layer
    most = 2 if per_layer else 4
    qkv = draw(
        st.just("hidden")
        | st.integers(1, 4).map(PerHead)
        | grids(4, 6, 8, 9, 12, 18, most=most + 1)
    )
    sizes = {
        "depth": draw(grids(1, 2, 3, 5 if not per_layer else 3, most=3)),
        "hidden": draw(grids(4, 6, 8, 9, 12, most=most)),
        "heads": draw(grids(1, 2, 3, 4, 6, most=most)),
        "ffn": draw(grids(3, 5, 9, 10, most=most)),
    }
    tables = {"vocab": draw(st.sampled_from([30522, 50])), "positions": 512, "types": 2}
    try:
        return SearchSpace(name="small", qkv=qkv, per_layer=per_layer, **sizes, **tables)
    except ValueError:
        assume(condition=False)
        raise


def written_out(space: SearchSpace) -> list[Architecture]:
    """Every member, by trying all combinations of sizes; shares nothing with the space's code."""
    found = []
    for hidden, depth in product(space.hidden, space.depth):
        layers = []
        for heads, ffn in product(space.heads, space.ffn):
            if isinstance(space.qkv, PerHead):
                columns: tuple[int, ...] = (heads * space.qkv.width,)
            else:
                columns = (hidden,) if space.qkv == "hidden" else space.qkv
            layers += [Layer(heads, q, ffn) for q in columns if q % heads == 0]
        stacks = (
            product(layers, repeat=depth) if space.per_layer else [(x,) * depth for x in layers]
        )
        found += [
            Architecture(hidden, tuple(s), space.vocab, space.positions, space.types)
            for s in stacks
        ]
    return found


@st.composite
def members(draw: st.DrawFn, space: SearchSpace) -> Architecture:
    """One member; the depth first, as most members may be deep."""
    depth = draw(st.sampled_from(space.depth))
    alike = replace(space, depth=(depth,))
    return alike.at(draw(st.integers(0, alike.count - 1)))

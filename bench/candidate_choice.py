"""Which networks the options of `bench predict` name. Predicts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.candidates import MOST_WHOLE, SIZES, Candidates, Listed, Part, Whole, alike
from results.architecture import Architecture
from results.errors import BadInputError

if TYPE_CHECKING:
    from nas.space import SearchSpace

DEFAULT_SAMPLES = 20
MOST_SAMPLES = 1_000_000
USUAL_HEAD = 64
"""Columns of a head, in BERT."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The options that decide which networks these are."""

    arch: Path | None = None
    models: tuple[Path, ...] = ()
    space: str | None = None
    samples: int | None = None
    seed: int = 0
    whole: bool = False
    layers: int | None = None
    hidden: int | None = None
    heads: int | None = None
    qkv: int | None = None
    ffn: int | None = None


def candidates(chosen: Chosen) -> Candidates:
    """The networks of exactly one of a file or folders, a space, and sizes.

    Raises:
        BadInputError: none of them, several, or one that cannot be read.
    """
    _require_one_source(chosen)
    if chosen.space is not None:
        return _of_space(chosen, chosen.space)
    if chosen.hidden is not None and chosen.layers is not None:
        return _listed([_of_sizes(chosen)])
    from nas.checkpoint import architecture_of
    from results.notation import read_architectures

    found = list(read_architectures(chosen.arch)) if chosen.arch is not None else []
    for model in chosen.models:
        if model.suffix == ".onnx":
            raise BadInputError(
                f"--model {model}: an ONNX file does not say its sizes: give a Hugging Face "
                "folder, or the sizes with --layers and --hidden"
            )
        found.append(architecture_of(model))
    return _listed(list(dict.fromkeys(found)))


def _require_one_source(chosen: Chosen) -> None:
    given = {
        "--arch": chosen.arch is not None,
        "--model": bool(chosen.models),
        "--space": chosen.space is not None,
    }
    files = [name for name, is_given in given.items() if is_given]
    flags = [f"--{name}" for name in ("layers", *SIZES[1:]) if getattr(chosen, name) is not None]
    named = files[:1] + flags[:1] if flags or "--space" not in files else files
    if len(named) > 1:
        raise BadInputError(
            f"{named[0]} and {named[1]} both say which networks these are: leave one out"
        )
    if not named:
        raise BadInputError(
            "which networks? name them with --arch FILE, --model FOLDER, --space NAME, or "
            "--layers and --hidden"
        )
    if flags and (chosen.layers is None or chosen.hidden is None):
        missing = "--layers" if chosen.layers is None else "--hidden"
        raise BadInputError(f"{flags[0]} alone is no network: give {missing} too")
    for option, is_given in (("--samples", chosen.samples is not None), ("--all", chosen.whole)):
        if is_given and chosen.space is None:
            raise BadInputError(f"{option} is for a space: give --space too, or leave it out")
    if chosen.whole and chosen.samples is not None:
        raise BadInputError("--samples and --all contradict each other: leave one out")


def _of_sizes(chosen: Chosen) -> Architecture:
    layers, hidden = chosen.layers or 0, chosen.hidden or 0
    qkv = hidden if chosen.qkv is None else chosen.qkv
    if chosen.heads is None and (qkv % USUAL_HEAD or qkv < USUAL_HEAD):
        raise BadInputError(
            f"qkv {qkv} is not made of heads of {USUAL_HEAD} columns: say how many --heads it has"
        )
    heads = qkv // USUAL_HEAD if chosen.heads is None else chosen.heads
    ffn = 4 * hidden if chosen.ffn is None else chosen.ffn
    try:
        return Architecture.uniform(layers, hidden, heads, qkv, ffn)
    except ValueError as error:
        raise BadInputError(
            f"{error}: change --layers, --hidden, --heads, --qkv or --ffn"
        ) from None


def _of_space(chosen: Chosen, name: str) -> Candidates:
    from nas.columns import sizes_at
    from nas.space import load_space
    from nas.spaces.draw import distinct

    space = load_space(name)
    if chosen.whole:
        _require_walkable(space)
        return Whole(space)
    n = min(DEFAULT_SAMPLES, space.count) if chosen.samples is None else chosen.samples
    if not 1 <= n <= min(MOST_SAMPLES, space.count):
        most = min(MOST_SAMPLES, space.count)
        raise BadInputError(f"--samples {n} of {space.name}: give a number from 1 to {most:,}")
    rng = np.random.default_rng(chosen.seed)
    if space.per_layer:
        return Listed(Part.of(space.sample_unique(rng, n)), space.positions, space)
    drawn = np.fromiter(islice(distinct(rng, space.count), n), np.int64, n)
    return Listed(alike(sizes_at(space, drawn), space), space.positions, space)


def _require_walkable(space: "SearchSpace") -> None:
    if space.per_layer:
        raise BadInputError(
            f"--all is for spaces whose layers are alike, and those of {space.name} differ: draw "
            "some of its networks with --samples"
        )
    if space.count > MOST_WHOLE:
        raise BadInputError(
            f"--all: {space.name} has {space.count:,} networks, more than {MOST_WHOLE:,}: draw "
            "some of them with --samples"
        )


def _listed(found: Sequence[Architecture]) -> Listed:
    return Listed(Part.of(found), min(a.positions for a in found))

"""What the verbs that pretrain share: who learns, from what, and the origins. Trains nothing."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.commands.training import is_given, model_folder, weights_digest
from results.errors import BadInputError

if TYPE_CHECKING:
    from nas.data.pretraining import Pretraining
    from nas.train.family import Options
    from nas.train.recipe import Recipe
    from nas.train.start import Start
    from nas.train.world import World
    from results.architecture import Architecture

FRESH_RATE = 5e-4
"""Highest learning rate of fresh weights; what has learned before forgets by it."""

HELD_OUT = "held-out text"

Data = Annotated[Path, typer.Option(help="Folder that nas data generate made.")]
Model = Annotated[
    str | None,
    typer.Option(help="Begin with the weights of a BERT folder, or of minilm, which is fetched."),
]
Arch = Annotated[
    str | None,
    typer.Option(help="Or with fresh weights of these sizes, e.g. 'h256 3x(a8 q256 f768)'."),
]
Space = Annotated[
    str | None,
    typer.Option(
        help="Search space whose sub-models are trained: built-in name or YAML file. Without"
        " --model and --arch its largest one begins fresh."
    ),
]
Slicing = Annotated[
    str,
    typer.Option(
        help="What sub-models keep: importance (of each head, the heaviest first; fresh weights"
        " stay as they are), per-head (the first of each head) or prefix (the first)."
    ),
]
Depth = Annotated[
    str, typer.Option(help="Which layers sub-models keep: first, or spread over all.")
]
Sampling = Annotated[
    str | None,
    typer.Option(
        help="Sub-models of a step: sandwich (largest, smallest, some random ones), one (random,"
        " as AutoTinyBERT's) or none (the network alone). [default: sandwich if there is a space]",
        show_default=False,
    ),
]
Randoms = Annotated[int, typer.Option(min=0, help="Random sub-models in a step's sandwich.")]
Probability = Annotated[
    float, typer.Option(min=0.01, max=0.9, help="Share of the words that are hidden.")
]
WholeWord = Annotated[
    bool, typer.Option("--whole-word", help="Hide whole words, not single pieces.")
]


def start_of(model: str | None, arch: str | None, space: str, tokenizer: Path) -> "Start":
    """Who learns.

    Args:
        model: folder or name of the weights.
        arch: sizes of fresh weights.
        space: whose largest is taken where neither is given.
        tokenizer: folder of the tokeniser of fresh weights.
    """
    from nas.data.vocabulary import WordPieces
    from nas.folder import read
    from nas.space import load_space
    from nas.train.start import Start

    if model is not None:
        if arch is not None:
            raise BadInputError("--model has sizes of its own: leave --arch out")
        saved = read(model_folder(model))
        return Start(saved.architecture, saved.folder, saved)
    words = len(WordPieces(tokenizer).vocabulary)
    if arch is not None:
        return Start(_sizes(arch, words), tokenizer)
    if not space:
        raise BadInputError("who shall learn? name a --model, an --arch or a --space")
    return Start(replace(load_space(space).largest, vocab=words), tokenizer)


def _sizes(arch: str, words: int) -> "Architecture":
    from nas.extract import asked
    from results.architecture import Architecture, Layer

    tables = Architecture(1, (Layer(1, 1, 1),), vocab=words)
    found = asked.architectures(arch, tables)
    if len(found) != 1:
        raise BadInputError(f"--arch has {len(found)} architectures: name one")
    return replace(found[0], vocab=words)


def options_of(
    start: "Start", space: str, slicing: str, depth: str, sampling: str | None, randoms: int
) -> "Options":
    """How sub-models are cut and drawn; a supernet that is trained on keeps its space."""
    from nas.space import load_space
    from nas.train.family import Options

    of_start = None if start.saved is None else start.saved.space
    members = load_space(space) if space else of_start
    chosen = sampling or ("none" if members is None else "sandwich")
    return Options(members, slicing, depth, chosen, randoms)


def with_rate(recipe: "Recipe", start: "Start", context: typer.Context) -> "Recipe":
    """The recipe, its rate that of fresh weights where nobody asked for one."""
    asked = is_given(context, "rate")
    return recipe if asked or start.saved is not None else replace(recipe, rate=FRESH_RATE)


def depends_on_text(
    kind: str, data: "Pretraining", start: "Start", recipe: "Recipe", world: "World", **more: Any
) -> dict[str, Any]:
    """All that the outcome of a pretraining depends on."""
    from results.notation import format_architecture

    return {
        "kind": kind,
        "data": data.digest,
        "vocabulary": data.settings.vocabulary,
        "model": None if start.saved is None else weights_digest(start.saved.folder),
        "architecture": format_architecture(start.architecture),
        "rule": None if start.rule is None else asdict(start.rule),
        "recipe": recipe.as_dict(),
        "processes": world.size,
        "products": world.number,
        **more,
    }

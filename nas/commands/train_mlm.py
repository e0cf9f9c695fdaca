"""`nas train mlm`: an encoder, or a supernet, learns to read hidden words."""

from typing import Annotated

import typer

from nas.commands import pretraining as options
from nas.commands.recipe import with_recipe
from nas.commands.training import (
    Output,
    Speaker,
    Tensorboard,
    Threads,
    model_folder,
    told,
    use_threads,
)
from nas.train.recipe import Recipe


@with_recipe(Recipe(epochs=2, rate=1e-4, dropout=0.0, tokens=512, evaluations=4))
def mlm(
    *,
    context: typer.Context,
    data: options.Data,
    output: Output,
    recipe: Recipe,
    model: options.Model = None,
    arch: options.Arch = None,
    tokenizer: Annotated[
        str, typer.Option(help="Tokenizer of fresh weights, that of the data: a folder or a name.")
    ] = "minilm",
    space: options.Space = None,
    slicing: options.Slicing = "importance",
    depth: options.Depth = "first",
    sampling: options.Sampling = None,
    randoms: options.Randoms = 2,
    probability: options.Probability = 0.15,
    whole_word: options.WholeWord = False,
    threads: Threads = None,
    tensorboard: Tensorboard = False,
) -> None:
    """Pretrain on hidden words (masked language modelling); next sentences are not learned.

    Fresh weights learn at a rate of 5e-4 unless one is given. A hundredth of the sequences is held
    out; what reads it best is kept.
    """
    from nas.data.masking import Masking
    from nas.data.pretraining import Pretraining
    from nas.network import Head
    from nas.train.masked import Masked
    from nas.train.run import finished, run
    from nas.train.text import Text
    from nas.train.world import world

    use_threads(threads)
    read = Pretraining(data)
    start = options.start_of(model, arch, space or "", model_folder(tokenizer))
    subs = options.options_of(start, space or "", slicing, depth, sampling, randoms)
    recipe = options.with_rate(recipe, start, context)
    hiding = {"probability": probability, "whole_words": whole_word}
    with world(recipe.precision) as here:
        what = options.depends_on_text(
            "mlm", read, start, recipe, here, options=subs.as_dict(), masking=hiding
        )
        result = finished(output, what)
        if result is not None:
            told(result, "accuracy", output, before=True, on=options.HELD_OUT)
            return
        text = Text(read, start.tokenizer, recipe.tokens)
        text.require(start.architecture, start.name)
        family = start.family(Head("mlm", start.architecture.vocab), subs, recipe, here)
        objective = Masked(family, text, Masking(probability, whole_word))
        result = run(
            objective, recipe, output, here, what=what, say=Speaker(), tensorboard=tensorboard
        )
        if here.leads:
            told(result, "accuracy", output, on=options.HELD_OUT)

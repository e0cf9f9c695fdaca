"""`nas train kd`: an encoder, or a supernet, learns a teacher's attention and hidden states."""

from typing import Annotated, Literal

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
    weights_digest,
)
from nas.train.recipe import Recipe


@with_recipe(Recipe(epochs=2, rate=1e-4, dropout=0.0, tokens=512, evaluations=4))
def kd(
    *,
    data: options.Data,
    teacher: Annotated[str, typer.Option(help="BERT folder that teaches, or minilm.")],
    output: Output,
    recipe: Recipe,
    model: options.Model = None,
    arch: options.Arch = None,
    space: options.Space = None,
    layers: Annotated[
        Literal["last", "all"],
        typer.Option(
            help="What is taught: the last layer (AutoTinyBERT), or all, evenly mapped, and the"
            " embeddings (TinyBERT)."
        ),
    ] = "last",
    attention: Annotated[
        Literal["yes", "no"], typer.Option(help="Teach attention too; needs equally many heads.")
    ] = "yes",
    slicing: options.Slicing = "importance",
    depth: options.Depth = "first",
    sampling: options.Sampling = None,
    randoms: options.Randoms = 2,
    threads: Threads = None,
    tensorboard: Tensorboard = False,
) -> None:
    """Pretrain by distillation from a teacher's inside; no word is hidden, no label needed.

    Fresh weights have the teacher's tokenizer. A hundredth of the sequences is held out; what is
    nearest to the teacher there is kept.
    """
    from nas.data.pretraining import Pretraining
    from nas.folder import read
    from nas.network import Head, Network
    from nas.train.distil import Distilled, Lessons
    from nas.train.run import finished, run
    from nas.train.start import require_one_vocabulary
    from nas.train.text import Text
    from nas.train.world import world

    use_threads(threads)
    sequences, place = Pretraining(data), model_folder(teacher)
    start = options.start_of(model, arch, space or "", place)
    require_one_vocabulary(place, start.tokenizer)
    subs = options.options_of(start, space or "", slicing, depth, sampling, randoms)
    lessons = Lessons(layers, attention == "yes")
    with world(recipe.precision) as here:
        what = options.depends_on_text(
            "kd", sequences, start, recipe, here, options=subs.as_dict(),
            teacher=weights_digest(place), lessons=lessons.as_dict(),
        )  # fmt: skip
        result = finished(output, what)
        if result is not None:
            told(result, "nearness", output, before=True, on=options.HELD_OUT)
            return
        saved = read(place)
        text = Text(sequences, start.tokenizer, recipe.tokens)
        for architecture, name in ((start.architecture, start.name), (saved.architecture, place)):
            text.require(architecture, str(name))
        family = start.family(Head("fit", saved.architecture.hidden), subs, recipe, here)
        teaching = Network(saved.architecture, weights=saved.weights).to(here.device)
        objective = Distilled(family, teaching, text, lessons)
        result = run(
            objective, recipe, output, here, what=what, say=Speaker(), tensorboard=tensorboard
        )
        if here.leads:
            told(result, "nearness", output, on=options.HELD_OUT)

"""The options of a recipe, alike in every command that trains. Knows no network."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, get_type_hints

import typer

from nas.train.recipe import Recipe

HELP = {
    "epochs": "Times that the data is gone through.",
    "batch": "Examples in a batch.",
    "accumulation": "Batches averaged before a step.",
    "rate": "Highest learning rate.",
    "warmup": "Share of the steps in which the rate rises.",
    "decay": "Weight decay.",
    "clip": "Largest norm of a step's gradients; 0 clips nothing.",
    "dropout": "Share of the entries left out in training.",
    "tokens": "Cut texts after so many tokens.",
    "seed": "Of the order of the data, dropout, new heads and sampled sub-models.",
    "precision": "Of matrix products: auto (bf16 where the hardware has it), fp32, bf16, fp16.",
    "evaluations": "Evaluations in an epoch.",
    "patience": "Stop after so many evaluations without a better score; 0: never.",
}


def with_recipe(default: Recipe) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, which takes `recipe`, an option for every number in it instead."""
    kinds = get_type_hints(Recipe)
    kinds["precision"] = str
    added = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(default, field.name),
            annotation=Annotated[kinds[field.name], typer.Option(help=HELP[field.name])],
        )
        for field in fields(Recipe)
    ]

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        own = inspect.signature(command).parameters.values()
        kept = [p.replace(annotation=hints[p.name]) for p in own if p.name != "recipe"]

        @functools.wraps(command)
        def asked(**given: Any) -> None:
            recipe = Recipe(**{p.name: given.pop(p.name) for p in added})
            command(recipe=recipe, **given)

        asked.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]
        asked.__annotations__ = {p.name: p.annotation for p in (*kept, *added)}
        del asked.__wrapped__
        return asked

    return wrap

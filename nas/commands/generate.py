"""`nas data generate`: pretraining data from text, or from the files of a seed."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def generate(
    *,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            help="Text: a file (a sentence a line, a blank line between documents), a folder or a"
            " glob of them, or a packaged one: brown, chitchat, dialogues, wikipedia-sample, or"
            " mix for all; repeatable."
        ),
    ] = None,
    seed_lines: Annotated[
        Path | None,
        typer.Option(help="Instead: a folder of AutoTinyBERT's or TinyBERT's JSON lines."),
    ] = None,
    tokenizer: Annotated[
        str, typer.Option(help="Folder of a model with a tokenizer, or a fetched model's name.")
    ],
    style: Annotated[
        Literal["autotinybert", "tinybert"],
        typer.Option(
            help="Whole sentences in one segment, or two segments with next-sentence labels."
        ),
    ] = "autotinybert",
    tokens: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=4096,
            help="Of a sequence at the most, marks included.  [default: 128; 512 for lines]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    output: Annotated[Path, typer.Option(help="Folder to write, or to go on with.")],
    workers: Annotated[int, typer.Option(min=1, max=256, help="Threads.")] = 1,
    limit_tokens: Annotated[
        str | None, typer.Option(help="Stop after so many tokens: 1M, 500k, 20000.")
    ] = None,
    form: Annotated[
        Literal["parquet", "seed"],
        typer.Option("--format", help="seed: JSON lines as the seed of that style reads them."),
    ] = "parquet",
    epochs: Annotated[
        int, typer.Option(min=1, help="Files of --format seed --style tinybert.")
    ] = 1,
    mask: Annotated[
        float, typer.Option(min=0, max=1, help="Share of masked tokens in these files.")
    ] = 0.15,
    whole_words: Annotated[bool, typer.Option(help="Mask whole words in these files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make pretraining data; the same command goes on where it was stopped.

    The same options give the same bytes, with any number of workers. Masks are not stored in
    Parquet: training draws them anew in every epoch.
    """
    from nas.commands.generate_source import Asked
    from nas.commands.generating import run

    run(
        Asked(
            corpus=tuple(corpus or ()),
            seed_lines=seed_lines,
            tokenizer=tokenizer,
            style=style,
            tokens=tokens,
            seed=seed,
            output=output,
            workers=workers,
            limit=limit_tokens,
            form=form,
            epochs=epochs,
            mask=mask,
            whole_words=whole_words,
        ),
        as_json=as_json,
    )

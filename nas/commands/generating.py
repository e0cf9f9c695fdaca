"""From the options of `nas data generate` to files and one line about them."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from nas.commands.generate_source import Asked, Found, Source, source_of
from nas.commands.table import say
from nas.data import packages
from nas.data.generation import limited
from nas.data.masking import Masking
from nas.data.packing import Packed
from nas.data.part_writer import PartWriter
from nas.data.parts import Settings
from nas.data.seed_lines import Epoch, write_pairs, write_tokens
from nas.data.vocabulary import WordPieces
from results.errors import BadInputError


@dataclass(slots=True)
class Tally:
    """What is there."""

    sequences: int = 0
    tokens: int = 0
    documents: int = 0

    def add(self, packed: Packed) -> None:
        """Count these too."""
        self.sequences += len(packed)
        self.tokens += len(packed.ids)
        self.documents += len(set(packed.documents[packed.documents >= 0].tolist()))


def run(asked: Asked, *, as_json: bool) -> None:
    """Raises BadInputError: options that do not go together, text that cannot be read."""
    asked.check()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the workers are ours
    begun = time.perf_counter()
    folder = _model(asked.tokenizer)
    words = WordPieces(folder)
    console = Console(stderr=True)
    source = source_of(asked, words, say)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("reading")
        tally = Tally()

        def watched(found: Found) -> Found:
            for packed in found:
                tally.add(packed)
                bar.update(task, description=f"{tally.tokens:,} tokens")
                yield packed

        if asked.form == "seed":
            told = _as_lines(asked, source, words, watched)
        else:
            told = _as_parquet(asked, source, watched, tally, _made_by(folder))
    _report(asked, source.settings, tally, told, time.perf_counter() - begun, as_json=as_json)


def _as_parquet(
    asked: Asked,
    source: Source,
    watched: Callable[[Found], Found],
    tally: Tally,
    made_by: dict[str, str],
) -> dict[str, object]:
    limit = source.settings.limit
    with PartWriter(asked.output, source.settings, made_by) as writer:
        kept, before = len(writer.parts), writer.tokens
        for part in writer.parts:
            tally.sequences += part.sequences
            tally.documents += part.documents
            tally.tokens += part.tokens
        if not writer.complete and (limit is None or before < limit):
            for packed in watched(limited(source.sequences(kept, 0), limit, before)):
                writer.add(packed)
        if not tally.sequences:
            raise BadInputError(f"{_names(asked)}: there is no text to make a sequence of")
        digest = writer.finish().digest
    return {"digest": digest, "parts": len(writer.parts), "parts_kept": kept}


def _as_lines(
    asked: Asked, source: Source, words: WordPieces, watched: Callable[[Found], Found]
) -> dict[str, object]:
    names = words.vocabulary
    limit, tokens = source.settings.limit, source.settings.tokens
    for number in range(asked.epochs):
        found = watched(limited(source.sequences(0, number), limit))
        if asked.style == "autotinybert":
            write_tokens(asked.output, found, names)
        else:
            epoch = Epoch(number, asked.seed, Masking(asked.mask, asked.whole_words))
            write_pairs(asked.output, found, names, epoch, tokens)
    return {}


def _model(name: str) -> Path:
    folder = Path(name)
    return packages.model(name) if name in packages.MODELS and not folder.exists() else folder


def _made_by(folder: Path) -> dict[str, str]:
    from profiler.environment import revision

    path = next(p for n in ("tokenizer.json", "vocab.txt") if (p := folder / n).is_file())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "subbert": version("subbert"),
        "git": revision(),
        "tokenizers": version("tokenizers"),
        "tokenizer": f"{path.name}@sha256:{digest[:16]}",
    }


def _names(asked: Asked) -> str:
    return ", ".join(asked.corpus) or str(asked.seed_lines)


def _report(
    asked: Asked,
    settings: Settings,
    tally: Tally,
    told: dict[str, object],
    seconds: float,
    *,
    as_json: bool,
) -> None:
    padding = 1 - tally.tokens / (tally.sequences * settings.tokens)
    if as_json:
        facts = {
            "output": str(asked.output),
            "documents": tally.documents,
            "sequences": tally.sequences,
            "tokens": tally.tokens,
            "padding": padding,
            "style": settings.style,
            "most_tokens": settings.tokens,
            "vocabulary": settings.vocabulary,
            "sources": settings.sources,
            "seconds": seconds,
            **told,
        }
        typer.echo(json.dumps(facts))
        return
    documents = f"{tally.documents:,} documents, " if tally.documents else ""
    typer.echo(
        f"{asked.output}: {documents}{tally.sequences:,} sequences, {tally.tokens:,} tokens, "
        f"{padding:.0%} padding if all are padded to {settings.tokens}, in {seconds:.1f} s"
    )

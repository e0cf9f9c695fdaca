"""`bench drift`: how far quantisation moves an encoder on real text, and what it saves."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from results.errors import BadInputError

if TYPE_CHECKING:
    from bench.drifting import Found

DEFAULT = ("int8-dynamic", "ptq")


def drift(
    *,
    model: Annotated[Path, typer.Option(help="Hugging Face BERT folder with its tokenizer.")],
    text: Annotated[Path, typer.Option(help="Sentences to compare on, one a line.")],
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Sentences to calibrate static schemes on. [default: every other line of --text,"
            " which is then not compared on]"
        ),
    ] = None,
    scheme: Annotated[
        list[str] | None,
        typer.Option(help="Schemes to compare; repeatable. [default: int8-dynamic, ptq]"),
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="Engines that run them: onnxruntime, openvino, onednn, torch; repeatable."
            " [default: onnxruntime]"
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            help="Longest sentence, and the length that is timed, in tokens. [default: 128, or as"
            " many as the model has positions]"
        ),
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="Rank layers: each group of each quantised alone."),
    ] = False,
    max_drift: Annotated[
        float | None,
        typer.Option(help="Exit 1 when 1 - cosine of sentence vectors is above this, e.g. 0.01."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare quantised encoders with the float32 one: error, size and latency of one artefact.

    What is scored is the session that is timed, made by the quantiser that `bench export` uses.
    """
    if tokens is not None and not 1 <= tokens <= 65536:  # noqa: PLR2004
        raise BadInputError(f"--tokens {tokens} is out of range: give a number from 1 to 65,536")
    if max_drift is not None and not 0 <= max_drift <= 2:  # noqa: PLR2004
        raise BadInputError(
            f"--max-drift {max_drift:g} is out of range: give a number from 0 to 2"
        )
    _settle()
    from bench.drifting import Question, compare

    schemes, runtimes = tuple(scheme or DEFAULT), tuple(runtime or ["onnxruntime"])
    question = Question(
        model, text, calibration, schemes, runtimes, tokens, sensitivity=sensitivity
    )
    found = compare(question)
    from bench.drift_report import as_text, to_json

    typer.echo(to_json(found) if as_json else as_text(found))
    if max_drift is not None:
        _gate(found, max_drift)


def _settle() -> None:
    """Begin again with the variables that `bench profile` times under: they are read once."""
    from profiler.isolate import stable_variables

    wanted = stable_variables(os.environ, 1, {})
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)  # noqa: S606


def _gate(found: "Found", most: float) -> None:
    over = [r for r in found.results if r.drift.moved > most]
    for result in over:
        typer.echo(
            f"bench: {result.scheme} moved sentence vectors by {result.drift.moved:.4f} "
            f"(1 - cosine), more than --max-drift {most:g}",
            err=True,
        )
    if over:
        raise typer.Exit(1)

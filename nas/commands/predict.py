"""`nas predict`: what a network says of texts typed on the command line."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from results.errors import BadInputError
from results.textfile import one_line

if TYPE_CHECKING:
    from nas.predict import Predictor

STDIN = "-"


def predict(
    folder: Annotated[Path, typer.Argument(help="Folder of a teacher, supernet or extract.")],
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts or questions; - for a text a line of stdin.")
    ] = None,
    *,
    pair: Annotated[
        list[str] | None, typer.Option(help="Second text: one for all, or one for each.")
    ] = None,
    context: Annotated[
        list[str] | None, typer.Option(help="What is read to answer; likewise.")
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(help="onnxruntime or torch. [default: onnxruntime where it has a file]"),
    ] = None,
    scheme: Annotated[
        str | None, typer.Option(help="Scheme of the ONNX file, e.g. ptq. [default: fp32]")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one object to a line.")
    ] = False,
) -> None:
    """Classify texts, score them or answer questions, with the probability of each class."""
    from nas.predict import load, matched

    asked = _texts(texts or [])
    predictor = load(folder, runtime, scheme)
    seconds = _seconds(predictor.work, pair or [], context or [])
    name = "--context" if predictor.work == "span" else "--pair"
    for text, second in zip(asked, matched(asked, seconds, name), strict=True):
        found = _found(predictor, text, second)
        typer.echo(json.dumps(found, ensure_ascii=False) if as_json else _told(text, found))


def _texts(given: Sequence[str]) -> list[str]:
    found: list[str] = []
    for text in given:
        found += _lines() if text == STDIN else [text]
    if not found:
        raise BadInputError("there is no text: give one in quotes, or - and a text a line")
    return found


def _lines() -> list[str]:
    try:
        whole = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInputError("standard input is not UTF-8 text: save it as UTF-8") from None
    return [line for line in whole.splitlines() if line.strip()]


def _seconds(work: str, pairs: Sequence[str], contexts: Sequence[str]) -> Sequence[str]:
    if work != "span":
        if contexts:
            raise BadInputError("--context is for answers to questions; this network gives none")
        return pairs
    if pairs:
        raise BadInputError("this network answers questions: give --context, not --pair")
    if not contexts:
        raise BadInputError("this network answers questions: give --context, a text to read")
    return contexts


def _found(predictor: "Predictor", text: str, second: str | None) -> dict[str, object]:
    told: dict[str, object] = {"text": text}
    if predictor.work == "span":
        context = second or ""
        return {"question": text, "context": context, "answer": predictor.answer(text, context)}
    if second is not None:
        told["pair"] = second
    if predictor.work == "score":
        return told | {"score": predictor.score(text, second)}
    found = predictor.probabilities(text, second)
    likeliest = max(found, key=lambda label: found[label])
    return told | {"label": likeliest, "probabilities": found}


def _told(text: str, found: dict[str, object]) -> str:
    """The text, and below it what was found, the likeliest class first."""
    lines = [one_line(text)]
    probabilities = found.get("probabilities")
    if isinstance(probabilities, dict):
        width = max(map(len, probabilities))
        ranked = sorted(probabilities.items(), key=lambda x: -x[1])
        lines += [f"  {label:{width}}  {share:.3f}" for label, share in ranked]
    elif "score" in found:
        lines.append(f"  {found['score']:.4f}")
    else:
        lines.append(f"  {found['answer'] or '(no answer found)'}")
    return "\n".join(lines)

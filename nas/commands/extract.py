"""`nas extract`: a sub-model as a folder of its own, for transformers and ONNX runtimes."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.commands.table import say
from results.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nas.extract.calibration import Text
    from nas.extract.model import Model
    from results.architecture import Architecture

FIGURES = ("train.json", "run.json", "result.json")
"""Files in which a training may have said what its task is."""

SCHEMES = ("int8-dynamic",)


def extract(
    *,
    output: Annotated[Path, typer.Option(help="Folder to write; one for each of several.")],
    supernet: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a supernet, or of any network of the BERT family.", show_default=False
        ),
    ] = None,
    search: Annotated[
        Path | None,
        typer.Option(
            help="Instead of --supernet, --arch and --task: folder of a search, one of whose"
            " winners is meant, in its scheme.",
            show_default=False,
        ),
    ] = None,
    winner: Annotated[
        int | None, typer.Option(help="Which winner of --search. [default: 1, the best]")
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option(
            help="Sub-model: a file (JSON, or one a line) or text, e.g. 'h256 3x(a8 q256 f768)';"
            " of what is no supernet may be left out: all of it.",
        ),
    ] = None,
    index: Annotated[
        int | None, typer.Option(help="Only this architecture of --arch; the first is 1.")
    ] = None,
    scheme: Annotated[
        list[str] | None,
        typer.Option(
            help="ONNX files beside fp32: int8-dynamic, ptq, ...; a comma list, or repeated."
            " [default: int8-dynamic]"
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Sentences to calibrate static schemes on, one a line."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Task whose train texts they are calibrated on instead. [default: the supernet's]"
        ),
    ] = None,
    no_onnx: Annotated[bool, typer.Option("--no-onnx", help="Write no ONNX files.")] = False,
) -> None:
    """Extract a sub-model: weights, settings and tokeniser for transformers, ONNX files beside.

    Where BERT's settings cannot express it, a modelling file goes along: load it with
    trust_remote_code=True.
    """
    from nas.extract import asked, onnx_files
    from nas.extract.extraction import Wish, require_text
    from nas.extract.extraction import extract as extracted
    from nas.extract.folder import origin_of
    from nas.folder import read

    if no_onnx and scheme:
        raise BadInputError("--no-onnx and --scheme say the opposite: leave one of them out")
    if search is not None:
        said = {"supernet": supernet, "arch": arch, "index": index, "task": task,
                "calibration": calibration}  # fmt: skip
        _require_unsaid(said)
        _winner(search, winner or 1, output, [] if no_onnx else scheme)
        return
    if supernet is None:
        raise BadInputError("what is extracted from? give --supernet, or --search with a --winner")
    if winner is not None:
        raise BadInputError("--winner is one of a search: give --search too")
    schemes = () if no_onnx else onnx_files.schemes(SCHEMES if scheme is None else scheme)
    saved = read(supernet)
    _require_arch(arch, index, supernet, supernet=saved.rule is not None)
    needy = any(x.calibrated for x in schemes)
    wish = Wish(schemes, _text(supernet, calibration, task) if needy else None)
    require_text(wish)
    found: tuple[Architecture | None, ...] = (None,)
    if arch is not None:
        found = asked.chosen(asked.architectures(arch, saved.architecture), index)
    origin = origin_of(supernet)
    for sub, folder in _places(output, found):
        began = time.perf_counter()
        model = extracted(saved, origin, sub, folder, wish)
        _tell(model, folder, time.perf_counter() - began)


def _require_unsaid(said: "Mapping[str, object]") -> None:
    """Raise BadInputError if something was given that the search says."""
    for name, value in said.items():
        if value is not None:
            raise BadInputError(f"--search says what --{name} says: leave that out")


def _winner(search: Path, rank: int, output: Path, schemes: list[str] | None) -> None:
    """The files that the search measured, bit for bit, in the same versions; float32 beside."""
    from nas.extract import onnx_files
    from nas.extract.extraction import Wish
    from nas.extract.extraction import extract as extracted
    from nas.extract.found import found

    began = time.perf_counter()
    chosen = found(search, rank)
    wanted = [chosen.winner.scheme] if schemes is None else schemes
    parsed = onnx_files.schemes(wanted) if wanted else ()
    text = chosen.text(chosen.task(say)) if any(x.calibrated for x in parsed) else None
    wish = Wish(parsed, text)
    model = extracted(chosen.saved, chosen.origin, chosen.winner.architecture, output, wish)
    _tell(model, output, time.perf_counter() - began)


def _require_arch(arch: str | None, index: int | None, folder: Path, *, supernet: bool) -> None:
    if arch is None and index is not None:
        raise BadInputError("--index counts the architectures of --arch: give that too")
    if arch is None and supernet:
        raise BadInputError(f"{folder} is a supernet: say with --arch which sub-model of it")


def _places(
    output: Path, found: "tuple[Architecture | None, ...]"
) -> "list[tuple[Architecture | None, Path]]":
    """Where each goes: `output` itself, or `01-h256-l3` and so on below it."""
    if len(found) == 1:
        return [(found[0], output)]
    digits = len(str(len(found)))
    return [
        (a, output / f"{place:0{digits}d}-h{a.hidden}-l{a.depth}")
        for place, a in enumerate(found, 1)
        if a is not None
    ]


def _text(supernet: Path, calibration: Path | None, task: str | None) -> "Text | None":
    """What static schemes are calibrated on; None where nothing is known."""
    from nas.extract.calibration import of_file, of_task

    if calibration is not None and task is not None:
        raise BadInputError("give --calibration or --task, not both")
    if calibration is not None:
        return of_file(calibration)
    name = task or _task_of(supernet)
    if name is None:
        return None
    from nas.data import tasks

    return of_task(tasks.load(name, say=say))


def _task_of(folder: Path) -> str | None:
    """The task that a training said it was for."""
    for name in FIGURES:
        try:
            found = json.loads((folder / name).read_text("utf-8"))["task"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(found, str):
            return found
    return None


def _tell(model: "Model", folder: Path, seconds: float) -> None:
    from nas.config import is_plain_bert

    how = "" if is_plain_bert(model.architecture) else " (trust_remote_code=True)"
    typer.echo(f"{folder}: {model.architecture}{how}, {seconds:.1f} s")
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".onnx", ".safetensors")):
        typer.echo(f"  {path.relative_to(folder)}  {path.stat().st_size / 1e6:.1f} MB")

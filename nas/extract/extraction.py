"""From a folder and sizes to a folder of its own. Asks nothing and prints nothing."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.extract import onnx_files
from nas.extract.calibration import Text, batches
from nas.extract.folder import (
    Origin,
    identity,
    replaced,
    require_free,
    write_record,
)
from nas.extract.model import Model, cut
from nas.extract.names import file_of
from nas.extract.onnx_files import Observed
from nas.folder import Saved, put
from profiler.environment import read_software, revision
from quant.scheme import Scheme
from results.architecture import Architecture
from results.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Wish:
    """What a folder shall have beside weights for transformers."""

    schemes: tuple[Scheme, ...] = ()
    """A file for ONNX runtimes for each; fp32 among them if there are any."""
    text: Text | Observed | None = None
    """For the schemes that are calibrated; batches of it where it was cut into them already."""


def require_text(wish: Wish) -> None:
    """Stop before anything is written when a scheme lacks the text it needs."""
    needy = [scheme.name for scheme in wish.schemes if scheme.calibrated]
    if needy and wish.text is None:
        message = (
            f"scheme {needy[0]} needs text to be calibrated on: give --calibration FILE, a "
            "sentence a line, or --task NAME"
        )
        raise BadInputError(message)


def extract(
    saved: Saved, origin: Origin, sub: Architecture | None, output: Path, wish: Wish
) -> Model:
    """Write one sub-model as a folder of its own; the whole network where no sizes are given.

    Raises:
        BadInputError: the sizes or weights do not fit, or the folder cannot be written. What was
            there before is kept then.
    """
    require_text(wish)
    model = cut(saved, sub)
    wanted = identity(model, origin)
    require_free(output, wanted)
    observed = _observed(model, saved, wish)
    with replaced(output) as folder:
        put(folder, model.tensors, model.config, saved.folder)
        if wish.schemes:
            onnx_files.write(model, folder, wish.schemes, observed)
        write_record(folder, wanted, _more(model, origin, folder, wish))
    return model


def _observed(model: Model, saved: Saved, wish: Wish) -> Observed | None:
    text = wish.text
    if text is None or isinstance(text, Observed):
        return text
    if not any(scheme.calibrated for scheme in wish.schemes):
        return None
    return Observed(text.label, batches(text, saved.folder, model.architecture.positions))


def _more(model: Model, origin: Origin, folder: Path, wish: Wish) -> dict[str, Any]:
    software = read_software()
    files = {}
    for scheme in wish.schemes:
        name = file_of(scheme.name)
        files[name] = {"scheme": scheme.name, "sha256": _digest(folder / name)}
        if scheme.calibrated and wish.text is not None:
            files[name]["calibration"] = wish.text.label
    return {
        "source": str(origin.folder),
        "short": str(model.architecture),
        "head": None if model.head is None else model.head.work,
        "labels": list(model.labels),
        "files": files,
        "python": software.python,
        "packages": dict(software.packages),
        "git": revision(),
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""A model as ONNX files, one for each scheme. Knows no folder of transformers and no runtime."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.extract.model import Model
from nas.extract.names import FOLDER, file_of
from quant.graph import emit_pressed, save
from quant.press import press
from quant.scheme import FP32, Scheme, parse
from quant.weights import TensorWeights
from results.errors import BadInputError

if TYPE_CHECKING:
    from quant.calibration import Calibration


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """Batches of text for the schemes that need them."""

    label: str
    batches: Sequence[Mapping[str, NDArray[np.int64]]]


def schemes(given: Iterable[str]) -> tuple[Scheme, ...]:
    """Those of a comma list or of several, fp32 always the first; each once.

    Raises:
        BadInputError: one is unknown, or no file can say it.
    """
    found = {FP32.name: FP32}
    for text in given:
        for name in text.split(","):
            scheme = parse(name.strip())
            if scheme.rest != "fp32":
                message = (
                    f"scheme {scheme}: a file says nothing of bfloat16, which a runtime chooses "
                    "when it loads: leave -bf16 out"
                )
                raise BadInputError(message)
            found[scheme.name] = scheme
    return tuple(found.values())


def write(model: Model, folder: Path, wanted: Sequence[Scheme], observed: Observed | None) -> None:
    """Write a file for each scheme, the encoder as it is timed and scored, its head behind it."""
    (folder / FOLDER).mkdir()
    weights = TensorWeights(model.plain)
    for scheme in wanted:
        known = _calibrated(model, scheme, observed)
        pressed = press(model.architecture, scheme, weights, known)
        save(emit_pressed(pressed, head=model.onnx_head), folder / file_of(scheme.name))


def _calibrated(model: Model, scheme: Scheme, observed: Observed | None) -> "Calibration | None":
    if not scheme.calibrated:
        return None
    if observed is None:
        message = f"scheme {scheme} needs text to be calibrated on: give --calibration or --task"
        raise BadInputError(message)
    from quant.calibrate import calibrate

    weights = TensorWeights(model.plain)
    return calibrate(model.architecture, scheme, weights, observed.batches, observed.label)

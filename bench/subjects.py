"""From a subject to the model its runtime takes: here networks and schemes meet. No clock."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.foreign import data_files
from bench.foreign_quantise import quantised
from bench.modules import MAKERS
from bench.theirs import AS_IS, OPTIMUM
from results.architecture import Architecture
from results.errors import BadInputError

if TYPE_CHECKING:
    from quant.press import Pressed
    from quant.weights import RandomWeights

ANCHORS = {
    "tiny": Architecture.uniform(2, 128, 2, 128, 512),
    "mini": Architecture.uniform(4, 256, 4, 256, 1024),
    "small": Architecture.uniform(4, 512, 8, 512, 2048),
    "medium": Architecture.uniform(8, 512, 8, 512, 2048),
}
"""BERT miniatures (Turc et al., 2019): up to 14 GMACs some anchor is within a factor of 4.

A larger one would cost more than it steadies: BERT-base itself is within 3.3 of `medium`.
"""


def anchor_for(macs: int, tokens: int) -> Architecture:
    """The anchor nearest in work, so that what slows one slows the other."""
    return min(ANCHORS.values(), key=lambda a: abs(math.log(a.macs(tokens) / max(macs, 1))))


@dataclass(frozen=True, slots=True)
class Source:
    """Where weights come from: nowhere (random), a Hugging Face folder or an ONNX file."""

    path: str = ""
    label: str = ""
    """What rows carry: `name@sha256:<16 digits>`; empty for random weights."""

    @property
    def is_onnx(self) -> bool:
        return self.path.lower().endswith(".onnx")


def source_of(path: Path) -> Source:
    """The source for a folder or file on disk, with the digest of its weights."""
    weights = path / "model.safetensors" if path.is_dir() else path
    if not weights.is_file():
        message = (
            f"{path} is neither an .onnx file nor a Hugging Face folder with model.safetensors"
        )
        raise BadInputError(message)
    source = Source(str(path.resolve()))
    parts = [weights, *data_files(path)] if source.is_onnx else [weights]
    found = _digest([part for part in parts if part.is_file()])
    return Source(source.path, f"{path.resolve().name}@sha256:{found}")


def _digest(files: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """A graph with its weights, read from where it lies."""

    path: Path
    initializers: Mapping[str, Any] = field(default_factory=dict)
    floats: str = "fp32"

    @property
    def model_bytes(self) -> int:
        """Of the file alone, without data files beside it."""
        return self.path.stat().st_size

    def lay_out(self, folder: Path) -> Path:
        """Where it lies; nothing needs to be written."""
        del folder
        return self.path


def build(
    takes: str, architecture: Architecture | None, scheme: str, source: Source, seed: int, cap: str
) -> object:
    """The model in the form a runtime `takes`, quantised, ready to be loaded.

    Raises:
        BadInputError: the file is not what it should be, or the scheme does not fit the runtime.
    """
    if scheme == OPTIMUM or (architecture is None and scheme != AS_IS):
        return quantised(Path(source.path), scheme)
    if architecture is None:
        return OnnxFile(Path(source.path))
    if source.is_onnx:
        return _shipped(takes, scheme, source)
    if takes in MAKERS:
        return _module(takes, architecture, scheme, source, seed, cap)
    return of_pressed(takes, _pressed(architecture, scheme, source, seed))


def _shipped(takes: str, scheme: str, source: Source) -> OnnxFile:
    """A file of ours, whose sizes and scheme are known: it is loaded, nothing is built."""
    from quant.scheme import parse

    if takes != "graph":
        raise BadInputError(f"{source.path} is an ONNX file, and this runtime reads none")
    return OnnxFile(Path(source.path), floats=parse(scheme).rest)


def of_pressed(takes: str, pressed: "Pressed") -> object:
    """What `quant.press` stored, in the form a runtime `takes`."""
    if takes == "integer":
        from quant.integer import IntegerEncoder

        return IntegerEncoder(pressed)
    from quant.graph import emit_pressed

    return emit_pressed(pressed)


@cache
def _random(seed: int) -> "RandomWeights":
    """One buffer of random weights for all models of this process."""
    from quant.weights import RandomWeights

    return RandomWeights(seed)


def _pressed(architecture: Architecture, scheme: str, source: Source, seed: int) -> "Pressed":
    """Ranges of activations are made up: what is built here is timed and not asked for answers."""
    from quant.press import press
    from quant.scheme import parse
    from quant.weights import TensorWeights

    if not source.path:
        return press(architecture, parse(scheme), _random(seed))
    from nas.checkpoint import load_weights

    weights = TensorWeights(load_weights(Path(source.path)))
    return press(architecture, parse(scheme), weights)


def _module(
    takes: str, architecture: Architecture, scheme: str, source: Source, seed: int, cap: str
) -> object:
    from bench.modules import module

    if source.path:
        from nas.checkpoint import load_weights

        tensors = load_weights(Path(source.path))
    else:
        tensors = _random(seed).tensors(architecture)
    return module(architecture, scheme, tensors, MAKERS[takes], cap)

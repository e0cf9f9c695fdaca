"""int8 models by the tools of others, from a file or a folder. Decides nothing and times nothing.

Nothing they write is kept: the model is held in memory, and their files are gone before it runs.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.foreign import graph_of
from bench.theirs import MATRICES, OPTIMUM, nothing_in, operator_of_integers
from results.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Quantised:
    """A graph with its weights inside, in memory."""

    proto: bytes
    initializers: Mapping[str, Any] = field(default_factory=dict)
    floats: str = "fp32"

    @property
    def model_bytes(self) -> int:
        return len(self.proto)

    def lay_out(self, folder: Path) -> Path:
        """Write it where the runtime wants to read it."""
        path = folder / "quantised.onnx"
        path.write_bytes(self.proto)
        return path


@lru_cache(maxsize=1)
def quantised(path: Path, scheme: str) -> Quantised:
    """The int8 model of an .onnx file or a Hugging Face folder; the last one is remembered.

    Raises:
        BadInputError: the tool cannot do it, in its own words; or it left the model as it was.
    """
    tool = "optimum" if scheme == OPTIMUM else "onnxruntime.quantization"
    make = _by_optimum if scheme == OPTIMUM else _by_onnxruntime
    with TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its end
        try:
            made = make(path, Path(scratch))
        except Exception as error:  # noqa: BLE001 - tools raise what they like
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise BadInputError(f"{tool} cannot quantise {path}: {said}") from None
        if not operator_of_integers(graph_of(made)):
            raise BadInputError(nothing_in(path))
        return Quantised(made.read_bytes())


def _by_onnxruntime(path: Path, scratch: Path) -> Path:
    """Dynamic, a scale for each output channel, matrix products only."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    made = scratch / "int8.onnx"
    quantize_dynamic(
        path,
        made,
        op_types_to_quantize=list(MATRICES),
        per_channel=True,
        weight_type=QuantType.QInt8,
    )
    return made


def _by_optimum(folder: Path, scratch: Path) -> Path:
    """What `optimum-cli export onnx`, then its quantiser for AVX-512 VNNI, make; dynamic."""
    from optimum.exporters.onnx import main_export
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    main_export(
        str(folder),
        scratch,
        task="feature-extraction",
        library_name="transformers",
        local_files_only=True,
        do_validation=False,
    )
    config = AutoQuantizationConfig.avx512_vnni(is_static=False)
    quantiser = ORTQuantizer.from_pretrained(scratch, file_name="model.onnx")
    quantiser.quantize(save_dir=scratch, quantization_config=config, file_suffix="int8")
    return scratch / "model_int8.onnx"

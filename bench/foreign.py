"""ONNX files that others made: what they ask for, and what belongs to them. Runs none of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from profiler.runtimes.runtime import INPUTS
from results.errors import BadInputError

if TYPE_CHECKING:
    from onnx import GraphProto, ValueInfoProto


def require_encoder_graph(path: Path, batch: int | None, tokens: Sequence[int]) -> None:
    """Refuse a file that is no ONNX model, or one that cannot be run on token ids alone.

    Raises:
        BadInputError: saying which of its inputs or files is in the way.
    """
    graph = graph_of(path)
    weights = {tensor.name for tensor in graph.initializer}
    asked = [value for value in graph.input if value.name not in weights]
    names = [value.name for value in asked]
    if "input_ids" not in names or set(names) - set(INPUTS):
        message = (
            f"{path} asks for {', '.join(names) or 'nothing'}: a BERT-like encoder asks for "
            f"{', '.join(INPUTS)}, or the first of them"
        )
        raise BadInputError(message)
    for value in asked:
        _require_input(path, value, batch, tokens)
    for beside in data_files(path):
        if not beside.is_file():
            raise BadInputError(f"{path} keeps weights in {beside}, which is not there: add it")


def data_files(path: Path) -> Iterator[Path]:
    """The files beside an ONNX file that hold its weights, each once."""
    from onnx import TensorProto

    found: dict[str, None] = {}
    for tensor in graph_of(path).initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            found[entries.get("location", "")] = None
    yield from (path.parent / name for name in found)


def graph_of(path: Path) -> "GraphProto":
    """What is in an ONNX file, weights beside it left there.

    Raises:
        BadInputError: it is no ONNX file.
    """
    import onnx

    try:
        return onnx.load(path, load_external_data=False).graph
    except Exception as error:  # noqa: BLE001 - protobuf raises what it likes
        message = f"{path} is no ONNX model ({type(error).__name__}): export it again"
        raise BadInputError(message) from None


def _require_input(
    path: Path, value: "ValueInfoProto", batch: int | None, tokens: Sequence[int]
) -> None:
    from onnx import TensorProto

    kind = value.type.tensor_type
    if kind.elem_type != TensorProto.INT64:
        name = TensorProto.DataType.Name(kind.elem_type).lower()
        raise BadInputError(f"{path} wants {value.name} as {name}: export it with int64 inputs")
    fixed = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    if len(fixed) != 2:  # noqa: PLR2004 - batch and tokens
        raise BadInputError(
            f"{path} wants {value.name} with {len(fixed)} axes, not 2: export it again"
        )
    for option, size, wanted in (
        ("--batch", fixed[0], [batch or 1]),
        ("--tokens", fixed[1], list(tokens or [128])),
    ):
        if size is not None and any(size != w for w in wanted):
            message = f"{path} takes {value.name} of size {size} only: give {option} {size}"
            raise BadInputError(message)

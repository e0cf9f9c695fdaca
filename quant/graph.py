"""From the sizes of an encoder, a scheme and weights to an ONNX model. Knows no runtime."""

from dataclasses import dataclass
from pathlib import Path

from quant.blocks import Blocks
from quant.calibration import Calibration
from quant.heads import Head, write
from quant.linears import Linears
from quant.nodes import OUTSIDE, Nodes, Weight, with_weights
from quant.press import Pressed, press
from quant.scheme import Scheme
from quant.weights import Weights
from results.architecture import Architecture
from results.errors import BadInputError

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "last_hidden_state"
LARGEST_FILE = (1 << 31) - 1
"""Bytes; protobuf can say no more in one message."""


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A model without its weights (some kilobytes), and the weights.

    Inputs: int64 (batch, tokens), three of them; a mask of 1 for a token and 0 for padding.
    Output: float32 (batch, tokens, hidden), or what the head of a network says instead: see
    `quant.heads.OUTPUTS`.
    """

    architecture: Architecture
    scheme: Scheme
    proto: bytes
    """A serialised onnx.ModelProto whose initialisers are declared but absent."""
    initializers: dict[str, Weight]
    """Contiguous arrays under the names the model declares; empty where it holds them itself."""
    weight_bytes: int
    """Bytes of all weights, as stored in this scheme."""

    @property
    def floats(self) -> str:
        """What is not integer arithmetic: `fp32`, or `bf16` where a runtime can."""
        return self.scheme.rest

    @property
    def model_bytes(self) -> int:
        """Bytes of the weights and of what is said about them."""
        return len(self.proto) + sum(values.nbytes for values in self.initializers.values())

    def lay_out(self, folder: Path) -> Path:
        """Write the model without its weights, so that sessions can share them.

        Hand each of `initializers` to `SessionOptions.add_initializer` and open the returned
        path: the session then reads the arrays where they are, so they must outlive it; the
        folder need not. ONNX Runtime only insists that the file which is said to hold the weights
        exists. (`add_external_initializers` works without files, with a copy of every weight.)
        """
        path = folder / "encoder.onnx"
        path.write_bytes(self.proto)
        (folder / OUTSIDE).touch()
        return path


def emit(
    architecture: Architecture,
    scheme: Scheme,
    weights: Weights,
    calibration: Calibration | None = None,
) -> Graph:
    """The encoder as ONNX: post-LN BERT (Devlin et al., NAACL 2019) without its pooler.

    Without a calibration the ranges of static activations are made up: right for latency, wrong
    for everything else.
    """
    return emit_pressed(press(architecture, scheme, weights, calibration))


def emit_pressed(
    pressed: Pressed, taps: dict[str, str] | None = None, head: Head | None = None
) -> Graph:
    """The graph of what `quant.press.press` returned.

    A head adds nodes behind the encoder's, which stay what they are without it.

    `taps`, where given, is filled with the name of every activation that a calibration looks at,
    by its place; all of them become outputs.
    """
    architecture, scheme = pressed.architecture, pressed.scheme
    nodes = Nodes("encoder")
    for name in INPUTS:
        nodes.input(name, ("batch", "tokens"))
    seen: dict[str, str] = {} if taps is None else taps
    linears = Linears(nodes, pressed, seen)
    blocks = Blocks(nodes, linears)
    mask = blocks.mask()
    x = blocks.embeddings(architecture.hidden)
    for index, layer in enumerate(architecture.layers):
        x = blocks.layer(x, mask, layer, index)
    blocks.unflattened(x, architecture.hidden)
    folded = linears.folded
    if head is None:
        nodes.output(OUTPUT, ("batch", "tokens", architecture.hidden))
    else:
        write(nodes, linears, head, nodes.named(OUTPUT))
    if taps is not None:
        for name in dict.fromkeys(taps.values()):
            nodes.tap(name)
    more = {} if head is None else head.properties()
    proto = nodes.model(architecture=str(architecture), scheme=scheme.name, **more)
    stored = nodes.weight_bytes
    if folded:
        # ONNX Runtime turns these into floats as it loads, and looks for them in the file
        whole = with_weights(proto, nodes.weights).SerializeToString()
        return Graph(architecture, scheme, whole, {}, stored)
    return Graph(architecture, scheme, proto, nodes.weights, stored)


def save(graph: Graph, path: Path | str) -> None:
    """Write one .onnx file with the weights inside: any runtime opens it."""
    path = Path(path)
    size = graph.model_bytes
    if size > LARGEST_FILE:
        raise BadInputError(
            f"{path.name} would be {size / 1e9:.1f} GB, and an ONNX file cannot hold more than "
            f"{LARGEST_FILE / 1e9:.1f} GB: choose a smaller architecture or an int8 scheme"
        )
    whole = with_weights(graph.proto, graph.initializers).SerializeToString()
    try:
        path.write_bytes(whole)
    except OSError as error:
        raise BadInputError(f"cannot write {path} ({error.strerror}): choose another") from None

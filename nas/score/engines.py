"""A sub-model that answers: by torch, or by ONNX Runtime in a scheme. Knows no task.

What ONNX Runtime runs is made by the quantiser and the graph that are timed and exported.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from nas.data.batches import Batch
from nas.elastic import Cut
from nas.network import PREFIX, Network
from profiler import saturation
from profiler.runtimes.runtime import Inputs, load_runtime, random_inputs
from quant.calibrate import calibrate
from quant.calibration import Calibration
from quant.graph import emit_pressed
from quant.press import press
from quant.scheme import Scheme
from quant.weights import TensorWeights, shapes
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Workload

Floats = NDArray[np.float32]
Answer = Callable[[Batch], Floats]
"""A batch -> (B, outputs), (B,) or (B, T, outputs)."""

ONNX = "onnxruntime"


@dataclass(frozen=True, slots=True)
class Ready:
    """A sub-model that waits for its first batch."""

    answer: Answer
    weight_bytes: int
    """Of the encoder, as stored."""


def engine_of(scheme: Scheme) -> str:
    """The runtime that computes a scheme here.

    Raises:
        BadInputError: none can.
    """
    if scheme.name == "fp32":
        return "torch"
    if why := load_runtime(ONNX).scheme_refusal(scheme.name, ""):
        raise BadInputError(f"{scheme} cannot be scored, as {ONNX} runs the encoder: {why}")
    return ONNX


def alone(scheme: Scheme) -> bool:
    """Do answers depend on what else is in the batch? Then each example is scored by itself."""
    return "int8-dynamic" in scheme.arithmetics and scheme.activations == "tensor"


@cache
def sums(scheme: Scheme) -> str:
    """`exact` or `saturates`: how this machine adds products of integers; empty without any."""
    kinds: list[saturation.Kind] = ["int8-static", "int8-dynamic"]
    used = [kind for kind in kinds if kind in scheme.arithmetics]
    if scheme.reduce_range:  # 255 * (64 + 64) fits 16 bits
        return "exact" if used else ""
    found = {saturation.verdict(load_runtime(ONNX), saturation.graph(kind)) for kind in used}
    return " ".join(sorted(found))


def floats(network: Network) -> Ready:
    """By torch, out of the memory of the supernet, where that is."""
    device = next(network.parameters()).device

    def answer(batch: Batch) -> Floats:
        ids, types = (torch.from_numpy(x).to(device) for x in (batch.ids, batch.types))
        mask = None if batch.mask is None else torch.from_numpy(batch.mask).to(device)
        with torch.inference_mode():
            found: Floats = network(ids, mask, types).float().cpu().numpy()
        return found

    stored = shapes(network.architecture).values()
    return Ready(answer, 4 * sum(int(np.prod(shape)) for shape in stored))


@contextmanager
def threads(wanted: int | None) -> Iterator[int]:
    """Torch with so many threads for a while; as many as before where None."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield wanted or before
    finally:
        torch.set_num_threads(before)


def outputs(answer: Answer, batches: Iterable[Batch], entries: int) -> list[Floats]:
    """To each entry, in the order of the data; (T, outputs) may have room for more tokens.

    Raises:
        BadInputError: some are no numbers.
    """
    found = [np.zeros(0, np.float32)] * entries
    for batch in batches:
        several = answer(batch)
        if not np.isfinite(several).all():
            raise BadInputError("some outputs are no numbers: its weights are damaged")
        for place, one in zip(batch.examples.tolist(), several, strict=True):
            found[place] = one
    return found


def sliced(cut: Cut, weights: Mapping[str, Floats]) -> TensorWeights:
    """The encoder's tensors of a sub-model, out of those of the supernet, in memory of their own.

    `weights`: by the names of Hugging Face's `BertModel`.
    """
    names = shapes(cut.sub)
    return TensorWeights({name: cut.take(name, weights[cut.source(name)]) for name in names})


def calibrated(
    architecture: Architecture, scheme: Scheme, weights: TensorWeights, text: Sequence[Batch]
) -> Calibration | None:
    """Ranges of the slice itself on batches without padding; None where none are needed."""
    if not scheme.calibrated:
        return None
    return calibrate(architecture, scheme, weights, fed(text))


def fed(text: Sequence[Batch]) -> list[Mapping[str, NDArray[np.int64]]]:
    """Batches without padding as a graph takes them, by input name."""
    return [
        {
            "input_ids": batch.ids,
            "attention_mask": np.ones_like(batch.ids),
            "token_type_ids": batch.types,
        }
        for batch in text
    ]


def quantised(
    network: Network,
    scheme: Scheme,
    weights: TensorWeights,
    known: Calibration | None,
    threads: int,
) -> Ready:
    """By ONNX Runtime in a scheme, up to the hidden states; the head of `network` in float32."""
    graph = emit_pressed(press(network.architecture, scheme, weights, known))
    first = random_inputs(Workload(threads=threads), network.architecture.vocab, 0)
    prepared = load_runtime(ONNX).prepare(graph, first, threads, stable=True, cap="")

    def answer(batch: Batch) -> Floats:
        mask = np.ones_like(batch.ids) if batch.mask is None else batch.mask
        hidden = prepared.answer(Inputs(batch.ids, mask, batch.types))
        with torch.inference_mode():
            return read(network, hidden)

    return Ready(answer, graph.weight_bytes)


def read(network: Network, hidden: Floats) -> Floats:
    """What the head of a network makes of hidden states, (B, T, hidden)."""
    head, kind = network.head, network.head_kind
    if head is None or kind is None:
        return hidden
    x = torch.from_numpy(hidden)
    x = network.encoder.pool(x) if kind.pooled else x
    y: torch.Tensor = head(x, network.encoder.embeddings.words.weight)
    return cast("Floats", (y[..., 0] if kind.work == "score" else y).numpy())


def plain(weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """The same tensors without what stands before the encoder's names where there is a head."""
    return {name.removeprefix(PREFIX): value for name, value in weights.items()}

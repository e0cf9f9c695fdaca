"""Order a network so that its first entries are its most important. Knows no file and no cut.

The network computes what it did before, but a prefix of it, or of each of its heads, computes
more of that than an arbitrary one. Importance is first-order Taylor of the loss in a gate of ones
behind every unit, as Michel et al. (NeurIPS 2019, eq. 2) have it for heads and DynaBERT (Hou et
al., NeurIPS 2020) for neurons too: sum over examples of |sum over tokens of x dL/dx|.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nas.encoder import Block
from nas.network import Network, Output, Words
from results.errors import BadInputError

Doubles = NDArray[np.float64]
Inputs = tuple[Tensor, Tensor | None, Tensor | None, Tensor]
"""Ids, mask and types, (B, T) each, and targets."""
Seen = list[tuple[str, Tensor, int]]
"""Which units, their activations, (B, columns) or (B, T, columns), and how many they are."""


@dataclass(frozen=True, slots=True, eq=False)
class Importance:
    """A number per unit, the larger the better to keep; only their order counts."""

    hidden: Doubles
    """(hidden,): one order for the whole network, as all layers add to one stream."""
    pooled: Doubles | None
    """(hidden,): outputs of the pooler, where there is one."""
    heads: list[Doubles]
    """(heads,) of each layer."""
    qk: list[Doubles]
    """(heads, width) of each layer: columns of q, and those of k with them."""
    v: list[Doubles]
    """(heads, width) of each layer: columns of v, and the inputs of what reads them."""
    ffn: list[Doubles]
    """(ffn,) of each layer."""


def importance(
    network: Network, batches: Iterable[Inputs], loss: Callable[[Tensor, Tensor], Tensor]
) -> Importance:
    """What the loss would lose with each unit; dropout is off, and no gradient stays behind.

    Args:
        network: with memory of its own.
        batches: some hundred examples are enough.
        loss: a number from the network's answer and the targets.

    Raises:
        BadInputError: there is no batch.
    """
    was_training, sums = network.training, dict[str, Tensor]()
    network.eval()
    try:
        for ids, mask, types, targets in batches:
            with _watched(network) as seen, torch.enable_grad():
                wanted = loss(network(ids, mask, types), targets)
            at = [x for _, x, _ in seen]
            gradients = torch.autograd.grad(wanted, at, materialize_grads=True)
            for (units, x, count), gradient in zip(seen, gradients, strict=True):
                gates = _gates(x.detach() * gradient, count)  # (B, units)
                sums[units] = sums.get(units, torch.zeros(count)) + gates.abs().sum(0)
    finally:
        network.train(was_training)
    if not sums:
        raise BadInputError("importance needs data, and there is no batch: give at least one")
    return _assembled(network, {units: x.double().numpy() for units, x in sums.items()})


def by_magnitude(network: Network) -> Importance:
    """Importance without data: a unit's norm where it is made times its norm where it is read.

    For the hidden dimensions it is their share of the squares, every matrix counting alike.
    """
    norms = defaultdict[str, list[Doubles]](list)
    for units, tensor, axis in _axes(network):
        if tensor.dim() > 1:
            matrix = tensor.detach().double().numpy()
            norms[units].append(np.linalg.norm(matrix, axis=1 - axis))
    found: dict[str, Doubles] = {units: np.prod(x, axis=0) for units, x in norms.items()}
    found["hidden"] = np.sum([_shares(x**2) for x in norms["hidden"]], axis=0)
    for i, block in enumerate(_blocks(network)):
        split = found[f"v{i}"].reshape(block.attention.heads, -1)
        found[f"heads{i}"] = np.linalg.norm(split, axis=1)
    return _assembled(network, found)


@torch.no_grad()
def reorder(network: Network, importance: Importance) -> None:
    """Put the most important first, in place; what is equally important stays in its order.

    Neither gradients nor an optimiser's state move along: order a network before its training.

    Args:
        network: with memory of its own, such as a supernet's.
        importance: of this network.

    Raises:
        BadInputError: an importance is not a number, as after a loss that was none.
    """
    orders = {"hidden": _order("hidden", importance.hidden)}
    if importance.pooled is not None:
        orders["pooled"] = _order("pooled", importance.pooled)
    for i, heads in enumerate(importance.heads):
        first = _order(f"heads{i}", heads)
        for units, columns in ((f"qk{i}", importance.qk[i]), (f"v{i}", importance.v[i])):
            starts = np.arange(len(heads))[:, None] * columns.shape[1]
            orders[units] = (starts + _order(units, columns))[first].ravel()
        orders[f"ffn{i}"] = _order(f"ffn{i}", importance.ffn[i])
    for units, tensor, axis in _axes(network):
        tensor.copy_(tensor.index_select(axis, torch.from_numpy(orders[units])))


def _axes(network: Network) -> Iterator[tuple[str, Tensor, int]]:
    """Every axis of every tensor along which units stand, and which ones."""
    encoder, head = network.encoder, network.head
    tables = encoder.embeddings
    for table in (tables.words, tables.positions, tables.types):
        yield "hidden", table.weight, 1
    for part in network.modules():
        if isinstance(part, nn.LayerNorm):
            yield from (("hidden", tensor, 0) for tensor in part.parameters())
    for i, block in enumerate(_blocks(network)):
        yield from _linear(block.attention.query, f"qk{i}", "hidden")
        yield from _linear(block.attention.key, f"qk{i}", "hidden")
        yield from _linear(block.attention.value, f"v{i}", "hidden")
        yield from _linear(block.attention.out, "hidden", f"v{i}")
        yield from _linear(block.ffn.up, f"ffn{i}", "hidden")
        yield from _linear(block.ffn.down, "hidden", f"ffn{i}")
    if encoder.pooler is not None:
        yield from _linear(encoder.pooler, "pooled", "hidden")
    if isinstance(head, Words):  # its outputs meet the table of words, so they stand as that does
        yield from _linear(head.transform, "hidden", "hidden")
    if isinstance(head, Output):
        yield "hidden" if encoder.pooler is None else "pooled", head.out.weight, 1


def _linear(linear: nn.Linear, rows: str, columns: str) -> tuple[tuple[str, Tensor, int], ...]:
    return (rows, linear.weight, 0), (rows, linear.bias, 0), (columns, linear.weight, 1)


@contextmanager
def _watched(network: Network) -> Iterator[Seen]:
    """Note the activations behind which a gate would stand, while the network runs."""
    seen: Seen = []

    def note(
        units: str, count: int, _part: nn.Module, read: tuple[Tensor], made: Tensor | None = None
    ) -> None:
        x = read[0] if made is None else made
        if not x.requires_grad:  # no weight before it learns
            x.requires_grad_()
        seen.append((units, x, count))

    hooks = [
        part.register_forward_pre_hook(partial(note, units, count))
        for units, part, count in _readers(network)
    ]
    hooks += [
        part.register_forward_hook(partial(note, units, count))
        for units, part, count in _makers(network)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _makers(network: Network) -> Iterator[tuple[str, nn.Module, int]]:
    """Units, the module whose output has them, and how many they are."""
    for part in network.modules():
        if isinstance(part, nn.LayerNorm):
            yield "hidden", part, network.architecture.hidden
    for i, block in enumerate(_blocks(network)):
        yield f"qk{i}", block.attention.query, block.attention.query.out_features


def _readers(network: Network) -> Iterator[tuple[str, nn.Module, int]]:
    """Units, the module whose input has them, and how many they are."""
    for i, block in enumerate(_blocks(network)):
        out = block.attention.out
        yield f"v{i}", out, out.in_features
        yield f"heads{i}", out, block.attention.heads
        yield f"ffn{i}", block.ffn.down, block.ffn.down.in_features
    if network.encoder.pooler is not None and isinstance(network.head, Output):
        yield "pooled", network.head.out, network.head.out.in_features


def _gates(product: Tensor, count: int) -> Tensor:  # (B, columns) or (B, T, columns)
    """Of every example and unit, (B, units): the loss's slope in a gate behind the unit."""
    examples, columns = len(product), product.shape[-1]
    return product.reshape(examples, -1, count, columns // count).sum((1, 3))


def _shares(squares: Doubles) -> Doubles:
    whole = squares.sum()
    return squares / whole if whole else squares


def _assembled(network: Network, found: dict[str, Doubles]) -> Importance:
    """From what was found for the columns of every layer, to heads apart."""
    heads = [block.attention.heads for block in _blocks(network)]
    return Importance(
        hidden=found["hidden"],
        pooled=found.get("pooled"),
        heads=[found[f"heads{i}"] for i in range(len(heads))],
        qk=[found[f"qk{i}"].reshape(n, -1) for i, n in enumerate(heads)],
        v=[found[f"v{i}"].reshape(n, -1) for i, n in enumerate(heads)],
        ffn=[found[f"ffn{i}"] for i in range(len(heads))],
    )


def _order(units: str, found: Doubles) -> NDArray[np.intp]:
    """Along the last axis, the largest first."""
    if not np.isfinite(found).all():
        message = f"the importance of {units} is not finite: see whether the loss is a number"
        raise BadInputError(message)
    return np.argsort(-found, axis=-1, kind="stable")


def _blocks(network: Network) -> list[Block]:
    return [block for block in network.encoder.blocks if isinstance(block, Block)]

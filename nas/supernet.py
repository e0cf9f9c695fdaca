"""Sub-models that live in a supernet's memory. Knows no file, no data and no training.

A sub-model is an ordinary network whose tensors are views of the supernet's: what is learned by
one is learned by all. Its gradients are views of the supernet's gradients, so a step of a
sub-model costs what a step of a network of its own of that shape costs.
"""

import warnings
from collections import OrderedDict

import torch
from torch import Tensor, nn

from nas.elastic import Cut, Part, Rule
from nas.network import Network
from results.architecture import Architecture

KEPT = 64
"""Views that are kept at hand; building one takes some milliseconds."""


class Supernet:
    """A network that can be read at every size its rule can cut.

    Not for two threads at once: the kept views are shared.
    """

    def __init__(self, network: Network, rule: Rule) -> None:
        self.network, self.rule = with_gradients(network), rule
        self._views: OrderedDict[Architecture, Network] = OrderedDict()

    @property
    def architecture(self) -> Architecture:
        """Of the largest sub-model: the supernet itself."""
        return self.network.architecture

    def at(self, sub: Architecture) -> Network:
        """The sub-model of these sizes, in training if the supernet is.

        Raises:
            BadInputError: if it is not inside the supernet.
        """
        if sub == self.architecture:
            return self.network
        view = self._views.pop(sub, None)
        if view is None:
            view = _view(self.network, Cut(self.architecture, sub, self.rule))
        self._views[sub] = view
        while len(self._views) > KEPT:
            self._views.popitem(last=False)
        return view.train(self.network.training)

    def zero_grad(self) -> None:
        """Forget all gradients, their memory kept: the views look at it."""
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        torch._foreach_zero_(gradients)


def backward(loss: Tensor) -> None:
    """Add the gradients of a loss to what is there, also where they are views of larger ones."""
    with warnings.catch_warnings():
        # Said once in a process: the views' gradients have the strides of the whole.
        warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout")
        loss.backward()  # type: ignore[no-untyped-call]


def _view(network: Network, cut: Cut) -> Network:
    small = _by_rows(Network(cut.sub, network.head_kind, dropout=network.dropout, hollow=True))
    small.encoder.dropout = network.encoder.dropout
    large = {network.canonical(name): value for name, value in network.named_parameters()}
    for path, module in small.named_modules():
        for name in list(module._parameters):  # noqa: SLF001 (replaced in place)
            full = small.canonical(f"{path}.{name}")
            source = large[cut.source(full)]
            parts = cut.parts(full, tuple(source.shape))
            setattr(module, name, _looking_at(source, parts))
    return small


def with_gradients(network: Network) -> Network:
    """Give a network memory for its gradients, to which a step adds only what it touched.

    Forget them with `zero_grad(set_to_none=False)`: what was read of the table of words is added
    to a gradient that is there.
    """
    for parameter in network.parameters():
        if parameter.grad is None and parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    return _by_rows(network)


def _by_rows(network: Network) -> Network:
    """Let a backward pass add to the words that were read, not to all of the table.

    torch adds such sparse gradients to dense ones in place, where there are some; that is so here.
    """
    network.encoder.embeddings.words.sparse = True
    return network


def _looking_at(source: Tensor, parts: tuple[Part, ...]) -> nn.Parameter:
    view = nn.Parameter(_cut(source.data, parts), requires_grad=source.requires_grad)
    if source.grad is not None:
        view.grad = _cut(source.grad, parts)
    return view


def _cut(tensor: Tensor, parts: tuple[Part, ...]) -> Tensor:
    """A view of the parts; an axis of which a part of each group is kept becomes two axes."""
    shape: list[int] = []
    keep: list[slice] = []
    for part in parts:
        if part.simple():
            shape += [part.whole]
            keep += [slice(part.size)]
        else:
            shape += [part.groups, part.width]
            keep += [slice(part.kept), slice(part.keep)]
    return tensor.view(shape)[tuple(keep)]

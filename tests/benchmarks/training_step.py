"""Training steps of sub-models beside those of dense networks of the same shapes, in turn.

`python -m tests.benchmarks.training_step`, with a question as JSON on standard input: `threads`,
`rounds`, `each`, `batch`, `tokens`, `dropout` and `optimiser`; the answer is JSON. A dense network
is transformers' own where BERT's config can say the shape, else ours in memory of its own. A visit
is a step that is thrown away and two that are timed, of which the faster counts; visits are taken
in a new random order each round.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification

from nas.elastic import Cut, Rule
from nas.network import Head, Network
from nas.space import load_space
from nas.supernet import Supernet, backward
from results.architecture import Architecture

HEAD = Head("classes", 6)
CALLS = 2
Step = Callable[[], object]


def chosen(seed: int = 0, each: int = 4) -> list[Architecture]:
    """The smallest and the largest of `minilm`, some whose heads fill the width, some others."""
    space, rng = load_space("minilm"), np.random.default_rng(seed)
    drawn = [space.sample(rng) for _ in range(500)]
    full = [a for a in drawn if a.layers[0].qkv == a.hidden]
    other = [a for a in drawn if a.layers[0].qkv != a.hidden]
    return [space.smallest, space.largest, *full[:each], *other[:each]]


def dense(network: Network, a: Architecture, dropout: float) -> tuple[nn.Module, str]:
    """A network of its own of this shape, and whose it is."""
    layer = a.layers[0]
    if layer.qkv == a.hidden:
        config = BertConfig(
            hidden_size=a.hidden, num_hidden_layers=a.depth, num_attention_heads=layer.heads,
            intermediate_size=layer.ffn, hidden_dropout_prob=dropout, num_labels=HEAD.outputs,
            attention_probs_dropout_prob=0.0, classifier_dropout=dropout,
        )  # fmt: skip
        return BertForSequenceClassification(config), "transformers"
    large, cut = network.weights(), Cut(network.architecture, a, Rule())
    names = Network(a, HEAD).weights()
    weights = {name: cut.take(name, large[cut.source(name)]) for name in names}
    return Network(a, HEAD, weights, dropout=dropout), "ours, dense"


def stepping(model: nn.Module, feed: tuple[Tensor, ...], finish: Step) -> Step:
    """Forward, backward, and what comes after."""
    ids, mask, types, targets = feed

    def step() -> None:
        answer = model(ids, mask, types)
        logits = answer if isinstance(answer, Tensor) else answer.logits
        backward(F.cross_entropy(logits, targets))
        finish()

    return step


def updating(parameters: Iterable[nn.Parameter], clear: Step) -> Step:
    """AdamW's step, and all gradients forgotten."""
    optimiser = torch.optim.AdamW(parameters, lr=1e-5, fused=True)

    def finish() -> None:
        optimiser.step()
        clear()

    return finish


def batch(examples: int, tokens: int) -> tuple[Tensor, ...]:
    """Ids, mask, types and targets; a few examples are shorter."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1000, 30000, (examples, tokens), generator=generator)
    lengths = torch.randint(tokens - 3, tokens + 1, (examples, 1), generator=generator)
    mask = (torch.arange(tokens) < lengths).long()
    return ids, mask, torch.zeros_like(ids), torch.randint(0, 6, (examples,), generator=generator)


def in_turn(runs: list[Step], rounds: int) -> list[list[float]]:
    """Milliseconds of every visit, run by run."""
    taken: list[list[float]] = [[] for _ in runs]
    order, rng = list(range(len(runs))), random.Random(0)
    for _ in range(rounds):
        rng.shuffle(order)
        for i in order:
            runs[i]()
            taken[i].append(min(_timed(runs[i]) for _ in range(CALLS)))
    return taken


def _timed(run: Step) -> float:
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) / 1e6


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    torch.set_num_threads(asked["threads"])
    feed, dropout = batch(asked["batch"], asked["tokens"]), asked["dropout"]
    network = Network(load_space("minilm").largest, HEAD, dropout=dropout).train()
    supernet = Supernet(network, Rule())
    rows = []
    for a in chosen(each=asked["each"]):
        model, whose = dense(network, a, dropout)
        after = [lambda: None, model.train().zero_grad]  # gradients of a supernet add up
        if asked["optimiser"]:
            after = [
                updating(network.parameters(), supernet.zero_grad),
                updating(model.parameters(), model.zero_grad),
            ]
        steps = [stepping(supernet.at(a), feed, after[0]), stepping(model, feed, after[1])]
        view, alone = in_turn(steps, asked["rounds"])
        rows.append({"name": str(a), "whose": whose, "view_ms": view, "dense_ms": alone})
    sys.stdout.write(json.dumps(rows))


if __name__ == "__main__":
    main()

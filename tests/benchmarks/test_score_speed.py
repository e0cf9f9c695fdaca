"""What a score costs: beside transformers on the same batches, and beside padding to 128 tokens.

Times are reported (`pytest tests/benchmarks --benchmark-enable`), never asserted.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from nas.data.batches import Batch, gather
from nas.data.tokens import Encoded
from nas.elastic import Cut, Rule
from nas.folder import Saved, read
from nas.network import Head, Network
from nas.score import engines
from nas.score.questions import batches, unpadded
from nas.supernet import Supernet
from quant.scheme import parse
from results.architecture import Architecture

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

SUBS = [
    Architecture.uniform(6, 384, 12, 384, 1536),
    Architecture.uniform(4, 312, 12, 312, 1200),
    Architecture.uniform(3, 192, 6, 192, 768),
]
CLASSES = 6
EXAMPLES = 192
BUDGETS = [512, 1024, 2048, 4096, 8192, 16384]
ROUNDS = 3


def questions() -> Encoded:
    """As long as TREC's questions are: 5 to 40 tokens, 11 in the median."""
    rng = np.random.default_rng(0)
    lengths = np.clip(np.rint(rng.lognormal(np.log(11), 0.35, EXAMPLES)), 5, 40).astype(int)
    ids = rng.integers(1000, 30000, lengths.sum()).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Encoded(ids, np.zeros_like(ids), starts, np.zeros(0, np.int64))


@pytest.fixture(scope="module")
def saved(minilm: Path) -> Saved:
    return replace(read(minilm), rule=Rule())


def supernet(saved: Saved) -> Supernet:
    """MiniLM with a head that is random."""
    network = saved.network(Head("classes", CLASSES)).eval().requires_grad_(requires_grad=False)
    return Supernet(network, Rule())


def theirs(network: Network) -> Callable[[Batch], np.ndarray]:
    """The same network by transformers, in memory of its own."""
    from transformers import BertConfig, BertForSequenceClassification

    a = network.architecture
    config = BertConfig(
        hidden_size=a.hidden,
        num_hidden_layers=a.depth,
        num_attention_heads=a.layers[0].heads,
        intermediate_size=a.layers[0].ffn,
        num_labels=CLASSES,
    )
    model = BertForSequenceClassification(config).eval()
    state = {name: torch.from_numpy(value.copy()) for name, value in network.weights().items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all("position_ids" in name for name in missing)

    def answer(batch: Batch) -> np.ndarray:
        mask = None if batch.mask is None else torch.from_numpy(batch.mask)
        ids, types = torch.from_numpy(batch.ids), torch.from_numpy(batch.types)
        with torch.inference_mode():
            found: np.ndarray = model(ids, mask, types).logits.numpy()
        return found

    return answer


def milliseconds(calls: Sequence[Callable[[], object]]) -> list[float]:
    """Median CPU time of each, taken in turns, the order reversed every round."""
    taken: dict[int, list[float]] = {index: [] for index in range(len(calls))}
    for call in calls:
        call()
    for turn in range(ROUNDS):
        for index in sorted(taken, reverse=bool(turn % 2)):
            began = time.process_time_ns()
            calls[index]()
            taken[index].append((time.process_time_ns() - began) / 1e6)
    return [median(samples) for samples in taken.values()]


def through(answer: Callable[[Batch], np.ndarray], asked: Sequence[Batch]) -> Callable[[], object]:
    return lambda: [answer(batch) for batch in asked]


@pytest.mark.weights
@pytest.mark.parametrize("sub", SUBS, ids=str)
def test_beside_transformers(
    sub: Architecture, saved: Saved, benchmark: "BenchmarkFixture"
) -> None:
    network = supernet(saved).at(sub)
    ours, other, asked = (
        engines.floats(network).answer,
        theirs(network),
        batches(questions(), 2048),
    )
    assert np.abs(ours(asked[0]) - other(asked[0])).max() < 1e-4

    benchmark.pedantic(through(ours, asked), rounds=1)

    if not benchmark.disabled:
        mine, his = milliseconds([through(ours, asked), through(other, asked)])
        benchmark.extra_info |= {"ours_ms": mine, "theirs_ms": his, "speed": his / mine}


@pytest.mark.weights
@pytest.mark.parametrize("sub", SUBS, ids=str)
def test_beside_padding(sub: Architecture, saved: Saved, benchmark: "BenchmarkFixture") -> None:
    answer, data = engines.floats(supernet(saved).at(sub)).answer, questions()
    benchmark.pedantic(through(answer, batches(data, 2048)), rounds=1)

    if not benchmark.disabled:
        padded = [
            gather(data, range(i, min(i + 16, EXAMPLES)), 128) for i in range(0, EXAMPLES, 16)
        ]
        found = milliseconds(
            [through(answer, padded), *(through(answer, batches(data, n)) for n in BUDGETS)]
        )
        found += milliseconds([through(answer, list(unpadded(data, 256)))])
        names = ["padded", *map(str, BUDGETS), "equal lengths"]
        benchmark.extra_info |= dict(zip(names, found, strict=True))
        benchmark.extra_info["gain"] = found[0] / found[names.index("2048")]


@pytest.mark.weights
@pytest.mark.parametrize("name", ["fp32", "int8-dynamic", "ptq"])
def test_from_sizes_to_answers(name: str, saved: Saved, benchmark: "BenchmarkFixture") -> None:
    whole, scheme, data, sub = supernet(saved), parse(name), questions(), SUBS[1]
    weights = engines.plain(whole.network.weights())
    text, asked = list(unpadded(data, 32))[:40], batches(data, 2048)
    spent: dict[str, float] = {}

    def step(what: str, call: Callable[[], object]) -> object:
        began = time.process_time_ns()
        found = call()
        spent[what] = (time.process_time_ns() - began) / 1e6
        return found

    def score() -> None:
        network = whole.at(sub)
        ready = engines.floats(network)
        if name != "fp32":
            cut = Cut(whole.architecture, sub, Rule())
            sliced = engines.sliced(cut, weights)
            known = engines.calibrated(sub, scheme, sliced, text)
            spent["calibrated"] = 0
            ready = engines.quantised(network, scheme, sliced, known, 1)
        several = list(unpadded(data, 1)) if engines.alone(scheme) else asked
        step("answers_ms", through(ready.answer, several))
        step("batched_answers_ms", through(ready.answer, asked))

    score()
    benchmark.pedantic(lambda: step("all_ms", score), rounds=1)
    benchmark.extra_info |= spent

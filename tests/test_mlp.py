"""Our networks and the seeds': trained alike from the same seed, kept and refused as files."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import Linear, ReLU, Sequential

from predictors.columns import Columns
from predictors.mlp import LEAST_MS, Mlp, SeedMlp
from predictors.network import Network
from predictors.setting import Setting
from predictors.terms import Terms
from tests.predictor_rows import INT8, PLAIN, columns, networks, timed

SETTING = Setting(Terms(("fp32",)))


class ShortSeedMlp(SeedMlp):
    """Four steps instead of five thousand."""

    steps = 4


class SmallSeedMlp(SeedMlp):
    """Small, and as it is drawn."""

    widths = (16, 16)
    steps = 0


class TrainedSeedMlp(SmallSeedMlp):
    """The same after some steps."""

    steps = 30


@cache
def fitted() -> Mlp:
    return Mlp.fit(timed(networks(150, 1), noise=0.02), SETTING)


@cache
def seed_fitted() -> SeedMlp:
    return ShortSeedMlp.fit(timed(networks(40, 1)), SETTING)


def test_other_networks_are_predicted_within_a_few_percent() -> None:
    others = timed(networks(200, 2))

    assert np.abs(fitted().predict(others.columns) / others.ms - 1.0).mean() < 0.05
    assert (np.ones(200) == fitted().spread(others.columns)).all()


def test_the_networks_explain_more_than_the_power_law_alone() -> None:
    others = timed(networks(200, 2))
    x = fitted().features.matrix(others.columns)

    whole = np.abs(np.log(fitted().predict(others.columns) / others.ms)).mean()
    law = np.abs(fitted().law.log_ms(x) - np.log(others.ms)).mean()

    assert whole < 0.7 * law


def test_gross_outliers_move_little() -> None:
    rows, others = timed(networks(150, 1), noise=0.02), timed(networks(200, 2))
    wrong = np.where(np.arange(150) % 12 == 0, 2.0, 1.0)

    moved = Mlp.fit(replace(rows, ms=rows.ms * wrong), SETTING).predict(others.columns)

    assert np.abs(moved / others.ms - 1.0).mean() < 0.03


@pytest.mark.parametrize("times", [1, 4])
def test_predictions_are_positive_and_finite_everywhere(times: int) -> None:
    far = columns(networks(200, 3, times), [PLAIN, INT8])

    for predictor in (fitted(), seed_fitted()):
        ms = predictor.predict(far)
        assert np.float64 == ms.dtype
        assert np.isfinite(ms).all()
        assert (ms >= LEAST_MS).all()


def test_the_seed_decides_and_the_threads_of_torch_stay() -> None:
    rows = timed(networks(30, 1), noise=0.02)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, again = (Mlp.fit(rows, SETTING).state() for _ in range(2))
        other = Mlp.fit(rows, replace(SETTING, seed=1)).state()

        assert 2 == torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    assert first == again
    assert first[1] != other[1]


def test_no_global_draw_of_torch_is_used() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)

    Mlp.fit(timed(networks(12, 1)), SETTING)

    assert expected == torch.rand(1)


@pytest.mark.parametrize("predictor", [fitted, seed_fitted])
def test_a_state_tells_the_very_same_predictions(predictor: "object") -> None:
    assert callable(predictor)
    made = predictor()
    data, parts = made.state()
    c = columns(networks(100, 5))

    again = type(made).from_state(json.loads(json.dumps(data)), parts)

    assert {"safetensors"} == set(parts)
    assert (made.predict(c) == again.predict(c)).all()
    assert data == again.state()[0]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"features": ["colour"]}, "features"),
        ({"exponents": [1.0]}, "exponents"),
        ({"centre": []}, "scales"),
        ({"unit": 0.0}, "positive"),
        ({"extent": [-1.0] * 9}, "scale"),
        ({"unit": "x"}, "unit"),
    ],
)
def test_a_state_that_says_something_else_is_refused(wrong: dict[str, object], told: str) -> None:
    data, parts = fitted().state()

    assert isinstance(data, dict)
    with pytest.raises(ValueError, match=told):
        Mlp.from_state(data | wrong, parts)


@pytest.mark.parametrize("predictor", [fitted, seed_fitted])
def test_damaged_networks_are_refused(predictor: "object") -> None:
    assert callable(predictor)
    data, parts = predictor().state()
    kept = parts["safetensors"]

    with pytest.raises(ValueError, match="missing"):
        type(predictor()).from_state(data, {})
    with pytest.raises(ValueError, match="damaged"):
        type(predictor()).from_state(data, {"safetensors": kept[:-1] + bytes([kept[-1] ^ 1])})


def layers(*shapes: tuple[int, ...]) -> tuple[NDArray[np.float32], ...]:
    return tuple(np.ones(shape, dtype=np.float32) for shape in shapes)


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (Network(layers((1, 3, 4), (1, 5, 1)), layers((1, 1, 4), (1, 1, 1))), "do not fit"),
        (Network(layers((1, 3, 4), (1, 4, 1)), layers((1, 1, 4), (1, 1, 2))), "do not fit"),
        (Network(layers((1, 2, 1)), layers((1, 1, 1))), "do not fit"),
        (Network(layers((1, 3, 2)), layers((1, 1, 2))), "more than one output"),
        (Network(layers((3, 1)), layers((1, 1))), "do not fit"),
        (Network((np.full((1, 3, 1), np.nan, np.float32),), layers((1, 1, 1))), "no number"),
        (Network((), ()), "other tensors"),
    ],
)
def test_layers_that_make_no_network_are_refused(network: Network, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Network.from_bytes(network.to_bytes(), 3)
    with pytest.raises(ValueError, match="holds no network"):
        Network.from_bytes(b"nothing", 3)


def test_the_seeds_network_is_theirs_to_the_weight() -> None:
    network = seed_fitted().network
    theirs = Sequential(
        *(Linear(4, 2000), ReLU()),
        *(Linear(2000, 2000), ReLU()),
        *(Linear(2000, 2000), ReLU()),
        *(Linear(2000, 2000), ReLU()),
        Linear(2000, 1),
    )

    counted = sum(x.size for x in (*network.weights, *network.biases))

    assert 12_018_001 == counted == sum(p.numel() for p in theirs.parameters())


def as_torch(network: Network) -> Sequential:
    theirs: list[torch.nn.Module] = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        linear = Linear(*weight.shape[1:])
        linear.weight.data = torch.tensor(weight[0].T)
        linear.bias.data = torch.tensor(bias[0, 0])
        theirs += [linear, ReLU()]
    return Sequential(*theirs[:-1])


def seed_features(c: Columns) -> torch.Tensor:
    mean = [c.hidden, c.depth, c.ffn / c.depth, c.qkv / c.depth]
    return torch.tensor(np.stack(mean, axis=1) / [768, 12, 3072, 768], dtype=torch.float32)


def test_the_seeds_network_computes_what_torch_computes() -> None:
    c = columns(networks(20, 6))

    with torch.no_grad():
        expected = 200.0 * as_torch(seed_fitted().network)(seed_features(c))[:, 0].numpy()

    found = seed_fitted().predict(c)
    np.testing.assert_allclose(found, np.maximum(expected, LEAST_MS), rtol=1e-4, atol=1e-4)


def test_the_seeds_network_is_trained_by_adam_on_squares_of_four_fifths_of_the_rows() -> None:
    rows = timed(networks(50, 1))
    theirs = as_torch(SmallSeedMlp.fit(rows, SETTING).network)
    seen = np.random.default_rng(SETTING.seed).permutation(50)[:40]
    x, y = seed_features(rows.columns)[seen], torch.tensor(rows.ms[seen] / 200).float()
    optimiser = torch.optim.Adam(theirs.parameters(), lr=1e-5)
    for _ in range(30):
        optimiser.zero_grad()
        ((theirs(x)[:, 0] - y) ** 2).mean().backward()
        optimiser.step()

    network = TrainedSeedMlp.fit(rows, SETTING).network

    for expected, found in zip(theirs[::2], network.weights, strict=True):
        assert isinstance(expected, Linear)
        np.testing.assert_allclose(expected.weight.detach().numpy().T, found[0], atol=1e-6)


def test_less_than_nothing_is_taken_for_very_little() -> None:
    negative = SeedMlp(Network(layers((1, 4, 1)), (np.full((1, 1, 1), -99, np.float32),)))

    assert (LEAST_MS == negative.predict(columns(networks(5, 1)))).all()


def test_the_seeds_predictor_knows_no_heads() -> None:
    c = columns(networks(20, 6))

    more = replace(c, heads=2.0 * c.heads)

    assert (seed_fitted().predict(c) == seed_fitted().predict(more)).all()


def test_the_seeds_predictor_looks_at_four_fifths_of_the_rows_and_no_others() -> None:
    rows = timed(networks(50, 1))
    order = np.random.default_rng(SETTING.seed).permutation(50)
    changed = [replace(rows, ms=rows.ms.copy()) for _ in range(3)]
    changed[1].ms[order[40:]] *= 3.0
    changed[2].ms[order[39]] *= 3.0

    plain, unseen, seen = (TrainedSeedMlp.fit(r, SETTING).state()[1] for r in changed)

    assert plain == unseen
    assert plain != seen


def test_networks_correct_no_more_than_was_ever_left_over() -> None:
    c, made = columns(networks(50, 6)), fitted()
    wild = Network(tuple(1e3 * w for w in made.network.weights), made.network.biases)

    found = replace(made, network=wild).predict(c)

    law = made.law.log_ms(made.features.matrix(c))
    assert (np.abs(np.log(found) - law) <= 1.0001 * made.unit * made.reach).all()

"""Physics with a correction: none where physics is the truth, a good one where it is not."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from predictors.columns import Columns, Floats
from predictors.hybrid import LEAST, Hybrid
from predictors.physics import Physics
from predictors.rows import Rows
from predictors.setting import Setting
from predictors.terms import Terms
from tests.predictor_rows import INT8, PLAIN, columns, networks, timed

SETTING = Setting(Terms(("fp32",)))


def odd(c: Columns) -> Floats:
    """A factor no sum of work explains: heads wider than 32 are slow."""
    return np.where(c.qkv / c.heads > 32, 1.25, 1.0)


def factored(count: int, seed: int, noise: float = 0.01) -> Rows:
    rows = timed(networks(count, seed), noise)
    return replace(rows, ms=rows.ms * odd(rows.columns))


@cache
def corrected() -> Hybrid:
    return Hybrid.fit(factored(150, 1), SETTING)


def error(ms: Floats, rows: Rows) -> float:
    return float(np.abs(ms / rows.ms - 1.0).mean())


@pytest.mark.parametrize("count", [12, 80])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_it_is_physics_to_the_bit_where_physics_is_the_truth(count: int, noise: float) -> None:
    rows, others = timed(networks(count, 1), noise), columns(networks(300, 2))

    hybrid, physics = Hybrid.fit(rows, SETTING), Physics.fit(rows, SETTING)

    assert hybrid.correction is None
    assert (physics.predict(others) == hybrid.predict(others)).all()
    assert (physics.spread(others) == hybrid.spread(others)).all()


def test_it_beats_physics_where_something_else_is_at_work() -> None:
    others = factored(300, 2, noise=0.0)
    alone = Physics.fit(factored(150, 1), SETTING)

    assert corrected().correction is not None
    assert error(corrected().predict(others.columns), others) < 0.5 * error(
        alone.predict(others.columns), others
    )


def test_few_architectures_are_not_corrected_however_many_rows() -> None:
    rows = factored(3 * (LEAST - 1), 1)
    few = replace(rows, groups=tuple(i % (LEAST - 1) for i in range(len(rows))))

    assert Hybrid.fit(few, SETTING).correction is None


def test_outliers_do_not_make_a_correction_worse_than_physics() -> None:
    rows, others = timed(networks(100, 1), noise=0.01), timed(networks(300, 2))
    wrong = np.where(np.arange(100) % 12 == 0, 2.0, 1.0)
    dirty = replace(rows, ms=rows.ms * wrong * odd(rows.columns))
    truth = replace(others, ms=others.ms * odd(others.columns))

    hybrid, physics = Hybrid.fit(dirty, SETTING), Physics.fit(dirty, SETTING)

    found = error(hybrid.predict(others.columns), truth)
    assert found < 0.6 * error(physics.predict(others.columns), truth)


@pytest.mark.parametrize("rows", [factored(80, 1), timed(networks(80, 1), 0.01)])
def test_a_state_tells_the_very_same_predictions(rows: Rows) -> None:
    hybrid = Hybrid.fit(rows, SETTING)
    data, parts = hybrid.state()
    c = columns(networks(300, 5))

    again = Hybrid.from_state(json.loads(json.dumps(data)), parts)

    assert (hybrid.correction is None) == (not parts)
    assert (hybrid.predict(c) == again.predict(c)).all()
    assert (hybrid.spread(c) == again.spread(c)).all()
    assert (data, parts) == again.state()


def test_the_seed_decides() -> None:
    rows = factored(80, 1)

    first, again = (Hybrid.fit(rows, SETTING).state() for _ in range(2))
    other = Hybrid.fit(rows, replace(SETTING, seed=1)).state()

    assert first == again
    assert first[1] != other[1]


def test_damaged_parts_are_refused() -> None:
    data, parts = corrected().state()
    trees = parts["ubj"]

    assert isinstance(data, dict)
    with pytest.raises(ValueError, match="missing"):
        Hybrid.from_state(data, {})
    with pytest.raises(ValueError, match="damaged"):
        Hybrid.from_state(data, {"ubj": trees[:-1]})
    for names, told in ((["x"], "features"), (data["correction"]["features"][1:], "trees want")):
        wrong = data | {"correction": data["correction"] | {"features": names}}
        with pytest.raises(ValueError, match=told):
            Hybrid.from_state(wrong, parts)
    with pytest.raises(ValueError):
        Hybrid.from_state(data | {"physics": {}}, parts)


def test_predictions_are_positive_and_finite_far_beyond_the_rows_and_for_other_kinds() -> None:
    far = columns([*networks(100, 3, times=4), *networks(100, 4)], [PLAIN, INT8])

    ms = corrected().predict(far)

    assert np.isfinite(ms).all()
    assert (ms > 0).all()

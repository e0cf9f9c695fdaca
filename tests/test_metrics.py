"""Metrics are scikit-learn's and SciPy's, and never a NaN."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nas.data.metrics import METRICS, SPANS, evaluate, known
from results.errors import BadInputError

OF_CLASSES = ("accuracy", "matthews", "f1-macro")
LABELS = np.array([0, 1, 1, 0])


def logits(taken: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    return np.eye(classes, dtype=np.float32)[taken] * 3 - 1


def pairs(classes: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    number = st.integers(0, classes - 1)
    return st.lists(st.tuples(number, number), min_size=1, max_size=40)


@settings(deadline=None)
@given(st.integers(2, 5).flatmap(lambda c: st.tuples(st.just(c), pairs(c))))
def test_classes_are_scored_as_scikit_learn_does(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")
    classes, (right, taken) = drawn[0], np.array(drawn[1]).T

    found = evaluate(OF_CLASSES, logits(taken, classes), right)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a single class is what we want to see as well
        expected = {
            "accuracy": sklearn.accuracy_score(right, taken),
            "matthews": sklearn.matthews_corrcoef(right, taken),
            "f1-macro": sklearn.f1_score(right, taken, average="macro", zero_division=0.0),
        }
    assert pytest.approx(expected, abs=1e-12) == found


@settings(deadline=None)
@given(pairs(2))
def test_f1_is_scikit_learns_of_class_one(drawn: list[tuple[int, int]]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")
    right, taken = np.array(drawn).T

    expected = sklearn.f1_score(right, taken, zero_division=0.0)

    assert pytest.approx(expected, abs=1e-12) == evaluate(("f1",), logits(taken, 2), right)["f1"]


def test_classes_are_scored_as_counted_by_hand() -> None:
    # of class 1: two found, one missed, one taken wrongly; of class 0: one found
    right, taken = np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0])

    found = evaluate(("f1", "accuracy", "matthews"), logits(taken, 2), right)

    assert pytest.approx({"f1": 2 / 3, "accuracy": 3 / 5, "matthews": 1 / 6}) == found


scores = st.lists(
    st.tuples(st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, 0.25, 1.5, 3.0, 5.0])),
    min_size=2,
    max_size=30,
)


@settings(deadline=None)
@given(scores)
def test_scores_are_correlated_as_scipy_does(drawn: list[tuple[float, float]]) -> None:
    import scipy.stats

    outputs, labels = np.array(drawn).T

    found = evaluate(("pearson", "spearman"), outputs.astype(np.float32), labels)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant, or nearly constant, outputs
        expected = {
            "pearson": scipy.stats.pearsonr(outputs, labels).statistic,
            "spearman": scipy.stats.spearmanr(outputs, labels).statistic,
        }
    if len(set(outputs)) > 1 and np.ptp(outputs) > 1e-6 * np.abs(outputs).max():
        expected = {name: np.nan_to_num(value) for name, value in expected.items()}
        assert pytest.approx(expected, abs=1e-6) == found
    assert all(-1 <= value <= 1 for value in found.values())


@pytest.mark.parametrize("constant", [0.0, 0.1, -3e7])
def test_a_constant_output_correlates_with_nothing(constant: float) -> None:
    outputs = np.full(5, constant, np.float32)

    found = evaluate(("pearson", "spearman"), outputs, np.arange(5.0))

    assert {"pearson": 0.0, "spearman": 0.0} == found


def test_tiny_and_huge_scores_correlate_like_others() -> None:
    labels = np.array([1.0, 2.0, 4.0])

    for scale in (1e-38, 1e38):
        found = evaluate(("pearson",), (labels * scale / 4).astype(np.float32), labels)
        assert pytest.approx(1.0) == found["pearson"]


def test_a_network_that_takes_all_for_one_class_has_no_correlation_and_no_f1() -> None:
    found = evaluate(("matthews", "f1"), logits(np.zeros(4, np.int64), 2), LABELS)

    assert {"matthews": 0.0, "f1": 0.0} == found


def test_matthews_of_as_many_examples_as_qqp_has_does_not_overflow() -> None:
    right = np.arange(4_000_000, dtype=np.int64) % 2

    assert pytest.approx(1.0) == evaluate(("matthews",), logits(right, 2), right)["matthews"]


def test_scores_may_come_as_a_column() -> None:
    scores = np.array([0.1, 0.4, 0.2, 0.9], np.float32)

    expected = evaluate(("spearman",), scores, np.arange(4.0))

    assert expected == evaluate(("spearman",), scores[:, None], np.arange(4.0))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_have_no_score(bad: float) -> None:
    outputs = logits(LABELS, 2)
    outputs[2, 0] = bad

    with pytest.raises(BadInputError, match="not finite"):
        evaluate(("accuracy",), outputs, LABELS)


@pytest.mark.parametrize(
    ("metric", "shape", "message"),
    [
        ("bleu", (4, 2), "no metric is called 'bleu'"),
        ("span-f1", (4, 2), "compares texts"),
        ("exact", (4, 2), "compares texts"),
        ("f1", (4, 3), "f1 is of two classes, not 3"),
        ("pearson", (4, 2), "one score an example"),
        ("accuracy", (4,), "a logit a class"),
        ("accuracy", (4, 1), "a logit a class"),
        ("accuracy", (3, 2), "3 outputs for 4 labels"),
    ],
)
def test_what_does_not_fit_is_refused(metric: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        evaluate((metric,), np.zeros(shape, np.float32), LABELS)


@pytest.mark.parametrize("labels", [[0, 1, 2, 0], [0, -1, 1, 0]])
def test_labels_of_no_class_are_refused(labels: list[int]) -> None:
    with pytest.raises(BadInputError, match="for 2 classes"):
        evaluate(("accuracy",), logits(LABELS, 2), np.array(labels))


def test_no_examples_have_no_score() -> None:
    with pytest.raises(BadInputError, match="0 outputs for 0 labels"):
        evaluate(("accuracy",), np.zeros((0, 2), np.float32), np.zeros(0))


def test_every_metric_but_those_of_spans_is_computed() -> None:
    outputs, labels = logits(LABELS, 2), LABELS

    for name in set(METRICS) - set(SPANS):
        ranked = outputs[:, 1] if name in {"pearson", "spearman"} else outputs
        assert pytest.approx(1.0) == evaluate((name,), ranked, labels)[name]
    assert METRICS == known(METRICS)

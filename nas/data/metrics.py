"""How right a network's outputs are: GLUE's and SQuAD's measures. Knows no task and no network.

Definitions are those of GLUE's own scripts (scikit-learn and SciPy behind them), written down for
arrays; what those leave undefined is 0 here, so that a network that learnt nothing has a score.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from results.errors import BadInputError

Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]

METRICS = ("accuracy", "matthews", "f1", "f1-macro", "pearson", "spearman", "exact", "span-f1")
"""All are better the higher, and a perfect network has 1.

`accuracy`: share of examples whose class is right, 0 ... 1.
`matthews`: correlation of given and right classes, any number of them, -1 ... 1.
`f1`: harmonic mean of precision and recall of class 1, of a task of two classes, 0 ... 1.
`f1-macro`: mean over classes of the `f1` of each, 0 ... 1.
`pearson`, `spearman`: correlation of scores, and of their ranks (ties share theirs), -1 ... 1.
`exact`, `span-f1`: share of answers in SQuAD's normal form that are right, and the mean overlap of
their words, 0 ... 1; taken from texts by `nas.data.squad.score_answers`, not from outputs.
"""

SPANS = ("exact", "span-f1")
"""Those that compare texts."""


def evaluate(
    metrics: tuple[str, ...], outputs: NDArray[np.float32], labels: NDArray[np.generic]
) -> dict[str, float]:
    """Each of the metrics, by name.

    Args:
        metrics: names of `METRICS`, those of spans left out.
        outputs: (N, classes), logits; or (N,) or (N, 1), scores.
        labels: (N,), class numbers or scores.

    Raises:
        BadInputError: a metric that is not known or does not fit; outputs that are no numbers.
    """
    if not np.isfinite(outputs).all():
        message = "some outputs are not finite; the network diverged, so lower its learning rate"
        raise BadInputError(message)
    if len(outputs) != len(labels) or not len(labels):
        raise BadInputError(f"{len(outputs)} outputs for {len(labels)} labels; give one for each")
    return {name: _evaluate(name, np.asarray(outputs), np.asarray(labels)) for name in metrics}


def known(metrics: tuple[str, ...]) -> tuple[str, ...]:
    """The same names, if all of them are metrics."""
    for name in metrics:
        if name not in METRICS:
            raise BadInputError(f"no metric is called {name!r}; there are {', '.join(METRICS)}")
    return metrics


def _evaluate(name: str, outputs: NDArray[np.float32], labels: NDArray[np.generic]) -> float:
    known((name,))
    if name in SPANS:
        raise BadInputError(f"{name} compares texts: decode the answers and score those")
    if name in _OF_SCORES:
        if outputs.size != len(outputs):
            raise BadInputError(f"{name} needs one score an example, not shape {outputs.shape}")
        return _OF_SCORES[name](outputs.reshape(-1).astype(np.float64), labels.astype(np.float64))
    if outputs.ndim != 2 or outputs.shape[1] < 2:  # noqa: PLR2004
        raise BadInputError(f"{name} needs a logit a class, (N, classes), not {outputs.shape}")
    return _OF_CLASSES[name](_confusion(outputs, labels))


def _confusion(outputs: NDArray[np.float32], labels: NDArray[np.generic]) -> Integers:
    """How often a class (row) was taken for a class (column); (classes, classes)."""
    classes = outputs.shape[1]
    right = labels.astype(np.int64)
    if right.min() < 0 or right.max() >= classes:
        raise BadInputError(f"labels are {right.min()} ... {right.max()} for {classes} classes")
    taken = outputs.argmax(axis=1)
    return np.bincount(right * classes + taken, minlength=classes**2).reshape(classes, classes)


def _accuracy(counts: Integers) -> float:
    return float(np.trace(counts) / counts.sum())


def _matthews(counts: Integers) -> float:
    """Gorodkin 2004, equation 8: the covariance of two indicator matrices over its bound."""
    n, right, taken = float(counts.sum()), counts.sum(axis=1), counts.sum(axis=0)
    together = np.trace(counts) * n - float(right @ taken)
    apart = (n**2 - float(right @ right)) * (n**2 - float(taken @ taken))
    return float(together / np.sqrt(apart)) if apart > 0 else 0.0


def _f1s(counts: Integers) -> Doubles:
    """Of each class, (classes,)."""
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return np.asarray(2 * np.diag(counts) / np.maximum(both, 1), np.float64)


def _f1(counts: Integers) -> float:
    if len(counts) != 2:  # noqa: PLR2004
        raise BadInputError(f"f1 is of two classes, not {len(counts)}; take f1-macro or accuracy")
    return float(_f1s(counts)[1])


def _f1_macro(counts: Integers) -> float:
    """Over the classes that were right or taken somewhere, as scikit-learn does."""
    there = counts.sum(axis=0) + counts.sum(axis=1) > 0
    return float(_f1s(counts)[there].mean())


def _pearson(scores: Doubles, labels: Doubles) -> float:
    one, two = _unit(scores), _unit(labels)
    return float(np.clip(one @ two, -1, 1))


def _unit(values: Doubles) -> Doubles:
    """Deviations from the mean, of length one; zeros where there are none worth the name."""
    deviations = values - values.mean()
    largest = np.abs(deviations).max()
    if largest <= 1e-13 * np.abs(values).max():
        return np.zeros_like(values)
    deviations /= largest
    return np.asarray(deviations / np.linalg.norm(deviations), np.float64)


def _spearman(scores: Doubles, labels: Doubles) -> float:
    from scipy.stats import rankdata

    return _pearson(rankdata(scores), rankdata(labels))


_OF_CLASSES: dict[str, Callable[[Integers], float]] = {
    "accuracy": _accuracy,
    "matthews": _matthews,
    "f1": _f1,
    "f1-macro": _f1_macro,
}
_OF_SCORES: dict[str, Callable[[Doubles, Doubles], float]] = {
    "pearson": _pearson,
    "spearman": _spearman,
}

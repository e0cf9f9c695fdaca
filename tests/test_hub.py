"""Data sets of the hub become tasks; with the library itself where it is installed.

Elsewhere a stand-in has the part of its interface that is used: `features`, `column_names` and
columns that are sliced.
"""

import logging
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from nas.data import hub
from nas.data.hub import Columns
from results.errors import BadInputError

REAL = find_spec("datasets") is not None
ONE = Columns(("text",))
PAIR = Columns(("one", "two"))
BINARY = ("bad", "good")


@dataclass
class StandIn:
    features: dict[str, Any]
    columns: dict[str, list[Any]]

    @property
    def column_names(self) -> list[str]:
        return list(self.columns)

    def __getitem__(self, column: str) -> list[Any]:
        return self.columns[column]


def dataset(columns: dict[str, list[Any]], names: tuple[str, ...], dtype: str) -> Any:
    """What `datasets.Dataset.from_dict` gives: texts, and labels of a kind."""
    if not REAL:
        label = SimpleNamespace(dtype="int64" if names else dtype)
        if names:
            label.names = list(names)
        return StandIn(
            {n: SimpleNamespace(dtype="string") for n in columns} | {"label": label}, columns
        )
    import datasets  # type: ignore[import-not-found, unused-ignore]

    label = datasets.ClassLabel(names=list(names)) if names else datasets.Value(dtype)
    texts = {name: datasets.Value("string") for name in columns}
    return datasets.Dataset.from_dict(
        columns, features=datasets.Features(texts | {"label": label})
    )


def made(labels: list[Any], names: tuple[str, ...] = (), dtype: str = "int64") -> Any:
    texts = [f"text {n} of {len(labels)}" for n in range(len(labels))]
    return dataset({"text": texts, "label": labels}, names, dtype)


def sizes(task: Any) -> dict[str, int]:
    return {name: len(split) for name, split in task.splits.items()}


def test_classes_keep_their_numbers_and_names() -> None:
    found = {"train": made([1, 0] * 15, BINARY), "validation": made([0, 1, 1], BINARY)}

    task = hub.task_of("a/b", found | {"test": made([1], BINARY)}, ONE)

    assert ("classes", BINARY, ("accuracy",)) == (task.kind, task.labels, task.metrics)
    assert {"train": 30, "dev": 3, "test": 1} == sizes(task)
    assert (0, 1, 1) == task.splits["dev"].labels
    assert ("text 0 of 3", "text 1 of 3", "text 2 of 3") == task.splits["dev"].texts
    assert task.splits["dev"].pairs is None
    assert "hub a/b" == task.source


def test_a_test_split_without_labels_gives_way_to_one_held_out() -> None:
    found = {"train": made([1, 0] * 15, BINARY), "validation": made([0, 1, 1], BINARY)}

    task = hub.task_of("a/b", found | {"test": made([-1] * 5, BINARY)}, ONE)

    assert {"train": 28, "dev": 3, "test": 2} == sizes(task)
    train, test = task.splits["train"], task.splits["test"]
    assert 30 == len({*train.texts, *test.texts})
    assert "hub a/b; 5 examples of test without text or label left out" == task.source


@pytest.mark.parametrize(
    ("dtype", "labels", "expected"),
    [
        ("int64", [1, 2] * 30, {"train": 50, "dev": 6, "test": 4}),
        ("float32", [n / 12 for n in range(60)], {"train": 49, "dev": 6, "test": 5}),
    ],
)
def test_unlabelled_test_splits_of_unnamed_labels_are_known_too(
    dtype: str, labels: list[Any], expected: dict[str, int]
) -> None:
    found = {"train": made(labels, dtype=dtype), "test": made([-1] * 4, dtype=dtype)}

    assert expected == sizes(hub.task_of("a/b", found, ONE))


def test_validation_goes_before_dev_where_a_data_set_has_both() -> None:
    train, four, five = (made([0, 1, 1, 0, 1] * n, BINARY) for n in (12, 4, 5))

    task = hub.task_of("a/b", {"dev": five, "validation": four, "train": train}, ONE)

    assert 20 == len(task.splits["dev"])


def test_pairs_have_two_texts_and_matched_splits_stay_apart() -> None:
    def nli(count: int) -> Any:
        columns = {"one": ["a"] * count, "two": [f"b{n}" for n in range(count)]}
        return dataset({**columns, "label": [n % 3 for n in range(count)]}, ("e", "n", "c"), "")

    found = {"train": nli(60), "validation_matched": nli(4), "validation_mismatched": nli(5)}

    task = hub.task_of("nyu-mll/glue:mnli", found | {"test_matched": nli(7)}, PAIR)

    assert {"train": 60, "dev": 4, "dev-mismatched": 5, "test": 7} == sizes(task)
    assert (("a",) * 4, ("b0", "b1", "b2", "b3")) == (
        task.splits["dev"].texts,
        task.splits["dev"].pairs,
    )


@pytest.mark.parametrize(
    ("labels", "dtype", "names"),
    [
        (["ham", "spam", "ham"], "string", ("ham", "spam")),
        ([2, -1, 0], "int64", ("-1", "0", "2")),
        ([True, False, True], "bool", ("False", "True")),
    ],
)
def test_labels_without_names_are_numbered_in_their_order(
    labels: list[Any], dtype: str, names: tuple[str, ...]
) -> None:
    found = {"train": made(labels * 10, dtype=dtype), "dev": made(labels, dtype=dtype)}

    task = hub.task_of("a/b", found, ONE)

    assert names == task.labels
    assert [str(label) for label in labels] == [names[int(n)] for n in task.splits["dev"].labels]


def test_scores_are_numbers() -> None:
    scores = [n / 10 for n in range(50)]

    task = hub.task_of("a/b", {"train": made(scores, dtype="float64")}, ONE)

    assert ("score", (), ("pearson", "spearman")) == (task.kind, task.labels, task.metrics)
    assert scores == sorted(x for split in task.splits.values() for x in split.labels)


def test_examples_without_text_or_label_are_left_out_and_counted() -> None:
    columns: dict[str, list[Any]] = {
        "text": ["a", None, "c", "d"] * 12,
        "label": [0, 1, -1, 1] * 12,
    }
    whole = made([0, 1], BINARY)

    task = hub.task_of(
        "a/b", {"train": dataset(columns, BINARY, ""), "valid": whole, "test": whole}, ONE
    )

    assert ("a", "d") * 12 == task.splits["train"].texts
    assert (0, 1) * 12 == task.splits["train"].labels
    assert "hub a/b; 24 examples of train without text or label left out" == task.source


def test_an_unlabelled_score_is_left_out() -> None:
    scores = [float("nan"), None, 0.5, 0.25]
    whole = made([0.5], dtype="float32")
    found = {"train": made(scores, dtype="float32"), "val": whole, "test": whole}

    assert (0.5, 0.25) == hub.task_of("a/b", found, ONE).splits["train"].labels


@pytest.mark.parametrize(
    ("name", "given", "metrics"),
    [
        ("nyu-mll/glue:mrpc", (), ("f1", "accuracy")),
        ("glue:cola", (), ("matthews",)),
        ("glue:ax", (), ("accuracy",)),
        ("a/unglue:mrpc", (), ("accuracy",)),
        ("a/b", ("matthews",), ("matthews",)),
    ],
)
def test_metrics_are_glues_for_glue(
    name: str, given: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    assert metrics == hub.task_of(name, {"train": made([0, 1] * 40, BINARY)}, ONE, given).metrics


@pytest.mark.parametrize(
    ("split", "columns", "metrics", "message"),
    [
        ("train", Columns(("body",)), (), r"`train` has no column 'body', only text, label"),
        ("train", Columns(("text",), "y"), (), r"`train` has no column 'y'"),
        ("train", Columns(()), (), "needs one or two columns of texts"),
        ("train", Columns(("text",) * 3), (), "needs one or two columns of texts"),
        ("train", ONE, ("bleu",), "no metric is called 'bleu'"),
        ("all", ONE, (), "a/b has no split `train`, only all"),
    ],
)
def test_what_the_data_set_does_not_have_is_named(
    split: str, columns: Columns, metrics: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        hub.task_of("a/b", {split: made([0, 1] * 40, BINARY)}, columns, metrics)


def test_labels_that_cannot_be_learnt_are_refused() -> None:
    train = made([0, 1] * 20)

    with pytest.raises(BadInputError, match=r"label '7' in `dev` is none of 0, 1"):
        hub.task_of("a/b", {"train": train, "dev": made([7])}, ONE)
    with pytest.raises(BadInputError, match="`train` has one label"):
        hub.task_of("a/b", {"train": made([1] * 40)}, ONE)
    with pytest.raises(BadInputError, match="column 'label' has no labels, but timestamp"):
        hub.task_of("a/b", {"train": made([1, 2], dtype="timestamp[s]")}, ONE)
    with pytest.raises(BadInputError, match="no example with a text and a label"):
        hub.task_of("a/b", {"train": made([-1] * 40, BINARY)}, ONE)


class Broken(ModuleType):
    """A `datasets` that has what is asked for, or fails as the real one does."""

    class exceptions:  # noqa: D106, N801
        class DatasetsError(Exception):
            """As theirs, no kind of OSError."""

    def __init__(self, answer: object) -> None:
        super().__init__("datasets")
        self.asked: list[object] = []
        self._answer = answer

    def load_dataset(self, path: str, name: str | None) -> object:
        self.asked += [path, name]
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_the_librarys_warnings_are_as_loud_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("huggingface_hub")
    monkeypatch.setitem(sys.modules, "datasets", Broken({"train": made([0, 1] * 40, BINARY)}))
    monkeypatch.setattr(logger, "level", logging.INFO)

    hub.load("rotten_tomatoes", ONE)

    assert logging.INFO == logger.level


def test_the_configuration_stands_after_a_colon(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Broken({"train": made([0, 1] * 40, BINARY)})
    monkeypatch.setitem(sys.modules, "datasets", module)

    hub.load("nyu-mll/glue:cola", ONE)
    task = hub.load("rotten_tomatoes", ONE)

    assert ["nyu-mll/glue", "cola", "rotten_tomatoes", None] == module.asked
    assert "rotten_tomatoes" == task.name


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Couldn't reach 'x'\non the Hub"),
        RuntimeError("Dataset scripts are no longer supported, but found x.py"),
        ValueError("BuilderConfig 'y' not found"),
        Broken.exceptions.DatasetsError("gated"),
    ],
)
def test_no_connection_is_one_sentence(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", Broken(error))

    with pytest.raises(BadInputError, match="x cannot be had from the hub") as refused:
        hub.load("x", ONE)

    assert "\n" not in str(refused.value)


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)

    with pytest.raises(BadInputError, match="pip install 'datasets>=4'"):
        hub.load("x", ONE)


@pytest.mark.skipif(not REAL, reason="the datasets library is not installed")
def test_the_library_itself_reads_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set").mkdir()
    for name, count in (("train", 40), ("validation", 4)):
        rows = [f'"text, {n}",{"good" if n % 2 else "bad"}' for n in range(count)]
        (tmp_path / "set" / f"{name}.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    task = hub.load(str(tmp_path / "set"), ONE)

    assert BINARY == task.labels
    assert {"train": 36, "dev": 4, "test": 4} == sizes(task)
    with pytest.raises(BadInputError, match="cannot be had from the hub"):
        hub.load(str(tmp_path / "nowhere"), ONE)

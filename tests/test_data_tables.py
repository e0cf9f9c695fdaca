"""A person's CSV, TSV and JSON lines as tasks; what is wrong with them is said with its line."""

import csv
import json
import re
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.data import tables, tasks
from nas.data.columns import Columns
from nas.data.splits import Dropped, Example
from nas.data.task import DEV, TEST, TRAIN, Task
from results.errors import BadInputError

ROWS = [(f"text number {n}", "good" if n % 2 else "bad") for n in range(40)]


def write(path: Path, rows=ROWS, header=("text", "label")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(dict(zip(header, r, strict=True))) + "\n" for r in rows)
        elif path.suffix == ".tsv":
            file.writelines("\t".join(map(str, row)) + "\n" for row in (header, *rows))
        else:
            csv.writer(file).writerows([header, *rows])
    return path


def load(path: Path, **columns: str) -> Task:
    return tasks.load(str(path), columns=Columns(**columns), say=print)


def said(task: Task) -> set[tuple[str, str | None, str]]:
    """All examples of a task of classes, in words."""
    found = set()
    for split in task.splits.values():
        pairs = split.pairs or [None] * len(split)
        labels = [task.labels[int(number)] for number in split.labels]
        found |= set(zip(split.texts, pairs, labels, strict=True))
    return found


def lines(path: Path) -> list[tuple[int, dict[str, object]]]:
    return [(number, dict(cells)) for number, cells in tables.read(path).lines]


@pytest.mark.parametrize("suffix", tables.SUFFIXES)
def test_every_format_gives_the_same_task(tmp_path, suffix) -> None:
    task = load(write(tmp_path / f"reviews{suffix}"))

    assert {(text, None, label) for text, label in ROWS} == said(task)
    assert ("reviews", "classes", ("bad", "good")) == (task.name, task.kind, task.labels)
    assert ("accuracy",) == task.metrics
    assert {TRAIN: 32, DEV: 4, TEST: 4} == {name: len(s) for name, s in task.splits.items()}


def test_the_source_is_the_checksum_of_the_file(tmp_path) -> None:
    import hashlib

    path = write(tmp_path / "reviews.csv")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    assert f"reviews.csv@sha256:{digest[:16]}" == load(path).source


TEXT = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0\ufeff"), max_size=9
)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT).filter(any), min_size=1, max_size=5))
def test_csv_cells_come_back_as_they_were_written(tmp_path_factory, rows) -> None:
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", rows, ("one", "two"))

    assert rows == [(c["one"], c["two"]) for _, c in lines(path)]


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_json_cells_come_back_as_they_were_written(tmp_path_factory, rows) -> None:
    path = write(tmp_path_factory.mktemp("jsonl") / "a.jsonl", rows, ("one", "two"))

    assert rows == [(c["one"], c["two"]) for _, c in lines(path)]


def test_quotes_are_letters_in_a_tsv_file(tmp_path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b'text\tlabel\r\n"so" he said\tx\r\n\r\n"never closed\ty\r\n')

    assert [
        (2, {"text": '"so" he said', "label": "x"}),
        (4, {"text": '"never closed', "label": "y"}),
    ] == lines(path)


def test_a_csv_line_is_numbered_by_where_it_begins(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"two\nlines",x\n\nnext,y\n')

    assert [2, 5] == [number for number, _ in lines(path)]


@pytest.mark.parametrize(
    ("header", "columns", "found"),
    [
        (("sentence", "label"), {}, ("a", None, "b")),
        (("Sentence", "LABELS"), {}, ("a", None, "b")),
        (("id", "sentence1", "sentence2", "class"), {}, ("b", "c", "d")),
        (("premise", "hypothesis", "labels"), {}, ("a", "b", "c")),
        (("question1", "question2", "label"), {}, ("a", "b", "c")),
        (("review", "label"), {"text": "review"}, ("a", None, "b")),
        ((" review ", "label"), {"text": "review"}, ("a", None, "b")),
        (("premise", "hypothesis", "label"), {"text": "hypothesis"}, ("b", None, "c")),
        (("x", "y", "z"), {"text": "y", "pair": "x", "label": "z"}, ("b", "a", "c")),
        (("text", "sentence", "label"), {"text": "sentence"}, ("b", None, "c")),
    ],
)
def test_columns_have_usual_names_or_the_ones_that_were_given(
    tmp_path, header, columns, found
) -> None:
    table = tables.read(write(tmp_path / "a.csv", ["abcdef"[: len(header)]], header))

    (example,) = tables.examples(table, Columns(**columns)) or []

    assert found == (example.text, example.pair, example.label)


def test_white_space_around_the_name_of_a_column_is_not_looked_at(tmp_path) -> None:
    path = write(tmp_path / "a.jsonl", header=(" Text", "label "))

    assert {(text, None, label) for text, label in ROWS} == said(load(path))


@pytest.mark.parametrize(
    ("header", "columns", "sentence"),
    [
        (
            ("text", "sentence", "label"),
            {},
            "several columns .* the text, 'text', 'sentence': name",
        ),
        (("text", "label", "class"), {}, "several columns .* the label, 'label', 'class': name"),
        (("review", "label"), {}, "no column with a usual name for the text.* 'review', 'label'"),
        (
            ("text", "stars"),
            {},
            "no column with a usual name for the label.* --label-column.*stars",
        ),
        (
            ("text", "label"),
            {"text": "Text"},
            "no column 'Text' to hold the text: it has 'text', ",
        ),
        (("text", "label"), {"pair": "b"}, "no column 'b' to hold the second text"),
        (("text", "label"), {"text": "text", "pair": "b"}, "no column 'b' to hold the second"),
        (("text", "label"), {"pair": "text"}, "'text' of .* cannot be two things at once"),
        (("text", "label"), {"label": "text"}, "'text' of .* cannot be two things at once"),
        (("text", "text"), {}, "two columns 'text'"),
    ],
)
def test_columns_that_cannot_be_told_are_listed(tmp_path, header, columns, sentence) -> None:
    path = write(tmp_path / "a.csv", ["abc"[: len(header)]], header)

    with pytest.raises(BadInputError, match=sentence) as error:
        load(path, **columns)
    assert "a.csv" in str(error.value)


def test_numbers_with_a_fraction_are_scores(tmp_path) -> None:
    rows = [(f"text {n}", n / 4) for n in range(30)]
    task = load(write(tmp_path / "a.jsonl", rows))

    assert ("score", (), ("pearson", "spearman")) == (task.kind, task.labels, task.metrics)
    assert {TRAIN: 24, DEV: 3, TEST: 3} == {name: len(s) for name, s in task.splits.items()}
    for split in task.splits.values():
        assert [int(text.split()[1]) / 4 for text in split.texts] == list(split.labels)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (("10", "9"), ("9", "10")),
        (("1", "0"), ("0", "1")),
        (("1.0", "0.0"), ("0.0", "1.0")),
        (("b", "10"), ("10", "b")),
        (("-1", "1"), ("-1", "1")),
        (("nan", "0.5"), ("0.5", "nan")),
        ((True, False), ("false", "true")),
    ],
)
def test_classes_are_in_sorted_order(tmp_path, labels, classes) -> None:
    rows = [(f"text {n}", labels[n % 2]) for n in range(40)]

    assert classes == load(write(tmp_path / "a.jsonl", rows)).labels


def test_repeated_and_contradictory_texts_are_left_out_and_counted(tmp_path, capsys) -> None:
    rows = [*ROWS, ("Text  NUMBER 1", "good"), ("text number 2", "good")]
    task = load(write(tmp_path / "a.csv", rows))

    assert 39 == sum(map(len, task.splits.values()))
    said_so = "examples left out: 1 repeated, 2 with a text that has two labels"
    assert said_so in capsys.readouterr().out


def test_a_folder_has_a_file_for_each_split_and_keeps_them(tmp_path) -> None:
    write(tmp_path / "train.csv")
    write(tmp_path / "validation.tsv", [("new", "good"), ("text number 3", "good")])
    write(tmp_path / "test.jsonl", [("newer", "bad"), ("newer", "good"), ("new", "good")])
    task = load(tmp_path)

    train = {text for text, _ in ROWS} - {"text number 3"}
    assert train == set(task.splits[TRAIN].texts)
    assert ("text number 3",) == task.splits[DEV].texts
    assert ("newer", "newer", "new") == task.splits[TEST].texts
    for name in ("train.csv@", "validation.tsv@", "test.jsonl@"):
        assert name in task.source


@pytest.mark.parametrize(
    ("files", "sizes"),
    [
        (("train",), {TRAIN: 32, DEV: 4, TEST: 4}),
        (("train", "dev"), {TRAIN: 40, DEV: 1}),
        (("train", "test"), {TRAIN: 36, DEV: 4, TEST: 1}),
    ],
)
def test_what_a_folder_lacks_is_taken_from_train_unless_it_has_dev(tmp_path, files, sizes) -> None:
    for name in files:
        write(tmp_path / f"{name}.csv", ROWS if name == "train" else [("new", "good")])

    assert sizes == {name: len(split) for name, split in load(tmp_path).splits.items()}


def test_a_fraction_in_any_file_of_a_folder_makes_scores_of_all(tmp_path) -> None:
    write(tmp_path / "train.csv", [(f"text {n}", n % 3) for n in range(40)])
    write(tmp_path / "dev.csv", [(f"other {n}", n % 3 + 0.5) for n in range(4)])

    assert "score" == load(tmp_path).kind


def test_every_label_gives_a_tenth_of_its_own(tmp_path) -> None:
    rows = [(f"text {n}", "rare" if n < 20 else "common") for n in range(200)]

    task = load(write(tmp_path / "a.csv", rows))

    assert [2, 2] == [task.splits[part].labels.count(1) for part in (DEV, TEST)]


def test_what_files_share_is_counted_with_what_is_repeated(tmp_path) -> None:
    write(tmp_path / "train.csv", [*ROWS, ROWS[0], ("mine", "good")])
    write(tmp_path / "dev.csv", [("Mine", "good"), ("yours", "bad")])

    _, dropped = tables.load(tmp_path, Columns(), say=print)

    assert Dropped(repeated=1, shared=1) == dropped


def test_a_table_is_told_by_its_bytes_and_its_suffix(tmp_path) -> None:
    content = "\ufefftext,label\r\n a ,b\r\n".encode()
    path = tmp_path / "a.csv"
    path.write_bytes(content)

    table = tables.read(path)

    assert sha256(content).hexdigest() == table.sha256
    assert [Example("a", "b")] == tables.examples(table, Columns())
    with pytest.raises(BadInputError, match=r"a\.txt: name a \.csv, \.tsv or \.jsonl file"):
        tables.read(path.rename(tmp_path / "a.txt"))


def test_a_line_of_a_tsv_file_may_begin_or_end_with_an_empty_cell(tmp_path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("note\ttext\tlabel\tmore\n\ta\tb\t\n", "utf-8")

    assert [Example("a", "b")] == tables.examples(tables.read(path), Columns())


def test_cells_without_anything_are_an_empty_line(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,b\n,\nc,d\n", "utf-8")

    assert [2, 4] == [number for number, _ in lines(path)]


def test_a_line_separator_in_a_text_ends_no_line_of_json(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a\u2028b", "label": "c"}\n', "utf-8")

    assert [Example("a\u2028b", "c")] == tables.examples(tables.read(path), Columns())


def test_few_examples_may_have_many_labels(tmp_path) -> None:
    rows = [(f"text {n}", "often" if n < 10 else f"once {n}") for n in range(40)]

    task = load(write(tmp_path / "a.csv", rows))

    assert 31 == len(task.labels)


def test_only_tables_of_a_folder_are_read_and_told_by_name(tmp_path) -> None:
    for name in ("training.csv", "valid.tsv", "test.jsonl"):
        rows = ROWS if name == "training.csv" else [(f"{name} {n}", "good") for n in range(3)]
        write(tmp_path / name, rows)
    (tmp_path / "train.txt").write_text("notes", "utf-8")

    task = load(tmp_path)

    assert [40, 3, 3] == [len(task.splits[part]) for part in (TRAIN, DEV, TEST)]
    told = re.findall(r"([a-z]+\.[a-z]+)@sha256:[0-9a-f]{16}", task.source)
    assert ["test.jsonl", "training.csv", "valid.tsv"] == told


def test_too_few_examples_for_a_dev_split_are_told(tmp_path) -> None:
    write(tmp_path / "train.csv", ROWS[:9])
    write(tmp_path / "test.csv", [("other", "good")])

    with pytest.raises(BadInputError, match="9 different examples, too few to take a dev split"):
        load(tmp_path)


def test_an_object_is_no_text(tmp_path) -> None:
    path = write(tmp_path / "a.jsonl", [({"en": "a"}, "b")])

    with pytest.raises(BadInputError, match=r"line 1: the column 'text' holds a list or an obj"):
        tables.examples(tables.read(path), Columns())


def test_a_test_file_without_labels_is_left_out(tmp_path, capsys) -> None:
    write(tmp_path / "train.csv")
    write(tmp_path / "dev.csv", [("new", "good")])
    write(tmp_path / "test.csv", [("newer", "1")], ("text", "id"))

    assert {TRAIN, DEV} == load(tmp_path).splits.keys()
    assert "test.csv has no labels: it is left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"", "holds no examples"),
        ("a.csv", b"text,label\n", "holds no examples"),
        ("a.csv", b"text,label\na,x\nb\n", "line 3 has 1 cells for 2 columns"),
        ("a.tsv", b"text\tlabel\na\tx\ty\n", "line 2 has 3 cells for 2 columns"),
        ("a.csv", b'text,label\na,x\n"b,x\n', "line 3 is no CSV: .*quote never closed"),
        ("a.csv", b"text,label\na,x\n ,x\n", "line 3: the column 'text' is empty"),
        ("a.csv", b"text,label\na,\n", "line 2: the column 'label' is empty"),
        ("a.csv", b"text,pair,label\na,,x\n", "line 2: the column 'pair' is empty"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text": "b"}\n', "line 2: .* 'label' is empty"),
        ("a.jsonl", b'{"text": "b"}\n{"text": "a", "label": 1}\n', "line 1: .* 'label' is empty"),
        ("a.jsonl", b'{"text": null, "label": 1}\n', "line 1: .* 'text' is empty"),
        ("a.jsonl", b'{"text": ["a"], "label": 1}\n', "line 1: .* 'text' holds a list"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text"\n', "line 2 is no JSON object"),
        ("a.jsonl", b"[1]\n", "line 1 is no JSON object"),
        ("a.csv", b"text,label\na,x\nb\xff,x\n", r"not UTF-8 text \(line 3\)"),
        ("a.csv", b"text,label\na\0,x\n", "zero bytes"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path, name, content, sentence) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(BadInputError, match=sentence) as error:
        load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_data_of_one_class_is_refused(tmp_path) -> None:
    rows = [(f"text {n}", "good") for n in range(40)]

    with pytest.raises(BadInputError, match="a has only the label 'good' to learn from"):
        load(write(tmp_path / "a.csv", rows))


def test_scores_that_are_all_alike_are_refused(tmp_path) -> None:
    rows = [(f"text {n}", 0.5) for n in range(40)]

    with pytest.raises(BadInputError, match="one score"):
        load(write(tmp_path / "a.csv", rows))


@pytest.mark.parametrize("part", ["dev", "test"])
def test_labels_that_train_never_shows_are_named(tmp_path, part) -> None:
    write(tmp_path / "train.csv")
    write(tmp_path / f"{part}.csv", [("new", "good"), ("newer", "ugly"), ("newest", "odd")])

    with pytest.raises(BadInputError, match=f"{part} of .* train never shows: 'odd', 'ugly';"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("label", "least"), [(lambda n: n % 2, "ten of one label"), (lambda n: n + 0.5, "ten are")]
)
def test_too_few_examples_to_divide_are_refused(tmp_path, label, least) -> None:
    rows = [(f"text {n}", label(n)) for n in range(9)]

    with pytest.raises(BadInputError, match=f"9 different examples, too few .* {least}"):
        load(write(tmp_path / "a.csv", rows))


def test_labels_that_are_no_classes_are_refused(tmp_path) -> None:
    rows = [(f"text {n}", f"id {n}") for n in range(200)]

    with pytest.raises(BadInputError, match=r"200 different labels for 200 .* --label-column"):
        load(write(tmp_path / "a.csv", rows))


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (("dev.csv",), "no train.csv, train.tsv or train.jsonl"),
        (("train.csv", "train.tsv"), "both train.csv and train.tsv"),
        (("train.csv", "dev.csv", "val.csv"), "both dev.csv and val.csv"),
    ],
)
def test_a_folder_with_too_few_or_too_many_files_is_refused(tmp_path, files, sentence) -> None:
    for name in files:
        write(tmp_path / name)

    with pytest.raises(BadInputError, match=sentence):
        load(tmp_path)


@pytest.mark.parametrize("name", ["none.csv", "none.jsonl"])
def test_a_file_that_is_not_there_is_named(tmp_path, name) -> None:
    with pytest.raises(BadInputError, match=re.escape(f"{name}: there is no such file")):
        load(tmp_path / name)

"""GLUE's files are read as transformers' own processors read them; what is broken is refused."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from nas.data import glue
from nas.data.task import Split
from results.errors import BadInputError

SIZES = {"train": 60, "dev": 3, "dev_matched": 3, "dev_mismatched": 4}

HEADERS = {
    "SST-2": "sentence label",
    "MRPC": "Quality|#1 ID|#2 ID|#1 String|#2 String",
    "STS-B": "index genre filename year old_index source1 source2 sentence1 sentence2 score",
    "QQP": "id qid1 qid2 question1 question2 is_duplicate",
    "MNLI": "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse "
    "sentence1_parse sentence2_parse sentence1 sentence2 label1 gold_label",
    "QNLI": "index question sentence label",
    "RTE": "index sentence1 sentence2 label",
    "WNLI": "index sentence1 sentence2 label",
}
LABELS = {
    "MNLI": ("neutral", "contradiction", "entailment"),
    "QNLI": ("not_entailment", "entailment"),
    "RTE": ("not_entailment", "entailment"),
    "STS-B": tuple(f"{5 * n / 59:.3f}" for n in reversed(range(60))),
}


def lines(folder: str, file: str) -> list[str]:
    """A file of the official layout, of made-up sentences with quotes as they come."""
    rows = []
    for n in range(SIZES[file]):
        one, two = f' {file} "quoted {n} é ', f"a '{n}\" \u2028 other "
        label = LABELS.get(folder, ("1", "0"))[n % len(LABELS.get(folder, "10"))]
        rows.append(
            {
                "CoLA": ["gj04", label, "*", one],
                "SST-2": [one, label],
                "MRPC": [label, f"7{n}", f"8{n}", one, two],
                "STS-B": [str(n), "news", "f", "2012", "01", "s", "none", one, two, label],
                "QQP": [str(n), "1", "2", one, two, label],
                "MNLI": [str(n), "p", "q", "g", "( a )", "( b )", "a", "b", one, two]
                + ["x"] * (5 if "dev" in file else 1)
                + [label],
            }.get(folder, [str(n), one, two, label])
        )
    header = HEADERS.get(folder, "")
    if folder == "MNLI" and "dev" in file:
        header = header.replace("label1", "label1 label2 label3 label4 label5")
    first = [header.replace("|", "\t") if "|" in header else header.replace(" ", "\t")]
    return (first if header else []) + ["\t".join(row) for row in rows]


def write(folder: Path, file: str, text: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text("\n".join(text) + "\n", encoding="utf-8")


@pytest.fixture
def glue_data(tmp_path: Path) -> Path:
    for layout in glue.TASKS.values():
        for file in SIZES:
            if ("matched" in file) == (layout.folder == "MNLI") or file == "train":
                write(tmp_path / layout.folder, f"{file}.tsv", lines(layout.folder, file))
    return tmp_path


def theirs(name: str, folder: Path, split: str) -> set[tuple[str, str | None, float]]:
    """Examples as transformers reads them, labels as the numbers its models are trained with."""
    from transformers import glue_processors

    processors: dict[str, Any] = glue_processors
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        key = "mnli-mm" if split == "dev-mismatched" else name
        processor = processors[key]()
    get = processor.get_train_examples if split == "train" else processor.get_dev_examples
    numbers = {label: n for n, label in enumerate(processor.get_labels())}
    return {
        (e.text_a, e.text_b, float(e.label) if name == "sts-b" else numbers[e.label])
        for e in get(str(folder))
    }


def ours(*splits: Split) -> set[tuple[str, str | None, float]]:
    return {
        (text, s.pairs[n] if s.pairs else None, s.labels[n])
        for s in splits
        for n, text in enumerate(s.texts)
    }


@pytest.mark.parametrize("name", glue.TASKS)
def test_examples_are_those_that_transformers_reads(name: str, glue_data: Path) -> None:
    task = glue.load(name, glue_data)

    folder = glue_data / glue.TASKS[name].folder
    assert theirs(name, folder, "train") == ours(task.splits["train"], task.splits["test"])
    for split in set(task.splits) - {"train", "test"}:
        assert theirs(name, folder, split) == ours(task.splits[split])


@pytest.mark.parametrize("name", glue.TASKS)
def test_test_is_a_tenth_of_train_and_dev_is_whole(name: str, glue_data: Path) -> None:
    task, again = glue.load(name, glue_data), glue.load(name, glue_data)

    sizes = {split: len(examples) for split, examples in task.splits.items()}

    more = {"dev-mismatched": 4} if name == "mnli" else {}
    assert {"train": 54, "dev": 3, "test": 6} | more == sizes
    assert task.splits["test"].digest == again.splits["test"].digest
    assert not ours(task.splits["train"]) & ours(task.splits["test"])


def test_classes_are_held_out_in_equal_parts(glue_data: Path) -> None:
    labels = glue.load("rte", glue_data).splits["test"].labels

    assert [0, 0, 0, 1, 1, 1] == sorted(labels)


def test_kinds_labels_and_metrics_are_glues(glue_data: Path) -> None:
    tasks = {name: glue.load(name, glue_data) for name in glue.TASKS}

    assert {"sts-b"} == {name for name, task in tasks.items() if task.kind == "score"}
    assert () == tasks["sts-b"].labels
    assert ("contradiction", "entailment", "neutral") == tasks["mnli"].labels
    assert ("pearson", "spearman") == tasks["sts-b"].metrics
    assert ("matthews",) == tasks["cola"].metrics
    for name in ("mrpc", "qqp"):
        assert ("f1", "accuracy") == tasks[name].metrics
    for name in ("sst-2", "mnli", "qnli", "rte", "wnli"):
        assert ("accuracy",) == tasks[name].metrics


@pytest.mark.parametrize(
    ("given", "name"),
    [("SST2", "sst-2"), ("sst", "sst-2"), ("stsb", "sts-b"), ("CoLA", "cola"), ("STS-B", "sts-b")],
)
def test_tasks_have_the_names_people_give_them(given: str, name: str) -> None:
    assert name == glue.task_name(given)


def test_a_task_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="'squad' is no task of GLUE; there are cola, sst-2"):
        glue.load("squad", tmp_path)


def test_the_tasks_own_folder_will_do_however_it_is_called(glue_data: Path) -> None:
    (glue_data / "SST-2").rename(glue_data / "sst2")

    inside, own = glue.load("sst-2", glue_data), glue.load("sst-2", glue_data / "sst2")

    assert inside.splits["dev"].digest == own.splits["dev"].digest


def test_windows_line_ends_and_byte_order_marks_are_no_text(glue_data: Path) -> None:
    expected = glue.load("rte", glue_data).splits["dev"]
    text = "\r\n".join(lines("RTE", "dev")) + "\r\n\r\n"
    (glue_data / "RTE" / "dev.tsv").write_bytes(b"\xef\xbb\xbf" + text.encode())

    assert expected == glue.load("rte", glue_data).splits["dev"]


def test_broken_lines_of_qqp_are_left_out_and_counted(glue_data: Path) -> None:
    rows = lines("QQP", "train")
    write(glue_data / "QQP", "train.tsv", [*rows[:4], '"\tWho was it?\t0', "5\t6", *rows[4:]])

    task = glue.load("qqp", glue_data)

    assert "GLUE QQP; 2 short lines of train.tsv left out" == task.source
    assert 60 == len(task.splits["train"]) + len(task.splits["test"])


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("rte", "7\tone\ttwo", r"dev.tsv, line 5: the label 'two' is none of entailment"),
        ("rte", "7\tone", r"dev.tsv, line 5: 2 columns where 3 are needed"),
        ("cola", "gj04\t1\t*", r"dev.tsv, line 4: 3 columns where 4 are needed"),
        ("mrpc", "2\t1\t2\tone\ttwo", r"dev.tsv, line 5: the label '2' is none of 0, 1"),
        ("sts-b", "1\t2\t3\t4\t5\t6\t7\tone\ttwo\t5.1", r"line 5: the score '5.1' is no number"),
        ("sts-b", "1\t2\t3\t4\t5\t6\t7\tone\ttwo\t-1", r"line 5: the score '-1' is no number"),
        ("sts-b", "1\t2\t3\t4\t5\t6\t7\tone\ttwo\tnan", r"line 5: the score 'nan' is no number"),
        ("sts-b", "1\t2\t3\t4\t5\t6\t7\tone\ttwo\thigh", r"line 5: the score 'high' is no"),
    ],
)
def test_a_broken_line_is_named(name: str, bad: str, message: str, glue_data: Path) -> None:
    folder = glue.TASKS[name].folder
    write(glue_data / folder, "dev.tsv", [*lines(folder, "dev"), bad])

    with pytest.raises(BadInputError, match=message):
        glue.load(name, glue_data)


@pytest.mark.parametrize("name", sorted(set(glue.TASKS) - {"cola"}))
def test_the_file_of_another_task_is_refused_by_its_header(name: str, glue_data: Path) -> None:
    folder = glue.TASKS[name].folder
    other = "MRPC" if folder != "MRPC" else "QQP"
    for file in (glue_data / folder).glob("dev*.tsv"):
        write(glue_data / folder, file.name, lines(other, "dev"))

    with pytest.raises(BadInputError, match=r"line 1: the header should have "):
        glue.load(name, glue_data)


def test_a_header_is_told_what_it_lacks_and_where(glue_data: Path) -> None:
    for name, folder, message in (
        ("sts-b", "STS-B", r"should have 'score' in the last column, as GLUE's STS-B has"),
        ("sst-2", "SST-2", r"should have 'label' in column 2"),
    ):
        header = lines(folder, "dev")[0]
        write(glue_data / folder, "dev.tsv", [header.rpartition("\t")[0] + "\tx"])
        with pytest.raises(BadInputError, match=message):
            glue.load(name, glue_data)


def test_a_file_without_examples_is_refused(glue_data: Path) -> None:
    write(glue_data / "RTE", "dev.tsv", lines("RTE", "dev")[:1])

    with pytest.raises(BadInputError, match="rte has no examples for dev"):
        glue.load("rte", glue_data)


def test_a_missing_file_or_folder_is_named(glue_data: Path) -> None:
    (glue_data / "RTE" / "dev.tsv").unlink()
    (glue_data / "WNLI" / "dev.tsv").write_bytes(b"\xff\xfe")
    (glue_data / "QQP" / "train.tsv").unlink()
    (glue_data / "QQP" / "train.tsv").mkdir()

    for name, folder, message in (
        ("rte", glue_data, r"RTE.dev.tsv: there is no such file"),
        ("wnli", glue_data, r"dev.tsv is not UTF-8 text"),
        ("qqp", glue_data, r"train.tsv cannot be read: Is a directory"),
        ("rte", glue_data / "nowhere", "nowhere: there is no such folder"),
    ):
        with pytest.raises(BadInputError, match=message):
            glue.load(name, folder)
    (glue_data / "empty").mkdir()
    with pytest.raises(BadInputError, match=r"has neither train.tsv nor a folder CoLA"):
        glue.load("cola", glue_data / "empty")


def test_too_few_examples_to_hold_some_out_are_refused(glue_data: Path) -> None:
    write(glue_data / "RTE", "train.tsv", lines("RTE", "train")[:10])

    with pytest.raises(
        BadInputError, match=r"9 examples are too few to hold out a tenth for test"
    ):
        glue.load("rte", glue_data)


def test_mrpc_of_microsoft_is_split_by_glues_list(glue_data: Path) -> None:
    folder = glue_data / "MRPC"
    rows = lines("MRPC", "train")
    dev = [rows[3], rows[8]]
    expected = {row.split("\t")[3] for row in dev}
    for file in ("train.tsv", "dev.tsv"):
        (folder / file).unlink()
    write(folder, "msr_paraphrase_train.txt", rows)
    write(folder, "msr_paraphrase_test.txt", lines("MRPC", "dev"))
    write(folder, "dev_ids.tsv", ["\t".join(row.split("\t")[1:3]) for row in dev])

    splits = glue.load("mrpc", glue_data).splits

    assert expected == set(splits["dev"].texts)
    assert 58 == len(splits["train"])
    assert not expected & set(splits["train"].texts)
    assert {row.split("\t")[3] for row in lines("MRPC", "dev")[1:]} == set(splits["test"].texts)


def test_glues_split_of_mrpc_goes_before_microsofts_file(glue_data: Path) -> None:
    expected = glue.load("mrpc", glue_data).splits
    write(glue_data / "MRPC", "msr_paraphrase_train.txt", lines("MRPC", "dev"))

    splits = glue.load("mrpc", glue_data).splits

    assert {n: s.digest for n, s in expected.items()} == {n: s.digest for n, s in splits.items()}


def test_mrpc_of_microsoft_without_the_list_has_a_dev_split_held_out(glue_data: Path) -> None:
    folder = glue_data / "MRPC"
    for file in ("train.tsv", "dev.tsv"):
        (folder / file).unlink()
    write(folder, "msr_paraphrase_train.txt", lines("MRPC", "train"))

    splits = glue.load("mrpc", folder).splits

    assert {"train": 50, "dev": 6, "test": 4} == {n: len(s) for n, s in splits.items()}
    assert 60 == len(ours(*splits.values()))

"""The seeds' `subbert.results` and files of candidates, as they write them and read them."""

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.notation import read_architectures, seed_dict, write_architectures
from results.seed_results import (
    BEGIN,
    END,
    SeedResult,
    read_seed_results,
    write_seed_results,
)

SMALL, LARGE = (
    Architecture.uniform(4, 312, 12, 312, 1200),
    Architecture.uniform(5, 564, 12, 528, 1024),
)

SIZES = st.integers(1, 4096)
LAYERS = st.builds(lambda a, w, f: Layer(a, a * w, f), st.integers(1, 16), SIZES, SIZES)
NETWORKS = st.builds(Architecture, SIZES, st.lists(LAYERS, min_size=1, max_size=4).map(tuple))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(min_size=1, max_size=20).filter(lambda x: x.isprintable() and x == x.strip())
SCORES = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"best": FLOATS}),
    st.fixed_dictionaries({"f1": FLOATS, "em": FLOATS}),
)
RECORDS = st.builds(
    SeedResult,
    task=NAMES,
    architecture=NETWORKS,
    parameters=st.integers(0, 10**12),
    scores=SCORES,
    ms_per_batch=st.none() | FLOATS,
    batches=st.none() | st.integers(0, 10**9),
)


def record(a: Architecture, task: str, score: str, *more: str) -> str:
    """As `superbert_run_en_classifier.py` writes it."""
    lines = [
        f"task_name = {task}",
        f"architecture = {seed_dict(a)}",
        f"parameter size = {a.parameters}",
        "total training time = 812.75",
        f"best_acc = {score}",
        "time_per_batch_infer = 12.345 ms",
        "infer_cnt = 77",
        *more,
    ]
    return "\n".join([BEGIN, *lines, END, "", ""])


def kept(folder: Path, *records: str) -> Path:
    path = folder / "subbert.results"
    path.write_text("".join(records), encoding="utf-8")
    return path


def as_the_seeds_read(path: Path) -> dict[str, float]:
    """`load_arch_perfs` in its own steps: whatever comes in twos is one architecture."""
    found, arch, scores = {}, "", []
    for line in (x.strip() for x in path.read_text(encoding="utf-8").split("\n")):
        if line.startswith("architecture = "):
            arch = line[15:]
        elif line.startswith("best_acc = f1: "):
            scores.append(float(line[15:22]))
        elif line.startswith("best_acc = "):
            scores.append(float(line[11:]) * 100)
        if len(scores) == 2:
            found[arch] = sum(scores) / 2
            arch, scores = "", []
    return found


@settings(deadline=None)
@given(records=st.lists(RECORDS, min_size=1, max_size=4))
def test_a_written_file_is_read_back_to_the_last_digit(tmp_path_factory, records) -> None:
    path = tmp_path_factory.mktemp("seeds") / "subbert.results"

    write_seed_results(path, records)

    assert tuple(records) == read_seed_results(path).records


def test_a_file_of_the_seeds_is_read(tmp_path: Path) -> None:
    path = kept(
        tmp_path,
        record(SMALL, "mnli", "0.8123"),
        record(SMALL, "squad1", "f1: 88.1234567; em: 80.5"),
        record(LARGE, "mnli", ""),
    )

    found = read_seed_results(path)

    common = {"parameters": SMALL.parameters, "ms_per_batch": 12.345, "batches": 77}
    mnli = SeedResult(task="mnli", architecture=SMALL, scores={"best": 0.8123}, **common)
    spans = {"f1": 88.1234567, "em": 80.5}
    squad = SeedResult(task="squad1", architecture=SMALL, scores=spans, **common)
    assert {"mnli": mnli, "squad1": squad} == found.by_architecture()[SMALL]
    assert {} == found.by_architecture()[LARGE]["mnli"].scores
    assert [(81.23 + 88.1234567) / 2, 0.0] == pytest.approx(list(found.fitness().values()))
    assert () == found.notes


def test_two_architectures_are_never_averaged(tmp_path: Path) -> None:
    """The seeds' reader does, as soon as each was scored on one task."""
    path = kept(tmp_path, record(SMALL, "mnli", "0.7"), record(LARGE, "mnli", "0.9"))

    assert {str(seed_dict(LARGE)): 80.0} == pytest.approx(as_the_seeds_read(path))
    assert {SMALL: 70.0, LARGE: 90.0} == pytest.approx(read_seed_results(path).fitness())


@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_any_number_of_tasks_in_any_order_is_one_architecture_s(
    tmp_path: Path, tasks: int
) -> None:
    rows = [(a, f"t{n}", n / 10) for n in range(tasks) for a in (LARGE, SMALL)]
    path = kept(tmp_path, *(record(a, task, str(score)) for a, task, score in rows))

    found = read_seed_results(path).by_architecture()

    assert [LARGE, SMALL] == list(found)
    wanted = {f"t{n}": {"best": n / 10} for n in range(tasks)}
    assert [wanted] * 2 == [{k: x.scores for k, x in own.items()} for own in found.values()]


def test_of_repeated_records_the_last_counts_and_it_is_told(tmp_path: Path) -> None:
    again = [
        record(SMALL, "mnli", "0.7"),
        record(LARGE, "mnli", "0.5"),
        record(SMALL, "mnli", "0.8"),
    ]
    path = kept(tmp_path, *again)

    found = read_seed_results(path)

    assert {"best": 0.8} == found.by_architecture()[SMALL]["mnli"].scores
    assert 3 == len(found.records)
    told = f"{path}, line 21: mnli of {SMALL} again; the last record counts"
    assert (told,) == found.notes


@pytest.mark.parametrize("whole", [False, True])
def test_a_torn_record_is_passed_over_wherever_it_ends(tmp_path: Path, *, whole: bool) -> None:
    first, torn, last = (record(SMALL, task, "0.75") for task in ("mnli", "rte", "sst-2"))
    ends = len(torn.rstrip("\n"))
    for end in range(len(BEGIN) + 1, ends, 3):
        path = kept(tmp_path, first, torn[:end], last if whole else "")

        found = read_seed_results(path)

        assert ["mnli", "sst-2"][: 1 + whole] == [x.task for x in found.records]
        assert (f"{path}, line 11: a record without an end is passed over",) == found.notes


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "'sample_layer_num': 4",
            "'sample_layer_num': 5",
            "line 13: architecture: sample_num_att",
        ),
        ("{'sample", "__import__('os').system('true') or {'sample", "line 13: architecture: "),
        ("best_acc = 0.8", "best_acc = good", "line 16: best_acc: a number, not 'good'"),
        ("best_acc = 0.8", "best_acc = nan", "line 16: best_acc: a number, not 'nan'"),
        ("best_acc = 0.8", "best_acc = f1: 8; em: x", "line 16: best_acc: a number, not 'x'"),
        ("best_acc = 0.8", "best_acc = f1: 8", "line 16: best_acc: a number, not 'f1: 8'"),
        ("best_acc", "acc", "line 11: the record has no 'best_acc'"),
        ("task_name = rte", "task_name =", "line 12: task_name: the task has no name"),
        ("infer_cnt = 77", "infer_cnt = -1", "line 18: infer_cnt: a whole number, not '-1'"),
        ("infer_cnt = 77", "infer_cnt = " + "9" * 5000, "line 18: infer_cnt: a whole number"),
        ("12.345 ms", "1e999 ms", "line 17: time_per_batch_infer: a number, not '1e999'"),
        ("infer_cnt = 77", "task_name = x", "line 18: task_name is given twice in a record"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = kept(
        tmp_path, record(SMALL, "mnli", "0.7"), record(SMALL, "rte", "0.8").replace(old, new)
    )

    with pytest.raises(BadInputError) as caught:
        read_seed_results(path)

    assert str(caught.value).startswith(f"{path}, {said}")


@pytest.mark.parametrize("text", ["", "\n\n", "mnli 0.8\n", f"{BEGIN}\ntask_name = x\n"])
def test_a_file_without_a_whole_record_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInputError, match=r"subbert\.results holds no whole record"):
        read_seed_results(kept(tmp_path, text))


def scored(**changes: object) -> SeedResult:
    given = {"task": "mnli", "architecture": SMALL, "parameters": 1, "scores": {"best": 0.5}}
    return SeedResult(**given | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "a\nb"}, "named in one plain line"),
        ({"task": " a"}, "named in one plain line"),
        ({"task": ""}, "named in one plain line"),
        ({"task": BEGIN}, "named in one plain line"),
        ({"scores": {"best": float("nan")}}, "cannot say nan"),
        ({"scores": {"f1": 1.0}}, "cannot say f1: only best, or f1 and em"),
        ({"ms_per_batch": float("inf")}, "cannot say inf"),
        ({"architecture": Architecture(8, SMALL.layers, vocab=9)}, "cannot say vocab 9"),
    ],
)
def test_what_the_format_cannot_say_is_not_written(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(BadInputError, match=said):
        write_seed_results(tmp_path / "x.results", [scored(**changes)])

    assert not (tmp_path / "x.results").exists()


def test_an_unwritable_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be written: No such file or directory"):
        write_seed_results(tmp_path / "no" / "x.results", [scored()])


@given(f1=st.floats(0, 100), share=st.floats(0, 1))
@settings(deadline=None)
def test_the_seeds_read_what_is_written(tmp_path_factory, f1: float, share: float) -> None:
    """An F1 by seven characters: to three digits behind the point at the least."""
    path = tmp_path_factory.mktemp("seeds") / "x.results"
    f1 = round(f1, 5)
    assume("e" not in repr(f1))  # they would read 1e-05; with the semicolon
    records = [scored(scores={"f1": f1, "em": 1.0}), scored(task="rte", scores={"best": share})]
    write_seed_results(path, records)

    wanted = (f1 + 100 * share) / 2
    assert {str(seed_dict(SMALL)): wanted} == pytest.approx(as_the_seeds_read(path), abs=1e-3)


# Files of candidates and of generations: `cands/*.cands`


def test_a_generation_that_the_seeds_wrote_is_read_and_written_letter_by_letter(
    tmp_path: Path,
) -> None:
    text = (
        "{'sample_layer_num': 2, 'sample_num_attention_heads': [12, 12],"
        " 'sample_hidden_size': 144, 'sample_intermediate_sizes': [160, 160],"
        " 'sample_qkv_sizes': [144, 144]}\n"
        "{'sample_layer_num': 1, 'sample_num_attention_heads': [12], 'sample_hidden_size': 528,"
        " 'sample_intermediate_sizes': [1024], 'sample_qkv_sizes': [528]}\n"
    )
    path = tmp_path / "1st_generation_kd_ptq_10.evo.cands"
    path.write_text(text, encoding="utf-8")

    found = read_architectures(path)
    write_architectures(tmp_path / "again.cands", found, "seed")

    wanted = (
        Architecture.uniform(2, 144, 12, 144, 160),
        Architecture.uniform(1, 528, 12, 528, 1024),
    )
    assert wanted == found
    assert text == (tmp_path / "again.cands").read_text(encoding="utf-8")


def test_a_line_of_a_generation_that_is_no_dict_is_told_and_never_run(tmp_path: Path) -> None:
    path = tmp_path / "kd_ptq_10.cands"
    trap = f"open({str(tmp_path / 'trap')!r}, 'w')"
    path.write_text(f"{seed_dict(SMALL)}\n{trap}\n", encoding="utf-8")

    with pytest.raises(BadInputError, match=r"cands, line 2: .* is neither JSON .* nor a Python"):
        read_architectures(path)
    assert not (tmp_path / "trap").exists()

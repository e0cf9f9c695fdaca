"""The file that ships is the file that is timed, weighed and scored; its rows are the ledger's."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench.search.measure import How, ModelFile, Timed, measure_files, measured_of, memory_of
from bench.subjects import Source, build
from bench.training import Wanted, training_sets
from nas.data.task import TRAIN
from nas.data.tokens import tokenizer_of
from nas.elastic import Cut
from nas.extract.calibration import of_scorer, of_task
from nas.extract.extraction import Wish, extract
from nas.extract.folder import origin_of
from nas.extract.names import file_of
from nas.folder import read
from nas.score import engines
from nas.score.questions import questions_of
from nas.score.scorer import Options, Scorer
from quant.graph import emit, emit_pressed, save
from quant.press import press
from quant.scheme import FP32, parse
from quant.weights import RandomWeights
from results.architecture import Architecture
from results.errors import BadInputError
from results.measurement import Measurement
from results.stats import label
from results.store import Ledger
from tests.ledger_rows import measurement, session
from tests.made_supernet import LARGEST, SUBS, made_folder, made_task

SMALL = Architecture.uniform(1, 24, 2, 24, 32)
LARGE = Architecture.uniform(1, 240, 2, 240, 320)
SUB = SUBS[1]
PTQ = parse("ptq")


def file_in(folder: Path, architecture: Architecture = SMALL, scheme: str = "fp32") -> ModelFile:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{scheme}-{architecture.hidden}.onnx"
    save(emit(architecture, parse(scheme), RandomWeights(0)), path)
    return ModelFile(path, architecture, scheme)


def how(folder: Path, *tokens: int, device: str = "cpu-any", runtime: str = "onnxruntime") -> How:
    results = folder / "data"
    return How(
        device=device, tokens=tokens or (8,), results=results, runtime=runtime,
        processes=1, target_error=0.4,
    )  # fmt: skip


def rows_of(found: list[Timed], folder: Path) -> list[list[Measurement]]:
    kept = {row.id: row for _, row in Ledger(folder / "data").measurements()}
    return [[kept[name] for x in one.measured for name in x.rows] for one in found]


def test_each_file_has_a_latency_with_its_interval_and_row_for_each_length(tmp_path: Path) -> None:
    files = [file_in(tmp_path), file_in(tmp_path, scheme="ptq")]

    found = measure_files(files, how(tmp_path, 16, 8))

    assert files == [one.file for one in found]
    for file, one, rows in zip(files, found, rows_of(found, tmp_path), strict=True):
        assert [16, 8] == [x.tokens for x in one.measured] == [r.workload.tokens for r in rows]
        assert all(0 < x.lower < x.ms < x.upper for x in one.measured)
        assert {("cpu-any", "onnxruntime")} == {(x.device, x.runtime) for x in one.measured}
        for row in rows:
            assert (SMALL, file.scheme) == (row.subject.architecture, row.subject.scheme)
            assert row.subject.source.startswith(f"{file.path.name}@sha256:")
            assert file.path.stat().st_size == row.model_bytes  # not an encoder built for it
            assert row.runs[0].anchor is not None
    pids = {row.runs[0].pid for rows in rows_of(found, tmp_path) for row in rows}
    assert 1 == len(pids)  # side by side


def test_a_file_that_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    first = measure_files([file_in(tmp_path)], how(tmp_path))
    moved = file_in(tmp_path / "elsewhere")
    changed = file_in(tmp_path, scheme="int8-dynamic")

    again = measure_files([moved], how(tmp_path))
    sessions = len(list(Ledger(tmp_path / "data").sessions()))
    more = measure_files([moved, changed], how(tmp_path))

    assert [x.rows for x in first[0].measured] == [x.rows for x in again[0].measured]
    assert 1 == sessions
    assert first[0].measured[0].rows == more[0].measured[0].rows
    assert 2 == len({row.id for _, row in Ledger(tmp_path / "data").measurements()})


def test_the_same_sizes_with_other_weights_are_another_file(tmp_path: Path) -> None:
    one = file_in(tmp_path)
    other = replace(one, path=tmp_path / "other.onnx")
    save(emit(SMALL, FP32, RandomWeights(1)), other.path)

    found = measure_files([one, other, one], how(tmp_path))

    names = [x.measured[0].rows for x in found]
    assert names[0] == names[2] != names[1]


def test_rows_of_files_are_not_what_predictors_are_fitted_to(tmp_path: Path) -> None:
    measure_files([file_in(tmp_path)], how(tmp_path))

    with pytest.raises(BadInputError, match="holds no row of the device 'cpu-any'"):
        training_sets(Ledger(tmp_path / "data"), Wanted("cpu-any"))


def test_what_cannot_be_measured_is_a_sentence(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    (tmp_path / "bad.onnx").write_bytes(b"nothing")

    def told(one: ModelFile, way: How) -> str:
        with pytest.raises(BadInputError) as said:
            measure_files([one], way)
        return str(said.value)

    assert "torch reads no ONNX file" in told(file, how(tmp_path, runtime="torch"))
    assert "999 tokens do not fit the 512 positions" in told(file, how(tmp_path, 999))
    assert "is neither" in told(replace(file, path=tmp_path / "no.onnx"), how(tmp_path))
    assert "is no ONNX model" in told(replace(file, path=tmp_path / "bad.onnx"), how(tmp_path))
    assert "nowhere" in told(file, how(tmp_path, device="nowhere"))
    assert [] == measure_files([], how(tmp_path))


def test_a_file_that_fails_costs_the_others_nothing(tmp_path: Path) -> None:
    good, bad = file_in(tmp_path), file_in(tmp_path, replace(SMALL, hidden=48))
    model = onnx.load(bad.path)
    model.graph.node[0].op_type = "Gather"
    onnx.save(model, bad.path)

    found = measure_files([bad, good], how(tmp_path))

    assert "Gather" in found[0].failure
    assert () == found[0].measured
    assert (1, "") == (len(found[1].measured), found[1].failure)


def test_a_runtime_that_reads_no_files_builds_nothing_instead(tmp_path: Path) -> None:
    path = file_in(tmp_path).path

    with pytest.raises(BadInputError, match="this runtime reads none"):
        build("module", SMALL, "fp32", Source(str(path), "x"), 0, "")


def test_memory_is_that_of_the_file_and_not_of_the_process(tmp_path: Path) -> None:
    large, small = file_in(tmp_path, LARGE).path, file_in(tmp_path).path
    beside = np.ones(50_000_000)  # what the parent holds does not count

    found = memory_of(large), memory_of(small)

    assert beside.nbytes > 3e8
    assert large.stat().st_size / 1e6 < found[0] < 100
    assert found[0] - found[1] > (large.stat().st_size - small.stat().st_size) / 1e6 * 0.8


def test_memory_of_what_is_no_model_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nothing")

    for name, said in (("no.onnx", "is no file"), ("bad.onnx", "cannot be loaded")):
        with pytest.raises(BadInputError, match=said):
            memory_of(tmp_path / name)


@pytest.fixture
def scorer(tmp_path: Path) -> Scorer:
    saved = read(made_folder(tmp_path / "supernet"))
    return Scorer(saved, made_task(train=200), options=Options(calibration=30, seed=3))


def extracted(scorer: Scorer, folder: Path) -> Path:
    saved = scorer.saved
    extract(saved, origin_of(saved.folder), SUB, folder, Wish((FP32, PTQ), of_scorer(scorer)))
    return folder / file_of("ptq")


def test_a_file_has_the_ranges_and_integers_that_were_scored(
    scorer: Scorer, tmp_path: Path
) -> None:
    path = extracted(scorer, tmp_path / "out")

    cut = Cut(LARGEST, SUB, scorer.supernet.rule)
    weights = engines.sliced(cut, engines.plain(scorer.supernet.network.weights()))
    known = engines.calibrated(SUB, PTQ, weights, scorer.calibration[0])
    graph = emit_pressed(press(SUB, PTQ, weights, known))
    stored = {x.name: onnx.numpy_helper.to_array(x) for x in onnx.load(path).graph.initializer}
    wanted = onnx.load_model_from_string(graph.proto).graph.initializer
    given = {x.name: graph.initializers.get(x.name) for x in wanted}
    assert len(given) > 20
    for name, value in given.items():
        held = (
            onnx.numpy_helper.to_array(wanted[list(given).index(name)]) if value is None else value
        )
        assert np.array_equal(np.asarray(held), stored[name]), name


def test_a_file_answers_what_was_scored(scorer: Scorer, tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(extracted(scorer, tmp_path / "out"))
    dev = scorer.task.splits["dev"]
    data = questions_of(scorer.task, dev, tokenizer_of(scorer.saved.folder), 64).encoded

    found = []
    for first, last in zip(data.starts[:-1], data.starts[1:], strict=True):
        ids = data.ids[None, first:last].astype(np.int64)
        more = {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        found.append(int(session.run(["logits"], {"input_ids": ids, **more})[0].argmax()))

    assert list(scorer.score([SUB], "ptq")[0].predictions) == found


def test_calibration_text_is_drawn_as_the_scorer_draws_it(scorer: Scorer) -> None:
    found = of_scorer(scorer)

    assert 30 == sum(len(batch["input_ids"]) for batch in found.batches)
    assert scorer.score([SUB], "ptq")[0].calibration == found.label
    assert found.label != of_task(scorer.task).label
    assert len(scorer.task.splits[TRAIN]) > 30


@pytest.mark.parametrize("level", [0.8, 1.0, 1.25])
def test_an_interval_holds_on_the_common_scale_and_in_the_session_s_own_time(level: float) -> None:
    row = measurement(session())
    own = label(row)
    on_scale = replace(own, latency_ms=level * own.latency_ms)

    found = measured_of([(row, on_scale)])

    assert pytest.approx(on_scale.latency_ms) == found.ms
    assert pytest.approx(own.latency_ms * min(1, level) * math.exp(-own.error)) == found.lower
    assert pytest.approx(own.latency_ms * max(1, level) * math.exp(own.error)) == found.upper


def test_what_several_rows_say_of_a_file_counts_but_for_noisy_ones() -> None:
    rows = [measurement(session(n)) for n in range(3)]
    noisy = replace(rows[1], flags=("unsteady",))
    owns = [
        replace(label(row), latency_ms=ms) for row, ms in zip(rows, (2.0, 99, 8.0), strict=True)
    ]
    known = [(rows[0], owns[0]), (noisy, owns[1]), (rows[2], owns[2])]

    found = measured_of(known)

    alone = [measured_of([known[n]]) for n in (0, 2)]
    assert pytest.approx(4.0) == found.ms
    assert pytest.approx(math.sqrt(alone[0].lower * alone[1].lower)) == found.lower
    assert pytest.approx(math.sqrt(alone[0].upper * alone[1].upper)) == found.upper
    assert (rows[0].id, rows[2].id) == found.rows
    assert (noisy.id,) == measured_of([known[1]]).rows


def test_measured_once_more_a_file_is_as_fast_as_both_measurements_say(tmp_path: Path) -> None:
    """So that nobody measures until a number pleases; nor does the next run take the last one."""
    (first,) = measure_files([file_in(tmp_path)], how(tmp_path))

    (second,) = measure_files([file_in(tmp_path)], replace(how(tmp_path), resume=False))
    (again,) = measure_files([file_in(tmp_path)], how(tmp_path))

    rows = rows_of([first, second], tmp_path)
    assert rows[1][0] == rows[0][0]
    assert 2 == len({row.id for row in rows[1]})
    assert again.measured == second.measured

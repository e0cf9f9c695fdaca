"""Sub-models are scored by inherited weights, in any scheme, and never twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.checkpoint import load_classifier, load_weights
from nas.data.metrics import evaluate
from nas.data.squad import score_answers
from nas.data.task import Kind, Split, Task
from nas.data.tokens import tokenizer_of
from nas.elastic import Cut, Rule
from nas.folder import read, write
from nas.network import Network
from nas.score import engines
from nas.score.questions import batches, drawn, log_softmax, questions_of, unpadded
from nas.score.scorer import Options, Scorer
from nas.supernet import Supernet
from quant import graph
from quant.calibrate import calibrate
from quant.scheme import FP32, parse
from quant.weights import TensorWeights
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from results.score import Score
from results.store import Ledger
from tests.exact_sums import CUT
from tests.made_supernet import LABELS, LARGEST, SUBS, TABLES, made_folder, made_task
from tests.written_bert import run

KINDS: tuple[Kind, ...] = ("classes", "score", "span")
DEV = made_task().splits["dev"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("supernet"))


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all batches that networks or their heads were asked to answer."""
    seen: list[int] = []
    for name in ("floats", "quantised"):
        ready = getattr(engines, name)
        monkeypatch.setattr(engines, name, lambda *a, ready=ready: _counted(ready(*a), seen))
    return seen


def _counted(ready: engines.Ready, seen: list[int]) -> engines.Ready:
    return replace(ready, answer=lambda b: seen.append(len(b.ids)) or ready.answer(b))


def standalone(folder: Path, sub: Architecture, into: Path) -> Path:
    """The sub-model as a folder of its own, its numbers taken one by one."""
    saved = read(folder)
    network = Network(sub, saved.head)
    cut = Cut(saved.architecture, sub, saved.rule or Rule())
    for name, value in network.weights().items():
        np.copyto(value, cut.take(name, saved.weights[cut.source(name)]))
    write(network, into, tokenizer=folder, labels=saved.labels)
    return into


def alone(folder: Path, texts: Sequence[str]) -> list[dict[str, np.ndarray]]:
    """Each text by itself, as a graph is fed it."""
    tokenizer = tokenizer_of(folder)
    found = [np.array([tokenizer.encode(text).ids], np.int64) for text in texts]
    return [
        {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        for ids in found
    ]


@pytest.mark.parametrize("sub", SUBS, ids=str)
def test_float_scores_are_those_of_the_network_written_out_and_asked_one_text_at_a_time(
    folder: Path, sub: Architecture, tmp_path: Path
) -> None:
    own = read(standalone(folder, sub, tmp_path)).network().eval()
    texts = alone(folder, DEV.texts)
    with torch.no_grad():
        logits = [own(torch.from_numpy(x["input_ids"]))[0].numpy() for x in texts]

    (found,) = Scorer(read(folder), made_task()).score([sub])

    assert tuple(int(y.argmax()) for y in logits) == found.predictions
    right = [p == y for p, y in zip(found.predictions, DEV.labels, strict=True)]
    assert np.mean(right) == found.metrics["accuracy"]
    expected = [-log_softmax(y)[label] for y, label in zip(logits, DEV.labels, strict=True)]
    assert pytest.approx(np.mean(expected), abs=1e-5) == found.loss


@pytest.mark.parametrize("sub", SUBS, ids=str)
@pytest.mark.parametrize("scheme", ["int8-dynamic", "int8-seed", "int8-dynamic:activations=token"])
def test_int8_scores_are_those_of_the_graph_that_is_exported_from_the_folder(
    folder: Path, sub: Architecture, scheme: str, tmp_path: Path
) -> None:
    standalone(folder, sub, tmp_path)
    made = graph.emit(sub, parse(scheme), TensorWeights(load_weights(tmp_path)))
    head = load_classifier(tmp_path)
    assert head is not None
    logits = np.concatenate([head(run(made, feed)) for feed in alone(folder, DEV.texts)])

    (found,) = Scorer(read(folder), made_task()).score([sub], scheme)

    assert tuple(logits.argmax(axis=1).tolist()) == found.predictions
    expected = -log_softmax(logits)[np.arange(len(logits)), np.array(DEV.labels)].mean()
    assert pytest.approx(expected, abs=2e-5) == found.loss
    assert evaluate(("accuracy", "f1-macro"), logits, np.array(DEV.labels)) == found.metrics
    assert made.weight_bytes == found.weight_bytes


@pytest.mark.parametrize("sub", SUBS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_float_graph_and_torch_agree_on_logits_and_metrics(
    tmp_path: Path, kind: Kind, sub: Architecture
) -> None:
    scorer = Scorer(read(made_folder(tmp_path, kind)), made_task(kind))
    cut = Cut(LARGEST, sub, Rule())
    network = scorer.supernet.at(sub)
    weights = engines.sliced(cut, engines.plain(scorer.supernet.network.weights()))
    asked = questions_of(scorer.task, made_task(kind).splits["dev"], tokenizer_of(tmp_path), 64)
    exact, onnx = engines.floats(network), engines.quantised(network, FP32, weights, None, 1)
    outputs: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for batch in batches(asked.encoded, 300):
        one, two = exact.answer(batch), onnx.answer(batch)
        assert np.abs(one - two).max() < 1e-4
        outputs |= dict(zip(batch.examples.tolist(), zip(one, two, strict=True), strict=True))

    one, two = (asked.judge([outputs[i][n] for i in range(len(outputs))]) for n in (0, 1))

    if kind == "score":
        assert pytest.approx(one.predictions, abs=1e-4) == two.predictions
        assert pytest.approx(one.metrics, abs=1e-3) == two.metrics
    else:
        assert one.predictions == two.predictions
        assert one.metrics == two.metrics
    assert pytest.approx(one.loss, abs=1e-4) == two.loss
    assert exact.weight_bytes == onnx.weight_bytes


def test_calibration_is_on_the_slice_and_on_train_sentences_alone(
    folder: Path, tmp_path: Path
) -> None:
    from quant.calibrate import calibrate

    task, sub = made_task(), SUBS[1]
    standalone(folder, sub, tmp_path)
    weights = TensorWeights(load_weights(tmp_path))
    known = calibrate(sub, parse("ptq"), weights, alone(folder, task.splits["train"].texts))
    made = graph.emit(sub, parse("ptq"), weights, known)
    head = load_classifier(tmp_path)
    assert head is not None
    logits = np.concatenate([head(run(made, feed)) for feed in alone(folder, DEV.texts)])

    (found,) = Scorer(read(folder), task).score([sub], "ptq")

    assert tuple(logits.argmax(axis=1).tolist()) == found.predictions
    expected = -log_softmax(logits)[np.arange(len(logits)), np.array(DEV.labels)].mean()
    assert pytest.approx(expected, abs=1e-3) == found.loss
    assert found.calibration.startswith("made-classes train (60)@sha256:")


@pytest.mark.parametrize("scheme", ["fp32", "ptq", "int8-dynamic"])
def test_answers_do_not_depend_on_how_they_are_batched(folder: Path, scheme: str) -> None:
    found = [
        Scorer(read(folder), made_task(), options=Options(batch_tokens=tokens)).score(SUBS, scheme)
        for tokens in (1, 37, 5000)
    ]

    for several in zip(*found, strict=True):
        assert 1 == len({score.predictions for score in several})
        assert pytest.approx(several[0].loss, abs=1e-5) == several[2].loss


@pytest.mark.parametrize("sub", SUBS, ids=str)
def test_scores_of_numbers_are_compared_with_the_numbers(
    tmp_path: Path, sub: Architecture
) -> None:
    saved = read(made_folder(tmp_path, "score"))
    task = made_task("score")
    labels = np.array(task.splits["dev"].labels)

    (found,) = Scorer(saved, task).score([sub])

    predictions = np.array(found.predictions)
    assert (
        pytest.approx(np.corrcoef(predictions, labels)[0, 1], abs=1e-6) == found.metrics["pearson"]
    )
    assert pytest.approx(((predictions - labels) ** 2).mean(), rel=1e-6) == found.loss
    assert all(x == float(str(np.float32(x))) for x in found.predictions)
    assert None is found.interval


@pytest.mark.parametrize("scheme", ["fp32", "int8-dynamic"])
def test_answers_in_texts_are_words_of_them(tmp_path: Path, scheme: str) -> None:
    saved, task = read(made_folder(tmp_path, "span")), made_task("span")
    split = task.splits["dev"]
    assert split.pairs is not None

    (found,) = Scorer(saved, task).score([SUBS[1]], scheme)

    answers = [str(x) for x in found.predictions]
    assert all(answer in text for answer, text in zip(answers, split.pairs, strict=True))
    assert score_answers(answers, split) == found.metrics
    assert ["span-f1", "exact"] == list(found.metrics)
    assert found.loss > 0


def test_the_loss_of_a_span_is_that_of_its_first_and_of_its_last_token(tmp_path: Path) -> None:
    task, tokenizer = made_task("span", dev=5), tokenizer_of(made_folder(tmp_path, "span"))
    asked = questions_of(task, task.splits["dev"], tokenizer, 64)
    rng = np.random.default_rng(0)
    outputs = [rng.normal(size=(n + 3, 2)).astype(np.float32) for n in asked.encoded.lengths]

    found = asked.judge(outputs)

    windows = asked.windows  # type: ignore[attr-defined]
    losses = []
    for y, n, *right in zip(
        outputs, asked.encoded.lengths, windows.starts, windows.ends, strict=True
    ):
        for column, at in enumerate(right):
            shares = np.exp(y[:n, column]) / np.exp(y[:n, column]).sum()
            losses.append(-np.log(shares[at]))
    assert pytest.approx(np.mean(losses), rel=1e-5) == found.loss


# What is kept


def test_a_second_call_computes_nothing(folder: Path, tmp_path: Path, forwards: list[int]) -> None:
    with Scorer(read(folder), made_task(), results=tmp_path) as scorer:
        first = scorer.score(SUBS) + scorer.score(SUBS, "ptq")
        assert forwards
        forwards.clear()
        again = scorer.score(SUBS) + scorer.score(SUBS, "ptq")
    with Scorer(read(folder), made_task(), results=tmp_path) as other:
        later = other.score(SUBS) + other.score(SUBS, "ptq")

    assert [] == forwards
    assert first == again == later
    assert 1 == len(Ledger(tmp_path).sessions())
    assert "complete" == Ledger(tmp_path).sessions()[0].status


def test_one_architecture_twice_in_a_call_is_scored_once(
    folder: Path, forwards: list[int]
) -> None:
    one, other = Scorer(read(folder), made_task(), options=Options(batch_tokens=9999)).score(
        [SUBS[1], SUBS[1]]
    )

    assert one == other
    assert [len(DEV)] == forwards


def changed_weights(folder: Path) -> Any:
    return read(made_folder(folder, seed=1))


def changed_rule(folder: Path) -> Any:
    return read(made_folder(folder, rule=Rule("prefix")))


def changed_words(folder: Path) -> Any:
    path = made_folder(folder) / "vocab.txt"
    *first, one, other = path.read_text("utf-8").splitlines()
    path.write_text("\n".join((*first, other, one)) + "\n", "utf-8")
    return read(folder)


def relabelled(task: Task) -> Task:
    labels = (1 - task.splits["dev"].labels[0] // 2, *task.splits["dev"].labels[1:])
    return replace(task, splits={**task.splits, "dev": replace(task.splits["dev"], labels=labels)})


@pytest.mark.parametrize(
    "change",
    [
        {"saved": changed_weights},
        {"saved": changed_rule},
        {"saved": changed_words},
        {"task": relabelled},
        {"task": lambda task: replace(task, metrics=("f1-macro",))},
        {"split": "test"},
        {"options": Options(most_tokens=5)},
        {"options": Options(limit=7)},
        {"scheme": "int8-dynamic"},
        {"scheme": "ptq"},
        {"scheme": "ptq:observer=mse"},
        {"scheme": "ptq", "options": Options(calibration=30)},
        {"scheme": "ptq", "options": Options(calibration=30, seed=1)},
        {"sub": SUBS[2]},
    ],
    ids="-".join,  # of the keys: each process must find the same names
)
def test_what_changes_a_score_changes_its_key(
    tmp_path: Path, change: dict[str, Any], forwards: list[int]
) -> None:
    saved, task, ledger = read(made_folder(tmp_path / "a")), made_task(), tmp_path / "ledger"
    Scorer(saved, task, results=ledger).score([SUBS[1]])
    scheme, _, settings = change.get("scheme", "").partition(":")
    if settings or (scheme == "ptq" and len(change) > 1):
        Scorer(saved, task, results=ledger).score([SUBS[1]], scheme)
    forwards.clear()

    other = change["saved"](tmp_path / "b") if "saved" in change else saved
    Scorer(
        other,
        change.get("task", lambda task: task)(task),
        change.get("split", "dev"),
        results=ledger,
        options=change.get("options", Options()),
    ).score([change.get("sub", SUBS[1])], change.get("scheme", "fp32"))

    assert forwards


def test_spellings_of_one_scheme_share_a_score(folder: Path, forwards: list[int]) -> None:
    scorer = Scorer(read(folder), made_task())
    (one,) = scorer.score([LARGEST], "int8-dynamic:weights=channel")
    forwards.clear()

    (other,) = scorer.score([LARGEST], "int8-dynamic")

    assert one == other
    assert [] == forwards


def test_a_row_says_where_it_comes_from(folder: Path, tmp_path: Path) -> None:
    with Scorer(read(folder), made_task(), results=tmp_path, options=Options(seed=5)) as scorer:
        (found,) = scorer.score([SUBS[1]])

    ((session, row),) = Ledger(tmp_path).scores()
    assert ["complete"] == [found.status for found in Ledger(tmp_path).sessions()]
    assert found == row
    assert (session.id, f"{session.id}-1") == (row.session, row.id)
    assert session.environment.software.packages["torch"]
    assert 5 == session.seed == row.seed
    assert ("made-classes", "made up", "dev", 40) == (row.task, row.data, row.split, row.examples)
    assert DEV.digest == row.split_digest
    assert row.source.startswith(f"{folder.name}@sha256:")
    assert ("torch", "fp32", SUBS[1]) == (row.runtime, row.scheme, row.architecture)
    assert row.seconds > 0


@pytest.mark.parametrize("scheme", ["fp32", "int8-dynamic", "int8-static"])
def test_the_second_text_of_a_pair_is_read_as_such(
    folder: Path, tmp_path: Path, scheme: str
) -> None:
    sub, task, tokenizer = SUBS[1], made_task(), tokenizer_of(folder)
    splits = {n: replace(s, pairs=s.texts[::-1]) for n, s in task.splits.items()}

    def fed(split: Split) -> list[dict[str, np.ndarray]]:
        found = [tokenizer.encode(*both) for both in zip(split.texts, split.pairs, strict=True)]
        columns = ("ids", "attention_mask", "type_ids")
        return [
            {n: np.array([getattr(x, c)]) for n, c in zip(graph.INPUTS, columns, strict=True)}
            for x in found
        ]

    standalone(folder, sub, tmp_path)
    weights, kind = TensorWeights(load_weights(tmp_path)), parse(scheme)
    known = calibrate(sub, kind, weights, fed(splits["train"])) if kind.calibrated else None
    made, head = graph.emit(sub, kind, weights, known), load_classifier(tmp_path)
    assert head is not None
    logits = np.concatenate([head(run(made, feed)) for feed in fed(splits["dev"])])

    (found,) = Scorer(read(folder), replace(task, splits=splits)).score([sub], scheme)

    expected = -log_softmax(logits)[np.arange(len(logits)), np.array(DEV.labels)].mean()
    assert pytest.approx(expected, abs=2e-4) == found.loss


def test_the_folder_one_is_in_has_a_name_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)

    source = Scorer(read(Path()), made_task()).source

    assert source.startswith(f"{folder.name}@sha256:")


def test_how_integers_are_added_is_known_where_there_are_any() -> None:
    found = [engines.sums(parse(text)) for text in ("fp32", "int8-seed", "int8-static", "ptq")]

    assert ["", ""] == found[:2]
    assert {"saturates" if CUT else "exact"} == set(found[2:])


def test_seven_bits_are_added_exactly_everywhere() -> None:
    found = [engines.sums(parse(f"{text}:reduce-range=yes")) for text in ("fp32", "ptq")]

    assert ["", "exact"] == found


def test_no_other_split_is_read(folder: Path) -> None:
    class Watched(dict[str, Split]):
        def __getitem__(self, name: str) -> Split:
            seen.add(name)
            return super().__getitem__(name)

    seen: set[str] = set()
    task = made_task()
    task = replace(task, splits=Watched(task.splits))

    Scorer(read(folder), task).score([SUBS[1]], "int8-dynamic")
    assert {"dev"} == seen
    Scorer(read(folder), task).score([SUBS[1]], "ptq")
    assert {"dev", "train"} == seen
    Scorer(read(folder), task, "test").score([SUBS[1]])
    assert {"dev", "train", "test"} == seen


MANY = """
import sys
from pathlib import Path
from nas.folder import read
from nas.score.scorer import Scorer
from tests.made_supernet import LARGEST, made_task
from tests.test_score import family

with Scorer(read(Path(sys.argv[1])), made_task(), results=Path(sys.argv[2])) as scorer:
    for score in scorer.scores(family()):
        print(score.id, flush=True)
"""


def family() -> list[Architecture]:
    """Many sub-models."""
    return [
        Architecture(hidden, (Layer(1, 6, ffn),), **TABLES)
        for hidden in range(1, 25)
        for ffn in range(1, 41)
    ]


def test_a_killed_command_goes_on_where_it_was(
    folder: Path, tmp_path: Path, forwards: list[int]
) -> None:
    here = str(Path(__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([here, *sys.path])}
    command = [sys.executable, "-c", MANY, str(folder), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(0.05)
        writer.send_signal(signal.SIGKILL)
        told = (first + writer.stdout.read()).decode().split()

    kept = [score for _, score in Ledger(tmp_path).scores()]
    assert 0 < len(told) < len(family())
    assert set(told) <= {score.id for score in kept}
    with Scorer(read(folder), made_task(), results=tmp_path) as scorer:
        again = scorer.score(family()[: len(kept) + 2])

    assert kept == again[: len(kept)]
    assert 2 * len(DEV) == sum(forwards)
    assert ["dead", "complete"] == [record.status for record in Ledger(tmp_path).sessions()]


# Bad input


def damaged(folder: Path, tmp_path: Path) -> Any:
    """The supernet with a NaN that only wide networks read."""
    saved = read(folder)
    saved.weights["bert.encoder.layer.0.output.dense.bias"][20] = np.nan
    del tmp_path
    return saved


@pytest.mark.parametrize("scheme", ["fp32", "int8-dynamic", "ptq"])
def test_outputs_that_are_no_numbers_are_told_with_their_architecture(
    folder: Path, tmp_path: Path, scheme: str
) -> None:
    with (
        pytest.raises(BadInputError, match=rf"h24 .* in {scheme}: "),
        Scorer(damaged(folder, tmp_path), made_task(), results=tmp_path) as scorer,
    ):
        scorer.score([SUBS[1], LARGEST], scheme)

    assert [SUBS[1]] == [score.architecture for _, score in Ledger(tmp_path).scores()]
    assert ["interrupted"] == [found.status for found in Ledger(tmp_path).sessions()]


def test_nothing_is_scored_if_one_architecture_is_outside(
    folder: Path, forwards: list[int]
) -> None:
    outside = Architecture(24, (Layer(4, 24, 41),), **TABLES)

    with pytest.raises(BadInputError, match=r"f41\) is not in the supernet: ffn 41 is larger"):
        Scorer(read(folder), made_task()).score([SUBS[1], outside])

    assert [] == forwards


def test_without_a_rule_only_the_whole_network_can_be_scored(tmp_path: Path) -> None:
    scorer = Scorer(read(made_folder(tmp_path, rule=None)), made_task())

    assert 1 == len(scorer.score([LARGEST]))
    with pytest.raises(BadInputError, match="is no supernet"):
        scorer.score([SUBS[1]])


@pytest.mark.parametrize(
    ("kind", "labels", "sentence"),
    [
        ("score", LABELS, "has a head for score and made-classes asks for classes"),
        (
            "classes",
            ("colour", "animal", "tree"),
            "calls label 2 'tree' and made-classes .*'place'",
        ),
    ],
)
def test_a_network_of_another_task_is_refused(
    tmp_path: Path, kind: Kind, labels: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(BadInputError, match=sentence):
        Scorer(read(made_folder(tmp_path, kind, labels=labels)), made_task())


def test_a_network_with_other_numbers_of_labels_is_refused(folder: Path) -> None:
    task = replace(made_task(), labels=("yes", "no"))

    with pytest.raises(BadInputError, match="tells 3 labels apart and made-classes has 2"):
        Scorer(read(folder), task)


def test_labels_that_nobody_named_are_taken_for_the_tasks(tmp_path: Path) -> None:
    saved = read(made_folder(tmp_path, labels=()))

    assert ("LABEL_0", "LABEL_1", "LABEL_2") == saved.labels
    Scorer(saved, made_task())


def test_a_network_without_a_head_is_refused(folder: Path) -> None:
    with pytest.raises(BadInputError, match="has no head"):
        Scorer(replace(read(folder), head=None), made_task())


@pytest.mark.parametrize("words", [30, 159])
def test_a_tokenizer_of_another_network_is_refused(folder: Path, words: int) -> None:
    saved = read(folder)
    tables = replace(saved.architecture, vocab=words)

    with pytest.raises(BadInputError, match=rf"has \d+ words and the network {tables.vocab}"):
        Scorer(replace(saved, architecture=tables), made_task())


def test_an_unknown_split_is_refused(folder: Path) -> None:
    with pytest.raises(BadInputError, match="has no split 'valid': it has train, dev, test"):
        Scorer(read(folder), made_task(), "valid")


def test_an_empty_split_is_refused(folder: Path) -> None:
    with pytest.raises(BadInputError, match="'dev' of made-classes is empty"):
        Scorer(read(folder), made_task(dev=0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_without_right_answers_is_refused(tmp_path: Path, kind: Kind) -> None:
    task = made_task(kind)
    bare = replace(task.splits["dev"], labels=(), answers=())

    with pytest.raises(BadInputError, match=rf"made-{kind} has no"):
        Scorer(read(made_folder(tmp_path, kind)), replace(task, splits={"dev": bare}))


def test_static_schemes_need_a_train_split(folder: Path) -> None:
    task = replace(made_task(), splits={"dev": DEV})

    with pytest.raises(BadInputError, match="has no split 'train'"):
        Scorer(read(folder), task).score([LARGEST], "ptq")


@pytest.mark.parametrize("tokens", [0, 65])
def test_texts_longer_than_the_positions_are_refused(folder: Path, tokens: int) -> None:
    with pytest.raises(BadInputError, match=f"{tokens} tokens do not fit the 64 positions"):
        Scorer(read(folder), made_task(), options=Options(most_tokens=tokens))


def test_a_scheme_that_the_engine_has_not_is_refused(folder: Path) -> None:
    with pytest.raises(BadInputError, match="bf16 cannot be scored"):
        Scorer(read(folder), made_task()).score([LARGEST], "bf16")


# Pieces


@pytest.mark.parametrize("most", [1, 3, 100])
def test_batches_without_padding_have_every_example_once(folder: Path, most: int) -> None:
    data = questions_of(made_task(), DEV, tokenizer_of(folder), 64).encoded

    found = list(unpadded(data, most))

    assert list(range(len(data))) == sorted(i for b in found for i in b.examples.tolist())
    assert all(batch.mask is None and len(batch.ids) <= most for batch in found)
    if most == 100:
        assert len(set(data.lengths.tolist())) == len(found)


def test_drawn_examples_keep_their_answers_and_order() -> None:
    split = made_task("span").splits["train"]

    few = drawn(split, 20, 3)

    places = [split.texts.index(text) for text in few.texts]
    assert sorted(places) == places
    assert 20 == len(few)
    assert few.pairs == tuple((split.pairs or ())[i] for i in places)
    assert few.answers == tuple(split.answers[i] for i in places)
    assert few == drawn(split, 20, 3)
    assert few != drawn(split, 20, 4)
    assert split == drawn(split, 60, 0)


def test_the_supernet_is_read_where_it_lies(folder: Path) -> None:
    scorer = Scorer(read(folder), made_task())

    view = scorer.supernet.at(SUBS[1]).encoder.embeddings.words.weight

    whole = scorer.supernet.network.encoder.embeddings.words.weight
    assert whole.data_ptr() == view.data_ptr()
    assert all(p.grad is None for p in scorer.supernet.network.parameters())
    assert isinstance(scorer.supernet, Supernet)


def test_a_score_takes_its_threads_back(folder: Path) -> None:
    before = torch.get_num_threads()

    (found,) = Scorer(read(folder), made_task(), options=Options(threads=before + 1)).score(
        [LARGEST]
    )

    assert before == torch.get_num_threads()
    assert isinstance(found, Score)

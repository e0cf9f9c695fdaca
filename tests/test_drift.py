"""`bench drift` and `bench export`: numbers checked by hand, one artefact, bad input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import save_file

from bench.drifting import Found, Question, compare
from bench.export import export
from bench.text import read
from nas.checkpoint import load_classifier, save
from nas.encoder import Encoder
from quant.drift import cosines, drift, nearest, one_at_a_time, overflowing_pairs
from quant.press import press
from quant.scheme import GROUPS, parse
from quant.sizes import sizes
from quant.weights import RandomWeights, TensorWeights
from results.architecture import Architecture, Layer
from results.errors import BadInputError
from tests.written_bert import ARCHITECTURES, lively

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", "cat", "dog", "ran", "sat", "."]
A = Architecture(24, (Layer(2, 24, 32), Layer(3, 24, 40)), vocab=len(WORDS), positions=32)
RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    save(Encoder(A, lively(A), pooler=False), made)
    (made / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS[5:], rng.integers(3, 9))) for _ in range(40)]
    (made / "text.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made


def ask(folder: Path, *schemes: str, sensitive: bool = False) -> Found:
    text = folder / "text.txt"
    question = Question(folder, text, None, schemes, ("onnxruntime",), 16, sensitivity=sensitive)
    return compare(question)


def test_equal_states_have_not_moved() -> None:
    hidden = [RNG.normal(size=(3, 5, 4)).astype(np.float32)]

    found = drift(hidden, hidden)

    assert (1, 1, 0, 0) == (
        pytest.approx(found.cosine), pytest.approx(found.least_token_cosine),
        found.largest_error, found.neighbours_changed,
    )  # fmt: skip


def test_drift_is_what_its_definitions_say() -> None:
    exact = [RNG.normal(size=(2, 3, 4)), RNG.normal(size=(3, 5, 4))]
    rough = [x + RNG.normal(size=x.shape) for x in exact]

    found = drift([x.astype(np.float32) for x in exact], [x.astype(np.float32) for x in rough])

    def cosine(x: np.ndarray, y: np.ndarray) -> float:
        return float(x @ y / np.sqrt(x @ x) / np.sqrt(y @ y))

    tokens = [cosine(x[b, t], y[b, t]) for x, y in zip(exact, rough, strict=True)
              for b in range(x.shape[0]) for t in range(x.shape[1])]  # fmt: skip
    means, again = ([x[b].mean(axis=0) for x in e for b in range(len(x))] for e in (exact, rough))
    whole = [cosine(x, y) for x, y in zip(means, again, strict=True)]
    changed = [
        max((j for j in range(5) if j != i), key=lambda j: cosine(means[i], means[j]))
        != max((j for j in range(5) if j != i), key=lambda j: cosine(again[i], again[j]))
        for i in range(5)
    ]
    assert 5 == found.sentences
    assert (np.mean(whole), min(whole)) == pytest.approx((found.cosine, found.least_cosine))
    assert np.mean(tokens) == pytest.approx(found.token_cosine)
    assert min(tokens) == pytest.approx(found.least_token_cosine)
    assert np.mean(changed) == found.neighbours_changed
    errors = [np.abs(x - y).max() for x, y in zip(exact, rough, strict=True)]
    assert max(errors) == pytest.approx(found.largest_error, rel=1e-5)


def test_vectors_of_zeros_are_no_division_by_zero() -> None:
    zeros, ones = np.zeros((1, 3)), np.ones((1, 3))

    assert [1] == cosines(zeros, zeros).tolist()
    assert [0] == cosines(zeros, ones).tolist()
    assert [1, 0] == nearest(np.zeros((2, 3))).tolist()


def test_each_group_of_each_layer_is_quantised_alone_once() -> None:
    scheme = parse("ptq:keep=1+0.qkv")

    found = dict(one_at_a_time(A, scheme))

    assert {"0.attention-output", "0.ffn-in", "0.ffn-out"} == set(found)
    for where, alone in found.items():
        quantised = [f"{i}.{g}" for i in range(A.depth) for g in GROUPS
                     if alone.arithmetic(i, g) != "fp32"]  # fmt: skip
        assert [where] == quantised
        assert ("fp32", "fp32") == (alone.embeddings, alone.attention)


def test_seven_bits_never_overflow_and_eight_do() -> None:
    a = ARCHITECTURES["plain"]
    weights = TensorWeights(lively(a))

    seven, eight = (
        overflowing_pairs(press(a, parse(f"int8-dynamic{more}"), weights))
        for more in (":reduce-range=yes", "")
    )

    assert 0 == seven < eight


@pytest.mark.parametrize("text", ["fp32", "ptq", "int8-seed", "int8-static:symmetric=no"])
def test_the_sizes_of_the_parts_add_up_to_the_file(text: str) -> None:
    from quant.graph import emit_pressed

    pressed = press(ARCHITECTURES["plain"], parse(text), RandomWeights(0))

    parts, graph = sizes(pressed), emit_pressed(pressed)

    floats = sum(x.nbytes for x in pressed.floats.values())
    assert floats == sum(part.float_bytes for part in parts)
    # beside them a file has units of biases, and one zero point for each row
    assert sum(part.bytes for part in parts) == pytest.approx(graph.weight_bytes, rel=0.15)
    kinds = {part.stored for part in parts if part.group in GROUPS}
    assert {"fp32": {"float32"}, "ptq": {"int8"}}.get(text, {"uint8"}) == kinds


def test_float32_has_not_moved_and_integers_have(folder: Path) -> None:
    found = ask(folder, "fp32", "int8-dynamic", "ptq")

    assert ["fp32", "fp32", "int8-dynamic", "ptq"] == [r.scheme for r in found.results]
    moved = [r.drift.moved for r in found.results]
    assert [0, 0] == pytest.approx(moved[:2], abs=1e-6)
    assert all(1e-6 < m < 0.05 for m in moved[2:])
    assert all(r.latency_ms > 0 for r in found.results)
    assert found.results[0].model_bytes > max(r.model_bytes for r in found.results[2:])
    assert "text.txt@sha256:" in found.calibration
    assert 20 == found.results[0].drift.sentences


def test_each_scheme_runs_on_each_runtime_that_has_it(folder: Path) -> None:
    question = Question(
        folder, folder / "text.txt", None, ("int8-dynamic", "ptq"), ("torch", "onnxruntime"), 16,
        sensitivity=False,
    )  # fmt: skip

    found = [(r.runtime, r.scheme) for r in compare(question).results]

    dynamic = [("torch", "int8-dynamic"), ("onnxruntime", "int8-dynamic")]
    assert [("onnxruntime", "fp32"), *dynamic, ("onnxruntime", "ptq")] == found


def test_the_ranking_names_every_place_the_worst_first(folder: Path) -> None:
    found = ask(folder, "ptq", sensitive=True)

    assert {f"{i}.{g}" for i in range(A.depth) for g in GROUPS} == {w for w, _ in found.ranking}
    costs = [moved for _, moved in found.ranking]
    assert sorted(costs, reverse=True) == costs
    assert costs[0] > 0


def test_labels_flip_only_where_there_is_a_classifier(folder: Path, tmp_path: Path) -> None:
    weights = {f"bert.{n}": x for n, x in lively(A).items()}
    rng = np.random.default_rng(1)
    weights["bert.pooler.dense.weight"] = rng.normal(size=(24, 24)).astype(np.float32)
    weights["bert.pooler.dense.bias"] = np.zeros(24, np.float32)
    weights["classifier.weight"] = rng.normal(size=(5, 24)).astype(np.float32)
    weights["classifier.bias"] = np.zeros(5, np.float32)
    for name in ("config.json", "vocab.txt", "text.txt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    save_file(weights, tmp_path / "model.safetensors")

    with_head, without = ask(tmp_path, "int8-seed"), ask(folder, "int8-seed")

    assert without.results[1].drift.labels_flipped is None
    assert 0 == with_head.results[0].drift.labels_flipped
    assert 0 <= (with_head.results[1].drift.labels_flipped or 0) < 0.5
    classifier = load_classifier(tmp_path)
    assert classifier is not None
    hidden = rng.normal(size=(2, 3, 24)).astype(np.float32)
    pooled = np.tanh(hidden[:, 0] @ weights["bert.pooler.dense.weight"].T)
    expected = pooled @ weights["classifier.weight"].T
    np.testing.assert_allclose(expected, classifier(hidden), atol=1e-5)


@pytest.mark.parametrize("scheme", ["fp32", "int8-dynamic", "ptq", "int8-weight-only"])
def test_the_exported_file_is_the_scored_network(
    folder: Path, tmp_path: Path, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, text = tmp_path / "small.onnx", folder / "text.txt"

    export(model=folder, output=path, scheme=scheme, calibration=text, tokens=16)

    assert f"{path}: {scheme}" in capsys.readouterr().out
    run = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    batches = read(text, folder, 16).batches()
    exact, rough = [], []
    encoder = Encoder(A, lively(A), pooler=False).eval()
    import torch

    for batch in batches:
        feed = {i.name: getattr(batch, i.name) for i in run.get_inputs()}
        rough.append(run.run(None, feed)[0])
        with torch.inference_mode():
            exact.append(encoder(torch.from_numpy(batch.input_ids)).numpy())
    question = Question(folder, text, text, (scheme,), ("onnxruntime",), 16, sensitivity=False)
    scored = compare(question).results[1].drift
    assert drift(exact, rough).cosine == pytest.approx(scored.cosine, abs=1e-5)


def test_sentences_are_cut_and_batched_without_padding(folder: Path) -> None:
    text = read(folder / "text.txt", folder, 6)

    batches = text.batches()
    assert 40 == len(text.sentences) == sum(len(b.input_ids) for b in batches)
    assert 6 == max(map(len, text.sentences))
    assert all(b.attention_mask.all() for b in batches)
    assert all(2 == row[0] and 3 == row[-1] for b in batches for row in b.input_ids)
    assert sorted(text.sentences) == sorted(
        tuple(r) for b in batches for r in b.input_ids.tolist()
    )
    odd, even = text.halves()
    assert sorted(text.sentences) == sorted(odd.sentences + even.sentences)


def command(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "bench.cli", *map(str, arguments)]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_prints_tables_or_json_and_gates(folder: Path) -> None:
    plain = ["drift", "--model", ".", "--text", "text.txt", "--tokens", "16", "--scheme", "ptq"]

    told = command(folder, *plain, "--sensitivity")
    read_back = command(folder, *plain, "--json", "--max-drift", "0.5")
    red = command(folder, *plain, "--max-drift", "0")

    assert 0 == told.returncode, told.stderr
    for word in ("cosine", "what ptq stores", "embeddings", "what costs most", ":keep="):
        assert word in told.stdout
    assert 0 == read_back.returncode, read_back.stderr
    assert "ptq" == json.loads(read_back.stdout)["results"][1]["scheme"]
    assert 1 == red.returncode
    assert "more than --max-drift 0" in red.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["drift", "--text", "none.txt"], "none.txt: there is no such file"),
        (["drift", "--text", "empty.txt"], "empty.txt has 0 lines of text"),
        (["drift", "--text", "short.txt"], "needs at least 64 tokens of text"),
        (["drift", "--text", "text.txt", "--scheme", "int4"], "unknown scheme 'int4'"),
        (["drift", "--text", "text.txt", "--runtime", "abacus"], "unknown runtime 'abacus'"),
        (
            ["drift", "--text", "text.txt", "--scheme", "ptq", "--runtime", "torch"],
            "--scheme ptq: torch: ",
        ),
        (["drift", "--text", "text.txt", "--tokens", "99"], "do not fit the 32 positions"),
        (["drift", "--text", "text.txt", "--tokens", "0"], "--tokens 0 is out of range"),
        (["drift", "--text", "text.txt", "--max-drift", "-1"], "out of range"),
        (["export", "--output", "x.bin"], "must end in .onnx"),
        (["export", "--output", "gone/x.onnx"], "there is no folder gone"),
        (["export", "--output", "x.onnx"], "scheme ptq needs --calibration"),
        (["export", "--output", "x.onnx", "--scheme", "bf16"], "leave -bf16 out"),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(
    folder: Path, arguments: list[str], told: str
) -> None:
    (folder / "empty.txt").write_text("\n\n", encoding="utf-8")
    (folder / "short.txt").write_text("a cat\nthe dog\na dog\n", encoding="utf-8")

    done = command(folder, *arguments, "--model", ".")

    assert 2 == done.returncode, done.stdout + done.stderr
    assert told in done.stderr
    assert 1 == len(done.stderr.strip().splitlines())


def test_weights_that_are_no_numbers_and_folders_without_words_are_named(
    folder: Path, tmp_path: Path
) -> None:
    weights = lively(A)
    weights["encoder.layer.1.output.dense.weight"][2, 2] = np.nan
    save(Encoder(A, weights, pooler=False), tmp_path)

    with pytest.raises(BadInputError, match=r"neither tokenizer\.json nor vocab\.txt"):
        read(folder / "text.txt", tmp_path, 16)
    (tmp_path / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    (tmp_path / "text.txt").write_bytes((folder / "text.txt").read_bytes())
    with pytest.raises(BadInputError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        ask(tmp_path, "int8-dynamic")

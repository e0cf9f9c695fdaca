"""`bench profile --for-predictor` as a person meets it: real and made up."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import cpuinfo
import pytest

from bench import cli
from bench.block import Answered
from bench.plan import Block, Task
from bench.sweep import RETRIES, Sweep
from bench.training import Key
from bench.warm_start import warm_start
from nas import command_line
from predictors.card import Card, read_card
from predictors.card_fields import Key as CardKey
from predictors.families import PLACES
from predictors.hybrid import Hybrid
from results.errors import BadInputError
from results.measurement import Cold, Run, Series
from results.store import Ledger
from tests.law_cards import law_card
from tests.law_ledger import keep, law_ms, networks, steady
from tests.law_ledger import rows as law_rows
from tests.ledger_rows import session
from tests.made_cards import FAKE, FP32, PHYSICS, faked, filled

SPACE = """
name: {name}
description: networks that take no time
depth: [1, 2]
hidden: {hidden}
heads: [2]
qkv: hidden
ffn: [32, 64, 96, 128]
vocab: 100
"""
FAST = ("--runtime", "onnxruntime", "--scheme", "fp32", "--target-mape", 60, "--target-width", 90)
HARD = (*FAST[:4], "--target-mape", 0.1, "--target-width", 0.1)
CPU = cache(cpuinfo.get_cpu_info)
ROUGH = [1000, 2000, 3000] * 2

Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def two_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first round of two blocks is quicker than one of three."""
    monkeypatch.setattr("bench.study.BEGIN", 12)
    monkeypatch.setattr("bench.study.ENOUGH", 9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With spaces of 40, 10 and 8 networks."""
    for name, hidden in (("tiny", [24, 40, 56, 72, 96]), ("other", [32, 48, 64])):
        text = SPACE.format(name=name, hidden=hidden)
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    ten = SPACE.format(name="ten", hidden=[24, 40, 56, 72, 96]).replace("[1, 2]", "[1]")
    ten = ten.replace("[32, 64, 96, 128]", "[32, 64]")
    (tmp_path / "ten.yaml").write_text(ten, encoding="utf-8")
    eight = SPACE.format(name="eight", hidden=[24])
    (tmp_path / "eight.yaml").write_text(eight, encoding="utf-8")
    return tmp_path


@dataclass(slots=True)
class Made:
    """How blocks are answered, and what they were."""

    asked: list[Task] = field(default_factory=list)
    error: float = 0.02
    draw: Random = field(default_factory=lambda: Random(3))
    rough: bool = False
    failing: int = 0
    """So many of the first rows cannot be had."""
    kill_at: int = 0
    """The row before which Ctrl-C is pressed."""
    now: float = 0.0
    """Added to the clock: ten seconds for every block."""

    def answer(self, index: int, task: Task) -> Answered:
        self.asked.append(task)
        if len(self.asked) <= self.failing:
            return Answered(index, failure="the process was killed")
        if len(self.asked) == self.kill_at:
            os.kill(os.getpid(), signal.SIGINT)
        assert task.subject.architecture
        off = 1 + self.error * self.draw.uniform(-1, 1)
        ms = law_ms(task.subject.architecture, task.subject.scheme, task.workload) * off
        rest = ((0,) * 6, (0,) * 6, (1,) * 6)
        series = Series((*ROUGH,), (*ROUGH,), *rest) if self.rough else steady(round(ms * 1e6))
        return Answered(index, "", Run(series), Cold(1, 1, 1))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """No process is started: every block is answered with runs that obey the law."""
    how = Made()
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + how.now)

    def ask(_self: Sweep, block: Block, *_: object, **__: object) -> Iterator[Answered]:
        how.now += 10
        for index, task in enumerate(block.tasks):
            yield how.answer(index, task)

    monkeypatch.setattr(Sweep, "_ask", ask)
    monkeypatch.setattr("bench.sweep.time", clock)
    monkeypatch.setattr("predictors.calibrated.AUTO", ("physics",))  # the others take seconds
    monkeypatch.setattr(cpuinfo, "get_cpu_info", CPU)
    return how


@pytest.fixture
def bench(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Bench:
    """Exit code, standard output and standard error of `bench profile --for-predictor`."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(
        command_line, "require_own_packages", lambda: None
    )  # takes a tenth of a second

    def run(
        *more: object, space: str = "tiny.yaml", device: str = "cpu-any", purpose: bool = True
    ) -> tuple[int, str, str]:
        words = ["bench", "profile", "--device", device, "--space", space, *map(str, more)]
        monkeypatch.setattr(sys, "argv", [*words, *(["--for-predictor"] if purpose else [])])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return int(left.value.code or 0), said.out, said.err

    return run


def card(folder: Path) -> Card:
    return read_card(folder / "results/data/cards/cpu-any.json")


def rows(folder: Path) -> int:
    return len(list(Ledger(folder / "results/data").measurements(current=True)))


def sentence(answer: tuple[int, str, str]) -> str:
    """What bad input was told, in one line."""
    code, _, stderr = answer
    assert (2, 1) == (code, stderr.count("\n")), stderr
    assert stderr.startswith("bench: ")
    return stderr.removeprefix("bench: ").rstrip("\n")


def test_from_an_empty_folder_to_a_card_and_its_table(
    folder: Path, made: Made, bench: Bench
) -> None:
    code, stdout, stderr = bench(*FAST)

    assert (0, "") == (code, stderr)
    said = stdout.splitlines()
    assert re.fullmatch(r"12 rows on CPU \d+", said[0])
    assert re.fullmatch(
        r"1 of 1 predictors good enough; onnxruntime fp32 \d+\.\d% ± \d+\.\d% with 12 networks",
        said[1],
    )
    assert re.fullmatch(r"all predictors are good enough, in \d+ s", said[3])
    assert "cpu-any: errors on networks that were held out" == said[4].strip()
    assert ["onnxruntime", "fp32", "physics", "12", "12"] == said[6].split()[:5]
    assert "card: results/data/cards/cpu-any.json" in said
    assert 12 == len(made.asked) == rows(folder)
    (entry,) = card(folder).entries
    (record,) = Ledger(folder / "results/data").sessions()
    assert (CardKey("onnxruntime", "fp32"), 12) == (entry.key, entry.provenance.rows)
    assert ("", (record.session.id,)) == (entry.provenance.from_card, entry.provenance.sessions)


@pytest.mark.usefixtures("made")
def test_programs_get_one_object_with_what_became_of_the_target(bench: Bench) -> None:
    code, stdout, stderr = bench(*FAST, "--json")

    told = json.loads(stdout)
    assert (0, 1) == (code, stdout.count("\n"))
    assert ["fp32"] == [x["scheme"] for x in told["predictors"]]
    study = told["study"]
    assert ("complete", 12, 1) == (study["status"], study["new_rows"], study["rounds"])
    assert {"mape": 0.6, "half_width": 0.9} == study["target"]
    assert [True] == [x["good_enough"] for x in study["predictors"]]
    assert "all predictors are good enough" in stderr
    assert "card: " in stderr


def test_the_same_again_measures_nothing_and_says_so(
    folder: Path, made: Made, bench: Bench
) -> None:
    bench(*FAST)
    code, stdout, _ = bench(*FAST)

    assert 0 == code
    assert "nothing new was measured: 12 rows of before count" == stdout.splitlines()[0]
    assert 12 == len(made.asked)
    assert 1 == len(list(Ledger(folder / "results/data").sessions()))


def test_a_target_out_of_reach_ends_at_the_most_and_the_same_again_measures_nothing(
    folder: Path, made: Made, bench: Bench
) -> None:
    code, stdout, _ = bench(*HARD, "--samples", 20)
    again = bench(*HARD, "--samples", 20)
    bench(*HARD, "--samples", 22)

    assert 0 == code
    missed = r"not good enough: onnxruntime fp32, .* with 20 networks where 0.1% ± 0.1% was wanted"
    for said in (stdout, again[1]):
        assert re.search(f"^{missed}$", said, re.MULTILINE)
        assert "\n20 networks were measured: more with a larger --samples\n" in said
    assert 22 == len(made.asked) == rows(folder)
    assert 22 == card(folder).entries[0].error.architectures


def test_measured_anew_only_the_new_rows_are_fitted_to(
    folder: Path, made: Made, bench: Bench
) -> None:
    bench(*FAST)
    _, stdout, _ = bench(*FAST, "--no-resume")

    assert 24 == len(made.asked)
    assert "12 rows on CPU" in stdout.splitlines()[0]
    (entry,) = card(folder).entries
    _, second = [record.session.id for record in Ledger(folder / "results/data").sessions()]
    assert ((second,), 12) == (entry.provenance.sessions, entry.provenance.rows)


def test_rows_of_a_device_of_another_name_are_measured_anew(
    folder: Path, made: Made, bench: Bench
) -> None:
    alike = "{runtimes: {onnxruntime: [fp32]}}"
    text = f"version: 1\ndevices:\n  one: {alike}\n  two: {alike}\n"
    (folder / "devices.yaml").write_text(text, encoding="utf-8")
    bench(*FAST, device="one")

    code, _, _ = bench(*FAST, device="two")

    assert (0, 24) == (code, len(made.asked))
    assert made.asked[:12] == made.asked[12:]
    assert 12 == read_card(folder / "results/data/cards/two.json").entries[0].provenance.rows


@pytest.mark.usefixtures("made")
def test_rows_of_other_spaces_are_fitted_to_as_well(folder: Path, bench: Bench) -> None:
    bench(*FAST, space="other.yaml")
    bench(*FAST)

    (entry,) = card(folder).entries
    assert (2, 24) == (len(entry.provenance.sessions), entry.provenance.rows)


def test_a_stop_keeps_the_rows_and_the_same_again_goes_on(
    folder: Path, made: Made, bench: Bench
) -> None:
    made.kill_at = 8
    code, _, stderr = bench(*FAST)
    kept = rows(folder)
    asked = {*made.asked[:kept]}
    made.asked.clear()
    made.kill_at = 0

    _, stdout, _ = bench(*FAST)

    assert (130, 6) == (code, kept)
    assert "6 new rows are kept in results/data; the same command goes on from here" in stderr
    assert "6 rows of before count" == stdout.splitlines()[0]
    assert not asked & set(made.asked)
    assert 12 == card(folder).entries[0].provenance.rows


@pytest.mark.parametrize(("budget", "count"), [("28s", 12), ("38s", 18)])
def test_a_time_budget_ends_it_and_there_is_a_card(
    folder: Path, made: Made, bench: Bench, budget: str, count: int
) -> None:
    code, stdout, _ = bench(*HARD, "--time-budget", budget)

    assert 0 == code
    assert f"with {count} networks where" in stdout
    assert "\nthe time budget is used up: the same command goes on from here\n" in stdout
    assert count == len(made.asked) == card(folder).entries[0].provenance.rows


@pytest.mark.usefixtures("made")
def test_what_the_time_was_enough_for_is_judged(bench: Bench) -> None:
    _, stdout, _ = bench(*FAST, "--time-budget", "28s", "--json")

    study = json.loads(stdout)["study"]
    assert ("budget", [True]) == (study["status"], [x["good_enough"] for x in study["predictors"]])


def test_a_time_budget_for_too_few_networks_is_told(
    folder: Path, made: Made, bench: Bench
) -> None:
    code, stdout, stderr = bench(*FAST, "--time-budget", "15s")

    assert (2, 6) == (code, len(made.asked))
    assert "the time budget is used up: the same command goes on from here\n" in stdout
    assert "6 architectures are too few to fit to: measure 3 more" in stderr
    assert 1 == stderr.count("\n")
    assert 6 == rows(folder)
    assert not (folder / "results/data/cards").exists()


def test_when_all_rows_are_noisy_it_ends_with_a_sentence(made: Made, bench: Bench) -> None:
    made.rough = True

    code, stdout, stderr = bench(*FAST)

    assert (2, 12 * (RETRIES + 1)) == (code, len(made.asked))
    assert "too few quiet rows to fit to where 60.0% ± 90.0% was wanted\n" in stdout
    assert "no row of the last round is fit to use: the same command goes on from here" in stdout
    assert stderr.startswith("bench: all 12 rows of cpu-any are noisy and none is fitted to")
    assert 1 == stderr.count("\n")


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_when_everything_fails_it_ends_with_the_reason(
    made: Made, bench: Bench, more: tuple[str, ...]
) -> None:
    made.failing = 999

    code, stdout, stderr = bench(*FAST, *more)

    assert (2, 12) == (code, len(made.asked))
    assert "12 rows could not be measured: the process was killed\n" in stdout + stderr
    assert stderr.endswith("bench: nothing was measured: the process was killed\n")


def test_a_network_that_fails_is_left_out(folder: Path, made: Made, bench: Bench) -> None:
    made.failing = 1

    code, stdout, _ = bench(*FAST)

    assert (0, 12) == (code, len(made.asked))
    assert "\n1 rows could not be measured: the process was killed\n" in stdout
    assert 11 == card(folder).entries[0].provenance.rows


@pytest.mark.usefixtures("made")
def test_a_space_of_ten_is_measured_whole(folder: Path, bench: Bench) -> None:
    _, stdout, _ = bench(*HARD, space="ten.yaml")

    told = (
        "nothing is left of the 10 candidates of the space ten: choose a larger one with --space"
    )
    assert f"\n{told}\n" in stdout
    assert 10 == rows(folder) == card(folder).entries[0].provenance.rows


def test_every_length_is_measured(folder: Path, made: Made, bench: Bench) -> None:
    code, _, _ = bench(*FAST, "--tokens", 16, "--tokens", 128)

    assert (0, 18) == (code, len(made.asked))
    assert {16, 128} == {task.workload.tokens for task in made.asked}
    assert (16.0, 128.0) == card(folder).entries[0].domain.ranges["tokens"]


@pytest.mark.usefixtures("made")
def test_as_served_the_predictors_are_those_of_that(folder: Path, bench: Bench) -> None:
    code, stdout, _ = bench(*FAST, "--deployed")

    assert 0 == code
    assert "onnxruntime fp32 deployed" in stdout
    assert "\nnext: bench predict --device cpu-any --deployed --layers" in stdout
    assert [CardKey("onnxruntime", "fp32", "deployed")] == [e.key for e in card(folder).entries]


@pytest.mark.usefixtures("made")
def test_the_seed_reaches_the_networks_and_the_fit(folder: Path, bench: Bench) -> None:
    bench(*FAST, "--seed", 5)

    (record,) = Ledger(folder / "results/data").sessions()
    assert (5, 5) == (record.session.seed, card(folder).entries[0].provenance.seed)


def test_no_line_is_broken_where_there_is_no_terminal(made: Made, bench: Bench) -> None:
    made.error = 0.5

    _, stdout, _ = bench(*FAST[:4], "--scheme", "int8-dynamic", "--samples", 12)

    for scheme in ("fp32", "int8-dynamic"):
        missed = rf"not good enough: onnxruntime {scheme}, .* where 5.0% ± 10.0% was wanted"
        assert re.search(f"^{missed}$", stdout, re.MULTILINE)
    assert re.search(r"^0 of 2 predictors good enough; .* with 12 networks$", stdout, re.MULTILINE)


def test_beside_another_card_six_networks_do(folder: Path, made: Made, bench: Bench) -> None:
    there = law_card(folder / "there")

    code, stdout, _ = bench(*FAST, "--from-card", there)

    origin = f"laptop {read_card(there).fingerprint}"
    assert (0, 6) == (code, len(made.asked))
    assert f"\nbegun with the prices of {origin}\n" in stdout
    assert origin == card(folder).entries[0].provenance.from_card


def test_what_the_other_card_has_not_is_told_and_fitted_to_its_rows_alone(
    folder: Path, made: Made, bench: Bench
) -> None:
    there = law_card(folder / "there")

    code, stdout, _ = bench(*FAST, "--scheme", "ptq:ffn-out=fp32", "--from-card", there)

    assert (0, 24) == (code, len(made.asked))
    said = "that card has none of onnxruntime ptq:ffn-out=fp32: fitted to the rows alone"
    assert f"\n{said}\n" in stdout
    origins = {e.key.scheme: bool(e.provenance.from_card) for e in card(folder).entries}
    assert {"fp32": True, "ptq:ffn-out=fp32": False, "mixed": True} == origins


@pytest.mark.usefixtures("bench")
def test_a_fit_to_five_networks_begins_with_the_other_card(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    there, of = law_card(folder / "there"), session(device="pi")
    keep(folder / "results/data", of, law_rows(of, networks(5), ("fp32", "bf16"), error=0.02))

    def fit(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", "fit", "--device", "pi", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capfd.readouterr()
        return int(left.value.code or 0), said.out, said.err

    assert "5 architectures are too few to fit to: measure 4 more" in sentence(fit())
    assert "cannot begin with the prices of a card: leave --from-card out, or" in sentence(
        fit("--from-card", there, "--family", "xgboost")
    )
    code, stdout, _ = fit("--from-card", there)

    (entry,) = read_card(folder / "results/data/cards/pi.json").entries
    assert (0, "fp32", "physics") == (code, entry.key.scheme, entry.family)
    assert f"begun with the prices of {entry.provenance.from_card}\n" in stdout
    assert "left out: onnxruntime bf16: 5 architectures are too few to fit to" in stdout
    assert f"laptop {read_card(there).fingerprint}" == entry.provenance.from_card
    assert entry.error.mape < 0.1


def test_a_card_of_before_that_cannot_be_written_to_is_told_before_it_is_measured(
    folder: Path, made: Made, bench: Bench
) -> None:
    path = folder / "results/data/cards/cpu-any.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(law_card(folder / "there").read_bytes())

    assert "is the card of laptop, not of cpu-any" in sentence(bench(*FAST))
    path.write_text("{}", encoding="utf-8")
    assert "is no device card" in sentence(bench(*FAST))
    assert [] == made.asked


def test_prices_are_those_of_physics_whatever_corrects_them(tmp_path: Path) -> None:
    physics: Any = PHYSICS.predictor
    corrected = replace(PHYSICS, predictor=Hybrid(physics, None))

    prior = warm_start(filled(tmp_path, (FP32, corrected)), "pi").of(
        Key("onnxruntime", "fp32", "stable")
    )

    assert prior
    assert physics.prices.tolist() == list(prior.prices.values())


def test_a_prior_is_all_that_its_predictor_knows(tmp_path: Path) -> None:
    there = law_card(tmp_path)

    found = warm_start(there, "pi")

    assert f"laptop {read_card(there).fingerprint}" == found.origin
    entries = read_card(there).entries
    assert {Key(e.key.runtime, e.key.scheme, e.key.profile) for e in entries} == {*found.priors}
    for entry in entries:
        prior = found.of(Key(entry.key.runtime, entry.key.scheme, entry.key.profile))
        physics: Any = entry.calibrated().predictor
        assert prior
        assert dict(zip(physics.terms.names, physics.prices, strict=True)) == prior.prices
        assert entry.intervals.scores.tolist() == prior.scores.tolist()
        assert entry.domain == prior.domain
    assert found.of(Key("torch", "bf16", "stable")) is None


def test_without_a_card_there_is_no_prior() -> None:
    assert ("", {}) == (warm_start(None, "pi").origin, warm_start(None, "pi").priors)


def test_predictors_without_prices_are_passed_over_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLACES, "fake", FAKE)
    int8 = CardKey("onnxruntime", "int8-dynamic")
    path = filled(tmp_path, (FP32, faked()), (int8, PHYSICS))
    for part in (*tmp_path.glob("*.ubj"), *tmp_path.glob("*.safetensors")):
        part.unlink()

    assert [Key("onnxruntime", "int8-dynamic", "stable")] == [*warm_start(path, "pi").priors]


def test_cards_that_are_no_help_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLACES, "fake", FAKE)
    fake = filled(tmp_path, (FP32, faked()), name="fake.json")

    with pytest.raises(BadInputError, match="is the card of laptop itself: name that of another"):
        warm_start(law_card(tmp_path), "laptop")
    with pytest.raises(BadInputError, match="only predictors of the families physics and hybrid"):
        warm_start(fake, "pi")


BAD = [
    (("--target-mape", 0), "--target-mape 0 is out of range: give percent from 0.1 to 100"),
    (("--target-mape", 101), "--target-mape 101 is out of range"),
    (("--target-mape", "nan"), "--target-mape nan is out of range"),
    (("--target-width", 0), "--target-width 0 is out of range: give percent from 0.1 to 100"),
    (("--target-width", "inf"), "--target-width inf is out of range"),
    (("--target-width", -5), "--target-width -5 is out of range"),
    (("--arch", "tiny.yaml"), "--for-predictor chooses networks from a space: leave out --arch"),
    (("--model", "."), "--for-predictor chooses networks from a space: leave out --arch"),
    (("--from-card", "no.json"), "--from-card no.json: there is no such file; name the card"),
    (("--from-card", "."), "--from-card .: there is no such file"),
    (("--from-card", "tiny.yaml"), "tiny.yaml is no JSON"),
    (("--samples", 3), "--samples 3 are too few: 9 networks are needed to fit to"),
    (("--samples", 8), "--samples 8 are too few: 9 networks are needed to fit to"),
    (("--samples", 0), "--samples 0 is out of range"),
    (("--samples", 4, "--from-card", "there/cards/laptop.json"), "4 are too few: 5 networks"),
    (("--tokens", 513), "513 tokens do not fit the 512 positions of the space tiny"),
    (("--tokens", 8, "--tokens", 600), "600 tokens do not fit the 512 positions"),
    (("--scheme", "optimum-avx512-vnni"), "--for-predictor measures networks of a space in"),
    (("--scheme", "int4"), "unknown scheme 'int4'"),
    (("--runtime", "tvm"), "--runtime 'tvm' is not among those of cpu-any"),
    (("--time-budget", "10"), "--time-budget '10' is no length of time"),
    (("--plot", "chart.gif"), "a chart ends in .png or .html"),
    (("--space", "eight.yaml"), "the space eight has 8 networks and 9 are needed to fit to"),
    (("--space", "bert"), "no search space 'bert'"),
    (("--device", "cpu-avx1024"), "unknown device 'cpu-avx1024'"),
    (("--results", "tiny.yaml"), "cannot write to the results folder"),
]


@pytest.mark.parametrize(("words", "told"), BAD, ids=[" ".join(map(str, w)) for w, _ in BAD])
def test_bad_input_is_one_sentence_before_anything_is_measured(
    folder: Path, made: Made, bench: Bench, words: tuple[object, ...], told: str
) -> None:
    if "there/cards/laptop.json" in words:
        law_card(folder / "there")
    runtime = () if "--runtime" in words else ("--runtime", "onnxruntime")
    scheme = () if "--scheme" in words else ("--scheme", "fp32")

    assert told in sentence(bench(*runtime, *scheme, *words))
    assert [] == made.asked
    assert not list(folder.glob("results/data/2*"))


@pytest.mark.parametrize("name", ["target-mape", "target-width", "from-card"])
def test_what_means_nothing_alone_is_refused(made: Made, bench: Bench, name: str) -> None:
    said = sentence(bench(f"--{name}", 7, purpose=False))

    assert f"--{name} means nothing without --for-predictor: add that" == said
    assert [] == made.asked


def real(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.cli", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done


def test_measured_for_real_it_ends_in_a_card_that_predicts(folder: Path) -> None:
    options = ("--device", "cpu-any", "--space", "tiny.yaml", "--target-error", 40)
    network = '{"hidden": 40, "layers": [{"heads": 2, "qkv": 40, "ffn": 64}], "vocab": 100}'
    (folder / "one.json").write_text(network, encoding="utf-8")

    done = real(
        folder, "profile", "--for-predictor", *options, *FAST, "--json", "--plot", "c.html"
    )
    told = real(folder, "predict", "--device", "cpu-any", "--arch", "one.json", "--json")

    (made,) = json.loads(done.stdout)["predictors"]
    assert 9 <= made["error"]["architectures"]
    assert "networks predicted by predictors" in (folder / "c.html").read_text(encoding="utf-8")
    (found,) = json.loads(told.stdout)["predictions"]
    assert 0 < found["lower"] <= found["ms"] <= found["upper"] < 1000

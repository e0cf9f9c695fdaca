"""A device card gives back the predictors put into it, bit by bit, and keeps to one device."""

import hashlib
import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors.card import read_card
from predictors.card_format import SIZES
from predictors.card_writer import put
from predictors.domain import Domain
from predictors.families import PLACES
from predictors.intervals import Intervals
from results.errors import BadInputError
from tests.ledger_rows import ENVIRONMENT
from tests.made_cards import (
    FAKE,
    FP32,
    INT8,
    MIXED,
    PHYSICS,
    PROVENANCE,
    Fake,
    columns,
    faked,
    files,
    filled,
    read_all,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture(autouse=True)
def _fake_family(monkeypatch) -> None:
    monkeypatch.setitem(PLACES, "fake", FAKE)


def test_predictions_and_bounds_come_back_bit_by_bit(tmp_path) -> None:
    read = read_card(filled(tmp_path, (FP32, PHYSICS))).find("onnxruntime", "fp32")

    assert read is not None
    for confidence in (0.5, 0.9, 0.999):
        expected = PHYSICS.forecast(columns(200, seed=5), confidence)
        found = read.calibrated().forecast(columns(200, seed=5), confidence)
        for name in ("ms", "lower", "upper", "beyond"):
            assert getattr(expected, name).tobytes() == getattr(found, name).tobytes()


def test_everything_known_of_a_predictor_comes_back(tmp_path) -> None:
    card = read_card(filled(tmp_path, (FP32, PHYSICS)))
    (entry,) = card.entries

    assert ["laptop", ENVIRONMENT] == [card.device, card.environment]
    assert [FP32, "physics"] == [entry.key, entry.family]
    assert [PHYSICS.domain, PHYSICS.error] == [entry.domain, entry.error]
    assert [PROVENANCE, ENVIRONMENT.fingerprint] == [entry.provenance, entry.fingerprint]
    assert "onnxruntime fp32 (stable)" == card.names


def test_parts_lie_beside_the_card_and_come_back(tmp_path) -> None:
    path = filled(tmp_path, (INT8, faked(weights=b"\x00\xff")))
    digits = [hashlib.sha256(x).hexdigest()[:12] for x in (b"\x00\xff", b"\xff\x00")]
    stem = "cpu.onnxruntime.int8-static-smooth-0-5-keep-3-ffn-out-4.stable"

    assert {"cpu.json", f"{stem}.{digits[0]}.ubj", f"{stem}.{digits[1]}.safetensors"} == files(
        tmp_path
    )
    assert [Fake(2.0, b"\x00\xff")] == [made.predictor for made in read_all(path)]


def test_parts_are_opened_only_for_the_predictor_that_is_asked_for(tmp_path) -> None:
    path = filled(tmp_path, (FP32, PHYSICS), (INT8, faked()))
    for part in tmp_path.glob("*.ubj"):
        part.unlink()

    found = read_card(path).find("onnxruntime", "fp32")
    assert found is not None
    assert "physics" == found.calibrated().predictor.family


@pytest.mark.parametrize(("tau", "width"), [(math.nan, math.inf), (0.5, 0.1)])
def test_what_json_has_no_number_for_comes_back(tmp_path, tau, width) -> None:
    error = replace(PHYSICS.error, kendall_tau=tau, half_width=width)
    path = filled(tmp_path, (FP32, replace(PHYSICS, error=error)))

    assert repr(error) == repr(read_all(path)[0].error)


@settings(deadline=None, max_examples=25)
@given(numbers=st.lists(NUMBERS, max_size=4), scores=st.lists(NUMBERS.map(abs), max_size=4))
def test_every_finite_number_comes_back_bit_by_bit(numbers, scores) -> None:
    made = replace(faked(numbers), intervals=Intervals(np.array(sorted(scores))))
    with tempfile.TemporaryDirectory() as folder:
        (read,) = read_all(filled(Path(folder), (FP32, made)))

    assert isinstance(read.predictor, Fake)
    assert np.array(numbers).tobytes() == np.array(read.predictor.ms, dtype=float).tobytes()
    assert made.intervals.scores.tobytes() == read.intervals.scores.tobytes()


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_would_not_come_back_is_not_written(tmp_path, number) -> None:
    path = filled(tmp_path, (FP32, PHYSICS))
    before = path.read_bytes()

    with pytest.raises(BadInputError, match="not finite"):
        filled(tmp_path, (FP32, faked(number)))
    assert [before, {"cpu.json"}] == [path.read_bytes(), files(tmp_path)]


def test_a_card_is_text_for_people_with_its_keys_in_a_fixed_order(tmp_path) -> None:
    path = filled(tmp_path, (INT8, faked()), (FP32, PHYSICS))
    tree = json.loads(path.read_text())

    first = ["format", "schema", "device", "fingerprint", "environment", "entries"]
    assert first == list(tree)
    assert '\n  "device": "laptop",\n' in path.read_text()
    assert "caf\xe9" in path.read_text()
    assert ENVIRONMENT.fingerprint == tree["fingerprint"]
    assert ["fp32", INT8.scheme] == [entry["scheme"] for entry in tree["entries"]]
    other = filled(tmp_path / "b", (FP32, PHYSICS), (INT8, faked()))
    assert path.read_bytes() == other.read_bytes()


def test_new_predictors_leave_the_others_as_they_are(tmp_path) -> None:
    path = filled(tmp_path, (FP32, PHYSICS), (INT8, faked(1.0, b"one")))
    card = put(path, "laptop", ENVIRONMENT, [(MIXED, faked(3.0, b"three"), PROVENANCE)])

    assert card == read_card(path)
    assert [FP32, INT8, MIXED] == [entry.key for entry in card.entries]
    assert [Fake(1.0, b"one"), Fake(3.0, b"three")] == [m.predictor for m in read_all(path)[1:]]


def test_a_profile_is_part_of_what_is_found(tmp_path) -> None:
    card = read_card(filled(tmp_path, (MIXED, PHYSICS)))

    assert card.find("openvino", "mixed") is None
    assert card.find("openvino", "mixed", "deployed") is not None


def test_parts_of_a_replaced_predictor_go_and_no_others(tmp_path) -> None:
    filled(tmp_path, (INT8, faked(7.0, b"neighbour")), name="cpu.x.json")
    path = filled(tmp_path, (INT8, faked(1.0, b"one")), (MIXED, faked(2.0, b"two")))
    before = files(tmp_path)
    filled(tmp_path, (INT8, faked(3.0, b"three")))

    gone, new = before - files(tmp_path), files(tmp_path) - before
    assert [2, 2] == [len(gone), len(new)]
    assert [Fake(3.0, b"three"), Fake(2.0, b"two")] == [m.predictor for m in read_all(path)]
    assert [Fake(7.0, b"neighbour")] == [m.predictor for m in read_all(tmp_path / "cpu.x.json")]


def test_a_card_keeps_to_one_machine(tmp_path) -> None:
    path = filled(tmp_path, (FP32, PHYSICS))
    before = path.read_bytes()
    hardware = replace(ENVIRONMENT.hardware, cpu="Xeon", isa=("amx_int8", "avx2", "fma"))

    with pytest.raises(BadInputError) as caught:
        put(path, "laptop", replace(ENVIRONMENT, hardware=hardware), [(INT8, PHYSICS, PROVENANCE)])
    said = str(caught.value)
    assert "hardware.cpu is AMD EPYC 9B14 there and Xeon here" in said
    assert "only there avx512_vnni avx512f, only here amx_int8" in said
    assert "--card" in said
    assert before == path.read_bytes()


def test_a_card_keeps_to_one_device(tmp_path) -> None:
    path = filled(tmp_path, (FP32, PHYSICS))

    with pytest.raises(BadInputError, match=r"is the card of laptop, not of desktop: .*--card"):
        put(path, "desktop", ENVIRONMENT, [])


def test_new_software_and_memory_are_the_same_machine(tmp_path) -> None:
    path = filled(tmp_path, (FP32, PHYSICS))
    later = replace(
        ENVIRONMENT,
        software=replace(ENVIRONMENT.software, kernel="6.12.0"),
        hardware=replace(ENVIRONMENT.hardware, memory_bytes=(8 << 30) - 4096),
    )
    card = put(path, "laptop", later, [(INT8, PHYSICS, PROVENANCE)])

    fingerprints = [entry.fingerprint for entry in card.entries]
    assert [ENVIRONMENT.fingerprint, later.fingerprint] == fingerprints
    assert later.fingerprint == card.fingerprint


def test_the_ranges_a_card_must_have_are_those_of_a_domain() -> None:
    assert set(SIZES) == set(Domain.of(columns()).ranges)


def test_an_empty_card_has_nothing(tmp_path) -> None:
    card = read_card(filled(tmp_path))

    assert ["nothing", None] == [card.names, card.find("onnxruntime", "fp32")]

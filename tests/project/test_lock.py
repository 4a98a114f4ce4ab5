"""What a lock calls drift, what it explains, and what it says of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.projects import model, parity, stage
from toolkit.errors import InputError
from toolkit.project.config import ModelConfig
from toolkit.project.lock import held_against, read_lock, write_lock
from toolkit.project.results import DRIFTS, HOLDS, Failure, ModelResult

VERSIONS = {"torch": "2.13.0", "onnx": "1.23.2"}
CONFIG = ModelConfig("m", source="model.py:build", stages=("export", "int8"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "parity.lock"


def locked(path: Path, was: ModelResult, versions: dict[str, str] = VERSIONS) -> dict[str, Any]:
    write_lock(path, [was], versions, [CONFIG])
    lock = read_lock(path)
    assert lock is not None
    return lock


def held(path: Path, was: ModelResult, now: ModelResult, **versions: str) -> ModelResult:
    return held_against(now, CONFIG, locked(path, was), {**VERSIONS, **versions})


def test_what_is_as_it_was_does_not_drift(path: Path) -> None:
    found = held(path, model(), model())
    assert (found, found.exit_code) == (model(), 0)


@pytest.mark.parametrize(
    ("was", "now", "drift"),
    [
        (0.01, 1.99, ""),
        (0.01, 2.5, "worst error (may be 2x): was 0.01x, is 2.5x that of float32"),
        (1.5, 2.9, ""),
        (1.5, 3.1, "worst error (may be 3x): was 1.5x, is 3.1x that of float32"),
        (70.0, 100.0, ""),
        (3.0, 0.1, ""),
    ],
)
def test_an_error_may_double_and_what_float32_itself_makes_is_no_error(
    path: Path, was: float, now: float, drift: str
) -> None:
    found = held(path, model(stage(parity(was))), model(stage(parity(now))))
    assert "; ".join(map(str, found.stages[0].drift)) == drift
    assert found.stages[0].outcome == (DRIFTS if drift else HOLDS)


@pytest.mark.parametrize(
    ("was", "now", "drifts"),
    [(40.0, 34.1, False), (40.0, 33.9, True), (float("inf"), 133.0, False), (200.0, 130.0, True)],
)
def test_noise_may_double(path: Path, was: float, now: float, drifts: bool) -> None:
    found = held(path, model(stage(parity(sqnr=was))), model(stage(parity(sqnr=now))))
    assert bool(found.stages[0].drift) == drifts


def test_a_file_that_changed_by_itself_drifts(path: Path) -> None:
    found = held(path, model(), model(stage(content="abcdef" * 10)))
    assert [str(d) for d in found.stages[0].drift] == [
        "file: neither source, weights nor versions changed: was c0ffeec0ffee, is abcdefabcdef"
    ]
    assert found.exit_code == 1


@pytest.mark.parametrize(
    ("change", "versions", "reason"),
    [
        ({"source_hash": "0" * 64}, {}, "source"),
        ({"source": "model.py:other"}, {}, "source"),
        ({"weights_hash": "0" * 64}, {}, "weights"),
        ({}, {"torch": "2.14.0"}, "torch 2.13.0 to 2.14.0"),
    ],
)
def test_a_file_may_change_with_what_it_is_made_from(
    path: Path, change: dict[str, str], versions: dict[str, str], reason: str
) -> None:
    now = model(stage(content="abcdef" * 10), **change)
    found = held(path, model(), now, **versions)
    assert found.exit_code == 0
    assert found.stages[0].notes == (f"file ({reason}): was c0ffeec0ffee, is abcdefabcdef",)


def test_a_kept_file_is_explained_by_its_own_versions_only(path: Path) -> None:
    was = model(stage(made_by={"torch": "2.12.0"}))
    now = model(stage(made_by={"torch": "2.12.0"}, content="abcdef" * 10))
    assert held(path, was, now, torch="2.14.0").exit_code == 1
    again = model(stage(made_by={"torch": "2.13.0"}, content="abcdef" * 10))
    assert held(path, was, again).exit_code == 0


@pytest.mark.parametrize(("bytes_now", "drifts"), [(1049, False), (1051, True), (100, False)])
def test_a_size_may_grow_within_its_band(path: Path, bytes_now: int, drifts: bool) -> None:
    found = held(path, model(), model(stage(size=bytes_now), source_hash="0" * 64))
    assert bool(found.stages[0].drift) == drifts
    assert any("size" in note for note in found.stages[0].notes) == (bytes_now == 100)


@pytest.mark.parametrize(
    ("was", "now", "drifts"),
    [(0.5, 0.99, False), (0.5, 1.01, True), (0.5, None, False), (None, 9.0, False)],
)
def test_a_latency_is_compared_where_it_was_measured_twice(
    path: Path, was: float | None, now: float | None, drifts: bool
) -> None:
    found = held(path, model(stage(latency=was)), model(stage(latency=now)))
    assert bool(found.stages[0].drift) == drifts


def test_a_signature_changes_with_its_source_only(path: Path) -> None:
    narrower = model(signature="x: float32[batch, 4]\nwhere batch = 1..4")
    found = held(path, model(), narrower)
    assert found.exit_code == 1
    assert str(found.drift[0]).startswith("signature: was x: float32[batch, 4]; where batch = 1..8")
    assert held(path, model(), replace(narrower, source_hash="0" * 64)).exit_code == 0


def test_a_model_or_a_stage_that_the_lock_does_not_know_drifts(path: Path) -> None:
    int8 = stage(parity(sqnr=30.0), stage="int8")
    new = held_against(replace(model(), name="n"), CONFIG, locked(path, model()), VERSIONS)
    assert str(new.drift[0]) == "'n' in the lock: was not there, is configured"
    assert held(path, model(), model(stage(), int8)).stages[1].outcome == DRIFTS


def test_a_stage_that_no_longer_comes_out_drifts(path: Path) -> None:
    int8 = stage(parity(sqnr=30.0), stage="int8")
    left_out = replace(int8, report=None, remark="no scheme pays")
    found = held(path, model(stage(), int8), model(stage(), left_out))
    assert str(found.drift[0]) == "stage 'int8': was checked, is not there"


def test_what_differs_does_not_drift_as_well(path: Path) -> None:
    found = held(path, model(), model(stage(parity(9.0, holds=False), size=9000)))
    assert (found.stages[0].outcome, found.stages[0].drift) == ("differs", ())


def test_what_does_not_load_is_an_error_and_nothing_else(path: Path) -> None:
    broken = ModelResult("m", "model.py:build", "", (stage(Failure("no such file", "", 3)),))
    assert held(path, model(), broken) == broken


def test_what_fails_keeps_the_entry_it_had(path: Path) -> None:
    before = locked(path, model())
    broken = model(stage(Failure("it crashed", "", 5)))
    assert write_lock(path, [broken], VERSIONS, [CONFIG], before) == ()
    assert read_lock(path) == before


def test_an_update_keeps_latencies_and_models_that_were_not_checked(path: Path) -> None:
    before = locked(path, model(stage(latency=0.5)))
    other = replace(model(), name="n")
    write_lock(path, [model(), other], VERSIONS, [CONFIG, replace(CONFIG, name="n")], before)
    again = read_lock(path)
    assert again is not None
    assert again["models"]["m"]["stages"]["export"]["latency"] == 0.5
    write_lock(path, [other], VERSIONS, [replace(CONFIG, name="n")], again)
    assert set(json.loads(path.read_text())["models"]) == {"n"}


def test_an_update_on_one_device_keeps_what_is_locked_of_another(path: Path) -> None:
    config = replace(CONFIG, stages=("export",), devices=("cpu", "cuda"))
    write_lock(path, [model(stage(), stage(device="cuda"))], VERSIONS, [config])
    before = read_lock(path)
    write_lock(path, [model(stage())], VERSIONS, [config], before)
    assert read_lock(path) == before
    write_lock(path, [model(stage())], VERSIONS, [replace(config, devices=("cpu",))], before)
    again = read_lock(path)
    assert again is not None
    assert list(again["models"]["m"]["stages"]) == ["export"]


def test_a_lock_is_sorted_and_the_same_for_the_same_models(path: Path) -> None:
    one, two = model(), replace(model(), name="a")
    configured = [CONFIG, replace(CONFIG, name="a")]
    write_lock(path, [one, two], VERSIONS, configured)
    first = path.read_bytes()
    write_lock(path, [two, one], dict(reversed(VERSIONS.items())), configured[::-1])
    assert path.read_bytes() == first
    assert list(json.loads(first)["models"]) == ["a", "m"]


@pytest.mark.parametrize("text", ["", "<<<<<<< HEAD", "{}", '{"format": 2, "models": {}}', "[]"])
def test_a_lock_that_cannot_be_read_is_not_taken_for_none(path: Path, text: str) -> None:
    assert read_lock(path) is None
    path.write_text(text)
    with pytest.raises(InputError, match="is not a lock of format 1"):
        read_lock(path)

"""The sample with fewer filters and epochs than for its own numbers. Nothing here is timed."""

import json
from pathlib import Path

import pytest

from tests.samples.running import run_sample


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "compress"
    run_sample("compress.py", "--out", out, "--filters", "96", "--epochs", "6", "--budget", "1")
    return out


@pytest.fixture(scope="module")
def rows(out: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads((out / "results.json").read_text())
    return found


@pytest.mark.parametrize("step", ["dense", "magnitude", "structured"])
def test_no_step_forgets_the_digits(rows: dict[str, dict[str, float]], step: str) -> None:
    assert rows[step]["accuracy"] >= 0.95


def test_magnitude_pruning_helps_only_once_compressed(rows: dict[str, dict[str, float]]) -> None:
    assert rows["magnitude"]["file"] == pytest.approx(rows["dense"]["file"], rel=0.01)
    assert rows["magnitude"]["gzip"] < 0.4 * rows["dense"]["gzip"]


def test_structured_pruning_makes_the_file_smaller(rows: dict[str, dict[str, float]]) -> None:
    assert rows["structured"]["file"] < 0.4 * rows["dense"]["file"]


def test_int8_makes_it_smaller_again(rows: dict[str, dict[str, float]]) -> None:
    assert rows["int8"]["file"] < 0.6 * rows["structured"]["file"]
    assert rows["int8"]["accuracy"] >= rows["structured"]["accuracy"] - 0.01


def test_it_draws_a_picture(out: Path) -> None:
    assert (out / "compress.png").read_bytes().startswith(b"\x89PNG")

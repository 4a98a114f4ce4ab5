"""The sample with two seeds, three labels a class and a sixth of its steps."""

import json
from pathlib import Path

import pytest

from tests.samples.running import run_sample


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("sample") / "pretrain"
    options = ("--seeds", "2", "--labels", "3", "--pretraining", "200", "--steps", "150")
    printed = run_sample("pretrain_finetune.py", "--out", out, *options, "--budget", "1")
    return out, printed


@pytest.mark.parametrize("kind", ["contrastive", "autoencoder"])
def test_pre_training_beats_scratch(ran: tuple[Path, str], kind: str) -> None:
    """On average: of one seed the gain is 0.01 to 0.04, by how a processor rounds."""
    found = json.loads((ran[0] / "results.json").read_text())[kind]
    assert sum(found["pre-trained"]) > sum(found["from scratch"])
    assert min(found["pre-trained"]) > 0.75


def test_it_ships_the_better_one(ran: tuple[Path, str]) -> None:
    results = json.loads((ran[0] / "results.json").read_text())
    better = max(results, key=lambda kind: sum(results[kind]["pre-trained"]))
    line = next(x.split() for x in ran[1].splitlines() if x.split()[:1] == ["float32"])
    assert f"shipped: seed 0, {better}" in ran[1]
    assert float(line[1]) == pytest.approx(100 * results[better]["pre-trained"][0], abs=0.01)


def test_it_draws_a_picture(ran: tuple[Path, str]) -> None:
    assert (ran[0] / "gain.png").read_bytes().startswith(b"\x89PNG")

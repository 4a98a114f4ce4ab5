"""The sample with fewer epochs than for its own numbers."""

from pathlib import Path

import pytest

import toolkit
from tests.samples.running import run_sample


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("sample") / "mlp"
    printed = run_sample("digits_mlp.py", "--out", out, "--epochs", "10", "--budget", "1")
    return out, printed


def shares(ran: tuple[Path, str], name: str) -> list[float]:
    """The percentages printed for `sigmoid`, `relu`, `pytorch` or `float32`."""
    lines = (x.replace("%", " ").split() for x in ran[1].splitlines() if "%" in x)
    return next([float(x) for x in words[1:]] for words in lines if words[0] == name)


@pytest.mark.parametrize("network", ["sigmoid", "relu"])
def test_both_networks_learn_the_digits(ran: tuple[Path, str], network: str) -> None:
    *curve, held_out = shares(ran, network)
    assert curve[-1] >= 93
    assert held_out >= 92


def test_the_modern_network_learns_faster(ran: tuple[Path, str]) -> None:
    assert shares(ran, "relu")[0] > shares(ran, "sigmoid")[0] + 20


def test_it_ships_the_better_one(ran: tuple[Path, str]) -> None:
    better = max(("sigmoid", "relu"), key=lambda name: shares(ran, name)[-2])
    assert f"activation={better}" in toolkit.inspect(ran[0] / "bundle").artifact.provenance.source


def test_float32_onnx_is_exactly_as_accurate(ran: tuple[Path, str]) -> None:
    assert shares(ran, "float32") == shares(ran, "pytorch")

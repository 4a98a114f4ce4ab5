"""Two processes on this machine against one; fewer epochs than for the sample's own numbers."""

from pathlib import Path

import numpy as np
import pytest

from tests.samples.running import run_sample


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The exit code is 0: the curves are within the bound that the sample measures."""
    out = tmp_path_factory.mktemp("sample") / "distributed"
    options = ("--processes", "2", "--epochs", "3", "--budget", "1")
    printed = run_sample("train_distributed.py", "--out", out, *options)
    return out, printed


def printed(ran: tuple[Path, str], label: str) -> float:
    """The last number of the line that begins so."""
    line = next(x for x in ran[1].splitlines() if x.startswith(label))
    return float(line.split()[-1])


def test_two_processes_train_as_one_does(ran: tuple[Path, str]) -> None:
    curves = np.load(ran[0] / "losses.npz")
    difference = np.abs(curves["one"] - curves["distributed"]).max()
    assert difference <= printed(ran, "bound")
    assert difference == pytest.approx(printed(ran, "largest difference"), rel=0.1)


def test_the_bound_would_show_gradients_that_are_not_averaged(ran: tuple[Path, str]) -> None:
    """Ranks that train on their own halves are off by 1.1 within three epochs."""
    assert printed(ran, "bound") < 0.1


def test_training_makes_progress(ran: tuple[Path, str]) -> None:
    losses = np.load(ran[0] / "losses.npz")["distributed"]
    assert losses[-20:].mean() < 0.2 * losses[0]


def test_rank_0_ships_what_they_trained(ran: tuple[Path, str]) -> None:
    lines = [x.split() for x in ran[1].splitlines() if "%" in x]
    accuracy = {name: float(value) for name, value, _ in lines}
    assert accuracy["float32"] == accuracy["pytorch"] >= 90
    assert (ran[0] / "bundle" / "manifest.json").is_file()

"""The sample runs from end to end; fewer epochs than for its printed numbers."""

from pathlib import Path

import numpy as np
import pytest

from tests.samples.running import run_sample


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("sample") / "digits"
    printed = run_sample("digits_lstm.py", "--out", out, "--epochs", "20", "--budget", "1")
    return out, printed


def accuracy(printed: str, name: str) -> float:
    """The percentage printed for `pytorch`, `float32` or `int8`."""
    line = next(x for x in printed.splitlines() if x.split()[:1] == [name] and "%" in x)
    return float(line.split()[1])


def test_the_held_out_accuracy_is_that_of_a_trained_model(ran: tuple[Path, str]) -> None:
    assert accuracy(ran[1], "pytorch") >= 95


def test_float32_onnx_is_exactly_as_accurate(ran: tuple[Path, str]) -> None:
    assert accuracy(ran[1], "float32") == accuracy(ran[1], "pytorch")


def test_int8_is_within_a_point(ran: tuple[Path, str]) -> None:
    assert abs(accuracy(ran[1], "int8") - accuracy(ran[1], "pytorch")) <= 1


def test_its_bundle_runs_on_the_sequences_that_it_held_out(ran: tuple[Path, str]) -> None:
    import toolkit

    out = ran[0]
    toolkit.run(out / "bundle", out / "held_out.npz", out / "p.npz", device="cpu")
    found = np.load(out / "p.npz")["probabilities"].argmax(-1)
    assert np.mean(found == np.load(out / "held_out_labels.npy")) >= 0.95

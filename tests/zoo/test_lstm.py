"""The LSTM classifier of the zoo: its gates, rows of many lengths, native nodes in the file."""

from pathlib import Path

import numpy as np
import pytest
import torch

import toolkit
from tests.zoo.recurrence import LENGTHS, assert_native, built, classified, drawn, ran, sigmoid
from tests.zoo.shipping import shipped
from toolkit.signature import Signature

SMALL = "zoo:lstm,features=3,hidden=5,steps=9"
DIRECTIONS = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both ways"])


def cell(
    w_ih: np.ndarray,
    w_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    i, f, g, o = np.split(w_ih @ x + b_ih + w_hh @ h + b_hh, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """The shipped model, and the bidirectional one exported."""
    folder = tmp_path_factory.mktemp("lstm")
    both_ways = folder / "both_ways.onnx"
    toolkit.export(f"{SMALL},bidirectional=True", both_ways)
    return {False: shipped(SMALL, folder).path / "model.onnx", True: both_ways}


@DIRECTIONS
def test_the_file_has_native_nodes_that_take_the_lengths(
    files: dict[bool, Path], bidirectional: bool
) -> None:
    assert_native(files[bidirectional], "LSTM", levels=2)


@DIRECTIONS
@pytest.mark.parametrize(("time", "lengths"), LENGTHS)
def test_module_and_file_compute_the_formula(
    files: dict[bool, Path], bidirectional: bool, time: int, lengths: list[int]
) -> None:
    module, _ = built("lstm", bidirectional=bidirectional)
    feeds = drawn(time, lengths)
    expected = classified(module, cell, feeds)
    for subject in (module, files[bidirectional]):
        np.testing.assert_allclose(ran(subject, feeds), expected, atol=1e-6)


@DIRECTIONS
def test_what_stands_after_a_rows_end_does_not_matter(
    files: dict[bool, Path], bidirectional: bool
) -> None:
    module, _ = built("lstm", bidirectional=bidirectional)
    feeds = drawn(6, [2, 6, 5, 1])
    other = {**feeds, "x": feeds["x"].copy()}
    for row, length in enumerate(feeds["lengths"]):
        other["x"][row, length:] = 4
    for subject in (module, files[bidirectional]):
        np.testing.assert_array_equal(ran(subject, feeds), ran(subject, other))


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    module, _ = built("lstm", classes=4)
    feeds = drawn(6, [2, 6, 5])
    with torch.no_grad():
        # To mypy an attribute of a module is a tensor.
        logits = module.logits(*map(torch.from_numpy, feeds.values()))  # type: ignore[operator]
    assert logits.shape == (3, 4)
    np.testing.assert_allclose(ran(module, feeds), logits.softmax(-1).numpy(), atol=1e-6)


def test_arguments_shape_the_signature() -> None:
    assert built("lstm", classes=4)[1] == Signature.parse(
        """
        x: float32[batch, time, 3] in -4..4
        lengths: int64[batch] in 1..9
        where batch = 1..32, time = 1..9
        -> probabilities: float32[batch, 4]
        """
    )

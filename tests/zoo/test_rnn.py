"""The Elman network of the zoo: its formula, rows of many lengths, native nodes in the file."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import toolkit
from tests.zoo.recurrence import LENGTHS, Cell, assert_native, built, drawn, ran, states
from tests.zoo.shipping import shipped
from toolkit import zoo
from toolkit.errors import InputError
from toolkit.signature import Signature

SMALL = "zoo:rnn,features=3,hidden=5,steps=9"
FUNCTIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}


def cell(nonlinearity: str) -> Cell:
    def step(
        w_xh: np.ndarray,
        w_hh: np.ndarray,
        b_xh: np.ndarray,
        b_hh: np.ndarray,
        x: np.ndarray,
        h: np.ndarray,
        c: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        return FUNCTIONS[nonlinearity](w_hh @ h + w_xh @ x + b_xh + b_hh), c

    return step


def outputs(module: nn.Module, step: Cell, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """W_hy h_t + b_y, with h = 0 after a row's end."""
    layer, dense = module.layer, module.dense
    assert isinstance(layer, nn.RNN)
    assert isinstance(dense, nn.Linear)
    weight, bias = (p.detach().double().numpy() for p in (dense.weight, dense.bias))
    rows = []
    for row, length in zip(feeds["x"], feeds["lengths"], strict=True):
        (h,) = states(layer, step, row[:length])
        rows.append(np.pad(h, ((0, len(row) - len(h)), (0, 0))))
    result: np.ndarray = np.array(rows) @ weight.T + bias
    return result


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The shipped model, and the one with relu exported."""
    folder = tmp_path_factory.mktemp("rnn")
    toolkit.export(f"{SMALL},nonlinearity=relu", folder / "relu.onnx")
    bundle = shipped(SMALL, folder)
    return {"tanh": bundle.path / "model.onnx", "relu": folder / "relu.onnx"}


@pytest.mark.parametrize("nonlinearity", FUNCTIONS)
def test_the_file_has_a_native_node_that_takes_the_lengths(
    files: dict[str, Path], nonlinearity: str
) -> None:
    assert_native(files[nonlinearity], "RNN", levels=1)


@pytest.mark.parametrize("nonlinearity", FUNCTIONS)
@pytest.mark.parametrize(("time", "lengths"), LENGTHS)
def test_module_and_file_compute_the_formula(
    files: dict[str, Path], nonlinearity: str, time: int, lengths: list[int]
) -> None:
    module, _ = built("rnn", nonlinearity=nonlinearity)
    feeds = drawn(time, lengths)
    expected = outputs(module, cell(nonlinearity), feeds)
    for subject in (module, files[nonlinearity]):
        np.testing.assert_allclose(ran(subject, feeds), expected, atol=2e-6)


def test_what_stands_after_a_rows_end_does_not_matter(files: dict[str, Path]) -> None:
    feeds = drawn(6, [2, 6, 5, 1])
    other = {**feeds, "x": feeds["x"].copy()}
    for row, length in enumerate(feeds["lengths"]):
        other["x"][row, length:] = 4
    for subject in (built("rnn")[0], files["tanh"]):
        np.testing.assert_array_equal(ran(subject, feeds), ran(subject, other))


def test_an_unknown_nonlinearity_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="no nonlinearity 'gelu'\ntanh or relu"):
        zoo.build("rnn", nonlinearity="gelu")


def test_arguments_shape_the_signature() -> None:
    assert built("rnn", outputs=4)[1] == Signature.parse(
        """
        x: float32[batch, time, 3] in -4..4
        lengths: int64[batch] in 1..9
        where batch = 1..32, time = 1..9
        -> y: float32[batch, time, 4]
        """
    )

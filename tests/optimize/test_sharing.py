"""Weights that are one are found by their bits, whatever their layout in memory."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from tests.graphs import parsed
from toolkit import external
from toolkit.optimize.sharing import bits, equal, marks, tie

MATRIX = np.random.default_rng(0).random((20, 30), np.float32)
TEXT = """(float[n, 20] x) => (float[n, 20] y) {
    h = MatMul(x, a)
    y = MatMul(h, b)
}"""


def content(array: np.ndarray) -> np.ndarray:
    found = bits(array)
    assert found is not None
    return found


def test_a_copy_is_equal_and_has_the_same_marks() -> None:
    one, other = content(MATRIX), content(MATRIX.copy())
    assert equal(one, other)
    assert marks(one) == marks(other)


def test_the_layout_in_memory_does_not_matter() -> None:
    one, other = content(MATRIX.T), content(np.ascontiguousarray(MATRIX.T))
    assert equal(one, other)
    assert marks(one) == marks(other)


@pytest.mark.parametrize(
    "other",
    [
        np.where(MATRIX[11, 17] == MATRIX, -MATRIX, MATRIX),
        MATRIX.view(np.int32)[:, ::-1],
        MATRIX.reshape(30, 20),
        MATRIX[:, :29],
        MATRIX.view(np.uint8),
    ],
    ids=["one element", "reversed", "another shape", "a part", "another width"],
)
def test_others_are_not_equal(other: np.ndarray) -> None:
    assert not equal(content(MATRIX), content(other))


def test_zeros_of_either_sign_differ_and_nan_equals_itself() -> None:
    zeros, nan = np.zeros((3, 3), np.float32), np.full((3, 3), np.nan, np.float32)
    assert not equal(content(zeros), content(-zeros))
    assert equal(content(nan), content(nan.copy()))


@pytest.mark.parametrize("beside", [False, True], ids=["in the model", "beside it"])
def test_a_matrix_that_was_written_twice_is_written_once(tmp_path: Path, beside: bool) -> None:
    model = parsed(TEXT, a=MATRIX, b=np.ascontiguousarray(MATRIX.T))
    x = np.random.default_rng(1).random((2, 20), np.float32)
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    if beside:
        external.put_beside(model, tmp_path, tmp_path / "m.onnx", move=False)
    tie(model, tmp_path)
    onnx.save(model, str(tmp_path / "m.onnx"))
    assert [t.name for t in model.graph.initializer] == ["a"]
    onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)
    (found,) = ReferenceEvaluator(str(tmp_path / "m.onnx")).run(None, {"x": x})
    np.testing.assert_array_equal(found, expected)


def test_other_matrices_of_that_shape_stay() -> None:
    model = parsed(TEXT, a=MATRIX, b=MATRIX.T + 1)
    tie(model, Path())
    assert len(model.graph.initializer) == 2

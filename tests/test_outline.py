"""A model read without the weights that its file holds: they point into it, bit by bit the same."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.graphs import parsed
from toolkit import external
from toolkit.artifact import open_artifact, read_outline, read_weights
from toolkit.errors import InputError
from toolkit.outline import outline

RNG = np.random.default_rng(0)
TEXT = "(float[n, 40] x) => (float[n, 64] y) { h = MatMul(x, w) y = Add(h, b) }"
WEIGHT, BIAS = RNG.random((40, 64), np.float32), RNG.random(64, np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    model = parsed(TEXT, w=WEIGHT, b=BIAS)
    model.graph.initializer.append(
        numpy_helper.from_array(RNG.random((300, 5)).astype(ml_dtypes.bfloat16), "spare")
    )
    onnx.save(model, str(tmp_path / "m.onnx"))
    return tmp_path / "m.onnx"


def test_weights_are_those_of_the_file(path: Path) -> None:
    whole = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    found = read_weights(open_artifact(path))
    assert found.keys() == whole.keys()
    for name, array in whole.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_only_large_weights_are_left_out(path: Path) -> None:
    found = read_outline(path)
    assert {t.name: bool(t.external_data) for t in found.graph.initializer} == {
        "w": True,
        "b": False,
        "spare": True,
    }
    assert found.ByteSize() < 1500
    assert found.graph.node == onnx.load(path).graph.node


def test_a_file_is_not_external_to_itself(path: Path) -> None:
    assert open_artifact(path).external == ()


def test_weights_beside_the_file_stay_where_they_are(tmp_path: Path) -> None:
    model = parsed(TEXT, w=WEIGHT, b=BIAS)
    external.put_beside(model, tmp_path, tmp_path / "m.onnx", move=False)
    onnx.save(model, str(tmp_path / "m.onnx"))
    assert outline(tmp_path / "m.onnx") == model


@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_a_damaged_file_is_refused_as_it_always_is(path: Path, damage: str) -> None:
    whole = path.read_bytes()
    content = {"cut": whole[:-3000], "noise": whole[::-1], "empty": b""}[damage]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read as ONNX|is not an ONNX model"):
        open_artifact(path)

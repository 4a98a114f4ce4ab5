"""Weights that are too large for protobuf go to a file beside the model, and move with it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests import graphs
from toolkit import artifact
from toolkit.artifact import OnnxArtifact, Provenance, publish, read_weights
from toolkit.errors import InputError
from toolkit.optimize.normalize import normalize
from toolkit.optimize.simplify import simplify
from toolkit.signature import Signature

TEXT = "(float[n, 64] x) => (float[n, 64] y) { y = MatMul(x, w) }"
CONTRACT = "x: float32[n, 64]; where n = 1..8"
WEIGHT = np.random.default_rng(0).random((64, 64), np.float32)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is too large."""
    monkeypatch.setattr(artifact, "EXTERNAL_ABOVE", 1000)


def saved(path: Path, weight: np.ndarray = WEIGHT) -> OnnxArtifact:
    path.parent.mkdir(exist_ok=True)
    return graphs.saved(path, TEXT, CONTRACT, w=weight)


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_large_weights_are_written_beside_the_model(tmp_path: Path) -> None:
    made = saved(tmp_path / "m.onnx")
    assert names(tmp_path) == {"m.onnx", *made.external}
    assert made.external[0].endswith(".weights")


def test_a_model_with_weights_beside_it_is_valid_onnx(tmp_path: Path) -> None:
    saved(tmp_path / "m.onnx")
    onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)


def test_weights_are_read_back_as_they_were(tmp_path: Path) -> None:
    made = saved(tmp_path / "m.onnx")
    np.testing.assert_array_equal(read_weights(made)["w"], WEIGHT)


def test_the_size_of_a_model_includes_its_weights(tmp_path: Path) -> None:
    made = saved(tmp_path / "m.onnx")
    assert made.size == sum(p.stat().st_size for p in tmp_path.iterdir()) > WEIGHT.nbytes


def test_other_weights_get_another_file(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "m.onnx"), saved(tmp_path / "m.onnx", WEIGHT + 1)
    assert one.external != other.external


def test_publishing_moves_the_model_and_its_weights(tmp_path: Path) -> None:
    made = saved(tmp_path / "work" / "m.onnx")
    moved = publish(made, tmp_path / "final.onnx")
    assert names(tmp_path / "work") == set()
    assert names(tmp_path) == {"work", "final.onnx", *made.external}
    np.testing.assert_array_equal(read_weights(moved)["w"], WEIGHT)


def test_publishing_removes_the_weights_that_it_replaces(tmp_path: Path) -> None:
    publish(saved(tmp_path / "work" / "m.onnx"), tmp_path / "m.onnx")
    new = publish(saved(tmp_path / "work" / "m.onnx", WEIGHT + 1), tmp_path / "m.onnx")
    assert names(tmp_path) == {"work", "m.onnx", *new.external}


def test_publishing_the_same_weights_keeps_them(tmp_path: Path) -> None:
    for _ in range(2):
        made = publish(saved(tmp_path / "work" / "m.onnx"), tmp_path / "m.onnx")
    np.testing.assert_array_equal(read_weights(made)["w"], WEIGHT)


def test_publishing_replaces_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("notes")
    assert publish(saved(tmp_path / "work" / "m.onnx"), tmp_path / "m.onnx").external


@pytest.mark.parametrize("location", ["../mine", "{folder}/mine", "mine"])
def test_publishing_removes_no_file_that_only_the_replaced_model_names(
    tmp_path: Path, location: str
) -> None:
    mine = tmp_path / "models" / location.format(folder=tmp_path)
    made, foreign = saved(tmp_path / "work" / "m.onnx"), graphs.parsed(TEXT, w=WEIGHT)
    onnx.external_data_helper.set_external_data(
        foreign.graph.initializer[0], location.format(folder=tmp_path)
    )
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.onnx").write_bytes(foreign.SerializeToString())
    mine.write_text("mine")
    publish(made, tmp_path / "models" / "m.onnx")
    assert mine.read_text() == "mine"


def test_weights_that_are_gone_are_named(tmp_path: Path) -> None:
    made = saved(tmp_path / "m.onnx")
    made.files[1].unlink()
    with pytest.raises(InputError, match=r"'.*m\.onnx' cannot be read"):
        read_weights(made)


def test_what_an_exporter_wrote_beside_its_file_is_moved_and_not_written_again(
    tmp_path: Path,
) -> None:
    raw = graphs.parsed(TEXT, w=WEIGHT)
    data: dict[str, Any] = {
        "save_as_external_data": True,
        "location": "raw.data",
        "size_threshold": 100,
    }
    onnx.save(raw, str(tmp_path / "raw.onnx"), **data)
    inode = (tmp_path / "raw.data").stat().st_ino
    signature = Signature.parse(f"{CONTRACT}; -> y: float32[n, 64]")
    made = normalize(tmp_path / "raw.onnx", tmp_path / "m.onnx", signature, Provenance())
    assert names(tmp_path) == {"raw.onnx", "m.onnx", *made.external}
    assert made.files[1].stat().st_ino == inode
    onnx.checker.check_model(str(made.path), full_check=True)


def test_a_simplified_model_leaves_the_weights_of_its_input_alone(tmp_path: Path) -> None:
    text = "(float[n, 64] x) => (float[n, 64] y) { a = Identity(x) y = MatMul(a, w) }"
    made = graphs.saved(tmp_path / "m.onnx", text, CONTRACT, w=WEIGHT)
    done = simplify(made, tmp_path / "s.onnx")
    assert done.kept
    for one in (made, done.artifact):
        np.testing.assert_array_equal(read_weights(one)["w"], WEIGHT)

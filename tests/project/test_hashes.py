"""Each hash is of one thing alone."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests import graphs
from toolkit import sealed, source as sources
from toolkit.artifact import open_artifact
from toolkit.project import hashes

MODEL = """\
import torch
from torch import nn
from {neighbour} import WIDTH


def build(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(WIDTH, 3).eval(), "x: float32[batch, 4]; where batch = 1..4"
"""

SIGNATURE = "x: float32[n, 4]; where n = 1..4"
GRAPH = "(float[n, 4] x) => (float[n, 4] y) { y = Mul(x, w) }"


def hashed(folder: Path, seed: int = 0) -> tuple[str, str]:
    """Of source and weights, of a model that imports a neighbour."""
    model = sources.load(f"{folder}/model.py:build,seed={seed}")
    return hashes.source(model), hashes.weights(model)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    neighbour = f"neighbour_{tmp_path.name}"
    (tmp_path / f"{neighbour}.py").write_text("WIDTH = 4\n")
    (tmp_path / "model.py").write_text(MODEL.format(neighbour=neighbour))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, neighbour, raising=False)
    return tmp_path


def test_the_same_source_has_the_same_hashes(folder: Path) -> None:
    assert hashed(folder) == hashed(folder)


def test_other_weights_are_not_another_source(folder: Path) -> None:
    (source, weights), (same, others) = hashed(folder), hashed(folder, seed=1)
    assert (source == same, weights == others) == (True, False)


@pytest.mark.parametrize("name", ["model.py", "neighbour_*.py"])
def test_a_line_of_its_own_or_of_what_it_imports_is_another_source(folder: Path, name: str) -> None:
    source, weights = hashed(folder)
    (path,) = folder.glob(name)
    path.write_text(path.read_text() + "# another line\n")
    changed, same = hashed(folder)
    assert (source == changed, weights == same) == (False, True)


def test_line_ends_of_another_system_are_the_same_source(folder: Path) -> None:
    before = hashed(folder)
    for path in folder.glob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert hashed(folder) == before


def test_the_hash_of_a_file_is_of_its_graph_and_weights(tmp_path: Path) -> None:
    def saved(name: str, weight: float) -> str:
        array = np.full(4, weight, np.float32)
        return hashes.content(graphs.saved(tmp_path / name, GRAPH, SIGNATURE, w=array))

    assert saved("a.onnx", 1.0) == saved("b.onnx", 1.0)
    assert saved("a.onnx", 1.0) != saved("c.onnx", 1.0000001)


def test_how_a_file_was_made_is_no_part_of_its_hash(tmp_path: Path) -> None:
    made = graphs.saved(tmp_path / "a.onnx", GRAPH, SIGNATURE, w=np.ones(4, np.float32))
    proto = onnx.load(made.path)
    for entry in proto.metadata_props:
        if entry.key == "onnxport.provenance":
            entry.value = '{"stages": ["exported"], "fingerprint": "another"}'
    onnx.save(proto, tmp_path / "b.onnx")
    assert hashes.content(open_artifact(tmp_path / "b.onnx")) == hashes.content(made)
    sealed.seal(open_artifact(tmp_path / "b.onnx"), "a model", "holds")
    assert hashes.content(open_artifact(tmp_path / "b.onnx")) == hashes.content(made)

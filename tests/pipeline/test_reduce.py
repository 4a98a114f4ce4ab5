"""A failure is cut down to a few nodes, with a script that shows it without this project."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from torch import Tensor, nn

import toolkit
from tests import models
from tests.graphs import saved
from tests.pipeline.test_localize import SloppyGelu, attribute
from toolkit.errors import UsageError
from toolkit.parity.verdict import Tolerance
from toolkit.report.reproduction import FILE

NORM = "norm/LayerNormalization"


def shown(folder: Path) -> "subprocess.CompletedProcess[str]":
    """The script alone, where this project cannot be imported."""
    text = (folder / FILE).read_text()
    assert "toolkit" not in text
    assert "onnxport" not in text
    command = [sys.executable, "-P", FILE]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="session")
def normalized(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path, Path]:
    """A model, its file, and the same file with another epsilon."""
    folder = tmp_path_factory.mktemp("normalized")
    model = models.normalized()
    toolkit.export(model, folder / "right.onnx", budget=0.5)
    proto = onnx.load(str(folder / "right.onnx"))
    attribute(NORM, "epsilon", 0.1)(proto)
    onnx.save(proto, str(folder / "wrong.onnx"))
    return model[0], folder / "right.onnx", folder / "wrong.onnx"


@pytest.mark.parametrize("against", ["module", "file"])
def test_one_node_is_left_of_a_wrong_graph(
    normalized: tuple[nn.Module, Path, Path], tmp_path: Path, against: str
) -> None:
    model, right, wrong = normalized
    original = model if against == "module" else right
    folder = tmp_path / "reduced"
    report = toolkit.check(wrong, against=original, limit=2, reduced=folder)
    assert report.located
    assert report.located.reproduction.startswith("1 of 2 nodes show it"), report.notes
    (node,) = onnx.load(str(folder / "model.onnx")).graph.node
    assert node.name == NORM
    onnx.checker.check_model(str(folder / "model.onnx"))
    done = shown(folder)
    assert done.returncode == 1, done.stderr
    assert "off by" in done.stdout


def test_a_mended_model_no_longer_shows_it(
    normalized: tuple[nn.Module, Path, Path], tmp_path: Path
) -> None:
    model, _, wrong = normalized
    folder = tmp_path / "reduced"
    toolkit.check(wrong, against=model, limit=1, reduced=folder)
    proto = onnx.load(str(folder / "model.onnx"))
    attribute(NORM, "epsilon", 1e-5)(proto)
    onnx.save(proto, str(folder / "model.onnx"))
    done = shown(folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_optimization_is_shown_at_the_nodes_that_it_fuses(tmp_path: Path) -> None:
    signature = "x: float32[n] in -1..1\nwhere n = 100..200\n-> y: float32[n]"
    text = """(float[n] x) => (float[n] y) {
        w = Neg(x)
        a = Div(w, root)
        b = Erf(a)
        c = Add(b, one)
        d = Mul(w, c)
        e = Mul(d, half)
        f = Neg(e)
        y = Neg(f)
    }"""
    scalars = {"root": 1.4142, "one": 1.0, "half": 0.5}
    weights = {n: np.array(v, np.float32) for n, v in scalars.items()}
    artifact = saved(tmp_path / "gelu.onnx", text, signature, **weights)

    class Negative(SloppyGelu):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(-x)

    report = toolkit.check(
        artifact,
        against=(Negative(), signature),
        limit=1,
        tolerance=Tolerance(atol=1e-6),
        reduced=tmp_path / "reduced",
    )
    assert report.located
    assert report.located.reproduction.startswith("5 of 8 nodes show it"), report.notes
    done = shown(tmp_path / "reduced")
    assert done.returncode == 1, done.stderr
    assert "without ['GeluFusionL1']" in done.stdout


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists and is no reproduction"):
        toolkit.check("m.onnx", against="zoo:mlp", reduced=tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"

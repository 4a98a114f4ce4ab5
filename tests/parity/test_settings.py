"""What normalizations are told is compared where no output shows it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto
from torch import Tensor, nn

import toolkit
from toolkit.artifact import open_artifact
from toolkit.parity.flaw import Flaw
from toolkit.parity.settings import Setting, of_file, of_module, unsettled


class Norms(nn.Module):
    """Norms whose weights are equal, so that a file keeps one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(6, eps=1e-12), nn.LayerNorm(6, eps=1e-6)
        self.batch = nn.BatchNorm1d(6, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return self.batch(self.second(self.first(x)).sum(1))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "m.onnx"
    signature = "x: float32[batch, time, 6] in -1..1; where batch = 1..4, time = 1..4"
    toolkit.export((Norms().eval(), signature), path, budget=1.0)
    return path


def changed(file: Path, path: Path, change: Callable[[NodeProto], None]) -> list[Flaw]:
    """What is found after one node of each kind was changed."""
    model = onnx.load(str(file))
    for kind in ("LayerNormalization", "BatchNormalization"):
        change(next(n for n in model.graph.node if n.op_type == kind))
    onnx.save(model, str(path))
    module = Norms()
    weights = {n: p.detach().numpy() for n, p in module.named_parameters()}
    return unsettled(of_module(module), of_file(open_artifact(path)), weights)


def test_a_right_file_is_told_what_its_original_is(file: Path, tmp_path: Path) -> None:
    assert changed(file, tmp_path / "m.onnx", lambda _: None) == []
    assert {s.epsilon for s in of_module(Norms())} == {1e-12, 1e-6, 1e-3}
    assert len(of_file(open_artifact(file))) == 3


def test_another_epsilon_is_named(file: Path, tmp_path: Path) -> None:
    def change(node: NodeProto) -> None:
        for attribute in node.attribute:
            if attribute.name == "epsilon":
                attribute.f *= 10

    first, second = changed(file, tmp_path / "m.onnx", change)
    assert first.told.endswith("has epsilon 1e-11, expected 0.001 or 1e-06 or 1e-12")
    assert second.told.endswith("has epsilon 0.01, expected 0.001 or 1e-06 or 1e-12")


def test_another_axis_is_named(file: Path, tmp_path: Path) -> None:
    def change(node: NodeProto) -> None:
        for attribute in node.attribute:
            if attribute.name == "axis":
                attribute.i = -2

    (flaw,) = changed(file, tmp_path / "m.onnx", change)
    assert flaw.told.endswith("goes over axes from -2, expected -1")


def test_a_check_fails_by_it(file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(file))
    node = next(n for n in model.graph.node if n.op_type == "LayerNormalization")
    next(a for a in node.attribute if a.name == "epsilon").f *= 10
    onnx.save(model, str(tmp_path / "m.onnx"))
    report = toolkit.check(tmp_path / "m.onnx", against=Norms().eval(), budget=1.0)
    assert report.reason.startswith("normalization '")
    assert not report.holds


def test_a_weight_of_no_module_is_left_alone() -> None:
    weights = {"a": np.ones(3)}
    assert unsettled([Setting("a", 1e-5)], [Setting("b", 1e-3)], weights) == []

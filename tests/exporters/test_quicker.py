"""What is quicker changes nothing of what comes out."""

from contextlib import nullcontext
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.nn import functional

from exporters import dynamo
from exporters.own import Own
from exporters.quicker import quicker
from tests.exporters.holding import holds
from toolkit import source


class Samples(nn.Module):
    """Convolved, sampled where it says itself, resized, cut and joined."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, 2, 1)
        self.places = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.gelu(self.convolution(x))
        grid = self.places(y).tanh().permute(0, 2, 3, 1)
        sampled = functional.grid_sample(y, grid[:, 1:], align_corners=False)
        resized = functional.interpolate(sampled, size=y.shape[2:], mode="bilinear")
        return torch.cat([y, resized], 1).flatten(2).softmax(-1) + 1e-3


SIGNATURE = "x: float32[batch, 3, h, w]; where batch = 1..3, h = 8..20, w = 8..20"


def test_holds(tmp_path: Path) -> None:
    assert holds(Samples, SIGNATURE, tmp_path / "m.onnx")


def test_the_graph_is_the_same_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = source.load((Samples().eval(), SIGNATURE))
    for name in ("with", "without"):
        if name == "without":
            monkeypatch.setattr(dynamo, "quicker", nullcontext)
            monkeypatch.setattr(dynamo, "tracing", nullcontext)
        Own().export(model, tmp_path / f"{name}.onnx", opset=20)
    one, other = (onnx.load(tmp_path / f"{name}.onnx") for name in ("with", "without"))
    assert len(one.graph.node) > 10
    assert onnx.printer.to_text(one.graph) == onnx.printer.to_text(other.graph)


def test_a_size_that_was_found_out_is_a_number_from_then_on() -> None:
    size = ShapeEnv().create_unbacked_symint()
    with quicker():
        assert size.node.maybe_as_int() is None
        assert size.node.expr == size.node.expr
        torch._check(size == 7)
        assert size.node.maybe_as_int() == 7

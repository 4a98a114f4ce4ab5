"""torch.jit.script: branches and loops of the source are in the graph, for every size and value."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from exporters.scripted import Scripted
from tests import models
from toolkit import source
from toolkit.errors import ExportRefused, NotApplicable

ROWS = "x: float32[n, 4]; where n = 1..9"


class StopsEarly(nn.Module):
    """A break, which no closure can do: not a case for the rewrites."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, int]:
        taken = 0
        for number in range(x.shape[0]):
            new = torch.tanh(self.step(x))
            if bool((new - x).abs().max() < 0.4):
                break
            x = new
            taken = number + 1
        return x, taken


class Last(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part = StopsEarly()

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x)[0]


class Untyped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = {True: x, False: -x}[getattr(self, "training", False)]
        return made * len(dir(x))


@pytest.fixture(scope="module")
def stopping(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    module = Last().eval()
    path = tmp_path_factory.mktemp("scripted") / "m.onnx"
    Scripted().export(source.load((module, ROWS)), path, opset=20)
    return module, path


def test_the_loop_is_in_the_graph(stopping: tuple[nn.Module, Path]) -> None:
    assert "Loop" in {node.op_type for node in onnx.load(str(stopping[1])).graph.node}


@pytest.mark.parametrize("rows", [1, 2, 9])
@pytest.mark.parametrize("scale", [0.0, 1.0, 9.0])
def test_it_stops_where_eager_pytorch_stops(
    stopping: tuple[nn.Module, Path], rows: int, scale: float
) -> None:
    module, path = stopping
    x = scale * np.random.default_rng(rows).standard_normal((rows, 4)).astype(np.float32)
    (y,) = ort.InferenceSession(str(path)).run(None, {"x": x})
    with torch.no_grad():
        np.testing.assert_allclose(y, module(torch.from_numpy(x)).numpy(), atol=1e-6)


def test_what_has_no_branch_is_left_to_the_others(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="no branch and no loop"):
        Scripted().export(source.load(models.linear()), tmp_path / "m.onnx", opset=20)


def test_what_does_not_compile_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match=r"torch\.jit\.script does not compile it") as caught:
        Scripted().export(source.load((Untyped().eval(), ROWS)), tmp_path / "m.onnx", opset=20)
    assert "\n" not in caught.value.message

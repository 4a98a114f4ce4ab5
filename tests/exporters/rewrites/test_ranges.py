"""torch.linspace with as many steps as an input has, and the numbers that PyTorch gives."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from exporters.own import Own
from toolkit import source


class Positions(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + torch.linspace(0, 1, x.shape[1]), torch.linspace(-3.0, 7.0, x.shape[1])


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> ort.InferenceSession:
    path = tmp_path_factory.mktemp("ranges") / "m.onnx"
    made = Positions().eval(), "x: float32[n, t]; where n = 1..4, t = 1..99"
    Own().export(source.load(made), path, opset=20)
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 99])
def test_it_counts_from_both_ends(session: ort.InferenceSession, steps: int) -> None:
    x = np.zeros((1, steps), np.float32)
    found = session.run(None, {"x": x})
    expected = Positions()(torch.from_numpy(x))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=1e-6)

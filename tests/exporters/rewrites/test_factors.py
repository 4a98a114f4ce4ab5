"""Numbers that are computed of sizes, in arithmetic with tensors."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from exporters.own import Own
from toolkit import source


class Ratios(nn.Module):
    """Positions of one axis on another, as relative positions are scaled."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        ratio = max(x.shape[1] / x.shape[2], 1.0)
        places = torch.arange(x.shape[1]) * ratio
        places += (x.shape[2] - 1) * ratio
        return places, places - ratio, x * ratio


@pytest.mark.parametrize("height", [2, 3, 9])
def test_a_ratio_of_sizes_is_that_of_the_call(tmp_path: Path, height: int) -> None:
    module = Ratios().eval()
    made = module, "x: float32[n, h, w]; where n = 1..4, h = 2..9, w = 2..9"
    Own().export(source.load(made), tmp_path / "m.onnx", opset=20)
    x = torch.randn(2, height, 4)
    found = ort.InferenceSession(str(tmp_path / "m.onnx")).run(None, {"x": x.numpy()})
    for one, other in zip(found, module(x), strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-6)

"""Resizes with corners aligned, to one pixel and to more."""

from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn
from torch.nn import functional

from exporters.own import Own
from toolkit import source

IMAGES = "x: float32[n, 3, h, w]; where n = 1..4, h = 64..128 step 32, w = 64..128 step 32"


class Weighted(nn.Module):
    """A feature map, times weights of a fixed size that are resized to it."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce, self.weigh = nn.Conv2d(3, 4, 64, 64), nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce(x)
        weights = self.weigh(functional.adaptive_avg_pool2d(y, (3, 3)))
        again = functional.interpolate(
            weights, size=y.shape[2:], mode="bilinear", align_corners=True
        )
        return y * again


def test_one_pixel_and_two(tmp_path: Path) -> None:
    module = Weighted().eval()
    Own().export(source.load((module, IMAGES)), tmp_path / "m.onnx", opset=20)
    session = ort.InferenceSession(str(tmp_path / "m.onnx"))
    for height, width in product((64, 96, 128), repeat=2):
        x = torch.randn(2, 3, height, width)
        with torch.no_grad():
            expected = module(x).numpy()
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], expected, atol=1e-5)

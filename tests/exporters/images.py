"""Images whose sides are multiples of 32: an export of ours, at each of them."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from exporters.own import Own
from toolkit import source

IMAGES = "x: float32[n, 3, h, w]; where n = 1..4, h = 64..128 step 32, w = 64..128 step 32"


def assert_holds_at_every_size(made: Callable[[], nn.Module], path: Path) -> None:
    """Of a module with the same weights every time."""
    torch.manual_seed(0)
    module = made().eval()
    Own().export(source.load((module, IMAGES)), path, opset=20)
    session = ort.InferenceSession(str(path))
    for height, width in product((64, 96, 128), repeat=2):
        x = torch.randn(2, 3, height, width)
        with torch.no_grad():
            expected = module(x).numpy()
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], expected, atol=1e-5)

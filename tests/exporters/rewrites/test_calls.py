"""Functions that are called as others while a model is traced, by any name that torch has."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.exporters.holding import holds


class ByName(nn.Module):
    def forward(self, image: Tensor, ids: Tensor) -> dict[str, Tensor]:
        rows = image.flatten(2).mean(1)
        front, back = torch.split(tensor=rows, split_size_or_sections=[1, 3], dim=1)
        (one,) = back.split(split_size=3, dim=1)
        return {
            "resized": functional.interpolate(input=image, size=(5, 3), mode="bilinear"),
            "pooled": functional.adaptive_max_pool2d(input=image, output_size=2),
            "counts": torch.bincount(input=ids, minlength=6),
            "hot": functional.one_hot(ids, num_classes=6),
            "spread": torch.cov(input=rows.T),
            "same": torch.allclose(input=rows, other=rows + 1e-9),
            "equal": torch.equal(input=rows, other=rows.clone()),
            "distances": torch.cdist(x1=rows, x2=rows + 1),
            "parts": front + one + torch.unbind(input=rows, dim=1)[0].unsqueeze(1),
        }


def test_a_file_holds(tmp_path: Path) -> None:
    signature = """
        image: float32[batch, 3, 2, 2]
        ids: int64[n] in 0..5
        where batch = 2..5, n = 1..9
    """
    assert holds(ByName, signature, tmp_path / "m.onnx")

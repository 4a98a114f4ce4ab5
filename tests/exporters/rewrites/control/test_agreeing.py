"""Branches on sizes after which the sizes are known nevertheless."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import toolkit


class Chunks(nn.Module):
    """Padded where it must be, and then cut into chunks of eight."""

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        if length % 8:
            x = F.pad(x, (0, 0, 0, 8 - length % 8))
        chunks = x.view(batch, -1, 8, width).softmax(2)
        return chunks.reshape(batch, -1, width)[:, :length]


class Windows(nn.Module):
    """Attention within windows of an image of any size, as in Swin."""

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, h, w = x.shape
        below = 4 - h % 4 if h % 4 != 0 else 0
        right = 4 - w % 4 if w % 4 != 0 else 0
        if below > 0 or right > 0:
            x = F.pad(x, (0, right, 0, below))
        rows, columns = x.shape[2] // 4, x.shape[3] // 4
        y = x.view(batch, channels, rows, 4, columns, 4).permute(0, 2, 4, 3, 5, 1)
        y = y.reshape(-1, 16, channels)
        y = (y @ y.mT).softmax(-1) @ y
        y = y.view(batch, rows, columns, 4, 4, channels).permute(0, 5, 1, 3, 2, 4)
        return y.reshape(batch, channels, 4 * rows, 4 * columns)[:, :, :h, :w]


class Scores(nn.Module):
    """The forward pass of a CRF: two inputs of as many rows, compared in a loop only."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.randn(5, 5))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        score = x[:, 0]
        for step in range(1, x.shape[1]):
            paths = score[:, :, None] + self.steps + x[:, step, None]
            score = torch.where(mask[:, step, None], paths.logsumexp(1), score)
        return score.logsumexp(1)


IMAGES = "x: float32[batch, 3, h, w] in -2..2; where batch = 1..2, h = 8..24, w = 8..24"
CASES = {
    Chunks: "x: float32[batch, n, 4] in -2..2; where batch = 1..3, n = 1..20",
    Windows: IMAGES,
    Scores: "x: float32[batch, n, 5]; mask: bool[batch, n]; where batch = 1..4, n = 1..9",
}


@pytest.mark.parametrize("module", CASES)
def test_what_follows_is_exported(module: type[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    exported = toolkit.export(
        module().eval(),
        tmp_path / "model.onnx",
        signature=CASES[module],
        exporters=["onnxport"],
    )
    assert exported.report.holds

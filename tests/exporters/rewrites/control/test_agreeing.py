"""Branches on sizes after which the sizes are known nevertheless."""

from pathlib import Path

import pytest
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.corpora.bends_layers import ShiftedWindows
from benchmarks.corpora.bends_wild import ScoresOfTags, WindowsOfAnyImage
from tests.exporters.holding import holds


class Chunks(nn.Module):
    """Padded where it must be, and then cut into chunks of eight."""

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        if length % 8:
            x = F.pad(x, (0, 0, 0, 8 - length % 8))
        chunks = x.view(batch, -1, 8, width).softmax(2)
        return chunks.reshape(batch, -1, width)[:, :length]


IMAGES = "x: float32[batch, 3, h, w] in -2..2; where batch = 1..2, h = 8..24, w = 8..24"
CASES = {
    Chunks: "x: float32[batch, n, 4] in -2..2; where batch = 1..3, n = 1..20",
    WindowsOfAnyImage: IMAGES,
    ShiftedWindows: "x: float32[batch, h, w, 8] in -2..2; where batch = 1..3, h = 5..9, w = 5..9",
    ScoresOfTags: "x: float32[batch, n, 5]; mask: bool[batch, n]; where batch = 1..4, n = 1..9",
}


@pytest.mark.parametrize("module", CASES)
def test_what_follows_is_exported(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, CASES[module], tmp_path / "model.onnx")

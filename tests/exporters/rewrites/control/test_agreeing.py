"""Branches on sizes after which the sizes are known nevertheless."""

from pathlib import Path

import pytest
import torch
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


class Relative(nn.Module):
    """As FastSpeech 2: as many frames as values say, their distances cut out of a table, which is
    made anew where it is too short. Of the two sizes nobody knows when they are the same."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(39.0).sin().unsqueeze(0))

    def longer(self, x: Tensor, table: Tensor) -> Tensor:
        if table.size(1) >= x.size(1) * 2 - 1:
            return table
        places = torch.arange(1 - x.size(1), x.size(1))
        return (places + 19).sin().unsqueeze(0)

    def forward(self, x: Tensor, many: Tensor) -> tuple[Tensor, Tensor]:
        frames = x.repeat_interleave(many, dim=1)
        self.table = self.longer(frames, self.table)
        middle, count = self.table.size(1) // 2, frames.size(1)
        distances = self.table[:, middle - count + 1 : middle + count]
        return frames, distances.expand(x.shape[0], -1) * frames.sum()


IMAGES = "x: float32[batch, 3, h, w] in -2..2; where batch = 1..2, h = 8..24, w = 8..24"
CASES = {
    Chunks: "x: float32[batch, n, 4] in -2..2; where batch = 1..3, n = 1..20",
    Relative: "x: float32[b, t, 2]; many: int64[t] in 1..4; where b = 1..3, t = 1..9",
    WindowsOfAnyImage: IMAGES,
    ShiftedWindows: "x: float32[batch, h, w, 8] in -2..2; where batch = 1..3, h = 5..9, w = 5..9",
    ScoresOfTags: "x: float32[batch, n, 5]; mask: bool[batch, n]; where batch = 1..4, n = 1..9",
}


@pytest.mark.parametrize("module", CASES)
def test_what_follows_is_exported(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, CASES[module], tmp_path / "model.onnx")

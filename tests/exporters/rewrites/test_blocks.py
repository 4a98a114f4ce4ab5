"""A number is written to a block whose bounds are values, from whichever end they count."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from exporters.rewrites.blocks import fill
from tests.exporters.holding import holds


class Ends(nn.Module):
    """Bounds below zero count from the end; beyond the size they are clipped."""

    def forward(self, x: Tensor, ends: Tensor) -> tuple[Tensor, ...]:
        behind, before, between = x.clone(), x.clone(), x.clone()
        behind[:, ends[0] :] = 0
        before[1, ..., : ends[1]] = 1
        between[:-1, ends[0] : ends[1]] = 2
        whole = torch.arange(x.shape[1])
        whole[ends[0] :] = 1.5  # 1, as it is written
        return behind, before, between, whole


class Diagonal(nn.Module):
    """Texts in one row, each of which sees itself: where one begins the one before it says."""

    def forward(self, x: Tensor, sizes: Tensor) -> Tensor:
        mask = torch.full((x.shape[0], x.shape[0]), -1e4)
        start = 0
        for size in list(sizes):
            end = start + size
            mask[start:end, start:end] = 0
            start = end
        return torch.softmax(x @ x.T + mask, -1) @ x


@pytest.mark.parametrize(
    ("module", "signature"),
    [
        (Ends, "x: float32[n, t]; ends: int64[2] in -7..7; where n = 2..4, t = 1..6"),
        (Diagonal, "x: float32[t, 4]; sizes: int64[m] in 0..4; where t = 1..12, m = 1..4"),
    ],
)
def test_holds(module: type[nn.Module], signature: str, tmp_path: Path) -> None:
    assert holds(module, signature, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "index", [0, slice(1, 2), (slice(None), torch.tensor([0])), (..., slice(-1, None)), None]
)
def test_what_no_value_bounds_is_left_to_torch(index: object) -> None:
    target = torch.zeros(3, 3)
    assert not fill(target, index, 1)
    assert not target.any()

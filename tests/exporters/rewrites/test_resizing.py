"""Resizes with corners aligned, to one pixel and to more."""

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from tests.exporters.images import assert_holds_at_every_size


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
    assert_holds_at_every_size(Weighted(), tmp_path / "m.onnx")

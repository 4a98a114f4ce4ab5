"""Resizes with corners aligned, to one pixel and to more; and by scales that are not known."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import toolkit
from tests.exporters.holding import holds
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
    assert_holds_at_every_size(Weighted, tmp_path / "m.onnx")


class Scaled(nn.Module):
    """Positions fitted to an image by scales that hang on its size."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.places, self.mode = nn.Parameter(torch.randn(1, 2, 3, 5)), mode

    def forward(self, x: Tensor) -> Tensor:
        scales = (x.shape[2] // 8 + 0.1) / 3, (x.shape[3] // 8 + 0.1) / 5
        return functional.interpolate(self.places, scale_factor=scales, mode=self.mode) + x.mean()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_scales_that_hang_on_a_size(mode: str, tmp_path: Path) -> None:
    exported = toolkit.export(
        Scaled(mode),
        tmp_path / "model.onnx",
        signature="x: float32[1, 1, h, w]; where h = 48..80 step 8, w = 48..80 step 8",
        exporters=["onnxport"],
    )
    assert exported.report.holds


class Fitted(nn.Module):
    """DINO's positions: as they are for images as in training, else resized to the patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.places = nn.Parameter(torch.randn(1, 16, 8))

    def fitted(self, count: int, h: int, w: int) -> Tensor:
        if count == self.places.shape[1] and w == h:
            return self.places
        side = int(math.sqrt(self.places.shape[1]))
        grid = self.places.reshape(1, side, side, 8).permute(0, 3, 1, 2)
        scales = (h // 8 + 0.1) / side, (w // 8 + 0.1) / side
        found = functional.interpolate(grid, scale_factor=scales, mode="bicubic")
        assert int(h // 8 + 0.1) == found.shape[-2]
        return found.permute(0, 2, 3, 1).reshape(1, -1, 8)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.patches(x).flatten(2).mT
        return found + self.fitted(found.shape[1], *x.shape[2:])


def test_positions_of_a_transformer_of_images_of_any_size(tmp_path: Path) -> None:
    signature = (
        "x: float32[batch, 3, h, w] in -2..2; "
        "where batch = 1..2, h = 16..72 step 8, w = 16..72 step 8"
    )
    assert holds(Fitted, signature, tmp_path / "model.onnx")

"""Convolutions whose groups are the rows of a batch, each with weights of its own."""

from pathlib import Path

import pytest
from torch import Tensor, nn
from torch.nn import functional

import toolkit
from benchmarks.corpora.bends_layers import Modulated
from tests.exporters.holding import holds

IMAGES = "x: float32[b, 3, h, w] in -2..2; style: float32[b, 4] in -2..2"
SIZES = "where b = 1..4, h = 5..12, w = 5..12"


class Upsamples(Modulated):
    """Its way to twice the size."""

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        weight = self.weights(style).transpose(1, 2).reshape(batch * channels, 6, 3, 3)
        rows = x.reshape(1, batch * channels, height, width)
        out = functional.conv_transpose2d(rows, weight, stride=2, groups=batch)
        return out.view(batch, 6, *out.shape[2:])


@pytest.mark.parametrize("module", [Modulated, Upsamples])
def test_a_style_for_every_row(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, f"{IMAGES}; {SIZES}", tmp_path / "model.onnx")


class Filtered(nn.Module):
    """Every row by a filter that it brings, in as many ways as there are arguments."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way

    def forward(self, x: Tensor, filters: Tensor) -> Tensor:
        b, c, n = x.shape
        rows, bias = x.reshape(1, b * c, n), filters.sum((1, 2, 3)).repeat_interleave(2)
        kernels = filters.reshape(b * 2, c, 3)
        back = filters.transpose(1, 2).reshape(b * c, 2, 3)
        found = {
            "strided": lambda: functional.conv1d(rows, kernels, bias, 2, 2, 2, b),
            "same": lambda: functional.conv1d(rows, kernels, padding="same", groups=b),
            "valid": lambda: functional.conv1d(rows, kernels, padding="valid", groups=b),
            "back": lambda: functional.conv_transpose1d(rows, back, bias, 3, 1, 2, b, 2),
        }[self.way]()
        return found.reshape(b, 2, found.shape[-1])


@pytest.mark.parametrize("way", ["strided", "same", "valid", "back"])
def test_a_filter_for_every_row(way: str, tmp_path: Path) -> None:
    exported = toolkit.export(
        Filtered(way),
        tmp_path / "model.onnx",
        signature="x: float32[b, 4, n] in -2..2; filters: float32[b, 2, 4, 3] in -2..2; "
        "where b = 1..4, n = 5..12",
        exporters=["onnxport"],
    )
    assert exported.report.holds

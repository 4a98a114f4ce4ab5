"""Rolls by shifts that hang on a size; what is copied or scattered over more than it is."""

from pathlib import Path

import torch
from torch import Tensor, nn

from tests.exporters.holding import holds


class Centred(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        spectrum = torch.fft.fftshift(torch.complex(x, x.flip(0)), dim=(-2, -1))
        return torch.fft.ifftshift(x), torch.view_as_real(spectrum)


def test_shifts_of_half_a_size(tmp_path: Path) -> None:
    signature = "x: float32[b, h, w] in -2..2; where b = 1..3, h = 2..7, w = 2..7"
    assert holds(Centred, signature, tmp_path / "model.onnx")


class Copied(nn.Module):
    """A row and a number over a whole buffer, in its dtype."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        rows = x.new_empty(x.shape[0], 4, 3).copy_(x[:, :1])
        whole = torch.zeros(2, dtype=torch.int64).copy_(x.sum())
        return rows, whole, torch.empty_like(x).copy_(x), torch.linspace(x.min(), x.max(), 1)


def test_a_row_or_a_number_is_copied_over_many(tmp_path: Path) -> None:
    assert holds(
        Copied, "x: float32[n, t, 3] in -9..9; where n = 1..3, t = 1..5", tmp_path / "m.onnx"
    )


class Scattered(nn.Module):
    def forward(self, x: Tensor, places: Tensor, by: Tensor) -> tuple[Tensor, ...]:
        return (
            x.scatter(1, places, by, reduce="add"),
            x.scatter(1, places, by, reduce="multiply"),
            x.scatter(0, places, 2, reduce="multiply"),
        )


def test_a_scatter_adds_or_multiplies(tmp_path: Path) -> None:
    signature = "x: float32[n, 6]; places: int64[n, 6] in {0}; by: float32[n, 6]; where n = 1..4"
    assert holds(Scattered, signature, tmp_path / "m.onnx")

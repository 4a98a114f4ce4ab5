"""Rolls by shifts that hang on a size, of real and of complex numbers."""

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

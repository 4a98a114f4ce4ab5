"""Convolutions as long as the input, by way of its spectrum."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.corpora.bends_wild import FourierOperator, StateSpace
from tests.exporters.holding import holds


class Odd(nn.Module):
    """There and back, to the size it had: odd or even, along axes that are not the last."""

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x, dim=(2, 1), norm="ortho")
        return torch.fft.irfft2(
            spectrum * 0.5, s=(x.shape[2], x.shape[1]), dim=(2, 1), norm="ortho"
        )


class Enhances(nn.Module):
    """A mask of a spectrogram, as in speech enhancement: as long as it was, and as it comes out."""

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(100))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        given: dict[str, Any] = {"hop_length": 48, "win_length": 100, "window": self.window}
        found = torch.stft(x, 128, return_complex=True, **given)
        louder = torch.polar(found.abs().sqrt(), found.angle())
        shorter = torch.istft(0.5 * found, 128, normalized=True, **given)
        return torch.istft(louder, 128, length=x.shape[-1], **given), shorter


CASES = {
    Enhances: "x: float32[batch, samples] in -1..1; where batch = 1..3, samples = 300..1000",
    StateSpace: "x: float32[batch, 4, length] in -2..2; where batch = 1..3, length = 1..40",
    Odd: "x: float32[batch, h, w] in -2..2; where batch = 1..3, h = 2..11, w = 2..11",
    FourierOperator: "x: float32[n, 3, h, w] in -2..2; where n = 1..2, h = 8..24, w = 8..24",
}


@pytest.mark.parametrize("module", CASES)
def test_it_holds_at_every_length(module: type[nn.Module], tmp_path: Path) -> None:
    assert holds(module, CASES[module], tmp_path / "model.onnx")

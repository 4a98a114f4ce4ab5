"""Convolutions as long as the input, by way of its spectrum."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import toolkit


class StateSpace(nn.Module):
    """S4D: a kernel of complex exponentials, as long as the input."""

    def __init__(self) -> None:
        super().__init__()
        self.poles = nn.Parameter(torch.randn(4, 8, dtype=torch.cfloat))
        self.weights = nn.Parameter(torch.randn(4, 8, dtype=torch.cfloat))

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[-1]
        poles = torch.complex(-self.poles.real.abs(), self.poles.imag)
        powers = torch.exp(0.1 * poles[..., None] * torch.arange(length))
        kernel = 2 * torch.einsum("hn,hnl->hl", self.weights, powers).real
        spectrum = torch.fft.rfft(x, n=2 * length) * torch.fft.rfft(kernel, n=2 * length)
        return torch.fft.irfft(spectrum, n=2 * length)[..., :length]


class Odd(nn.Module):
    """There and back, to the size it had: odd or even, along axes that are not the last."""

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x, dim=(2, 1), norm="ortho")
        return torch.fft.irfft2(
            spectrum * 0.5, s=(x.shape[2], x.shape[1]), dim=(2, 1), norm="ortho"
        )


class Operator(nn.Module):
    """A layer of a Fourier neural operator: of the spectrum a few are kept, at both ends."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Parameter(torch.randn(3, 4, 3, 3, dtype=torch.cfloat))
        self.high = nn.Parameter(torch.randn(3, 4, 3, 3, dtype=torch.cfloat))

    def forward(self, x: Tensor) -> Tensor:
        batch, _, h, w = x.shape
        found = torch.fft.rfft2(x)
        kept = torch.zeros(batch, 4, h, w // 2 + 1, dtype=torch.cfloat)
        for part, weights in ((slice(3), self.low), (slice(-3, None), self.high)):
            kept[:, :, part, :3] = torch.einsum("bixy,ioxy->boxy", found[:, :, part, :3], weights)
        return torch.fft.irfft2(kept, s=(h, w))


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
    Operator: "x: float32[batch, 3, h, w] in -2..2; where batch = 1..2, h = 8..24, w = 8..24",
}


@pytest.mark.parametrize("module", CASES)
def test_it_holds_at_every_length(module: type[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    exported = toolkit.export(
        module().eval(),
        tmp_path / "model.onnx",
        signature=CASES[module],
        exporters=["onnxport"],
    )
    assert exported.report.holds

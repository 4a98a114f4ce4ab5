"""Complex numbers inside a model, which are pairs of real ones in a file."""

from pathlib import Path

import torch
from torch import Tensor, nn

import toolkit


class Spectrum(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        z = torch.fft.fft2(x, s=(6, 7), dim=(1, 2))
        return {
            "spectrum": z,
            "back": torch.fft.irfft(z, n=7).real,
            "inverse": torch.fft.ihfftn(x, dim=(1, 2)),
            "chosen": torch.where(z.real > 0, z, z.conj())[:, 0],
            "turned": (z.unsqueeze(-2) * z[:, None, [2, 0, 1]].expand(-1, 6, -1, -1)),
            "phase": torch.exp(1j * x) ** 2,
        }


def test_a_file_holds_at_every_batch(tmp_path: Path) -> None:
    made = (Spectrum(), "x: float32[n, 4, 5] in -1..1; where n = 1..9")
    found = toolkit.export(made, tmp_path / "m.onnx", exporters=["onnxport"], budget=2)
    assert found.report.holds, found.report.reason

"""Functions where they are small: ONNX Runtime's own are right to 6e-8 only, whatever the size.

And Fourier transforms: as products with a matrix they are as exact as PyTorch's.
"""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

import toolkit

FAR, NEAR = "-16..-12", "-0.001..-0.0001"


@pytest.mark.parametrize(
    ("module", "values"),
    [
        *((nn.Sigmoid(), FAR), (nn.SiLU(), FAR), (nn.GLU(), FAR)),
        *((nn.ELU(0.7), NEAR), (nn.CELU(0.7), NEAR), (nn.SELU(), NEAR)),
    ],
    ids=lambda m: type(m).__name__,
)
def test_it_holds_where_the_first_file_differs(
    module: nn.Module, values: str, tmp_path: Path
) -> None:
    signature = f"x: float32[n, 4] in {values}; where n = 1..8"
    exported = toolkit.export(
        (module, signature),
        tmp_path / "m.onnx",
        exporters=["onnxport", "onnxport-precise"],
        budget=2.0,
    )
    assert [(a.exporter, a.outcome) for a in exported.attempts] == [
        ("onnxport", "differs"),
        ("onnxport-precise", "holds"),
    ]


class Fourier(nn.Module):
    def __init__(self, norm: str) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        there = torch.fft.fftn(x, dim=(1, 2), norm=self.norm)
        return torch.view_as_real(there * torch.fft.ifft(x.to(torch.complex64), norm=self.norm))


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_a_transform_is_a_product_at_every_length(norm: str, tmp_path: Path) -> None:
    exported = toolkit.export(
        (Fourier(norm), "x: float32[n, t, 7] in -1..1; where n = 1..3, t = 2..24"),
        tmp_path / "m.onnx",
        exporters=["onnxport-precise"],
        budget=2.0,
    )
    assert exported.report.holds, exported.report.reason
    session = ort.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).uniform(-1, 1, (2, 23, 7)).astype(np.float32)
    expected = Fourier(norm)(torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=0, atol=2e-5)

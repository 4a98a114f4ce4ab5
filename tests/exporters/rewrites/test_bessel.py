"""Bessel and Airy functions as numbers, against PyTorch's kernels, and as a file."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites import bessel

FUNCTIONS = {str(op): (op, how) for op, how in bessel.FAMILY.decompositions.items()}
ATEN = [name for name in FUNCTIONS if name.startswith("aten")]


@pytest.mark.parametrize("name", ATEN)
def test_double_precision_agrees_to_the_last_digits(name: str) -> None:
    kernel, how = FUNCTIONS[name]
    x = torch.linspace(-12, 12, 1201, dtype=torch.float64)
    torch.testing.assert_close(how(x), kernel(x), rtol=1e-13, atol=1e-14, equal_nan=True)


@pytest.mark.parametrize("name", ATEN)
def test_ends_of_the_line_and_zeros_are_those_of_pytorch(name: str) -> None:
    kernel, how = FUNCTIONS[name]
    x = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-30, 1e4])
    torch.testing.assert_close(how(x), kernel(x), rtol=1e-4, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("name", [n for n in ATEN if "bessel_k" in n or "bessel_y" in n])
def test_what_has_a_pole_at_zero_is_exact_at_denormal_numbers(name: str) -> None:
    kernel, how = FUNCTIONS[name]
    x = torch.tensor([1e-45, 1.5e-43, 1e-39])
    torch.testing.assert_close(how(x), kernel(x.double()).float(), rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("name", ATEN)
def test_whole_numbers_are_taken_as_floats(name: str) -> None:
    _, how = FUNCTIONS[name]
    assert how(torch.arange(1, 4)).dtype == torch.float32


class Waves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        waves: Tensor = torch.special.bessel_y0(x) + torch.special.airy_ai(x)
        found: Tensor = waves * torch.special.i0e(x)
        return found


def test_a_file_holds_at_every_batch(tmp_path: Path) -> None:
    model = (Waves(), "x: float32[n] in 0.1..30; where n = 1..9")
    found = toolkit.export(model, tmp_path / "m.onnx", exporters=["onnxport"], budget=2)
    assert found.report.holds

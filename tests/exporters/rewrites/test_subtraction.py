"""A number minus whole numbers."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites.subtraction import _rsub


class Inverted(nn.Module):
    def forward(self, mask: Tensor) -> Tensor:
        return (1.0 - mask) * -5.0 + (3 - mask)


def test_a_mask_of_whole_numbers_is_inverted(tmp_path: Path) -> None:
    signature = "mask: int64[rows, 4] in 0..2; where rows = 1..9"
    exported = toolkit.export(
        (Inverted(), signature), tmp_path / "m.onnx", exporters=("onnxport",), budget=1.0
    )
    assert exported.report.holds, exported.report.reason


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64, torch.float32])
@pytest.mark.parametrize(("number", "alpha"), [(1, 1), (1.5, 1), (2, 3), (-0.5, 2)])
def test_it_is_what_torch_computes(dtype: torch.dtype, number: float, alpha: int) -> None:
    x = torch.tensor([0, 1, 7, 200]).to(dtype)
    expected = torch.rsub(x, number, alpha=alpha)
    found = _rsub(x, number, alpha)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)

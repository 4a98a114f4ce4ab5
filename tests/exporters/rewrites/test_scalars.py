"""What takes a scalar, or an axis of one: any, all, prod, a check of values, a remainder."""

from pathlib import Path

import torch
from torch import Tensor, nn

import toolkit


def holds(module: nn.Module, signature: str, path: Path) -> bool:
    exported = toolkit.export((module, signature), path, exporters=["onnxport"], budget=2.0)
    return exported.report.holds


class Reduced(nn.Module):
    def forward(self, x: Tensor, bytes_: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        return (
            torch.any(x, 0),
            torch.all(x, dim=0, keepdim=True),
            torch.any(bytes_, 0),
            torch.any(y, 1),
            torch.all(y, (0, 1)),
            torch.prod(x, 0),
            torch.prod(bytes_, 0, keepdim=True),
            torch.prod(x, 0, dtype=torch.float64),
            torch.linalg.vector_norm(x, 3, dim=0, dtype=torch.float64),
            torch.linalg.vector_norm(x, 0, keepdim=True),
        )


def test_a_scalar_is_its_own_reduction(tmp_path: Path) -> None:
    signature = "x: float32[]; bytes_: uint8[]; y: bool[n, 3]; where n = 1..5"
    assert holds(Reduced(), signature, tmp_path / "m.onnx")


class Checked(nn.Module):
    """As deformable attention: what it was given fits together."""

    def forward(self, x: Tensor) -> Tensor:
        torch._check_tensor_all(x.abs() >= 0)
        return x * 2


def test_a_check_of_values_is_dropped(tmp_path: Path) -> None:
    assert holds(Checked(), "x: float32[n, 3]; where n = 1..5", tmp_path / "m.onnx")


class Wrapped(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x % x.shape[1], x.long() % (x.shape[0] + 1)


def test_what_is_left_of_a_division_by_a_size(tmp_path: Path) -> None:
    signature = "x: float32[n, m] in -20..20; where n = 1..5, m = 1..9"
    assert holds(Wrapped(), signature, tmp_path / "m.onnx")


class Bounded(nn.Module):
    """One bound is a whole number, the other has a fraction."""

    def forward(self, x: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        return x.clamp(min=0, max=1.5), torch.clamp(x, -0.5, 1), k.clamp(1, 2.5)


def test_bounds_of_two_kinds(tmp_path: Path) -> None:
    signature = "x: float32[n] in -3..3; k: int64[n] in 0..5; where n = 1..5"
    assert holds(Bounded(), signature, tmp_path / "m.onnx")

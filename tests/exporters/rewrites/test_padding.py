"""Replicated borders, of which some are negative."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import toolkit
from exporters.rewrites import padding

HOW = padding.FAMILY.decompositions


class Padded(nn.Module):
    def __init__(self, *borders: int) -> None:
        super().__init__()
        self.borders = borders

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.borders, mode="replicate")


@pytest.mark.parametrize(
    "borders", [(-4, 5, 0, 0), (0, 0, 2, -4), (5, -4, -4, 3), (-1, 2, 1, -2), (-3, -1, 0, 2)]
)
def test_a_border_that_is_cut_off_is_the_pixel_behind_it(borders: tuple[int, ...]) -> None:
    x = torch.arange(2.0 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    found = HOW[torch.ops.aten.replication_pad2d.default](x, borders)
    torch.testing.assert_close(found, F.pad(x, borders, mode="replicate"))


def test_borders_that_only_grow_are_left_to_onnx() -> None:
    found = HOW[torch.ops.aten.replication_pad1d.default](torch.zeros(1, 2, 3), (1, 0))
    assert found is NotImplemented


@pytest.mark.parametrize(
    ("module", "signature"),
    [
        (Padded(-4, 5), "x: float32[batch, 2, t]; where batch = 1..3, t = 4..9"),
        (Padded(5, -4, -4, 3), "x: float32[batch, 2, 4, t]; where batch = 1..3, t = 4..9"),
    ],
    ids=["before", "both"],
)
def test_as_a_file_of_any_width(module: nn.Module, signature: str, tmp_path: Path) -> None:
    made = (module.eval(), signature)
    exported = toolkit.export(made, tmp_path / "m.onnx", exporters=["onnxport"], budget=2.0)
    assert exported.report.holds

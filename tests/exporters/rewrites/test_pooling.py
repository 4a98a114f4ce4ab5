"""Pooling whose windows depend on the size: the numbers of PyTorch at every size."""

from itertools import product
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import toolkit
from exporters.rewrites import pooling

SIZES = [(1, 1), (2, 3), (5, 4), (7, 12), (6, 6), (13, 8)]
COUNTS = [(1, 1), (2, 3), (6, 6), (4, 1), (5, 7)]


def plane(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * 31 + width)
    return torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("size", "count"), product(SIZES, COUNTS))
def test_windows_are_those_of_pytorch(size: tuple[int, int], count: tuple[int, int]) -> None:
    x = plane(*size)
    found = pooling.adaptive_average(x, count)
    torch.testing.assert_close(found, functional.adaptive_avg_pool2d(x, count))
    expected = functional.adaptive_max_pool2d(x, count, return_indices=True)
    for a, b in zip(pooling.adaptive_maximum(x, count), expected, strict=True):
        torch.testing.assert_close(a, b)


def test_the_first_of_equal_maxima_has_the_index() -> None:
    x = torch.zeros(1, 5, 5)
    expected = functional.adaptive_max_pool2d(x, (2, 3), return_indices=True)[1]
    assert pooling.adaptive_maximum(x, (2, 3))[1].equal(expected)


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [((3, 3), (2,), (1,)), ((2, 2), (3,), (1,)), ((3, 2), (), (0,))],
)
@pytest.mark.parametrize("size", range(4, 11))
def test_a_divisor_of_its_own_divides_the_sums(
    size: int,
    kernel: tuple[int, int],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    ceil: bool,
) -> None:
    x = plane(size, size + 1)
    found = pooling.average_by(2, x, kernel, stride, padding, ceil, True, 5)
    expected = functional.avg_pool2d(
        x, kernel, stride or None, padding[0], ceil, divisor_override=5
    )
    torch.testing.assert_close(found, expected)


class EveryPool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.planes = nn.ModuleDict(
            {
                "average": nn.AdaptiveAvgPool2d((6, None)),
                "maximum": nn.AdaptiveMaxPool2d((None, 5), return_indices=True),
                "divided": nn.AvgPool2d(3, 2, 1, ceil_mode=True, divisor_override=4),
            }
        )
        self.lines = nn.ModuleDict(
            {
                "average_line": nn.AdaptiveAvgPool1d(4),
                "maximum_line": nn.AdaptiveMaxPool1d(3),
                "plain_line": nn.MaxPool1d(3, 2, 1, ceil_mode=True),
            }
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        line = x[:, :, 0]
        found = {name: pool(x) for name, pool in self.planes.items()}
        found |= {name: pool(line) for name, pool in self.lines.items()}
        return found | {
            "alone": self.planes["average"](x[0]),
            "as_another": functional.adaptive_avg_pool2d(x, (x.shape[2] // 2 + 1, x.shape[3])),
        }


def test_a_file_holds_over_dynamic_sizes(tmp_path: Path) -> None:
    signature = "x: float32[batch, 2, h, w]\nwhere batch = 1..4, h = 1..20, w = 2..20"
    made = EveryPool().eval(), signature
    report = toolkit.export(made, tmp_path / "m.onnx", exporters=["onnxport"]).report
    assert report.holds, report.reason


def test_windows_of_one_size_are_native(tmp_path: Path) -> None:
    made = nn.AdaptiveAvgPool2d(3).eval(), "x: float32[batch, 2, 6, 9]\nwhere batch = 1..4"
    toolkit.export(made, tmp_path / "m.onnx", exporters=["onnxport"])
    nodes = [node.op_type for node in onnx.load(str(tmp_path / "m.onnx")).graph.node]
    assert nodes == ["AveragePool"]

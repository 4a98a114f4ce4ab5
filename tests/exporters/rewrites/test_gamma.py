"""The gamma function's relatives as numbers, against PyTorch's kernels, and as a file."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites.gamma import FAMILY

aten = torch.ops.aten
HOW = FAMILY.decompositions
INF = float("inf")


def near(op: Any, *arguments: Any, rtol: float = 1e-12) -> None:
    torch.testing.assert_close(
        HOW[op](*arguments), op(*arguments), rtol=rtol, atol=1e-13, equal_nan=True
    )


@pytest.mark.parametrize("op", [aten.lgamma.default, aten.digamma.default], ids=str)
@pytest.mark.parametrize("ends", [(-9.3, 9.1), (0.01, 3.0), (50.0, 1e6)])
def test_agrees_with_pytorch(op: Any, ends: tuple[float, float]) -> None:
    near(op, torch.linspace(*ends, 501, dtype=torch.float64), rtol=1e-11)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_polygamma_of_every_order(order: int) -> None:
    near(aten.polygamma.default, order, torch.linspace(0.1, 20, 301, dtype=torch.float64))


def test_polygamma_left_of_zero() -> None:
    x = torch.tensor([-0.5, -3.25, -7.75], dtype=torch.float64)
    near(aten.polygamma.default, 2, x, rtol=1e-10)


def test_poles_and_infinities() -> None:
    x = torch.tensor([0.0, -0.0, -1.0, -7.0, INF, float("nan"), 1e30])
    near(aten.lgamma.default, x, rtol=1e-5)
    near(aten.digamma.default, x, rtol=1e-5)
    near(aten.polygamma.default, 3, torch.tensor([0.0, -1.0, -INF, INF]))


def test_zeta_where_it_converges_and_where_not() -> None:
    s = torch.tensor([0.5, 1.0, 2.0, 2.5, 3.0, 3.0, 2.5], dtype=torch.float64)
    q = torch.tensor([2.0, 2.0, 0.5, 7.5, -2.5, -2.0, -2.5], dtype=torch.float64)
    near(aten.special_zeta.default, s, q)


@pytest.mark.parametrize("op", [aten.igamma.default, aten.igammac.default], ids=str)
@pytest.mark.parametrize("size", [1.0, 10.0, 300.0])
def test_incomplete_gamma_functions(op: Any, size: float) -> None:
    rng = torch.Generator().manual_seed(0)
    a, x = size * torch.rand(2, 400, generator=rng, dtype=torch.float64)
    near(op, a, x, rtol=1e-8)


def test_the_upper_function_keeps_its_digits_where_the_lower_is_nearly_one() -> None:
    """And so Q is nearly 0: 1 - P would be rounding. All of it counts, down to denormal numbers."""
    rng = torch.Generator().manual_seed(0)
    a, x = (10.0 ** (-12 * torch.rand(400, generator=rng, dtype=torch.float64)) for _ in "ax")
    a, x = torch.cat([a, a.new_tensor([1.5e-43])]), torch.cat([1.1 * x, x.new_tensor([3.2e-39])])
    found, wanted = HOW[aten.igammac.default](a, x), aten.igammac.default(a, x)
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=0.0)


@pytest.mark.parametrize("op", [aten.igamma.default, aten.igammac.default], ids=str)
def test_borders_of_the_incomplete_gamma_functions(op: Any) -> None:
    a = torch.tensor([0.0, 0.0, 1.0, INF, 2.0, -1.0, 2.0, INF])
    x = torch.tensor([0.0, 1.0, 0.0, 1.0, INF, 1.0, -1.0, INF])
    near(op, a, x)


class Mixed(nn.Module):
    def forward(self, a: Tensor, x: Tensor) -> Tensor:
        found: Tensor = torch.special.gammainc(a, x) + torch.polygamma(2, a) + x.lgamma()
        return found


def test_a_file_holds_at_every_batch(tmp_path: Path) -> None:
    model = (Mixed(), "a: float32[n] in 0.1..9\nx: float32[n] in 0.1..9\nwhere n = 1..9")
    found = toolkit.export(model, tmp_path / "m.onnx", exporters=["onnxport"], budget=2)
    assert found.report.holds

"""Orthogonal polynomials, of numbers and of tensors of degrees, and as a file."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites.polynomials import FAMILY

KINDS = sorted({op.overloadpacket for op in FAMILY.decompositions}, key=str)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_element_has_its_own_degree(kind: Any) -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(300, generator=rng, dtype=torch.float64) * 4 - 2
    n = (torch.rand(300, generator=rng, dtype=torch.float64) * 12 - 1).trunc()
    found = FAMILY.decompositions[kind.default](x, n)
    torch.testing.assert_close(found, kind(x, n), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_degree_may_be_a_number(kind: Any) -> None:
    x = torch.tensor([-1.0, -0.3, 0.0, 0.5, 1.0])
    found = FAMILY.decompositions[kind.n_scalar](x, 5)
    torch.testing.assert_close(found, kind(x, 5), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [k for k in KINDS if "chebyshev" in str(k)], ids=str)
def test_the_last_numbers_below_the_end_of_the_range_are_no_infinities(kind: Any) -> None:
    """The product of the recurrence is beyond it, and what is taken off brings it back."""
    n = torch.arange(2.0, 90.0)
    x = torch.linspace(-12.0, -1.5, 2000)[:, None]
    exact = kind(x.double(), n.double())
    near_the_end = (exact.abs() > 3e38) & (exact.abs() < 3.39e38)
    assert near_the_end.any()
    assert FAMILY.decompositions[kind.default](x, n)[near_the_end].isfinite().all()


class Hermite(nn.Module):
    def forward(self, x: Tensor, n: Tensor) -> Tensor:
        found: Tensor = torch.special.hermite_polynomial_h(x, n)
        return found


def test_a_file_holds_for_degrees_known_at_run_time(tmp_path: Path) -> None:
    model = (Hermite(), "x: float32[b] in -2..2\nn: float32[b] in 0..7 step 1\nwhere b = 1..9")
    found = toolkit.export(model, tmp_path / "m.onnx", exporters=["onnxport"], budget=2)
    assert found.report.holds

"""QR, singular values and what follows, against LAPACK and as a file over batches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites import orthogonal, spectral

aten = torch.ops.aten
HOW: dict[Any, Any] = {
    **orthogonal.FAMILY.decompositions,
    **spectral.FAMILY.decompositions,
}
SHAPES = [(5, 3), (4, 4), (3, 5), (6, 1)]


def rand(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def near(op: Any, *arguments: Any, **keywords: Any) -> None:
    found = HOW[op](*arguments, **keywords)
    torch.testing.assert_close(found, op(*arguments, **keywords), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("shape", SHAPES)
def test_qr_with_the_signs_of_lapack(batch: tuple[int, ...], shape: tuple[int, int]) -> None:
    a = rand(*batch, *shape)
    near(aten.geqrf.default, a)
    for mode in ("reduced", "complete", "r"):
        near(aten.linalg_qr.default, a, mode)


@pytest.mark.parametrize("transpose", [False, True])
def test_products_of_reflectors(transpose: bool) -> None:
    factored = torch.geqrf(rand(2, 5, 3))
    near(aten.linalg_householder_product.default, *factored)
    near(aten.ormqr.default, *factored, rand(2, 5, 4), True, transpose)
    near(aten.ormqr.default, *factored, rand(2, 4, 5), False, transpose)


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values(batch: tuple[int, ...], shape: tuple[int, int]) -> None:
    a = rand(*batch, *shape)
    near(aten._linalg_svd.default, a, False, False)
    near(aten.linalg_pinv.atol_rtol_tensor, a)
    u, s, v = spectral.svd(a)
    torch.testing.assert_close(u * s.unsqueeze(-2) @ v.mT, a)


def test_what_is_near_zero_is_left_out_of_a_pseudo_inverse() -> None:
    near(aten.linalg_pinv.atol_rtol_tensor, rand(5, 2) @ rand(2, 4))


def test_symmetric_matrices() -> None:
    a = rand(3, 5, 5)
    near(aten._linalg_eigh.default, a + a.mT, "L", False)
    values, vectors = HOW[aten._linalg_eigh.default](a + a.mT)
    torch.testing.assert_close(vectors * values.unsqueeze(-2) @ vectors.mT, a + a.mT)


@pytest.mark.parametrize("size", [0.01, 1.0, 20.0])
def test_exponentials_of_matrices(size: float) -> None:
    near(aten.linalg_matrix_exp.default, torch.stack([rand(4, 4), rand(4, 4) * size]))


class Shape(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        independent = x + 5 * torch.eye(4, 3)  # of columns that are not, R is not unique
        return (
            torch.linalg.svdvals(x),
            torch.linalg.qr(independent).R,
            torch.linalg.matrix_exp(x.mT @ x),
        )


def test_a_file_holds_at_every_batch(tmp_path: Path) -> None:
    model = (Shape(), "x: float32[n, 4, 3] in -1..1; where n = 1..9")
    found = toolkit.export(model, tmp_path / "m.onnx", exporters=["onnxport"], budget=2)
    assert found.report.holds, found.report.reason

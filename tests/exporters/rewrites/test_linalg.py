"""Factorizations and solutions as numbers, against LAPACK's, and as files over batches."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import toolkit
from exporters.rewrites.linalg import FAMILY

aten = torch.ops.aten
BATCHES = [(), (3,), (2, 2)]


def rand(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def definite(*shape: int) -> Tensor:
    a = rand(*shape)
    return a @ a.mT + torch.eye(shape[-1], dtype=a.dtype)


def near(op: Any, *arguments: Any, **keywords: Any) -> None:
    found = FAMILY.decompositions[op](*arguments, **keywords)
    torch.testing.assert_close(found, op(*arguments, **keywords), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky(batch: tuple[int, ...], upper: bool) -> None:
    near(aten.linalg_cholesky_ex.default, definite(*batch, 4, 4), upper=upper)


def test_cholesky_reports_the_first_minor_that_fails() -> None:
    a = torch.diag(torch.tensor([1.0, -1.0, 1.0]))
    _, info = FAMILY.decompositions[aten.linalg_cholesky_ex.default](a)
    assert info == 2


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
def test_lu(batch: tuple[int, ...], shape: tuple[int, int]) -> None:
    a = rand(*batch, *shape)
    near(aten.linalg_lu_factor_ex.default, a)
    near(aten.linalg_lu.default, a)
    near(aten.lu_unpack.default, *torch.linalg.lu_factor(a))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("adjoint", [False, True])
def test_solutions_from_a_factorization(batch: tuple[int, ...], left: bool, adjoint: bool) -> None:
    factored = torch.linalg.lu_factor(rand(*batch, 4, 4))
    b = rand(*batch, 4, 2) if left else rand(*batch, 2, 4)
    near(aten.linalg_lu_solve.default, *factored, b, left=left, adjoint=adjoint)


@pytest.mark.parametrize("batch", BATCHES)
def test_inverses_and_solutions(batch: tuple[int, ...]) -> None:
    a = rand(*batch, 4, 4)
    near(aten.linalg_inv_ex.default, a)
    near(aten.linalg_solve.default, a, rand(*batch, 4, 2))
    near(aten.linalg_solve.default, a, rand(*batch, 2, 4), left=False)
    near(aten.cholesky_solve.default, rand(*batch, 4, 2), torch.linalg.cholesky(definite(4, 4)))


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("unitriangular", [False, True])
def test_triangular_systems(upper: bool, left: bool, unitriangular: bool) -> None:
    near(
        aten.linalg_solve_triangular.default,
        rand(3, 4, 4),
        rand(3, 4, 4),
        upper=upper,
        left=left,
        unitriangular=unitriangular,
    )


def test_determinants() -> None:
    a = rand(3, 4, 4)
    determinant = FAMILY.decompositions[aten._linalg_det.default](a)[0]
    sign, logarithm = FAMILY.decompositions[aten._linalg_slogdet.default](a)[:2]
    torch.testing.assert_close(determinant, torch.linalg.det(a))
    torch.testing.assert_close((sign, logarithm), tuple(torch.linalg.slogdet(a)))


def test_tensors_as_matrices() -> None:
    near(aten.linalg_tensorinv.default, rand(4, 6, 8, 3))
    near(aten.linalg_tensorsolve.default, rand(6, 2, 3), rand(6))


class Whitening(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a = x @ x.mT + 3 * torch.eye(3)
        factor = torch.linalg.cholesky(a)
        return torch.linalg.solve_triangular(factor, x, upper=False), torch.linalg.inv(a)


def test_a_file_holds_at_every_batch(tmp_path: Path) -> None:
    model = (Whitening(), "x: float32[n, 3, 4] in -1..1; where n = 1..9")
    found = toolkit.export(model, tmp_path / "m.onnx", exporters=["onnxport"], budget=2)
    assert found.report.holds

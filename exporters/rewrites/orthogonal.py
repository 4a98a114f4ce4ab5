"""QR by Householder's reflections: linalg.qr, geqrf, householder_product, ormqr.

LAPACK's algorithms without its blocks, so that signs agree; one ONNX Loop over the columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family
from exporters.rewrites.loops import State, count_to, only


def geqrf(a: Tensor) -> tuple[Tensor, Tensor]:
    """R above the diagonal, the reflectors below it, and their factors tau."""
    rows, columns = (torch.arange(a.shape[n], device=a.device) for n in (-2, -1))
    least = torch.sym_min(a.shape[-2], a.shape[-1])
    place = torch.arange(least, device=a.device)

    def step(k: Tensor, a: Tensor, taus: Tensor) -> State:
        column = a.index_select(-1, k.reshape(1)).squeeze(-1)
        head = column.index_select(-1, k.reshape(1))
        below = only(rows > k, column)
        rest = below.square().sum(-1, keepdim=True)
        norm = (head.square() + rest).sqrt()
        beta = torch.where(head > 0, -norm, norm)
        still = rest == 0  # nothing to reflect
        beta = torch.where(still, head, beta)
        tau = ((beta - head) / beta).masked_fill(still, 0.0)
        vector = (below / (head - beta)).masked_fill(still, 0.0)
        whole = torch.where(rows == k, torch.ones_like(vector), vector)
        later = only(columns > k, (whole.unsqueeze(-2) @ a).squeeze(-2))
        reflected = a - (tau * whole).unsqueeze(-1) * later.unsqueeze(-2)
        kept = torch.where(rows > k, vector, torch.where(rows == k, beta, column))
        reflected = torch.where(columns == k, kept.unsqueeze(-1), reflected)
        return reflected, torch.where(place == k, tau, taus)

    taus = torch.zeros((*a.shape[:-2], least), dtype=a.dtype, device=a.device)
    a, taus = count_to(least, step, (a, taus))
    return a, taus


def reflected(reflectors: Tensor, taus: Tensor, b: Tensor, *, transpose: bool = False) -> Tensor:
    """Q b, or Q^T b, of the product Q = H1 H2 ... of the reflectors."""
    rows = torch.arange(reflectors.shape[-2], device=b.device)
    count = taus.shape[-1]

    def step(turn: Tensor, b: Tensor) -> State:
        k = turn if transpose else count - 1 - turn
        column = reflectors.index_select(-1, k.reshape(1)).squeeze(-1)
        vector = torch.where(rows == k, torch.ones_like(column), only(rows > k, column))
        tau = taus.index_select(-1, k.reshape(1))
        return (b - (tau * vector).unsqueeze(-1) * (vector.unsqueeze(-2) @ b),)

    return count_to(count, step, (b,))[0]


def _eye(a: Tensor, columns: Any) -> Tensor:
    eye = torch.eye(a.shape[-2], columns, dtype=a.dtype, device=a.device)
    return eye.expand(*a.shape[:-2], a.shape[-2], columns)


def _qr(a: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    factored, taus = geqrf(a)
    least = taus.shape[-1]
    if mode == "r":
        empty = torch.zeros(0, dtype=a.dtype, device=a.device)
        return empty, factored[..., :least, :].triu()
    columns = a.shape[-2] if mode == "complete" else least
    q = reflected(factored[..., :least], taus, _eye(a, columns))
    return q, factored[..., :columns, :].triu()


def _householder_product(reflectors: Tensor, taus: Tensor) -> Tensor:
    return reflected(reflectors, taus, _eye(reflectors, reflectors.shape[-1]))


def _ormqr(
    reflectors: Tensor, taus: Tensor, b: Tensor, left: bool = True, transpose: bool = False
) -> Tensor:
    if left:
        return reflected(reflectors, taus, b, transpose=transpose)
    return reflected(reflectors, taus, b.mT, transpose=not transpose).mT


def _decompositions() -> dict[object, Callable[..., Any]]:
    aten = torch.ops.aten
    return {
        aten.geqrf.default: geqrf,
        aten.linalg_qr.default: _qr,
        aten.linalg_householder_product.default: _householder_product,
        aten.ormqr.default: _ormqr,
    }


FAMILY = Family("orthogonal", decompositions=_decompositions())

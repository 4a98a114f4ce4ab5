"""Linear algebra by elimination: Cholesky, LU, triangular systems, and what follows from them.

ONNX has Det, and nothing else. Here each factorization is one ONNX Loop over the columns, batched,
for sizes known at run time only; LAPACK's algorithms without its blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family
from exporters.rewrites.loops import State, count_to, only, places_of


def _range(a: Tensor, dim: int) -> Tensor:
    return torch.arange(a.shape[dim], device=a.device)


def cholesky(a: Tensor, *, upper: bool = False) -> tuple[Tensor, Tensor]:
    """The factor, and where it fails (as LAPACK's info: the first minor that is not positive)."""
    a = a.mH if upper else a
    rows = _range(a, -1)

    def step(k: Tensor, rest: Tensor, factor: Tensor, info: Tensor) -> State:
        column = rest.index_select(-1, k.reshape(1)).squeeze(-1)
        pivot = column.index_select(-1, k.reshape(1))
        bad = ~(pivot > 0).squeeze(-1) & (info == 0)
        info = torch.where(bad, (k + 1).to(info.dtype), info)
        column = only(rows >= k, column / pivot.sqrt())
        factor = torch.where(rows == k, column.unsqueeze(-1), factor)
        return rest - column.unsqueeze(-1) * column.unsqueeze(-2), factor, info

    zero = torch.zeros(a.shape[:-2], dtype=torch.int32, device=a.device)
    _, factor, info = count_to(a.shape[-1], step, (a, torch.zeros_like(a), zero))
    return (factor.mH if upper else factor), info


def lu(a: Tensor, *, pivot: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """LU in one matrix, pivots as LAPACK counts them, the order of the rows, and info."""
    rows, columns = _range(a, -2), _range(a, -1)
    least = torch.sym_min(a.shape[-2], a.shape[-1])

    def step(k: Tensor, m: Tensor, order: Tensor, pivots: Tensor, info: Tensor) -> State:
        at = k.reshape(1)
        column = m.index_select(-1, at).squeeze(-1)
        if pivot:
            chosen = column.abs().masked_fill(rows < k, -1.0).argmax(-1, keepdim=True)
            swap = torch.where(rows == k, chosen, torch.where(rows == chosen, k, rows))
            m = m.gather(-2, places_of(swap.unsqueeze(-1), m))
            order = order.gather(-1, swap)
            column = column.gather(-1, swap)
            pivots = torch.where(_range(pivots, -1) == k, (chosen + 1).to(pivots.dtype), pivots)
        row = m.index_select(-2, at).squeeze(-2)
        head = column.index_select(-1, at)
        singular = head == 0
        info = torch.where(singular.squeeze(-1) & (info == 0), (k + 1).to(info.dtype), info)
        factor = only((rows > k) & ~singular, column / head)
        update = factor.unsqueeze(-1) * only(columns > k, row).unsqueeze(-2)
        below = (rows > k).unsqueeze(-1) & (columns == k) & ~singular.unsqueeze(-1)
        return torch.where(below, factor.unsqueeze(-1), m - update), order, pivots, info

    batch = a.shape[:-2]
    if isinstance(least, int) and least == 0:
        zero = torch.zeros(batch, dtype=torch.int32, device=a.device)
        return a, zero.new_zeros((*batch, 0)), rows.expand(*batch, a.shape[-2]), zero
    start = (
        a,
        rows.expand(*batch, a.shape[-2]),
        (_range(a, -1)[:least] + 1).to(torch.int32).expand(*batch, least),
        torch.zeros(batch, dtype=torch.int32, device=a.device),
    )
    m, order, pivots, info = count_to(least, step, start)
    return m, pivots, order, info


def _batch(a: Tensor, b: Tensor) -> list[Any]:
    """The batch that two stacks of matrices make together, sizes that are not known left so."""
    one, two = list(a.shape[:-2]), list(b.shape[:-2])
    length = max(len(one), len(two))
    one, two = [1] * (length - len(one)) + one, [1] * (length - len(two)) + two
    return [m if isinstance(n, int) and n == 1 else n for m, n in zip(one, two, strict=True)]


def solve_triangular(
    a: Tensor, b: Tensor, *, upper: bool, left: bool = True, unit: bool = False
) -> Tensor:
    """X with a X = b (or X a = b), of a triangle of `a`: by columns, like LAPACK's trtrs."""
    if not left:
        return solve_triangular(a.mT, b.mT, upper=not upper, unit=unit).mT
    batch = _batch(a, b)
    a, b = a.expand(*batch, *a.shape[-2:]), b.expand(*batch, *b.shape[-2:])
    rows, n = _range(a, -1), a.shape[-1]

    def step(turn: Tensor, rest: Tensor) -> State:
        k = n - 1 - turn if upper else turn
        column = a.index_select(-1, k.reshape(1))
        known = rest.index_select(-2, k.reshape(1))
        if not unit:
            known = known / column.index_select(-2, k.reshape(1))
        ahead = rows < k if upper else rows > k
        rest = rest - only(ahead.unsqueeze(-1), column) * known
        return (torch.where((rows == k).unsqueeze(-1), known, rest),)

    return count_to(n, step, (b,))[0]


def _solved(m: Tensor, order: Tensor, b: Tensor, *, adjoint: bool = False) -> Tensor:
    """a X = b from the LU of a and the order of its rows; a^T X = b: `adjoint`."""
    batch = _batch(m, b)
    order, b = order.expand(*batch, order.shape[-1]), b.expand(*batch, *b.shape[-2:])
    if adjoint:
        x = solve_triangular(m.mT, b, upper=False)
        x = solve_triangular(m.mT, x, upper=True, unit=True)
        back = order.argsort(-1)
        return x.gather(-2, back.unsqueeze(-1).expand_as(x))
    b = b.gather(-2, order.unsqueeze(-1).expand_as(b))
    return solve_triangular(m, solve_triangular(m, b, upper=False, unit=True), upper=True)


def _order(pivots: Tensor, rows: Any) -> Tensor:
    """The order of the rows that a sequence of swaps leads to."""
    place = torch.arange(rows, device=pivots.device)
    start = place.expand(*pivots.shape[:-1], rows)

    def step(k: Tensor, order: Tensor) -> State:
        chosen = pivots.index_select(-1, k.reshape(1)).long() - 1
        swap = torch.where(place == k, chosen, torch.where(place == chosen, k, place))
        return (order.gather(-1, swap),)

    return count_to(pivots.shape[-1], step, (start,))[0]


def _cholesky(a: Tensor, upper: bool = False) -> Tensor:
    return cholesky(a, upper=upper)[0]


def _cholesky_ex(
    a: Tensor, *, upper: bool = False, check_errors: bool = False
) -> tuple[Tensor, Tensor]:
    return cholesky(a, upper=upper)


def _cholesky_solve(b: Tensor, factor: Tensor, upper: bool = False) -> Tensor:
    lower = factor.mH if upper else factor
    return solve_triangular(lower.mH, solve_triangular(lower, b, upper=False), upper=True)


def _cholesky_inverse(factor: Tensor, upper: bool = False) -> Tensor:
    eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    return _cholesky_solve(eye, factor, upper)


def _lu_factor_ex(
    a: Tensor, *, pivot: bool = True, check_errors: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    m, pivots, _, info = lu(a, pivot=pivot)
    return m, pivots, info


def _lu(a: Tensor, *, pivot: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    m, _, order, _ = lu(a, pivot=pivot)
    lower, upper = _triangles(m)
    p = _permutation(order, a.dtype) if pivot else torch.zeros(0, dtype=a.dtype, device=a.device)
    return p, lower, upper


def _lu_unpack(
    m: Tensor, pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    empty = torch.zeros(0, dtype=m.dtype, device=m.device)
    lower, upper = _triangles(m) if unpack_data else (empty, empty)
    p = _permutation(_order(pivots, m.shape[-2]), m.dtype) if unpack_pivots else empty
    return p, lower, upper


def _triangles(m: Tensor) -> tuple[Tensor, Tensor]:
    least = torch.sym_min(m.shape[-2], m.shape[-1])
    eye = torch.eye(m.shape[-2], least, dtype=m.dtype, device=m.device)
    return m[..., :least].tril(-1) + eye, m[..., :least, :].triu()


def _permutation(order: Tensor, dtype: torch.dtype) -> Tensor:
    """P with a = P L U: column i has its one at the row that came to i."""
    place = torch.arange(order.shape[-1], device=order.device)
    return (place.unsqueeze(-1) == order.unsqueeze(-2)).to(dtype)


def _lu_solve(
    m: Tensor, pivots: Tensor, b: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    order = _order(pivots, m.shape[-1])
    if left:
        return _solved(m, order, b, adjoint=adjoint)
    return _solved(m, order, b.mT, adjoint=not adjoint).mT


def _solve_ex(
    a: Tensor, b: Tensor, *, left: bool = True, check_errors: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`_linalg_solve_ex`: b is a batch of vectors where its shape says so."""
    vectors = b.dim() == 1 or (a.dim() - 1 == b.dim() and a.shape[:-1] == b.shape)
    m, pivots, order, info = lu(a)
    right = b.unsqueeze(-1) if vectors else b
    x = _solved(m, order, right) if left else _solved(m, order, right.mT, adjoint=True).mT
    return (x.squeeze(-1) if vectors else x), m, pivots, info


def _inv_ex(a: Tensor, *, check_errors: bool = False) -> tuple[Tensor, Tensor]:
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand_as(a)
    m, _, order, info = lu(a)
    return _solved(m, order, eye), info


def _inverse(a: Tensor) -> Tensor:
    return _inv_ex(a)[0]


def _lu_factor(a: Tensor, *, pivot: bool = True) -> tuple[Tensor, Tensor]:
    return lu(a, pivot=pivot)[:2]


def _solve(a: Tensor, b: Tensor, *, left: bool = True) -> Tensor:
    return _solve_ex(a, b, left=left)[0]


def _tensorinv(a: Tensor, ind: int = 2) -> Tensor:
    first, last = a.shape[:ind], a.shape[ind:]
    return _inverse(a.reshape(prod(first), -1)).reshape(*last, *first)


def _tensorsolve(a: Tensor, b: Tensor, dims: list[int] | None = None) -> Tensor:
    if dims is not None:
        a = a.movedim(dims, list(range(-len(dims), 0)))
    x = _solve(a.reshape(prod(b.shape), -1), b.reshape(-1))
    return x.reshape(a.shape[b.dim() :])


def _determinant(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    m, pivots, order, _ = lu(a)
    place = _range(order, -1)
    swaps = (pivots.long() - 1 != place).sum(-1) % 2
    sign = (1 - 2 * swaps).to(a.dtype)
    return sign * m.diagonal(0, -2, -1).prod(-1), m, pivots


def _slogdet(a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    m, pivots, order, _ = lu(a)
    diagonal = m.diagonal(0, -2, -1)
    swaps = (pivots.long() - 1 != _range(order, -1)).sum(-1) % 2
    sign = (1 - 2 * swaps).to(a.dtype) * diagonal.sign().prod(-1)
    return sign, diagonal.abs().log().sum(-1), m, pivots


def _solve_triangular(
    a: Tensor, b: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    return solve_triangular(a, b, upper=upper, left=left, unit=unitriangular)


def _triangular_solve(
    b: Tensor, a: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Tensor, Tensor]:
    side = a.mT if transpose else a
    x = solve_triangular(side, b, upper=upper != transpose, unit=unitriangular)
    return x, a.expand(*x.shape[:-2], *a.shape[-2:]).clone()


def _real(how: Callable[..., Any]) -> Callable[..., Any]:
    """Leave complex matrices as they are."""

    def guarded(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(a, Tensor) and a.is_complex() for a in args):
            return NotImplemented
        return how(*args, **kwargs)

    return guarded


def _decompositions() -> dict[object, Callable[..., Any]]:
    aten = torch.ops.aten
    table: dict[object, Callable[..., Any]] = {
        aten.cholesky.default: _cholesky,
        aten.linalg_cholesky_ex.default: _cholesky_ex,
        aten.cholesky_solve.default: _cholesky_solve,
        aten.cholesky_inverse.default: _cholesky_inverse,
        aten.linalg_lu_factor_ex.default: _lu_factor_ex,
        aten.linalg_lu.default: _lu,
        # These ask whether the factorization failed, which a graph cannot raise: it returns NaN.
        aten.linalg_cholesky.default: _cholesky,
        aten.linalg_inv.default: _inverse,
        aten.linalg_lu_factor.default: _lu_factor,
        aten.linalg_solve.default: _solve,
        aten.linalg_tensorinv.default: _tensorinv,
        aten.linalg_tensorsolve.default: _tensorsolve,
        aten.lu_unpack.default: _lu_unpack,
        aten.linalg_lu_solve.default: _lu_solve,
        aten._linalg_solve_ex.default: _solve_ex,
        aten.linalg_inv_ex.default: _inv_ex,
        aten._linalg_det.default: _determinant,
        aten._linalg_slogdet.default: _slogdet,
        aten.linalg_solve_triangular.default: _solve_triangular,
        aten.triangular_solve.default: _triangular_solve,
    }
    return {op: _real(how) for op, how in table.items()}


FAMILY = Family("linalg", decompositions=_decompositions())

"""Singular values, eigenvalues of symmetric matrices, pseudo-inverses, matrix exponentials.

By Hestenes' one-sided Jacobi rotations, which need nothing but products (J. Demmel and K. Veselic,
Jacobi's method is more accurate than QR, 1992). A round rotates disjoint pairs of columns at once,
as a round-robin tournament pairs its players. In float64: hundreds of rounds add up their rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family
from exporters.rewrites.loops import State, count_to

_SWEEPS = 12
"""Jacobi converges quadratically: 6 to 10 sweeps do for 1,000 columns (Golub and Van Loan, 8.6)."""


def svd(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, S descending, V of a = U diag(S) V^T. Columns of U with a singular value of 0 are 0."""
    u, s, v = _jacobi(a.double())
    return u.to(a.dtype), s.to(a.dtype), v.to(a.dtype)


def _jacobi(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if a.shape[-2] < a.shape[-1]:
        v, s, u = _jacobi(a.mT)
        return u, s, v
    n = a.shape[-1]
    if n == 1:
        s = a.square().sum(-2).sqrt()
        return _over(a, s), s, torch.ones_like(a[..., :1, :])
    players = n + n % 2
    padded = torch.nn.functional.pad(a, (0, players - n))
    right = torch.eye(players, dtype=a.dtype, device=a.device).expand(
        *a.shape[:-2], players, players
    )

    def step(k: Tensor, w: Tensor, v: Tensor) -> State:
        pairs = _seats(k, players)
        one, two = pairs[: players // 2], pairs[players // 2 :]
        back = pairs.argsort()
        p, q = w.index_select(-1, one), w.index_select(-1, two)
        cosine, sine = _rotation(p.square().sum(-2), q.square().sum(-2), (p * q).sum(-2))
        return tuple(
            torch.cat(
                [
                    cosine * m.index_select(-1, one) - sine * m.index_select(-1, two),
                    sine * m.index_select(-1, one) + cosine * m.index_select(-1, two),
                ],
                -1,
            ).index_select(-1, back)
            for m in (w, v)
        )

    w, v = count_to(_SWEEPS * (players - 1), step, (padded, right))
    # The column that was padded is zero still, and its place is known.
    w, v = w[..., :n], v[..., :n, :n]
    s, order = w.square().sum(-2).sqrt().sort(-1, descending=True)
    w = w.gather(-1, order.unsqueeze(-2).expand_as(w))
    v = v.gather(-1, order.unsqueeze(-2).expand_as(v))
    return _over(w, s), s, v


def _rotation(a: Tensor, b: Tensor, dot: Tensor) -> tuple[Tensor, Tensor]:
    """The cosine and sine that make two columns of squares a, b and product `dot` orthogonal."""
    apart = dot == 0
    zeta = (b - a) / (2 * dot.masked_fill(apart, 1.0))
    sign = (zeta >= 0).to(a.dtype) * 2 - 1
    tangent = sign / (zeta.abs() + (1 + zeta.square()).sqrt())
    tangent = tangent.masked_fill(apart, 0.0)
    cosine = 1 / (1 + tangent.square()).sqrt()
    return cosine.unsqueeze(-2), (cosine * tangent).unsqueeze(-2)


def _over(w: Tensor, s: Tensor) -> Tensor:
    s = s.unsqueeze(-2)
    return torch.where(s == 0, 0.0, w / torch.where(s == 0, 1.0, s))


def _seats(turn: Tensor, players: int) -> Tensor:
    """Who plays whom: the first half against the second, of whom all but player 0 move on."""
    others = (torch.arange(players - 1, device=turn.device) - turn) % (players - 1) + 1
    seats = torch.cat([torch.zeros_like(others[:1]), others])
    return torch.cat([seats[: players // 2], seats[players // 2 :].flip(0)])


def _known(a: Tensor) -> bool:
    """The pairs are laid out for a size that is known, and the matrices are real and have one."""
    sizes = a.shape[-2:]
    return not a.is_complex() and all(isinstance(n, int) and n > 0 for n in sizes)


def _linalg_svd(
    a: Tensor, full_matrices: bool = False, compute_uv: bool = True, *, driver: str | None = None
) -> Any:
    if not _known(a) or (full_matrices and compute_uv and a.shape[-1] != a.shape[-2]):
        return NotImplemented
    u, s, v = svd(a)
    if compute_uv:
        return u, s, v.mT
    empty = torch.zeros(0, dtype=a.dtype, device=a.device)
    return empty, s, empty


def _linalg_eigh(a: Tensor, uplo: str = "L", compute_v: bool = True) -> Any:
    """Shifted by its norm the matrix is positive, and its singular values are its eigenvalues."""
    if not _known(a):
        return NotImplemented
    wide = a.double()
    half = wide.tril() if uplo.upper() == "L" else wide.triu()
    diagonal = torch.diag_embed(wide.diagonal(0, -2, -1))
    whole = half + half.mT - diagonal
    shift = whole.abs().sum(-1).amax(-1)
    eye = torch.eye(a.shape[-1], dtype=wide.dtype, device=a.device)
    _, s, v = _jacobi(whole + shift[..., None, None] * eye)
    values = (s - shift.unsqueeze(-1)).flip(-1).to(a.dtype)
    vectors = v.flip(-1).to(a.dtype)
    return values, vectors if compute_v else torch.zeros(0, dtype=a.dtype, device=a.device)


def _pinv(
    a: Tensor, *, atol: Tensor | None = None, rtol: Tensor | None = None, hermitian: bool = False
) -> Any:
    """V diag(1/S) U^T, singular values below max(atol, rtol * largest) left out."""
    if not _known(a):
        return NotImplemented
    if hermitian:
        half = a.tril()
        a = half + half.mT - torch.diag_embed(a.diagonal(0, -2, -1))
    u, s, v = svd(a)
    absolute = 0.0 if atol is None else atol
    epsilon = torch.finfo(a.dtype).eps * max(a.shape[-2:])
    relative: Any = rtol
    if rtol is None:
        relative = epsilon if atol is None else torch.where(atol > 0, 0.0, epsilon)
    bound = relative * s.amax(-1)
    if isinstance(absolute, Tensor):
        bound = torch.maximum(bound, absolute.to(bound.dtype))
    small = s <= bound.unsqueeze(-1)
    inverse = torch.where(small, 0.0, 1 / torch.where(small, 1.0, s))
    return (v * inverse.unsqueeze(-2)) @ u.mT


_TAYLOR = 16
"""Terms for a norm of at most 1/2: the rest is below 1e-19."""


def _matrix_exp(a: Tensor) -> Any:
    """Scaling and squaring: Taylor's polynomial of a / 2^s, squared s times."""
    if a.is_complex():
        return NotImplemented
    norm = a.abs().sum(-2).amax(-1)
    times = (norm.clamp(min=0.5).log2() + 1).ceil()
    scaled = a * (2.0**-times)[..., None, None]
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand_as(a)
    total = eye
    for k in reversed(range(1, _TAYLOR + 1)):
        total = eye + scaled @ total / k

    def step(k: Tensor, m: Tensor) -> State:
        return (torch.where((k < times)[..., None, None], m @ m, m),)

    return count_to(times.amax().to(torch.int64), step, (total,))[0]


def _decompositions() -> dict[object, Callable[..., Any]]:
    aten = torch.ops.aten
    return {
        aten._linalg_svd.default: _linalg_svd,
        aten._linalg_eigh.default: _linalg_eigh,
        aten.linalg_pinv.atol_rtol_tensor: _pinv,
        aten.linalg_matrix_exp.default: _matrix_exp,
    }


FAMILY = Family("spectral", decompositions=_decompositions())

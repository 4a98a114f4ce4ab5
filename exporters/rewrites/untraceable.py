"""Functions that look at values or sizes before they compute: torch.export cannot follow them.

cov asks whether its weights sum to zero, gaussian_nll_loss whether a variance is negative, lstsq
whether to return residuals; torch.export stops at the question. Here they are formulas, without the
question, that are called in their place while a model is traced. Of the sizes in
`torch.as_tensor([h, w])` it silently makes numbers (deformable attention divides by them).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import combinations, combinations_with_replacement
from math import log, pi
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils import _pytree as pytree

from exporters.rewrites import Family
from exporters.rewrites.calls import replacing
from exporters.rewrites.control.sizes import as_tensor, is_open, stacked


def _cov(
    x: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """ATen's Correlation.cpp: rows are variables, weighted by counts and by importance."""
    rows = x.reshape(1, -1) if x.dim() < 2 else x
    rows = rows if rows.is_floating_point() else rows.to(torch.get_default_dtype())
    weights = None if fweights is None else fweights.to(rows.dtype)
    if aweights is not None:
        weights = aweights.to(rows.dtype) * (1 if weights is None else weights)
    if weights is None:
        degrees: Any = torch.sym_max(rows.shape[1] - correction, 0)
        centred = rows - rows.mean(1, keepdim=True)
        weighted = centred
    else:
        total = weights.sum()
        centred = rows - (rows * weights).sum(1, keepdim=True) / total
        weighted = centred * weights
        lost = 1 if aweights is None else (weights * aweights).sum() / total
        degrees = (total - correction * lost).clamp(min=0)
    found: Tensor = (centred @ weighted.mT / degrees).squeeze()
    return found


def _corrcoef(x: Tensor) -> Tensor:
    c = _cov(x)
    if c.dim() == 0:
        return c / c
    deviation = c.diagonal().sqrt()
    return (c / deviation.unsqueeze(1) / deviation.unsqueeze(0)).clamp(-1, 1)


def _gaussian_nll_loss(
    input: Tensor,  # noqa: A002  (its name in PyTorch)
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    if not isinstance(var, Tensor):
        var = torch.full_like(input, var)
    if var.dim() == input.dim() - 1 and var.shape == input.shape[:-1]:
        var = var.unsqueeze(-1)
    var = var.clamp(min=eps)
    loss = 0.5 * (var.log() + (input - target).square() / var)
    if full:
        loss = loss + 0.5 * log(2 * pi)
    return {"mean": loss.mean, "sum": loss.sum}.get(reduction, lambda: loss)()


def _lstsq(a: Tensor, b: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """By singular values, whatever the driver: the solution of least norm."""
    vectors = b.dim() == 1 or (a.dim() - 1 == b.dim() and a.shape[:-1] == b.shape)
    right = b.unsqueeze(-1) if vectors else b
    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    limit = torch.finfo(a.dtype).eps * max(a.shape[-2:]) if rcond is None else rcond
    kept = s > limit * s[..., :1]
    inverse = torch.where(kept, 1 / torch.where(kept, s, 1.0), 0.0)
    x = vh.mT @ (inverse.unsqueeze(-1) * (u.mT @ right))
    empty = torch.zeros(0, dtype=a.dtype, device=a.device)
    residuals = empty
    if a.shape[-2] > a.shape[-1] and driver not in (None, "gelsy"):
        residuals = (a @ x - right).square().sum(-2)
    rank = kept.sum(-1) if driver != "gels" else torch.zeros(0, dtype=torch.int64)
    values = s if driver in ("gelsd", "gelss") else empty
    named: Any = torch.return_types
    return named.linalg_lstsq((x.squeeze(-1) if vectors else x, residuals, rank, values))


def _combinations(x: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """By places that are known, where the size is; else as PyTorch does."""
    if not isinstance(x.shape[0], int):
        return torch.combinations(x, r, with_replacement)
    choose = combinations_with_replacement if with_replacement else combinations
    places = torch.tensor(list(choose(range(x.shape[0]), r)), dtype=torch.int64)
    return x[places.reshape(-1)].reshape(-1, r)


def _allclose(
    a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """As a tensor: a number would be that of the example."""
    return torch.isclose(a, b, rtol, atol, equal_nan).all()


def _equal(a: Tensor, b: Tensor) -> Tensor | bool:
    if a.dim() != b.dim() or any(m != n for m, n in zip(a.shape, b.shape, strict=True)):
        return False
    return (a == b).all()


def _bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """With weights: their sums, in as many places as there are counts without.

    Of a `minlength` that is a size there are as many as it says: a file that is given a larger
    number fails, where PyTorch makes the result longer.
    """
    if is_open(minlength):
        counts = torch.zeros(minlength, dtype=torch.int64)
        counts = counts.scatter_add(0, x.to(torch.int64), torch.ones_like(x, dtype=torch.int64))
    else:
        counts = torch.bincount(x, minlength=minlength)
    if weights is None:
        return counts
    dtype = weights.dtype if weights.dtype == torch.float32 else torch.float64
    return torch.zeros_like(counts, dtype=dtype).scatter_add(0, x, weights.to(dtype))


def _one_hot(x: Tensor, num_classes: int = -1) -> Tensor:
    """Without a number of classes: up to the largest that is there."""
    if not is_open(num_classes):
        if num_classes != -1:
            return functional.one_hot(x, num_classes)
        num_classes = torch.bincount(x.reshape(-1)).shape[0]
    classes = torch.arange(num_classes, device=x.device)
    return (x.unsqueeze(-1) == classes).to(torch.int64)


def _fill_diagonal(x: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """In place, as where all indices are the same; wrapped only where the sizes are known."""
    if wrap or not any(map(is_open, x.shape)):
        return x.fill_diagonal_(fill_value, wrap)
    places = torch.meshgrid(*map(torch.arange, x.shape), indexing="ij")
    on = [places[0] == other for other in places[1:]]
    return x.masked_fill_(torch.stack(on).all(0), fill_value)


def _as_tensor(data: Any, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    if isinstance(data, Tensor) or not any(map(is_open, pytree.tree_leaves(data))):
        return torch.as_tensor(data, dtype=dtype, device=device)
    found = _nested(data)
    floating = found.is_floating_point()
    return found.to(dtype or (torch.get_default_dtype() if floating else torch.int64))


def _nested(data: Any) -> Tensor:
    if isinstance(data, (list, tuple)):
        return stacked([_nested(part) for part in data])
    return data if isinstance(data, Tensor) else as_tensor(data)


_TABLE: dict[Any, Callable[..., Any]] = {
    torch.cov: _cov,
    Tensor.cov: _cov,
    torch.corrcoef: _corrcoef,
    Tensor.corrcoef: _corrcoef,
    functional.gaussian_nll_loss: _gaussian_nll_loss,
    torch.linalg.lstsq: _lstsq,
    torch.combinations: _combinations,
    torch.allclose: _allclose,
    Tensor.allclose: _allclose,
    torch.as_tensor: _as_tensor,
    Tensor.fill_diagonal_: _fill_diagonal,
    torch.bincount: _bincount,
    Tensor.bincount: _bincount,
    functional.one_hot: _one_hot,
    torch.equal: _equal,
    Tensor.equal: _equal,
}


def _tracing(_: nn.Module) -> AbstractContextManager[None]:
    return replacing(_TABLE)


FAMILY = Family("untraceable", tracing=_tracing)

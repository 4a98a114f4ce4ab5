"""Reductions: variances to the last bit, extrema over all dimensions, means by index.

torchlib's variance of equal numbers is not zero (the rounding of their mean, squared), its amax
needs a dimension, and its scatter_reduce takes a mean for a sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family


def _variance(x: Tensor, dim: Any, correction: Any, *, keepdim: bool) -> tuple[Tensor, Tensor]:
    """The variance and the mean, refined by the mean of what it leaves."""
    dims = _all(x, dim)
    count: Any = 1
    for d in dims:
        count = count * x.shape[d]
    mean = x.mean(dims, keepdim=True)
    mean = mean + (x - mean).mean(dims, keepdim=True)
    squares = (x - mean).square().sum(dims, keepdim=keepdim)
    degrees = count - (1 if correction is None else correction)
    if isinstance(degrees, (int, float)):
        degrees = max(degrees, 0)
        variance = squares / degrees if degrees else squares / torch.zeros_like(squares)
    else:
        variance = squares / degrees
    if not keepdim:
        mean = mean.reshape(variance.shape)
    return variance, mean


def _all(x: Tensor, dim: Any) -> list[int]:
    if isinstance(dim, int):
        dim = [dim]
    return [d % max(x.dim(), 1) for d in dim] if dim else list(range(x.dim()))


def _real(how: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        if x.is_complex() or x.dim() == 0:
            return NotImplemented
        return how(x, *args, **kwargs)

    return guarded


def _var(x: Tensor, dim: Any = None, *, correction: Any = None, keepdim: bool = False) -> Tensor:
    return _variance(x, dim, correction, keepdim=keepdim)[0]


def _std(x: Tensor, dim: Any = None, *, correction: Any = None, keepdim: bool = False) -> Tensor:
    return _variance(x, dim, correction, keepdim=keepdim)[0].sqrt()


def _var_mean(
    x: Tensor, dim: Any = None, *, correction: Any = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    return _variance(x, dim, correction, keepdim=keepdim)


def _std_mean(
    x: Tensor, dim: Any = None, *, correction: Any = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    variance, mean = _variance(x, dim, correction, keepdim=keepdim)
    return variance.sqrt(), mean


def _by_flag(how: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, unbiased=True: how(x, correction=int(unbiased))


def _by_dim(how: Callable[..., Any]) -> Callable[..., Any]:
    def corrected(x: Tensor, dim: Any, unbiased: bool = True, keepdim: bool = False) -> Any:
        return how(x, dim, correction=int(unbiased), keepdim=keepdim)

    return corrected


def _amax(x: Tensor, dim: Sequence[int] = (), keepdim: bool = False) -> Any:
    if x.dim() == 0:
        return x.clone()
    return NotImplemented if dim else torch.amax(x, list(range(x.dim())), keepdim)


def _amin(x: Tensor, dim: Sequence[int] = (), keepdim: bool = False) -> Any:
    if x.dim() == 0:
        return x.clone()
    return NotImplemented if dim else torch.amin(x, list(range(x.dim())), keepdim)


def _aminmax(x: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    if x.dim() == 0:
        return x.clone(), x.clone()
    dims = list(range(x.dim())) if dim is None else [dim]
    return torch.amin(x, dims, keepdim), torch.amax(x, dims, keepdim)


def _scatter_mean(
    x: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Any:
    if reduce != "mean" or x.dim() == 0:
        return NotImplemented
    ones = torch.ones_like(source)
    untouched = torch.zeros_like(x).scatter_add(dim, index, ones) == 0
    if include_self:
        total, count = x, torch.ones_like(x)
    else:
        total, count = torch.where(untouched, x, 0.0).to(x.dtype), untouched.to(x.dtype)
    total = total.scatter_add(dim, index, source)
    count = count.scatter_add(dim, index, ones)
    if x.is_floating_point():
        return total / count
    return torch.div(total, count, rounding_mode="floor")


def _decompositions() -> dict[object, Callable[..., Any]]:
    aten = torch.ops.aten
    return {
        aten.var.default: _real(_by_flag(_var)),
        aten.std.default: _real(_by_flag(_std)),
        aten.var_mean.default: _real(_by_flag(_var_mean)),
        aten.std_mean.default: _real(_by_flag(_std_mean)),
        aten.var.dim: _real(_by_dim(_var)),
        aten.std.dim: _real(_by_dim(_std)),
        aten.var_mean.dim: _real(_by_dim(_var_mean)),
        aten.std_mean.dim: _real(_by_dim(_std_mean)),
        aten.var.correction: _real(_var),
        aten.std.correction: _real(_std),
        aten.var_mean.correction: _real(_var_mean),
        aten.std_mean.correction: _real(_std_mean),
        aten.amax.default: _amax,
        aten.amin.default: _amin,
        aten.aminmax.default: _aminmax,
        aten.scatter_reduce.two: _scatter_mean,
    }


FAMILY = Family("statistics", decompositions=_decompositions())

"""What a sort leads to: kthvalue, median, nanmedian, mode, searchsorted, bucketize, histogram.

ONNX has TopK, whose ties go to the lower index: a stable sort. The rest follows from it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family


def _stable(
    x: Tensor, *, stable: Any = None, dim: int = -1, descending: bool = False
) -> tuple[Tensor, Tensor]:
    """TopK is stable by its definition: of equals the lower index comes first."""
    values, places = x.sort(dim, descending)
    return values, places


def _kthvalue(x: Tensor, k: Any, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    if x.dim() == 0:
        return x.clone(), torch.zeros_like(x, dtype=torch.int64)
    values, places = x.sort(dim)
    values, places = values.narrow(dim, k - 1, 1), places.narrow(dim, k - 1, 1)
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


def _median_dim(x: Tensor, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The lower of the two in the middle; NaN, and its first place, where there is one."""
    if x.dim() == 0:
        return x.clone(), torch.zeros_like(x, dtype=torch.int64)
    values, places = _kthvalue(x, (x.shape[dim] + 1) // 2, dim, True)
    if x.is_floating_point():
        missing = x.isnan()
        any_missing = missing.any(dim, keepdim=True)
        values = torch.where(any_missing, nan, values)
        places = torch.where(any_missing, missing.to(torch.int8).argmax(dim, keepdim=True), places)
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


def _median(x: Tensor) -> Tensor:
    return _median_dim(x.reshape(-1), 0)[0]


def _nanmedian_dim(x: Tensor, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The median of what is a number; NaN where nothing is."""
    if x.dim() == 0:
        return x.clone(), torch.zeros_like(x, dtype=torch.int64)
    if not x.is_floating_point():
        return _median_dim(x, dim, keepdim)
    missing = x.isnan()
    values, places = torch.where(missing, inf, x).sort(dim)
    count = (~missing).sum(dim, keepdim=True)
    middle = ((count - 1) // 2).clamp(min=0)
    values, places = values.gather(dim, middle), places.gather(dim, middle)
    values = torch.where(count == 0, nan, values)
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


def _nanmedian(x: Tensor) -> Tensor:
    return _nanmedian_dim(x.reshape(-1), 0)[0]


def _mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """The smallest of the most frequent values, and the last place where it stands."""
    if x.dim() == 0:
        return x.clone(), torch.zeros_like(x, dtype=torch.int64)
    values, places = x.movedim(dim, -1).sort(-1)
    count = torch.arange(values.shape[-1], device=x.device)
    begins = torch.cat(
        [torch.ones_like(values[..., :1], dtype=torch.bool), values[..., 1:] != values[..., :-1]],
        -1,
    )
    begin = torch.where(begins, count, 0).cummax(-1)[0]
    best = (count - begin).argmax(-1, keepdim=True)
    value, place = values.gather(-1, best), places.gather(-1, best)
    value, place = value.movedim(-1, dim), place.movedim(-1, dim)
    return (value, place) if keepdim else (value.squeeze(dim), place.squeeze(dim))


def _searchsorted(
    boundaries: Tensor,
    values: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """How many boundaries stand before each value: counted, not searched."""
    if sorter is not None:
        boundaries = boundaries.gather(-1, sorter)
    values = torch.as_tensor(values, device=boundaries.device)
    if boundaries.dim() == 1:
        edges = boundaries.reshape([1] * values.dim() + [-1])
    else:
        edges = boundaries.unsqueeze(-2)
    other = values.unsqueeze(-1)
    before: Tensor = edges <= other if right or side == "right" else edges < other
    return before.sum(-1).to(torch.int32 if out_int32 else torch.int64)


def _bucketize(
    values: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    return _searchsorted(boundaries, values, out_int32=out_int32, right=right)


def _histogram(
    x: Tensor,
    bins: int = 100,
    *,
    range: Any = None,  # noqa: A002  (its name in PyTorch)
    weight: Tensor | None = None,
    density: bool = False,
) -> tuple[Tensor, Tensor]:
    if range is not None:
        low = torch.full((), range[0], dtype=x.dtype, device=x.device)
        high = torch.full((), range[1], dtype=x.dtype, device=x.device)
    else:
        low, high = x.amin(), x.amax()
    same = low == high
    low, high = torch.where(same, low - 0.5, low), torch.where(same, high + 0.5, high)
    share = torch.arange(bins + 1, dtype=x.dtype, device=x.device) / bins
    edges = torch.where(share == 1, high, low + (high - low) * share)
    return _histogram_edges(x, edges, weight=weight, density=density)


def _histogram_edges(
    x: Tensor, edges: Tensor, *, weight: Tensor | None = None, density: bool = False
) -> tuple[Tensor, Tensor]:
    """The last bin holds its right end too."""
    flat = x.reshape(-1, 1)
    inside = (flat >= edges[:-1]) & (flat < edges[1:])
    last = torch.arange(edges.shape[0] - 1, device=x.device) == edges.shape[0] - 2
    inside = inside | (last & (flat == edges[1:]))
    counted = inside.to(x.dtype)
    if weight is not None:
        counted = torch.where(inside, weight.reshape(-1, 1), 0.0)
    found = counted.sum(0)
    if density:
        found = found / found.sum() / edges.diff()
    return found, edges


def _decompositions() -> dict[object, Callable[..., Any]]:
    aten = torch.ops.aten
    return {
        aten.sort.stable: _stable,
        aten.kthvalue.default: _kthvalue,
        aten.median.default: _median,
        aten.median.dim: _median_dim,
        aten.nanmedian.default: _nanmedian,
        aten.nanmedian.dim: _nanmedian_dim,
        aten.mode.default: _mode,
        aten.searchsorted.Tensor: _searchsorted,
        aten.searchsorted.Scalar: _searchsorted,
        aten.bucketize.Tensor: _bucketize,
        aten.bucketize.Scalar: _bucketize,
        aten.histogram.bin_ct: _histogram,
        aten.histogram.bins_tensor: _histogram_edges,
    }


FAMILY = Family("sorting", decompositions=_decompositions())

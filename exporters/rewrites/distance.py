"""Distances between rows: cdist, pdist. ONNX had CDist in a contrib domain only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import statically_known_true

from exporters.rewrites import Family
from exporters.rewrites.calls import replacing

_BY_PRODUCTS = 25
"""Rows above which PyTorch takes |a|^2 + |b|^2 - 2 a b for the Euclidean distance."""
_ALWAYS, _NEVER = 1, 2
"""Its `compute_mode`; 0 or None leaves the choice to the number of rows."""


def _cdist(a: Tensor, b: Tensor, p: float, compute_mode: int | None) -> Tensor:
    if p == 2 and compute_mode != _NEVER and (compute_mode == _ALWAYS or _many(a, b)):
        return _by_products(a, b)
    return _norm(a.unsqueeze(-2) - b.unsqueeze(-3), p)


def _traced_cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:
    """In place of the call: it asks at once whether a size is above 25."""
    modes = {"use_mm_for_euclid_dist": _ALWAYS, "donot_use_mm_for_euclid_dist": _NEVER}
    return _cdist(x1, x2, p, modes.get(compute_mode))


def _tracing(_: nn.Module) -> AbstractContextManager[None]:
    return replacing({torch.cdist: _traced_cdist})


def _many(a: Tensor, b: Tensor) -> bool:
    """With a size that is not known, the way that never cancels."""
    return any(statically_known_true(x.shape[-2] > _BY_PRODUCTS) for x in (a, b))


def _by_products(a: Tensor, b: Tensor) -> Tensor:
    squares = a.square().sum(-1, keepdim=True) + b.square().sum(-1).unsqueeze(-2)
    return (squares - 2 * (a @ b.mT)).clamp(min=0).sqrt()


def _norm(difference: Tensor, p: float) -> Tensor:
    size = difference.abs()
    if p == 0:
        return (size != 0).to(size.dtype).sum(-1)
    if p == 1:
        return size.sum(-1)
    if p == inf:
        return size.amax(-1)
    if p == 2:
        return size.square().sum(-1).sqrt()
    return size.pow(p).sum(-1).pow(1 / p)


def _pdist(x: Tensor, p: float = 2.0) -> Tensor:
    """The pairs (i, j) with i < j, row by row."""
    count = torch.arange(x.shape[0], device=x.device)
    pairs = (count.unsqueeze(1) < count).nonzero()
    return _norm(x.index_select(0, pairs[:, 0]) - x.index_select(0, pairs[:, 1]), p)


def _pdist_known(x: Tensor, p: float = 2.0) -> Any:
    if not isinstance(x.shape[0], int):
        return _pdist(x, p)
    one, two = torch.triu_indices(x.shape[0], x.shape[0], 1, device=x.device)
    return _norm(x.index_select(0, one) - x.index_select(0, two), p)


def _decompositions() -> dict[object, Callable[..., Any]]:
    aten = torch.ops.aten
    return {aten._cdist_forward.default: _cdist, aten._pdist_forward.default: _pdist_known}


FAMILY = Family("distance", tracing=_tracing, decompositions=_decompositions())

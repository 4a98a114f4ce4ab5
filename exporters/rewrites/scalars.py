"""any, all, prod and norms along an axis of what has none: PyTorch takes axis 0, ONNX refuses it.

torch.onnx wrote a ReduceMax over axis 0 of a scalar, which no runtime loads. And it does not know
the question behind a check of values (`torch._check_tensor_all` in deformable attention). And of
the number in `x % x.shape[1]` it makes a constant, which a size is not. Of `x.clamp(1, 5e4)` it
makes one bound a tensor, and then knows no such clamp.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from exporters.rewrites import Family


def _any(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    if x.dim():
        return NotImplemented
    return (x != 0).to(torch.uint8 if x.dtype == torch.uint8 else torch.bool)


def _prod(x: Tensor, dim: int, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    if x.dim():
        return NotImplemented
    whole = not (x.is_floating_point() or x.is_complex())
    return x.to(dtype or (torch.int64 if whole else x.dtype))


def _norm(
    x: Tensor,
    order: float = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Any:
    if x.dim():
        return NotImplemented
    x = x.to(dtype or x.dtype)
    return x.abs() if order else (x != 0).to(x.dtype)


def _remainder(x: Tensor, by: Any) -> Any:
    if isinstance(by, (int, float, bool)):
        return NotImplemented
    return torch.remainder(x, torch.scalar_tensor(by, dtype=torch.result_type(x, 1)))


def _clamp(x: Tensor, low: Any = None, high: Any = None) -> Any:
    if {type(low), type(high)} != {int, float}:
        return NotImplemented
    return x.to(torch.result_type(x, 1.0)).clamp(float(low), float(high))


_ATEN = torch.ops.aten
FAMILY = Family(
    "scalars",
    decompositions={
        **dict.fromkeys((_ATEN.any.dim, _ATEN.all.dim, _ATEN.any.dims, _ATEN.all.dims), _any),
        _ATEN.prod.dim_int: _prod,
        _ATEN.linalg_vector_norm.default: _norm,
        _ATEN.remainder.Scalar: _remainder,
        _ATEN.clamp.default: _clamp,
        _ATEN._is_all_true.default: lambda x: x.all(),
    },
)

"""Selections, and writes by index, by mask or of one number over many, that torchlib lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnxscript import opset18 as op
from torch import Tensor

from exporters.rewrites import Family
from exporters.rewrites.control.sizes import is_open


def _masked_select(x: Tensor, mask: Tensor) -> Tensor:
    x, mask = torch.broadcast_tensors(x, mask)
    places = mask.reshape(-1).nonzero().squeeze(1)
    return x.reshape(-1).index_select(0, places)


def _nonzero_static(x: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first `size` places that are not zero, padded with `fill_value`."""
    flat = (x != 0).reshape(-1)
    rank = flat.to(torch.int64).cumsum(0)
    wanted = torch.arange(1, size + 1, device=x.device).unsqueeze(1)
    # As many elements come before the r-th one as have a rank below r.
    place = (rank < wanted).sum(1)
    found = place < flat.shape[0]
    columns = []
    for length in reversed(x.shape):
        columns.append(place % length if length else place)
        place = place // length if length else place
    if not columns:
        return torch.zeros(size, 0, dtype=torch.int64, device=x.device)
    columns.reverse()
    return torch.where(found.unsqueeze(1), torch.stack(columns, 1), fill_value)


def _unique_consecutive(
    x: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """torchlib's knows whole numbers only."""
    if dim is not None:
        return NotImplemented
    flat = x.reshape(-1)
    first = torch.ones(1, dtype=torch.bool, device=x.device)
    begins = torch.cat([first, flat[1:] != flat[:-1]])
    places = begins.nonzero().squeeze(1)
    empty = torch.zeros(0, dtype=torch.int64, device=x.device)
    inverse, counts = empty, empty
    if return_inverse:
        inverse = (begins.to(torch.int64).cumsum(0) - 1).reshape(x.shape)
    if return_counts:
        end = torch.full((1,), flat.shape[0], dtype=torch.int64, device=x.device)
        counts = torch.cat([places[1:], end]) - places
    return flat.index_select(0, places), inverse, counts


def _grid_sampler_3d(x: Tensor, grid: Tensor, mode: int, padding: int, corners: bool) -> Tensor:
    found: Tensor = torch.ops.aten.grid_sampler(x, grid, mode, padding, corners)
    return found


def _index_reduce(
    x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    if x.dim() == 0:
        x, source = x.unsqueeze(0), source.reshape(1)
        return _index_reduce(
            x, 0, index.reshape(1), source, reduce, include_self=include_self
        ).squeeze(0)
    shape = [1] * x.dim()
    shape[dim] = -1
    places = index.reshape(shape).expand_as(source)
    return x.scatter_reduce(dim, places, source, reduce, include_self=include_self)


_BY_NAME = {"add": "sum", "multiply": "prod"}


def _scatter(x: Tensor, dim: int, index: Tensor, source: Any, *, reduce: str) -> Tensor:
    values = source if isinstance(source, Tensor) else torch.full_like(index, source, dtype=x.dtype)
    return x.scatter_reduce(dim, index, values, _BY_NAME[reduce])


def _copy(x: Any, source: Any, non_blocking: bool = False) -> Any:
    """`x.copy_(source)` of a number or a row, which torchlib takes for all of x."""
    found = op.CastLike(source, x)
    return found if x.shape == source.shape else op.Expand(found, op.Shape(x))


def _put(x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    flat, places, values = x.reshape(-1), index.reshape(-1), source.reshape(-1)
    places = torch.where(places < 0, places + flat.shape[0], places)
    written = flat.scatter_add(0, places, values) if accumulate else flat.scatter(0, places, values)
    return written.reshape(x.shape)


def _diagonal_scatter(
    x: Tensor, source: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    x = x.movedim((dim1, dim2), (-2, -1))
    rows = torch.arange(x.shape[-2], device=x.device)
    columns = torch.arange(x.shape[-1], device=x.device)
    on = columns - rows.unsqueeze(1) == offset
    if source.shape[-1] == 0:
        return x.movedim((-2, -1), (dim1, dim2)).clone()
    if offset >= 0:
        values = source.index_select(-1, rows.clamp(max=source.shape[-1] - 1)).unsqueeze(-1)
    else:
        values = source.index_select(-1, columns.clamp(max=source.shape[-1] - 1)).unsqueeze(-2)
    return torch.where(on, values, x).movedim((-2, -1), (dim1, dim2))


def _roll(x: Tensor, shifts: Sequence[Any], dims: Sequence[int] = ()) -> Any:
    """By shifts that are sizes (`fftshift`), of which ONNX's translation makes attributes."""
    if not dims or not any(map(is_open, shifts)):
        return NotImplemented
    if x.is_complex():
        axes = [dim % x.dim() for dim in dims]
        return torch.view_as_complex(torch.roll(torch.view_as_real(x), shifts, axes))
    for shift, dim in zip(shifts, dims, strict=True):
        places = torch.arange(x.shape[dim], device=x.device)
        x = x.index_select(dim, (places - shift) % x.shape[dim])
    return x


def _decompositions() -> dict[object, Callable[..., Any]]:
    aten = torch.ops.aten
    return {
        aten.masked_select.default: _masked_select,
        aten.unique_consecutive.default: _unique_consecutive,
        aten.grid_sampler_3d.default: _grid_sampler_3d,
        aten.nonzero_static.default: _nonzero_static,
        aten.index_reduce.default: _index_reduce,
        aten.put.default: _put,
        aten.scatter.reduce: _scatter,
        aten.scatter.value_reduce: _scatter,
        aten.roll.default: _roll,
        aten.diagonal_scatter.default: _diagonal_scatter,
        torch.ops.prims.view_of.default: lambda x: x.reshape(x.shape),
    }


FAMILY = Family(
    "indexing",
    decompositions=_decompositions(),
    translations={torch.ops.aten.copy.default: _copy},
)
